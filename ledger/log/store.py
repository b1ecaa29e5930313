"""Everything that is stored of a log, as one: sealed segments, full hot files that wait to be sealed, and the hot file that is written.

    segment │ segment │ … │ full hot file │ hot file being written │ (an empty one, made before it is needed)

What is read is looked up where it is now: a hot file that was sealed in the meantime is read on as a segment.
"""

import contextlib
import logging
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import pyarrow as pa

from ledger.core import canonical
from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.log.parts import Full, Hot, Part, Source, filled_by, full_parts, newest_note, sealed_end
from ledger.records.members import PERSONS
from ledger.records.prepared import Person
from ledger.storage.contents import stored_contents
from ledger.storage.hot import ClosedError, HotFile
from ledger.storage.layout import HOT, hot_path
from ledger.storage.people import PersonStore
from ledger.storage.removed import Removed
from ledger.storage.schema import PERSON_SCHEMA, Known, Row, StoredEntry
from ledger.storage.segment import Fetch, Segment
from ledger.storage.torn import forget_torn_ends

ROTATE_ENTRIES: Final = 200_000
ROTATE_BYTES: Final = 256 * 1024 * 1024  # of rows: DuckDB holds in memory what is hot
_NO_END: Final = 2**63

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


class Store:
    """What is stored. One thread appends; any may read, and any may rotate."""

    def __init__(
        self,
        data: Path,
        segments: Sequence[Segment],
        hots: Sequence[Hot],
        people: PersonStore,
        *,
        rotate_entries: int = ROTATE_ENTRIES,
        rotate_bytes: int = ROTATE_BYTES,
        fetch: Fetch | None = None,
    ) -> None:
        """What was found in `data`, in order and without gaps; the last of `hots` is written on. `fetch` is what segments are opened with."""
        self.people, self.fetch = people, fetch
        self.work = threading.Event()  # a hot file is full
        self.spare_wanted = threading.Event()  # the one that is written is half full
        self._data, self._rotate_entries, self._rotate_bytes = data, rotate_entries, rotate_bytes
        self._writing_lock = threading.Lock()
        self._making = threading.Lock()  # of the next hot file
        self._parts: tuple[Part, ...] = (
            *(Part(segment.start, segment) for segment in segments),
            *(
                Part(hot.start, hot.file, filled=_share(hot.end - hot.start, hot.file.stored_bytes()))
                for hot in hots[:-1]
            ),
            Part(hots[-1].start, hots[-1].file),
        )
        self._generation = hots[-1].generation
        self._end = hots[-1].end
        self._bytes = hots[-1].file.stored_bytes()
        self._waiting = filled_by(self._parts)
        self._spare: HotFile | None = None

    # -- what there is -----------------------------------------------------------------------------------------------

    @property
    def segments(self) -> list[Segment]:
        """The sealed segments, in order."""
        return [part.source for part in self._parts if isinstance(part.source, Segment)]

    @property
    def sealed_end(self) -> int:
        """The number of entries that are in segments."""
        return sealed_end(self._parts)

    def full(self) -> list[Full]:
        """The hot files that wait to be sealed."""
        return full_parts(self._parts)

    @property
    def full_end(self) -> int:
        """The number of entries that are in segments, or in hot files that wait to be sealed."""
        return self._parts[-1].start

    @property
    def waiting(self) -> float:
        """How much waits to be sealed, in full hot files of the ordinary size; each is in memory as a whole."""
        return self._waiting

    @property
    def _writing(self) -> HotFile:
        file = self._parts[-1].source
        if not isinstance(file, HotFile):
            raise TypeError(file)
        return file

    # -- writing -----------------------------------------------------------------------------------------------------

    def append(self, rows: Sequence[Row], persons: Sequence[tuple[int, Person]], checkpoint: bytes) -> None:
        """Make `rows` durable in one transaction (one fsync), `checkpoint` on the last of them.

        Raises:
            StoreFailed: the outcome is unknown until the file has been re-read.
        """
        with self._writing_lock:
            before = self._writing.grown
            self._writing.append(rows, persons, checkpoint)
            self._end += len(rows)
            self._bytes += self._writing.grown - before
        if self._spare is None and self._filled() >= 1 / 2:
            self.spare_wanted.set()

    def _filled(self) -> float:
        entries = self._end - self._parts[-1].start
        return max(entries / self._rotate_entries, self._bytes / self._rotate_bytes)

    def rotate_if_full(self, removed: Removed) -> bool:
        """Go on in a fresh hot file where this one is full; whether it was.

        Raises:
            LedgerError: `storage-failed`: no file could be made; this one is written on.
        """
        return self._filled() >= 1 and self.rotate(removed)

    def rotate(self, removed: Removed) -> bool:
        """Go on in a fresh hot file, the one so far is left to the sealer; False where it is empty, and nothing was done.

        Args:
            removed: what the log says is gone, up to the entry that was written last.

        Raises:
            LedgerError: `storage-failed`: no file could be made; this one is written on.
        """
        with self._making, self._writing_lock:
            if self._end == self._parts[-1].start:
                return False
            fresh = self._spare or HotFile.create(hot_path(self._data, self._generation + 1))
            self._spare = None
            self._generation += 1
            filled = _share(self._end - self._parts[-1].start, self._bytes)
            full = self._parts[-1]._replace(removed=removed, filled=filled)
            self._parts = (*self._parts[:-1], full, Part(self._end, fresh))
            self._bytes, self._waiting = 0, filled_by(self._parts)
        self.work.set()
        return True

    def prepare(self) -> None:
        """Make the next hot file before it is needed: to make it takes longer than a commit.

        Raises:
            LedgerError: `storage-failed`.
        """
        with self._making:
            if self._spare is None:
                self._spare = HotFile.create(hot_path(self._data, self._generation + 1))

    def sealed(self, start: int, segment: Segment) -> None:
        """Read the entries from `start` on in their segment, no more in their hot file."""
        with self._writing_lock:
            self._parts = tuple(Part(start, segment) if part.start == start else part for part in self._parts)
            self._waiting = filled_by(self._parts)

    def replace(self, segment: Segment) -> None:
        """Read a segment in its new generation. Who reads the old one reads on over files that are unlinked."""
        with self._writing_lock:
            self._parts = tuple(
                Part(segment.start, segment) if part.start == segment.start else part for part in self._parts
            )

    def fold(self) -> None:
        """Write what is in the newest hot file anew, and sync it.

        Raises:
            LedgerError: `storage-failed`.
        """
        self._writing.fold()

    def reopen(self) -> None:
        """Forget what is in memory of the newest hot file and read it anew: after a commit that was not clean.

        Raises:
            LedgerError: `storage-failed` when it cannot be opened.
        """
        with self._writing_lock:
            self._writing.reopen()
            bounds = self._writing.bounds()
            self._end = bounds[1] if bounds else self._parts[-1].start

    def forget_torn_ends(self) -> None:
        """Delete what was cut off of a WAL: it is known that nothing of it counts, and nobody could erase anything in it.

        What cannot be deleted is told; a compaction and the next start try again.
        """
        try:
            forget_torn_ends(self._data / HOT)
            forget_torn_ends(self._data)  # where the database of version 1 stood
        except OSError as error:
            logger.warning(
                "a torn end that was cut off could not be deleted, which is tried again: %s", error
            )

    def close(self, *, fold: bool = True) -> None:
        """Let everything go; the WAL of the file that is written is folded in, unless it is another's now, or evidence.

        What waits to be sealed is not: nobody should wait for that, and the next start replays it.
        """
        spare = [self._spare] if self._spare is not None else []
        for hot in (*spare, *self.hots()):
            hot.close(fold=fold and hot is self._writing)
        for segment in self.segments:
            segment.close()
        self.people.close()

    # -- reading -----------------------------------------------------------------------------------------------------

    def size(self) -> int:
        """Number of stored entries."""
        return self._end

    def newest_checkpoint(self) -> bytes | None:
        """The signed note on the newest row, None in an empty log."""
        while True:
            try:
                return newest_note(self._parts)
            except ClosedError:  # sealed meanwhile: its segment has it
                continue

    def hashes(self, start: int, end: int) -> list[bytes]:
        """Leaf hashes of the entries [start, end)."""
        pieces = self._each(start, end, lambda source, low, high: source.hashes(low, high))
        return [digest for piece in pieces for digest in piece]

    def entries(self, start: int, end: int) -> list[bytes]:
        """Canonical bytes of the entries [start, end).

        Raises:
            LedgerError: `retired`: the bytes of one of them are no longer kept.
        """
        pieces = self._each(start, end, lambda source, low, high: source.entries(low, high))
        return [entry for piece in pieces for entry in piece]

    def stored(self, seq: int) -> StoredEntry | None:
        """One entry with its contents and persons, None where there is none.

        Raises:
            LedgerError: `retired`: its bytes are no longer kept.
        """
        (row,) = self._each(seq, seq + 1, lambda source, low, _: source.row(low))
        if row is None:
            return None
        _, leaf_hash, record_id, entry, contents, checkpoint = row
        if entry is None:
            raise LedgerError(Code.RETIRED, f"retired by policy, entry {seq}: only its hash is kept", seq=seq)
        disclosed = tuple(stored_contents(seq, contents))
        persons = self.persons(_named(entry))
        return StoredEntry(seq, leaf_hash, record_id, entry.encode(), disclosed, persons, checkpoint)

    def known(self, seqs: Sequence[int]) -> dict[int, Known]:
        """Entries and the salts stored with them, by seq; what is not there, or was retired, is not in it."""
        found: dict[int, Known] = {}
        todo = sorted(seqs)
        while todo:
            source, end = self._at(todo[0])
            here = [seq for seq in todo if seq < end]
            try:
                found |= source.known(here)
            except ClosedError:
                continue
            except LedgerError:
                if self._at(todo[0])[0] is source:
                    raise
                continue  # made anew meanwhile: its files have other names now
            todo = todo[len(here) :]
        return found

    def own_entries(self, types: Sequence[str]) -> Iterator[bytes]:
        """The log's own entries of these types, in order."""
        for piece in self._each(0, self._end, lambda source, _low, _high: _own(source, types)):
            yield from piece

    def persons(self, commitments: Sequence[str]) -> tuple[Person, ...]:
        """Those of these persons who are still known."""
        if not commitments:
            return ()
        found: dict[str, Person] = {}
        for part in self._parts:
            if isinstance(part.source, HotFile):
                try:
                    found |= {person.commitment: person for person in part.source.persons(commitments)}
                except ClosedError:  # sealed: its persons were moved before
                    continue
        for digest in commitments:
            if digest not in found and (person := self.people.by_commitment(digest)) is not None:
                found[digest] = person
        return tuple(found[digest] for digest in dict.fromkeys(commitments) if digest in found)

    def persons_called(self, value: str) -> frozenset[str]:
        """The commitments of the persons with this identifier.

        Raises:
            LedgerError: `invalid-text`: it is no text that an identifier could be; `storage-failed`.
        """
        spelled = canonical.dumps(value)
        found: set[str] = set()
        for file in self.hots():
            with contextlib.suppress(ClosedError):  # sealed: its persons were moved before
                found |= {person.commitment for person in file.persons() if person.value == spelled}
        return frozenset(found | self.people.called(spelled))

    def rows(self, start: int, end: int, *, contents: bool = True) -> Iterator[pa.RecordBatch]:
        """Rows [start, end) in order, as Arrow batches of `ROW_SCHEMA`; without contents their texts hold none."""
        low = start
        while low < end:
            source, stop = self._at(low)
            try:
                for batch in source.rows(low, min(stop, end), contents=contents):
                    yield batch
                    low = batch.column(0)[-1].as_py() + 1
            except ClosedError:
                continue
            except LedgerError:
                if self._at(low)[0] is source:
                    raise
                continue  # made anew meanwhile: its files have other names now
            low = max(low, stop)

    def person_rows(self, start: int, end: int) -> pa.Table:
        """Persons first named by the entries [start, end)."""
        parts = self._parts
        sealed = sealed_end(parts)
        tables = [self.people.rows(start, min(end, sealed))] if start < sealed else []
        for part, after in zip(parts, [*(p.start for p in parts[1:]), _NO_END], strict=True):
            low, high = max(start, part.start), min(end, after)
            if isinstance(part.source, HotFile) and low < high:
                try:
                    tables.append(part.source.person_rows(low, high))
                except ClosedError:
                    tables.append(self.people.rows(low, high))
        return pa.concat_tables(tables) if tables else PERSON_SCHEMA.empty_table()

    def hots(self) -> list[HotFile]:
        """The hot files, the one that is written last."""
        return [part.source for part in self._parts if isinstance(part.source, HotFile)]

    def _at(self, seq: int) -> tuple[Source, int]:
        """What holds entry `seq`, and up to where."""
        parts = self._parts
        at = bisect_right(parts, seq, key=lambda part: part.start) - 1
        return parts[at].source, parts[at + 1].start if at + 1 < len(parts) else _NO_END

    def _each(self, low: int, high: int, read: Callable[[Source, int, int], _T]) -> Iterator[_T]:
        """Read [low, high) piece by piece, one for each part."""
        while low < high:
            source, end = self._at(low)
            stop = min(high, end)
            try:
                piece = read(source, low, stop)
            except ClosedError:
                continue
            except LedgerError:
                if self._at(low)[0] is source:
                    raise
                continue  # made anew meanwhile: its files have other names now
            yield piece
            low = stop


def _share(entries: int, size_bytes: int) -> float:
    """How much memory they take, in full hot files of the ordinary size."""
    return max(entries / ROTATE_ENTRIES, size_bytes / ROTATE_BYTES)


def _own(source: Source, types: Sequence[str]) -> list[bytes]:
    """The log's own entries of these types in one place."""
    if isinstance(source, HotFile):
        return source.own_entries(types)
    return [entry for entry in source.own_entries() if parse_entry(entry).members.get("type") in types]


def _named(entry: str) -> list[str]:
    """The commitments to persons in an entry."""
    record: Mapping[str, Any] = parse_entry(entry.encode()).members
    facets = [(record.get(path.partition(".")[0]), path.partition(".")[2]) for path in PERSONS]
    return [facet[name] for facet, name in facets if isinstance(facet, dict) and name in facet]
