"""What was kept of a log elsewhere, and how the log compares with it: checkpoints, receipts, verification records."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ledger.core.checkpoint import Checkpoint, parse_checkpoint
from ledger.core.errors import LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.merkle import verify_inclusion
from ledger.core.note import parse_note
from ledger.core.receipt import Receipt, parse_receipt
from ledger.core.report import Anchor, Findings, Kind, Rested


class Pin(NamedTuple):
    """A signed checkpoint of this log that was kept somewhere else.

    Attributes:
        note: the signed note.
        what: how to name it in a report.
        outside: whether it was out of reach of whoever runs the log. The head anchor beside the data folder was not.
    """

    note: bytes
    what: str = "pinned checkpoint"
    outside: bool = True


class _Kept(NamedTuple):
    """A pin or receipt that could be read; `note` is None where somebody else's signature vouches for it."""

    what: str
    outside: bool
    checkpoint: Checkpoint
    note: bytes | None
    receipt: Receipt | None


class Compared(NamedTuple):
    """What a verification found of the log, for comparing.

    Attributes:
        history: the log's keys.
        size: where the log ends.
        base: entries before it were not read this time.
        covered: the size of the newest checkpoint that holds.
        roots: the roots at the sizes wanted.
        leaves: the leaf hashes wanted.
        goes_on: the log goes on beyond `size`, which was not read.
    """

    history: KeyHistory
    size: int
    base: int
    covered: int
    roots: Mapping[int, bytes]
    leaves: Mapping[int, bytes]
    goes_on: bool = False

    def reaches(self, size: int) -> bool:
        """Whether what was kept of this size can be compared."""
        read = size >= self.base or size in self.roots
        return read and not (self.goes_on and size > self.size)


class KeptElsewhere:
    """Everything that a log is compared with."""

    def __init__(
        self,
        origin: str,
        pins: Iterable[Pin | bytes],
        receipts: Iterable[bytes],
        rested: Rested | None,
        findings: Findings,
    ) -> None:
        self._origin, self._findings = origin, findings
        self._kept = [kept for pin in pins if (kept := self._read_pin(pin))]
        self._kept += [kept for data in receipts if (kept := self._read_receipt(data))]
        if rested is not None:
            checkpoint = Checkpoint(origin, rested.size, rested.root)
            self._kept.append(_Kept(rested.what, True, checkpoint, None, None))
        self.marks = frozenset(kept.checkpoint.size for kept in self._kept)
        self.leaves = frozenset(kept.receipt.index for kept in self._kept if kept.receipt is not None)

    def _read_pin(self, pin: Pin | bytes) -> _Kept | None:
        pin = Pin(pin) if isinstance(pin, bytes) else pin
        try:
            checkpoint = parse_checkpoint(parse_note(pin.note).text)
            if checkpoint.origin == self._origin:
                return _Kept(pin.what, pin.outside, checkpoint, pin.note, None)
            problem = f"it is of the log {checkpoint.origin}, not of {self._origin}"
        except LedgerError as error:
            problem = error.detail
        self._findings.add(Kind.UNVERIFIABLE, f"the {pin.what}", problem)
        return None

    def _read_receipt(self, data: bytes) -> _Kept | None:
        try:
            receipt = parse_receipt(data)
        except LedgerError as error:
            self._findings.add(Kind.UNVERIFIABLE, "a receipt", error.detail)
            return None
        kept = self._read_pin(Pin(receipt.checkpoint_note, f"receipt of entry {receipt.index}"))
        return None if kept is None else kept._replace(receipt=receipt)

    def compare(self, log: Compared) -> tuple[Anchor, ...]:
        """Compare the log with all of it, and report what does not agree."""
        compared = [self._compare(kept, log) for kept in self._kept]
        anchors = tuple(anchor for anchor in compared if anchor is not None)
        for anchor in anchors:
            if not anchor.agrees:
                self._report_disagreement(anchor, anchors, log)
        return anchors

    def not_compared(self, log: Compared) -> tuple[str, ...]:
        """What could not be compared, because the entries it is of were not read this time."""
        return tuple(
            f"{kept.what} (size {kept.checkpoint.size})"
            for kept in self._kept
            if not log.reaches(kept.checkpoint.size)
        )

    def _compare(self, kept: _Kept, log: Compared) -> Anchor | None:
        """Compare the log with something kept elsewhere; None when that cannot be used."""
        checkpoint = kept.checkpoint
        try:
            if kept.note is not None:
                log.history.open(kept.note, own=True)
            if kept.receipt is not None:
                self._check_receipt(kept.receipt, checkpoint, log)
        except LedgerError as error:
            self._findings.add(Kind.UNVERIFIABLE, f"the {kept.what}", error.detail)
            return None
        if not log.reaches(checkpoint.size):
            return None
        if checkpoint.size <= log.size and checkpoint.size not in log.roots:
            detail = "entries below its size are missing, so it cannot be compared"
            self._findings.add(Kind.UNVERIFIABLE, f"the {kept.what}", detail)
            return None
        agrees = log.roots.get(checkpoint.size) == checkpoint.root
        if kept.note is not None and log.history.is_revoked(checkpoint.size):
            # What it signed proves nothing for the log; what contradicts the log is told all the same: nobody revokes the evidence against him.
            return Anchor(f"{kept.what} (signed with a revoked key)", checkpoint.size, agrees, outside=False)
        return Anchor(kept.what, checkpoint.size, agrees, kept.outside)

    @staticmethod
    def _check_receipt(receipt: Receipt, checkpoint: Checkpoint, log: Compared) -> None:
        """A receipt that vouches for this log's leaf, or for another log's root, is in order.

        Raises:
            VerificationError: it is not a receipt of the entry at its place, though its root is this log's.
        """
        leaf = log.leaves.get(receipt.index)
        if leaf is not None and log.roots.get(checkpoint.size) == checkpoint.root:
            verify_inclusion(leaf, receipt.index, checkpoint.size, receipt.proof, checkpoint.root)

    def _report_disagreement(self, anchor: Anchor, anchors: Sequence[Anchor], log: Compared) -> None:
        if anchor.size > log.size:
            detail = (
                f"it is of size {anchor.size}, and the log ends at {log.size}: entries were lost or cut off"
            )
            self._findings.add(Kind.ROLLED_BACK, f"the log against the {anchor.what}", detail, log.size)
            return
        if log.covered < anchor.size and self._findings.between(0, anchor.size):
            return  # the log's own signed roots do not hold there either: what was altered is named already
        agreed = max((a.size for a in anchors if a.agrees and a.size < anchor.size), default=0)
        kind = Kind.FORKED if log.covered >= anchor.size else Kind.ALTERED
        detail = f"the log has another root at size {anchor.size}: entries from {agreed} on are not those it vouches for"
        self._findings.add(kind, f"the log against the {anchor.what}", detail, agreed)
