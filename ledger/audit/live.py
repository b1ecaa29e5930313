"""Verifies a running log through the writer's own database, which nobody else can open."""

import time
from collections.abc import Iterator
from typing import Any, Protocol

import pyarrow as pa

from ledger.audit.beside import Committed
from ledger.audit.joiner import Checked, check_beside
from ledger.audit.readonly import as_person, as_stretch, contents_of
from ledger.core.checkpoint import parse_checkpoint
from ledger.core.entry import OWN_SUBMITTER, parse_entry
from ledger.core.errors import LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import parse_note
from ledger.core.report import Findings
from ledger.core.stretch import STRETCH_ENTRIES, Hints, Own
from ledger.core.verify import Pin

HEAD_WAIT_S = 2.0
HEAD_POLL_S = 0.01
PERSONS_ENTRIES = 200_000  # whose persons are read at a time
LOOK_AHEAD = 2


class Running(Protocol):
    """What is needed of `ledger.log.log.Log`."""

    @property
    def keys(self) -> KeyHistory:
        """The log's keys."""

    def head(self) -> Any:
        """With the `size`."""

    def rows(self, start: int, end: int, *, contents: bool = True) -> Iterator[pa.RecordBatch]:
        """Entries as `ROW_SCHEMA`."""

    def person_rows(self, start: int, end: int) -> pa.Table:
        """Persons as `PERSON_SCHEMA`."""

    def anchored(self) -> str:
        """Where the head anchor stands."""


class Live:
    """A running log, below one size."""

    def __init__(self, log: Running, end: int) -> None:
        self._log, self.end = log, end
        self._introduced: dict[str, int] = {}
        self._persons_read = 0

    def check(self, start: int, hints: Hints) -> Checked | str:
        """A stretch, or why it cannot be read."""
        findings = Findings()
        stop = min(start + STRETCH_ENTRIES, self.end)
        plain: list[pa.RecordBatch] = []
        try:
            committed = Committed.of(
                contents_of(pa.chunked_array([contents]))
                for contents in self._contents(start, min(stop + LOOK_AHEAD, self.end), plain)
            )
            persons = [as_person(row) for row in self._log.person_rows(start, stop).to_pylist()]
        except LedgerError as error:
            return error.detail
        if not plain:
            return "nothing is there"
        stretch = as_stretch((start, stop), pa.Table.from_batches(plain), committed, persons, findings)
        return check_beside(stretch, hints, self._find, findings)

    def said_since(self) -> list[Own]:
        """The log's own records beyond the size that is verified: what was read may be without what they say is gone."""
        size = int(self._log.head().size)
        batches = self._log.rows(self.end, size, contents=False) if size > self.end else ()
        entries = (
            entry for batch in batches for entry in batch.column("entry").to_pylist() if entry is not None
        )
        parsed = (parse_entry(entry.encode()) for entry in entries)
        return [
            Own(entry.seq, str(entry.members["type"]), ext)
            for entry in parsed
            if entry.submitter == OWN_SUBMITTER and isinstance(ext := entry.members.get("ext"), dict)
        ]

    def close(self) -> None:
        """The log is not ours to close."""

    def _contents(self, low: int, high: int, plain: list[pa.RecordBatch]) -> Iterator[pa.Array]:
        """The contents batch by batch; the rest of each goes to `plain`."""
        for batch in self._log.rows(low, high):
            plain.append(batch.drop_columns(["contents"]))
            yield batch.column("contents")

    def _find(self, commitment: str) -> int | None:
        """Which entry introduced a person; read when one is looked for that is not known."""
        while commitment not in self._introduced and self._persons_read < self.end:
            stop = min(self._persons_read + PERSONS_ENTRIES, self.end)
            table = self._log.person_rows(self._persons_read, stop).select(["commitment", "seq"])
            for digest, seq in zip(*(column.to_pylist() for column in table.columns), strict=True):
                self._introduced.setdefault(digest or "", seq)
            self._persons_read = stop
        return self._introduced.get(commitment)


def head_with(log: Running, anchor: list[Pin]) -> int:
    """The log's size now, once it shows what the anchor, which is written a moment before, says already."""
    anchored = _size_of(anchor[0].note) if anchor else 0
    deadline = time.monotonic() + HEAD_WAIT_S
    while (size := int(log.head().size)) < anchored and time.monotonic() < deadline:
        time.sleep(HEAD_POLL_S)
    return size


def _size_of(note: bytes) -> int:
    try:
        return parse_checkpoint(parse_note(note).text).size
    except LedgerError:
        return 0
