"""What a log sends a witness (c2sp.org/tlog-witness v1.0.0): its checkpoint, and the proof that it extends what the witness saw.

old <decimal>
<consistency proof, one base64 hash a line>

<the signed checkpoint, as it is>

A witness of this project takes at `KEYS_PATH` what a log proves of its keys (`ledger.core.keyhistory`), which tlog-witness has no place for: 200 where it
follows them, 409 where it follows others. Any other answer says nothing: other witnesses are told a log's next key by their owner.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ledger.core.errors import Code, FormatError
from ledger.core.receipt import parse_proof
from ledger.core.text import format_base64, parse_decimal

PATH: Final = "/add-checkpoint"
KEYS_PATH: Final = "/agent-ledger/keys"
SIZE_TYPE: Final = "text/x.tlog.size"
MAX_BODY_BYTES: Final = 64 * 1024  # sixteen ML-DSA-44 lines and the longest proof fit
_OLD: Final = "old "


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request that parses.

    Attributes:
        old: the size that the witness saw last, as the log believes.
        proof: the consistency proof from there.
        note: the signed checkpoint, not looked into.
    """

    old: int
    proof: Sequence[bytes]
    note: bytes


def parse_add_checkpoint(body: bytes) -> AddCheckpoint:
    """Take a request apart, without checking anything it says.

    Raises:
        FormatError: it is none.
    """
    head, separator, note = body.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
        if separator and first.startswith(_OLD):
            return AddCheckpoint(parse_decimal(first.removeprefix(_OLD)), parse_proof(lines), note)
    except ValueError as error:  # UnicodeDecodeError is one too
        raise _malformed(str(error)) from None
    raise _malformed("it is a line `old <size>`, hashes, an empty line and a signed checkpoint")


def format_add_checkpoint(request: AddCheckpoint) -> bytes:
    """The text that `parse_add_checkpoint` reads."""
    lines = [f"{_OLD}{request.old}", *map(format_base64, request.proof)]
    return "\n".join(lines).encode() + b"\n\n" + request.note


def parse_size(body: bytes) -> int:
    """Read the size that a witness names where it saw another one than the log believed (409).

    Raises:
        FormatError: it is none.
    """
    try:
        digits, newline, rest = body.decode("ascii").partition("\n")
        if newline and not rest:
            return parse_decimal(digits)
    except ValueError as error:
        raise _malformed(str(error)) from None
    raise _malformed("a size is one line")


def origin_hash(origin: str) -> str:
    """How a log is named in a witness's addresses: SHA-256 of its origin in hex."""
    return sha256(origin.encode()).hexdigest()


def _malformed(detail: str) -> FormatError:
    return FormatError(Code.INVALID_PARAMETER, f"not what tlog-witness says: {detail}")
