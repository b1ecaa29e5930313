"""One hot file, a DuckDB database: rows in, rows out. Nothing here decides what may be written.

Automatic checkpoints are off, because they stall commits for hundreds of milliseconds: a file that is full is left for the next one, and is
sealed. A clean stop and a start with a long WAL checkpoint instead, when nobody waits.
"""

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import duckdb
import pyarrow as pa

from ledger.core.entry import OWN_SUBMITTER
from ledger.core.errors import Code, LedgerError
from ledger.records.prepared import Person
from ledger.records.resources import schema_text
from ledger.storage.contents import NO_CONTENTS, format_contents, stored_contents
from ledger.storage.files import sync_folder
from ledger.storage.layout import wal_of
from ledger.storage.schema import PERSON_SCHEMA, ROW_SCHEMA, Known, Row
from ledger.storage.torn import connect_whole

READ_BATCH_ROWS = 2_000
READ_BATCH_BYTES = 32 * 1024 * 1024  # of contents
OWN_END = f'"submitter":"{OWN_SUBMITTER}","v":1}}'
SEALED = ".sealed"
WAL_CHECKPOINT_BYTES = 64 * 1024 * 1024
_CONFIG: dict[str, str | int | float | list[str]] = {
    "threads": 1,
    "memory_limit": "512MB",  # rows of hundreds of MB in one commit go to a file beside it instead
    "checkpoint_threshold": "1TB",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
_COLUMNS = ", ".join(f'"{name}"' for name in ROW_SCHEMA.names)
_PERSON_COLUMNS = ", ".join(f'"{name}"' for name in PERSON_SCHEMA.names)


class StoreFailed(Exception):  # noqa: N818 - says what happened, as CommitFailed in the design does
    """The database refused or broke during a write: what is on disk must be re-read before anyone is answered."""


class ClosedError(Exception):
    """The file was let go meanwhile: what it held is in a segment now."""


class HotFile:
    """One open database. Writes come from one thread; reads from any.

    Attributes:
        path: the database file; its WAL stands beside it.
        grown: bytes of entries and contents that were appended since it was opened.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`, replaying its WAL.

        Raises:
            LedgerError: `storage-failed` when DuckDB cannot open it.
        """
        self.path = path
        self.grown = 0
        self._reading = threading.Lock()
        self._closed = False
        self._open()

    def _open(self) -> None:
        try:
            self._writer = connect_whole(self.path, _CONFIG)
            self._writer.execute("PRAGMA disable_checkpoint_on_shutdown")
            self._reader = self._writer.cursor()
            ((self._newest_person,),) = self._reader.execute(
                "SELECT coalesce(max(seq), -1) FROM persons"
            ).fetchall()
            self._named = False  # whether the WAL's name is known to be on the disk
        except (duckdb.Error, RuntimeError, MemoryError) as error:
            raise LedgerError(Code.STORAGE_FAILED, f"{self.path} cannot be opened: {error}") from error

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make an empty file with its tables; it has its name when it is whole.

        Raises:
            LedgerError: `storage-failed`.
        """
        building = path.with_name(f"{path.name}.new")
        named = False
        try:
            if building.exists() and path.exists() and path.samefile(building):
                path.unlink()  # an attempt that was said to have failed, and did not
            for leftover in (building, wal_of(building)):
                leftover.unlink(missing_ok=True)
            with duckdb.connect(str(building), config=dict(_CONFIG)) as connection:
                connection.execute(schema_text("tables.sql"))
                connection.execute("CHECKPOINT")
            os.link(building, path)  # never over a file that is there, as a rename would
            named = True
            building.unlink()
            sync_folder(path.parent)
            return cls(path)
        except (duckdb.Error, RuntimeError, OSError, MemoryError, LedgerError) as error:
            if named:  # nobody has it: the next attempt needs its name
                with contextlib.suppress(OSError):
                    path.unlink()
            raise LedgerError(Code.STORAGE_FAILED, f"{path} cannot be made: {error}") from error

    # -- writing ---------------------------------------------------------------------------------------------------

    def append(self, rows: Sequence[Row], persons: Sequence[tuple[int, Person]], checkpoint: bytes) -> None:
        """Make `rows` durable in one transaction (one fsync), `checkpoint` on the last of them.

        Raises:
            StoreFailed: the outcome is unknown until the file has been re-read.
        """
        try:
            batch = _rows_table(rows, checkpoint)
            self._insert(batch, persons)
            self._newest_person = max((seq for seq, _ in persons), default=self._newest_person)
            self.grown += batch.nbytes
            if not self._named:
                sync_folder(
                    self.path.parent
                )  # DuckDB made the WAL anew, synced it, and left its name to chance
                self._named = True
        except (duckdb.Error, MemoryError, RuntimeError, OSError) as error:
            raise StoreFailed(str(error)) from error

    def load(self, rows: pa.Table, people: pa.Table) -> None:  # noqa: ARG002 - DuckDB finds them by their names
        """Put in rows (`ROW_SCHEMA`) and persons (`PERSON_SCHEMA`) as they stand, in one transaction: what another storage held.

        Raises:
            LedgerError: `storage-failed`: nothing of them is in the file.
        """
        try:
            self._writer.execute("BEGIN")
            self._writer.execute("INSERT INTO entries SELECT * FROM rows")
            self._writer.execute("INSERT INTO persons SELECT * FROM people")
            self._writer.execute("COMMIT")
            self._newest_person = max(people.column("seq").to_pylist(), default=self._newest_person)
        except (duckdb.Error, MemoryError, RuntimeError) as error:
            raise LedgerError(Code.STORAGE_FAILED, f"{self.path} cannot be written: {error}") from error

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

    def fold_if_long(self) -> None:
        """Fold a long WAL into the file. Called at start, before anyone waits."""
        wal = wal_of(self.path)
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

    def close(self, *, fold: bool = True) -> None:
        """Let the file go, its WAL folded in. A failure to fold loses nothing: the WAL stays, and is replayed."""
        with self._reading:
            self._closed = True
            if fold:
                with contextlib.suppress(duckdb.Error):
                    self._writer.execute("CHECKPOINT")
            self._close()

    def _close(self) -> None:
        with contextlib.suppress(duckdb.Error):
            self._reader.close()
            self._writer.close()

    def remove(self) -> None:
        """Close the file and delete it: what it held is sealed.

        Raises:
            OSError: it is still there, or its name may be.
        """
        self.close(fold=False)
        remove_hot(self.path)

    # -- reading ---------------------------------------------------------------------------------------------------

    def bounds(self) -> tuple[int, int] | None:
        """The entries it holds, [start, end); None where it holds none.

        Raises:
            LedgerError: `storage-failed`, also when some between are not there.
        """
        ((count, lowest, highest),) = self._read("SELECT count(*), min(seq), max(seq) FROM entries", [])
        if count and highest - lowest != count - 1:
            raise LedgerError(
                Code.STORAGE_FAILED,
                f"{self.path} holds {count} entries, and they are numbered {lowest} to {highest}: run `agent-ledger verify`",
            )
        return (int(lowest), int(highest) + 1) if count else None

    def stored_bytes(self) -> int:
        """Bytes of the entries and contents it holds."""
        ((size,),) = self._read("SELECT coalesce(sum(strlen(entry) + strlen(contents)), 0) FROM entries", [])
        return int(size)

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

    def row(self, seq: int) -> tuple[Any, ...] | None:
        """The columns of `ROW_SCHEMA` of one entry, None where there is none."""
        rows = self._read(f"SELECT {_COLUMNS} FROM entries WHERE seq = ?", [seq])
        return rows[0] if rows else None

    def ids(self) -> Iterator[tuple[str, int]]:
        """All record ids with their sequence numbers."""
        for batch in self._arrow("SELECT id, seq FROM entries ORDER BY seq", []).to_batches():
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
            seq: Known(leaf_hash, entry.encode(), {c.member: c.salt for c in stored_contents(seq, contents)})
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
        for batch in self._arrow("SELECT commitment, seq FROM persons", []).to_batches():
            yield from zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True)

    def persons(self, commitments: Sequence[str] | None = None) -> list[Person]:
        """Persons still known, in the order they were named: those with these commitments, or all."""
        where, parameters = (
            ("", []) if commitments is None else (" WHERE list_contains(?, commitment)", [list(commitments)])
        )
        rows = self._read(f"SELECT {_PERSON_COLUMNS} FROM persons{where} ORDER BY seq", parameters)
        return [Person(row[1], row[2], row[3].encode(), row[4]) for row in rows]

    def rows(self, start: int, end: int, *, contents: bool = True) -> Iterator[pa.RecordBatch]:
        """Rows [start, end) in order, as Arrow batches of `ROW_SCHEMA`; without contents their texts hold none."""
        columns = _COLUMNS if contents else _COLUMNS.replace('"contents"', f"'{NO_CONTENTS}' AS contents")
        if contents and end - start == 1:  # most often: who asks again asks about the one entry since
            if row := self.row(start):
                yield pa.record_batch([[value] for value in row], schema=ROW_SCHEMA)
            return
        sql = f"SELECT {columns} FROM entries WHERE seq >= ? AND seq < ? ORDER BY seq"
        for first in range(start, end, READ_BATCH_ROWS):
            for low, high in self._pieces(first, min(end, first + READ_BATCH_ROWS), contents=contents):
                table = self._arrow(sql, [low, high])
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
        if start > self._newest_person:  # most often: who asks again asks about the few entries since
            return PERSON_SCHEMA.empty_table()
        sql = f"SELECT {_PERSON_COLUMNS} FROM persons WHERE seq >= ? AND seq < ? ORDER BY seq, commitment"
        return self._arrow(sql, [start, end]).cast(PERSON_SCHEMA)

    def _read(self, sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
        with self._reading:
            self._check_open()
            try:
                return self._reader.execute(sql, parameters).fetchall()
            except duckdb.Error as error:
                raise _unreadable(error) from error

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError

    def _arrow(self, sql: str, parameters: list[object]) -> pa.Table:
        with self._reading:
            self._check_open()
            try:
                return self._reader.sql(sql, params=parameters).to_arrow_table()
            except duckdb.Error as error:
                raise _unreadable(error) from error


def _unreadable(error: duckdb.Error) -> LedgerError:
    return LedgerError(Code.STORAGE_FAILED, f"the database cannot be read: {error}")


def remove_hot(path: Path) -> None:
    """Delete a hot file that is sealed and not open. The rename is one step: a database never stands there without its WAL.

    Raises:
        OSError: it is still there, or its name may be.
    """
    gone = path.with_name(f"{path.name}{SEALED}")
    if path.exists():
        path.rename(gone)
    wal_of(path).unlink(missing_ok=True)
    gone.unlink(missing_ok=True)
    sync_folder(path.parent)


def finish_removals(folder: Path) -> None:
    """Delete what a crash left of hot files that were being deleted, or made.

    Raises:
        OSError: it is still there.
    """
    for gone in folder.glob(f"*.duckdb{SEALED}"):
        remove_hot(gone.with_name(gone.name.removesuffix(SEALED)))
    for building in folder.glob("*.duckdb.new*"):
        building.unlink()
    for spilled in folder.glob("*.duckdb.tmp"):  # what DuckDB moved out of memory: rows in clear
        shutil.rmtree(spilled)


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
