"""Where the next rows of an answer begin: a cursor, bound to the size of the log that was asked.

The text is base64url of version (1 byte), size and offset (8 bytes each, big-endian) and the first 16 bytes of a SHA-256 over these and the question: its
SQL, its parameters, and whether it sees contents. So a cursor goes with its own question alone, a changed or cut one is refused, the server
keeps nothing, and a restart does not matter. It is no secret and no authority: whoever makes one up gets what `as_of` would give.
"""

import base64
import binascii
import hashlib
import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from ledger.core.errors import Code, LedgerError
from ledger.forensics.parameters import Value, to_wire

VERSION: Final = 1
_PLACE: Final = struct.Struct(">BQQ")
_DIGEST_BYTES: Final = 16
_CHARACTERS: Final = 44


class Place(NamedTuple):
    """Where to go on: at row `offset` of the answer at `size`."""

    size: int
    offset: int


def format_cursor(place: Place, sql: str, parameters: Mapping[str, Value], *, contents: bool) -> str:
    """The cursor for this place in the answer to this question."""
    packed = _PLACE.pack(VERSION, place.size, place.offset)
    return base64.urlsafe_b64encode(packed + _digest(packed, sql, parameters, contents)).decode()


def parse_cursor(text: str, sql: str, parameters: Mapping[str, Value], *, contents: bool) -> Place:
    """The place that a cursor names.

    Raises:
        LedgerError: `invalid-parameter`: it is none, or of another question.
    """
    try:
        data = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        data = b""
    packed, digest = data[: _PLACE.size], data[_PLACE.size :]
    if len(text) != _CHARACTERS or len(data) != _PLACE.size + _DIGEST_BYTES or packed[0] != VERSION:
        raise _invalid("this is no cursor: it is the text that stood under `next`, 44 characters")
    if digest != _digest(packed, sql, parameters, contents):
        raise _invalid(
            "this cursor is of another question: it goes with the same SQL and parameters, asked with the same permission to see contents"
        )
    _, size, offset = _PLACE.unpack(packed)
    return Place(size, offset)


def _digest(packed: bytes, sql: str, parameters: Mapping[str, Value], contents: bool) -> bytes:
    values = {name: to_wire(value) for name, value in parameters.items()}
    question = msgspec.json.encode([sql, values, contents], order="sorted")
    return hashlib.sha256(b"agent-ledger cursor\n" + packed + question).digest()[:_DIGEST_BYTES]


def _invalid(detail: str) -> LedgerError:
    return LedgerError(Code.INVALID_PARAMETER, detail, path="cursor")
