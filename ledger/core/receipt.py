"""Receipts (c2sp.org/tlog-proof): an entry's place in a signed log, verifiable offline and for ever.

    c2sp.org/tlog-proof@v1
    [extra <base64>]
    index <decimal>
    <inclusion proof, one base64 hash a line>

    <the signed checkpoint, as it is>

The extra line is signed by nobody: it never carries a fact.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ledger.core.checkpoint import Checkpoint, open_checkpoint
from ledger.core.errors import Code, FormatError
from ledger.core.merkle import HASH_BYTES, leaf_hash, verify_inclusion
from ledger.core.note import MAX_NOTE_BYTES, VerifierKey
from ledger.core.text import format_base64, parse_base64, parse_decimal

HEADER = "c2sp.org/tlog-proof@v1"
EXTRA = "extra "
INDEX = "index "
MAX_PROOF_HASHES = 63


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt that parses.

    Attributes:
        index: the entry's seq.
        proof: the inclusion proof, the leaf's sibling first.
        checkpoint_note: the signed checkpoint it leads to.
        extra: bytes of no authority, or None.
    """

    index: int
    proof: Sequence[bytes]
    checkpoint_note: bytes
    extra: bytes | None = None


def parse_receipt(data: bytes) -> Receipt:
    """Take a receipt apart, without checking it.

    Raises:
        FormatError: it is not a receipt.
    """
    if len(data) > 2 * MAX_NOTE_BYTES:
        raise _malformed(f"it is longer than {2 * MAX_NOTE_BYTES} bytes")
    head, separator, note = data.partition(b"\n\n")
    try:
        header, *lines = head.decode("ascii").split("\n")
        extra = _take(lines, EXTRA)
        index = _take(lines, INDEX)
        if header == HEADER and index is not None and separator and note:
            return Receipt(
                parse_decimal(index),
                parse_proof(lines),
                note,
                None if extra is None else parse_base64(extra),
            )
    except ValueError as error:  # UnicodeDecodeError is one too
        raise _malformed(str(error)) from None
    raise _malformed(f"it is {HEADER}, an index line, hashes, an empty line and a checkpoint")


def _take(lines: list[str], word: str) -> str | None:
    """What follows the word on the first line, which is then removed; None when it begins otherwise."""
    return lines.pop(0).removeprefix(word) if lines and lines[0].startswith(word) else None


def parse_proof(lines: Sequence[str]) -> tuple[bytes, ...]:
    """The hashes of a proof as C2SP's texts have them, one base64 hash a line.

    Raises:
        ValueError: they are none, or too many.
    """
    if len(lines) > MAX_PROOF_HASHES:
        raise ValueError(f"its proof has more than {MAX_PROOF_HASHES} hashes")
    proof = tuple(map(parse_base64, lines))
    if any(len(digest) != HASH_BYTES for digest in proof):
        raise ValueError(f"a hash of its proof is not {HASH_BYTES} bytes")
    return proof


def format_receipt(receipt: Receipt) -> bytes:
    """The text that `parse_receipt` reads."""
    lines = [HEADER]
    if receipt.extra is not None:
        lines.append(f"{EXTRA}{format_base64(receipt.extra)}")
    lines.append(f"{INDEX}{receipt.index}")
    lines.extend(map(format_base64, receipt.proof))
    return "\n".join(lines).encode() + b"\n\n" + receipt.checkpoint_note


def verify_receipt(
    data: bytes, entry: bytes, keys: Iterable[VerifierKey], origin: str | None = None
) -> Checkpoint:
    """Check that a receipt covers an entry, by its bytes.

    Raises:
        FormatError: it is not a receipt with a signed checkpoint.
        VerificationError: it does not hold.
    """
    return verify_receipt_leaf(data, leaf_hash(entry), keys, origin)


def verify_receipt_leaf(
    data: bytes, leaf: bytes, keys: Iterable[VerifierKey], origin: str | None = None
) -> Checkpoint:
    """Check that a receipt covers an entry, by its leaf hash. See `verify_receipt`."""
    receipt = parse_receipt(data)
    checkpoint = open_checkpoint(receipt.checkpoint_note, keys, origin)
    verify_inclusion(leaf, receipt.index, checkpoint.size, receipt.proof, checkpoint.root)
    return checkpoint


def _malformed(detail: str) -> FormatError:
    return FormatError(Code.MALFORMED_RECEIPT, f"not a receipt: {detail}")
