"""What the SDK raises beside the ledger's own refusals (`ProblemError`, `LedgerError`)."""

from pathlib import Path


class LedgerAway(Exception):  # noqa: N818 - says what is the case: the caller's code reads `except LedgerAway`
    """The record is not durable, because the ledger cannot be reached or the spool cannot take it: its tool must not run."""


class RecordsLost(Exception):  # noqa: N818 - as above
    """Records were not recorded, although the code that made them was not told: said when the ledger is closed.

    Attributes:
        lost: how many, since the ledger was made.
    """

    def __init__(self, lost: int, detail: str) -> None:
        super().__init__(detail)
        self.lost = lost


class ForkError(Exception):
    """The log contradicts what was seen of it before: it was rolled back, rewritten, or shows different people different things.

    Nothing is sent to it any more.

    Attributes:
        evidence: the folder with both signed notes, or None where it could not be written.
    """

    def __init__(self, detail: str, evidence: Path | None = None) -> None:
        super().__init__(detail)
        self.evidence = evidence
