"""A stopped log to be read in order: as its own writer where its key is there, else as it lies in the folder, which is not changed."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.note import VerifierKey, format_vkey, parse_vkey
from ledger.log.keyproof import stored_keys
from ledger.log.log import Log
from ledger.storage.hot import HotFile
from ledger.storage.layout import KEY, PERSONS, hot_files, refuse_other_version, segment_folders
from ledger.storage.lock import DataLock
from ledger.storage.manifest import OWN
from ledger.storage.schema import PERSON_SCHEMA
from ledger.storage.segment import Fetch, Segment
from ledger.upkeep.backupset import MAX_ENTRY_BYTES, NOTE
from ledger.upkeep.people import read_persons
from ledger.upkeep.transfer import Source


class Head(NamedTuple):
    """The newest checkpoint of what lies in a folder."""

    size: int
    root: bytes
    note: bytes


class _Part(NamedTuple):
    start: int
    end: int
    source: Segment | HotFile


@contextmanager
def opened_folder(data: Path, anchor: Path | None = None, *, fetch: Fetch | None = None) -> Iterator[Source]:
    """The log in a stopped data folder, or in a backup.

    Args:
        data: the folder.
        anchor: its head anchor, where it is not beside the folder.
        fetch: brings files of segments that are not in their folders.

    Raises:
        LedgerError: `not-found`, `storage-version`, `locked`, `storage-failed`; and what opening a log raises.
    """
    refuse_other_version(data)
    if (data / KEY).exists() and not (data / NOTE).exists():
        log = Log.open(data, anchor=anchor, fetch=fetch)
        try:
            yield log
        finally:
            log.close()
        return
    with ExitStack() as stack:
        yield _Lying(data, stack, fetch)


class _Lying:
    """A log as it lies in a folder without its key: evidence, or a backup, in which all is sealed."""

    def __init__(self, data: Path, stack: ExitStack, fetch: Fetch | None) -> None:
        self._people = data / PERSONS
        self._parts: list[_Part] = []
        hots = [path for _, path in hot_files(data)]
        if hots:
            stack.callback(DataLock(data).release)
        key = _first_key(data, hots)
        self.vkey = format_vkey(key)
        for folder in segment_folders(data):
            segment = Segment.open(folder, keys=None, origin=key.name, fetch=fetch)
            stack.callback(segment.close)
            self._take(_Part(segment.start, segment.end, segment))
        for path in hots:
            hot = HotFile(path)
            stack.callback(hot.close, fold=False)
            if (bounds := hot.bounds()) is not None and bounds[1] > self._end:
                self._take(_Part(*bounds, hot))
        self.keys, self._proof = stored_keys([part.source for part in self._parts])
        for segment in self.segments():
            segment.check_signature(self.keys)
        self._head = self._newest()

    def key_proof(self) -> bytes:
        """The proof of its keys."""
        return self._proof

    @property
    def _end(self) -> int:
        return self._parts[-1].end if self._parts else 0

    def _take(self, part: _Part) -> None:
        if part.start != self._end:
            raise LedgerError(
                Code.STORAGE_FAILED,
                f"the entries {self._end} to {part.start - 1} are not there: run `agent-ledger verify`",
            )
        self._parts.append(part)

    def _newest(self) -> Head:
        source = self._parts[-1].source if self._parts else None
        note = (
            source.manifest.checkpoint
            if isinstance(source, Segment)
            else source and source.newest_checkpoint()
        )
        checkpoint = self.keys.open(note or b"", own=True)
        return Head(checkpoint.size, checkpoint.root, note or b"")

    def head(self) -> Head:
        """The newest checkpoint."""
        return self._head

    def rows(self, start: int, end: int, *, contents: bool = True) -> Iterator[pa.RecordBatch]:
        """Entries [start, end)."""
        for part in self._parts:
            low, high = max(start, part.start), min(end, part.end)
            if low < high:
                yield from part.source.rows(low, high, contents=contents)

    def segments(self) -> list[Segment]:
        """Its sealed segments."""
        return [part.source for part in self._parts if isinstance(part.source, Segment)]

    def person_rows(self, start: int, end: int) -> pa.Table:
        """Persons they introduced."""
        tables = [PERSON_SCHEMA.empty_table()]
        if self._people.exists():
            tables.append(read_persons(self._people, start, end))
        for part in self._parts:
            low, high = max(start, part.start), min(end, part.end)
            if isinstance(part.source, HotFile) and low < high:
                tables.append(part.source.person_rows(low, high))
        return pa.concat_tables(tables).sort_by([("seq", "ascending"), ("commitment", "ascending")])


def _first_key(data: Path, hots: list[Path]) -> VerifierKey:
    """The key that entry 0 names."""
    try:
        folders = segment_folders(data)
        if folders:
            with (folders[0] / OWN).open("rb") as stream:
                genesis = stream.readline(MAX_ENTRY_BYTES).rstrip(b"\n")
        else:
            hot = HotFile(hots[0])
            try:
                (genesis,) = hot.entries(0, 1)
            finally:
                hot.close(fold=False)
        ext: Any = parse_entry(genesis).members.get("ext")
        return parse_vkey(ext["log.vkey"])
    except (OSError, ValueError, IndexError, TypeError, KeyError, LedgerError):
        raise LedgerError(
            Code.STORAGE_FAILED, f"entry 0 of {data} cannot be read: run `agent-ledger verify`"
        ) from None
