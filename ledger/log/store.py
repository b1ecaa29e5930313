"""The DuckDB file: rows in, rows out. Nothing here decides what may be written.

The interface is narrow on purpose: a later release puts sealed segments behind it. Automatic checkpoints are off, because they
stall commits for hundreds of milliseconds; a clean stop and a start with a long WAL checkpoint instead.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ledger.core.entry import OWN_SUBMITTER, parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.log.contents import NO_CONTENTS, format_contents, parse_contents
from ledger.log.files import sync_folder
from ledger.log.schema import PERSON_SCHEMA, ROW_SCHEMA, Known, Row, StoredEntry
from ledger.records.members import PERSONS
from ledger.records.prepared import Disclosed, Person
from ledger.records.resources import schema_text

READ_BATCH_ROWS = 2_000
READ_BATCH_BYTES = 32 * 1024 * 1024  # of contents
OWN_END = f'"submitter":"{OWN_SUBMITTER}","v":1}}'
WAL_CHECKPOINT_BYTES = 64 * 1024 * 1024
_CONFIG: dict[str, str | int | float | list[str]] = {
    "threads": 1,
    "checkpoint_threshold": "1TB",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
_COLUMNS = ", ".join(f'"{name}"' for name in ROW_SCHEMA.names)
_PERSON_COLUMNS = ", ".join(f'"{name}"' for name in PERSON_SCHEMA.names)


class StoreFailed(Exception):  # noqa: N818 - says what happened, as CommitFailed in the design does
    """The database refused or broke during a write: what is on disk must be re-read before anyone is answered."""


class Store:
    """One open database. Writes come from one thread; reads from any."""

    def __init__(self, path: Path) -> None:
        """Open `path`, replaying its WAL.

        Raises:
            LedgerError: `storage-failed` when DuckDB cannot open it.
        """
        self.path = path
        self._reading = threading.Lock()
        self._open()

    def _open(self) -> None:
        try:
            self._writer = duckdb.connect(str(self.path), config=dict(_CONFIG))
            self._writer.execute("PRAGMA disable_checkpoint_on_shutdown")
            self._reader = self._writer.cursor()
            self._named = False  # whether the WAL's name is known to be on the disk
        except duckdb.Error as error:
            raise LedgerError(Code.STORAGE_FAILED, f"{self.path} cannot be opened: {error}") from error

    @classmethod
    def create(cls, path: Path) -> "Store":
        """Make an empty database with its tables."""
        store = cls(path)
        store._writer.execute(schema_text("tables.sql"))
        return store

    # -- writing ---------------------------------------------------------------------------------------------------

    def append(self, rows: Sequence[Row], persons: Sequence[tuple[int, Person]], checkpoint: bytes) -> None:
        """Make `rows` durable in one transaction (one fsync), `checkpoint` on the last of them.

        Raises:
            StoreFailed: the outcome is unknown until the file has been re-read.
        """
        try:
            self._insert(_rows_table(rows, checkpoint), persons)
            if not self._named:
                sync_folder(
                    self.path.parent
                )  # DuckDB made the WAL anew, synced it, and left its name to chance
                self._named = True
        except (duckdb.Error, MemoryError, RuntimeError, OSError) as error:
            raise StoreFailed(str(error)) from error

    def _insert(self, batch: pa.Table, persons: Sequence[tuple[int, Person]]) -> None:  # noqa: ARG002
        # DuckDB finds the two tables by their names here: registering them would write its catalog each time.
        if not persons:
            self._writer.execute("INSERT INTO entries SELECT * FROM batch")
            return
        people = _persons_table(persons)  # noqa: F841
        self._writer.execute("BEGIN")
        self._writer.execute("INSERT INTO persons SELECT * FROM people")
        self._writer.execute("INSERT INTO entries SELECT * FROM batch")
        self._writer.execute("COMMIT")

    def checkpoint_if_long(self) -> None:
        """Fold a long WAL into the file. Called at start, before anyone waits."""
        wal = self.path.with_name(self.path.name + ".wal")
        if wal.exists() and wal.stat().st_size > WAL_CHECKPOINT_BYTES:
            self._writer.execute("CHECKPOINT")

    def fold(self) -> None:
        """Write everything into the file anew, and sync it.

        Raises:
            LedgerError: `storage-failed`.
        """
        try:
            self._writer.execute("CHECKPOINT")
            self._named = False
        except duckdb.Error as error:
            raise LedgerError(Code.STORAGE_FAILED, f"{self.path} cannot be written: {error}") from error

    def reopen(self) -> None:
        """Forget what is in memory and read the file anew: after a commit that was not clean.

        Raises:
            LedgerError: `storage-failed` when it cannot be opened.
        """
        with self._reading:
            self._close()
            self._open()

    def close(self) -> None:
        """Fold the WAL into the file and close it. A failure to fold loses nothing: the WAL stays, and is replayed."""
        with self._reading:
            with contextlib.suppress(duckdb.Error):
                self._writer.execute("CHECKPOINT")
            self._close()

    def _close(self) -> None:
        with contextlib.suppress(duckdb.Error):
            self._reader.close()
            self._writer.close()

    # -- reading ---------------------------------------------------------------------------------------------------

    def size(self) -> int:
        """Number of stored entries.

        Raises:
            LedgerError: `storage-failed`, also when the sequence numbers are not 0 to n-1.
        """
        (count, highest), *_ = self._read("SELECT count(*), max(seq) FROM entries", [])
        if count and highest != count - 1:
            raise LedgerError(
                Code.STORAGE_FAILED,
                f"the database holds {count} entries but the highest is {highest}: run `agent-ledger verify`",
            )
        return int(count)

    def newest_checkpoint(self) -> bytes | None:
        """The signed note on the last row, None in an empty log."""
        rows = self._read("SELECT checkpoint FROM entries ORDER BY seq DESC LIMIT 1", [])
        return rows[0][0].encode() if rows and rows[0][0] is not None else None

    def hashes(self, start: int, end: int) -> list[bytes]:
        """Leaf hashes of the entries [start, end)."""
        rows = self._read("SELECT hash FROM entries WHERE seq >= ? AND seq < ? ORDER BY seq", [start, end])
        return [row[0] for row in rows]

    def entries(self, start: int, end: int) -> list[bytes]:
        """Canonical bytes of the entries [start, end)."""
        rows = self._read("SELECT entry FROM entries WHERE seq >= ? AND seq < ? ORDER BY seq", [start, end])
        return [row[0].encode() for row in rows]

    def stored(self, seq: int, introduced: Mapping[str, int]) -> StoredEntry | None:
        """One entry with its contents and persons, None where there is none; `introduced` says where to look for a person."""
        rows = self._read(f"SELECT {_COLUMNS} FROM entries WHERE seq = ?", [seq])
        if not rows:
            return None
        _, leaf_hash, record_id, entry, contents, checkpoint = rows[0]
        disclosed = tuple(_parsed(seq, contents))
        named = _named(entry)
        people = [
            row
            for first in sorted({introduced[digest] for digest in named if digest in introduced})
            for row in self._read(f"SELECT {_PERSON_COLUMNS} FROM persons WHERE seq = ?", [first])
            if row[1] in named
        ]
        persons = tuple(Person(row[1], row[2], row[3].encode(), row[4]) for row in people)
        return StoredEntry(seq, leaf_hash, record_id, entry.encode(), disclosed, persons, checkpoint)

    def ids(self) -> Iterator[tuple[str, int]]:
        """All record ids with their sequence numbers."""
        for batch in self._batches("SELECT id, seq FROM entries ORDER BY seq", []):
            yield from zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True)

    def known(self, seqs: Sequence[int]) -> dict[int, Known]:
        """Entries and the salts stored with them, by seq; what is not there is not in it."""
        places = ", ".join(str(int(seq)) for seq in seqs)  # as constants they let DuckDB skip row groups
        rows = self._read(
            "SELECT seq, hash, entry, contents FROM entries"
            f" WHERE seq >= ? AND seq <= ? AND seq IN ({places})",
            [min(seqs), max(seqs)],
        )
        return {
            seq: Known(leaf_hash, entry.encode(), {c.member: c.salt for c in _parsed(seq, contents)})
            for seq, leaf_hash, entry, contents in rows
        }

    def own_entries(self, types: Sequence[str]) -> list[bytes]:
        """The log's own entries of these types, in order."""
        rows = self._read(
            # Submitter and version end an entry: that is found a hundred times faster than a member within it.
            f"SELECT entry FROM entries WHERE ends_with(entry, '{OWN_END}')"
            " AND list_contains(?, json_extract_string(entry, '/record/type')) ORDER BY seq",
            [list(types)],
        )
        return [row[0].encode() for row in rows]

    def introduced(self) -> Iterator[tuple[str, int]]:
        """Every person still known: commitment, and the entry that introduced it."""
        for batch in self._batches("SELECT commitment, seq FROM persons", []):
            yield from zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True)

    def persons(self) -> list[Person]:
        """Every person still known."""
        return [
            Person(r[1], r[2], r[3].encode(), r[4])
            for r in self._read(f"SELECT {_PERSON_COLUMNS} FROM persons", [])
        ]

    def rows(self, start: int, end: int, *, contents: bool = True) -> Iterator[pa.RecordBatch]:
        """Rows [start, end) in order, as Arrow batches of `ROW_SCHEMA`; without contents their texts hold none."""
        columns = _COLUMNS if contents else _COLUMNS.replace('"contents"', f"'{NO_CONTENTS}' AS contents")
        for first in range(start, end, READ_BATCH_ROWS):
            for low, high in self._pieces(first, min(end, first + READ_BATCH_ROWS), contents=contents):
                table = self._arrow(
                    f"SELECT {columns} FROM entries WHERE seq >= ? AND seq < ? ORDER BY seq", [low, high]
                )
                yield from table.cast(ROW_SCHEMA).combine_chunks().to_batches()

    def _pieces(self, low: int, high: int, *, contents: bool) -> Iterator[tuple[int, int]]:
        """The range, halved until its contents fit: one entry may have megabytes of them, and two thousand more than there is memory."""
        if contents and high - low > 1:
            sql = "SELECT coalesce(sum(strlen(contents)), 0) FROM entries WHERE seq >= ? AND seq < ?"
            [(size,)] = self._read(sql, [low, high])
            if size > READ_BATCH_BYTES:
                middle = (low + high) // 2
                yield from self._pieces(low, middle, contents=True)
                yield from self._pieces(middle, high, contents=True)
                return
        yield low, high

    def person_rows(self, start: int, end: int) -> pa.Table:
        """Persons first named by the entries [start, end)."""
        sql = f"SELECT {_PERSON_COLUMNS} FROM persons WHERE seq >= ? AND seq < ? ORDER BY seq, commitment"
        return self._arrow(sql, [start, end]).cast(PERSON_SCHEMA)

    def _read(self, sql: str, parameters: list[object]) -> list[tuple[Any, ...]]:
        with self._reading:
            try:
                return self._reader.execute(sql, parameters).fetchall()
            except duckdb.Error as error:
                raise _unreadable(error) from error

    def _arrow(self, sql: str, parameters: list[object]) -> pa.Table:
        with self._reading:
            try:
                return self._reader.sql(sql, params=parameters).to_arrow_table()
            except duckdb.Error as error:
                raise _unreadable(error) from error

    def _batches(self, sql: str, parameters: list[object]) -> Iterator[pa.RecordBatch]:
        yield from self._arrow(sql, parameters).to_batches()


def _unreadable(error: duckdb.Error) -> LedgerError:
    return LedgerError(Code.STORAGE_FAILED, f"the database cannot be read: {error}")


def _named(entry: str) -> list[str]:
    """The commitments to persons in an entry."""
    record: Any = parse_entry(entry.encode()).members
    facets = [(record.get(path.partition(".")[0]), path.partition(".")[2]) for path in PERSONS]
    return [facet[name] for facet, name in facets if isinstance(facet, dict) and name in facet]


def _parsed(seq: int, contents: str) -> list[Disclosed]:
    try:
        return parse_contents(contents)
    except ValueError as error:
        raise LedgerError(
            Code.STORAGE_FAILED,
            f"the contents of entry {seq} were altered ({error}); run `agent-ledger verify`",
        ) from None


def _rows_table(rows: Sequence[Row], checkpoint: bytes) -> pa.Table:
    notes: list[str | None] = [None] * len(rows)
    notes[-1] = checkpoint.decode()
    seqs, hashes, ids, entries, contents = zip(*rows, strict=True)
    columns = [
        pa.array(seqs, pa.uint64()),
        pa.array(hashes, pa.binary()),
        pa.array(ids, pa.string()),
        pa.array(entries, pa.binary()).cast(pa.string()),  # UTF-8 is checked here once more
        pa.array(map(format_contents, contents), pa.binary()).cast(pa.string()),
        pa.array(notes, pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=ROW_SCHEMA)


def _persons_table(persons: Sequence[tuple[int, Person]]) -> pa.Table:
    columns = [
        pa.array([seq for seq, _ in persons], pa.uint64()),
        pa.array([person.commitment for _, person in persons], pa.string()),
        pa.array([person.salt for _, person in persons], pa.binary()),
        pa.array([person.value.decode() for _, person in persons], pa.string()),
        pa.array([person.source for _, person in persons], pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=PERSON_SCHEMA)
