"""How the contents of an entry stand in the database: one JSON text, `[["tool.arguments","<salt, 32 hex>",<the content>],…]`.

DuckDB writes a nested column to its WAL at eight times the size of this text (docs/adr/0002). A content is JSON already, so it stands
in the text byte for byte, and there is one text for given contents: any other is refused.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from ledger.records.prepared import Disclosed

NO_CONTENTS: Final = "[]"
_AROUND: Final = len('["","",]')
_decode = msgspec.json.Decoder(list[tuple[str, str, msgspec.Raw]]).decode


def format_contents(contents: Iterable[Disclosed]) -> bytes:
    """The text of contents."""
    each = [b'["%b","%b",%b]' % (c.member.encode(), c.salt.hex().encode(), c.value) for c in contents]
    return b"[%b]" % b",".join(each)


def parse_contents(text: str) -> list[Disclosed]:
    """The contents of a text that `format_contents` wrote.

    Raises:
        ValueError: it wrote no such text.
    """
    if text == NO_CONTENTS:
        return []
    data = text.encode()
    contents, size = [], 1
    try:
        for member, salt_hex, raw in _decode(data):
            salt, value = bytes.fromhex(salt_hex), bytes(raw)
            if salt.hex() != salt_hex:
                raise ValueError(salt_hex)
            contents.append(Disclosed(member, salt, value))
            size += len(member) + len(salt_hex) + len(value) + _AROUND + 1
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not contents: {error}") from None
    if size != len(
        data
    ):  # white space between, escapes in a member: read alike, and written by somebody else
        raise ValueError("not contents as the ledger writes them")
    return contents
