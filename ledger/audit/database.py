"""A log in one database (storage version 1), checked stretch by stretch."""

from pathlib import Path

from ledger.audit.joiner import Checked, check_beside
from ledger.audit.readonly import ReadOnly, UnreadableError
from ledger.core.report import Findings
from ledger.core.stretch import Hints


class Database:
    """One database file, of which nothing is believed."""

    def __init__(self, path: Path, end: int | None = None) -> None:
        """Open it.

        Args:
            path: the file.
            end: where the log ends, where that was found out already.

        Raises:
            UnreadableError: DuckDB cannot open it.
        """
        self.source = ReadOnly(path)
        self.findings = Findings()
        self.end = end or 0
        self._introduced: dict[str, int] | None = None

    def find_end(self) -> int:
        """Find out where the log ends.

        Raises:
            UnreadableError: DuckDB cannot tell.
        """
        self.end = self.source.end(self.findings)
        return self.end

    def prepare(self, base: int) -> list[int]:
        """What is looked at before the stretches, from entry `base` on. Returns where stretches begin that hold anything."""
        self._introduced = self.source.introduced(self.findings)
        self.source.strangers(self.end, self.findings)
        return [start for start in self.source.stretches(self.end) if start >= base]

    def check(self, start: int, hints: Hints) -> Checked | str:
        """A stretch, or why it cannot be read."""
        findings = Findings()
        if self._introduced is None:
            self._introduced = self.source.introduced(Findings())
        try:
            stretch = self.source.stretch(start, self.end, findings)
        except UnreadableError as error:
            return str(error)
        return check_beside(stretch, hints, self._introduced.get, findings)

    def close(self) -> None:
        """Let the file go."""
        self.source.close()
