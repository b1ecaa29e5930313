"""How the contents of an entry stand in the database: one JSON text, `[["tool.arguments","<salt, 32 hex>",<the content>],…]`.

DuckDB writes many times as much of a nested column to its WAL (docs/adr/0002). A content is JSON already, so it stands
in the text byte for byte, and there is one text for given contents: any other is refused.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from typing import Final, NamedTuple

import msgspec

from ledger.core.entry import SALT_BYTES
from ledger.core.errors import Code, LedgerError
from ledger.records.prepared import Disclosed

NO_CONTENTS: Final = "[]"
_AROUND: Final = len('["","",]')
_decode = msgspec.json.Decoder(list[tuple[str, str, msgspec.Raw]]).decode


_decode_rows = msgspec.json.Decoder(list[list[tuple[str, str, msgspec.Raw]]]).decode
_HEX_CHARACTERS: Final = 2 * SALT_BYTES


class Columns(NamedTuple):
    """Contents of rows by column: those of row `i` are the places `ends[i]` to `ends[i + 1]` of the others."""

    ends: list[int]
    members: list[str]
    salts: list[bytes]
    values: list[bytes]


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
            if salt.hex() != salt_hex or len(salt) != SALT_BYTES:
                raise ValueError("not a salt in the only spelling")
            contents.append(Disclosed(member, salt, value))
            size += len(member) + len(salt_hex) + len(value) + _AROUND + 1
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not contents: {error}") from None
    if size != len(
        data
    ):  # white space between, escapes in a member: read alike, and written by somebody else
        raise ValueError("not contents as the ledger writes them")
    return contents


def stored_contents(seq: int, text: str) -> list[Disclosed]:
    """The contents that stand with entry `seq`.

    Raises:
        LedgerError: `storage-failed`: the ledger wrote no such text.
    """
    try:
        return parse_contents(text)
    except ValueError as error:
        raise LedgerError(
            Code.STORAGE_FAILED,
            f"the contents of entry {seq} were altered ({error}); run `agent-ledger verify`",
        ) from None


def parse_columns(texts: Sequence[bytes]) -> Columns:
    """The contents of many texts, at a third of the price of parsing each.

    Raises:
        ValueError: one of them was not written by `format_contents`; which one, `parse_contents` says.
    """
    try:
        rows = _decode_rows(b"[%b]" % b",".join(texts))
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not contents: {error}") from None
    ends = [0, *accumulate(map(len, rows))]
    members, hexes, raws = zip(*chain.from_iterable(rows), strict=True) if ends[-1] else ((), (), ())
    values = list(map(bytes, raws))
    joined = "".join(hexes)
    # Any other spelling is longer: white space, escapes. So none is, where all together have the length they should have.
    size = (
        sum(map(len, members)) + len(joined) + sum(map(len, values)) + (_AROUND + 1) * len(values) + len(rows)
    )
    plain = size + sum(not row for row in rows) == sum(map(len, texts)) and len(rows) == len(texts)
    if not plain or joined != joined.lower() or not set(map(len, hexes)) <= {_HEX_CHARACTERS}:
        raise ValueError("not contents as the ledger writes them")
    salts = bytes.fromhex(joined)
    if len(salts) != SALT_BYTES * len(values):
        raise ValueError("not salts")
    each = [salts[at : at + SALT_BYTES] for at in range(0, len(salts), SALT_BYTES)]
    return Columns(ends, list(members), each, values)
