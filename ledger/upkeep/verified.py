"""The last thing before a folder takes its place: it is read from the disk again and verified as an outsider would."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ledger.audit.fsck import verify_folder
from ledger.core.checkpoint import Checkpoint
from ledger.core.errors import Code, LedgerError
from ledger.core.note import VerifierKey
from ledger.core.report import Kind, Report
from ledger.core.verify import Pin

CODES = {Kind.ROLLED_BACK: Code.ROLLED_BACK, Kind.FORKED: Code.FORKED}


def verified(
    data: Path,
    vkey: VerifierKey,
    pins: Sequence[Pin],
    *,
    expected: Checkpoint,
    what: str,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Verify a folder that is about to be put in place.

    Args:
        data: the folder.
        vkey: the log's first key.
        pins: what others have seen of it.
        expected: the checkpoint that it must be at.
        what: how to name in an error what it was made of.
        progress: told entries verified and in all.

    Raises:
        LedgerError: `evidence-altered`, `rolled-back`, `forked`: the first thing that was found.
    """
    report = verify_folder(data, vkey=vkey, pins=pins, progress=progress)
    if report.findings:
        first = report.findings[0]
        more = len(report.findings) + report.unlisted - 1
        raise LedgerError(
            CODES.get(first.kind, Code.EVIDENCE_ALTERED),
            f"{what}: {first.where} is {first.kind}: {first.detail}"
            + (f" (and {more} more)" if more else ""),
        )
    if (report.size, report.root) != (expected.size, expected.root):
        raise LedgerError(
            Code.EVIDENCE_ALTERED,
            f"{what}: its entries give another root than the checkpoint of size {expected.size}",
        )
    return report
