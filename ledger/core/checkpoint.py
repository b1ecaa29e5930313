"""Checkpoints (c2sp.org/tlog-checkpoint): a log's size and root, in a signed note.

    <origin>
    <size, decimal>
    <root, base64>

Extension lines may follow in other logs' checkpoints; this log writes none.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ledger.core.errors import Code, FormatError, VerificationError
from ledger.core.merkle import HASH_BYTES
from ledger.core.note import ED25519, NoteSigner, VerifierKey, open_note, sign_note
from ledger.core.text import format_base64, parse_base64, parse_decimal

MIN_LINES = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log states about itself.

    Attributes:
        origin: the log's name.
        size: the number of entries.
        root: the Merkle root over them, 32 bytes.
        extensions: further lines, without meaning here.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint's note.

    Raises:
        FormatError: it is not a checkpoint.
    """
    if not text.endswith("\n"):
        raise _malformed("a checkpoint ends in a newline")
    lines = text[:-1].split("\n")
    if len(lines) < MIN_LINES or not all(lines):
        raise _malformed("a checkpoint is three or more lines, none of them empty: origin, size, root")
    origin, size, root, *extensions = lines
    try:
        checkpoint = Checkpoint(origin, parse_decimal(size), parse_base64(root), tuple(extensions))
    except ValueError as error:
        raise _malformed(f"the checkpoint of {origin!r}: {error}") from None
    if len(checkpoint.root) != HASH_BYTES:
        raise _malformed(f"the root of {origin!r} is {len(checkpoint.root)} bytes, not {HASH_BYTES}")
    return checkpoint


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """The text that `parse_checkpoint` reads."""
    lines = [checkpoint.origin, str(checkpoint.size), format_base64(checkpoint.root), *checkpoint.extensions]
    return "\n".join(lines) + "\n"


def sign_checkpoint(checkpoint: Checkpoint, *signers: NoteSigner) -> bytes:
    """The signed note of a checkpoint. During a rotation both keys sign, the one in force first.

    Raises:
        FormatError: the checkpoint cannot be written.
    """
    text = format_checkpoint(checkpoint)
    if parse_checkpoint(text) != checkpoint:
        raise _malformed(f"the checkpoint of {checkpoint.origin!r} does not read back")
    return sign_note(text, *signers)


def open_checkpoint(note: bytes, keys: Iterable[VerifierKey], origin: str | None = None) -> Checkpoint:
    """Read a signed checkpoint and check every signature of a known key.

    One of the known keys must be the log's own: an Ed25519 key under the origin's name. Witnesses' lines are checked
    where their keys are given, and never stand in for the log's.

    Args:
        note: the signed note.
        keys: the keys the caller trusts, pinned or followed from a pinned one.
        origin: the log it must be of; any when None.

    Raises:
        FormatError: it is not a signed checkpoint.
        VerificationError: it is not signed as it must be, or of another log.
    """
    opened = open_note(note, keys)
    checkpoint = parse_checkpoint(opened.text)
    if origin is not None and checkpoint.origin != origin:
        raise VerificationError(
            Code.ORIGIN_MISMATCH, f"the checkpoint is of the log {checkpoint.origin!r}, not of {origin!r}"
        )
    if not any(key.name == checkpoint.origin and key.algorithm == ED25519 for key in opened.verified_keys):
        raise VerificationError(
            Code.UNKNOWN_SIGNER, f"no known key of the log {checkpoint.origin!r} itself signed its checkpoint"
        )
    return checkpoint


def _malformed(detail: str) -> FormatError:
    return FormatError(Code.MALFORMED_CHECKPOINT, detail)
