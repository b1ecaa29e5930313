"""The persons of sealed entries, in SQLite: there may be millions, each can be found by who it is, and each can be erased.

They are the only place where a person's salt and identifier stand once the entry that first named it is sealed: not derived, so part of a
backup. A row that goes must leave nothing in the file. `secure_delete` overwrites it, but not the copies that SQLite leaves in a page
when it moves rows between pages (measured: 24 of 2,029 deleted rows could still be read), so a deletion ends with VACUUM, which writes every
page anew, and with an empty WAL. A WAL, because readers then never wait for the sealer.
"""

import contextlib
import os
import re
import sqlite3
import threading
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from ledger.core.entry import OWN_SUBMITTER
from ledger.core.errors import Code, LedgerError
from ledger.records.prepared import Person
from ledger.storage.files import sync_folder
from ledger.storage.schema import PERSON_SCHEMA

WAIT_S: Final = 30.0  # for a reader that is in the way of emptying the WAL
ROWS_PER_COMMIT: Final = 5_000
ROWS_PER_READ: Final = 500
_MODE: Final = 0o600
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS persons (
    seq        INTEGER NOT NULL,       -- the entry that first named this person
    commitment BLOB NOT NULL UNIQUE,   -- 32 bytes
    salt       BLOB NOT NULL,
    value      TEXT NOT NULL,
    source     TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS persons_value ON persons (value, source);
CREATE INDEX IF NOT EXISTS persons_seq ON persons (seq);
CREATE TABLE IF NOT EXISTS state (
    covered INTEGER NOT NULL,          -- persons of the entries below this one are here
    erasing INTEGER NOT NULL           -- rows were deleted, and the pages are not yet written anew
);
INSERT INTO state SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM state);
"""
_COMMITMENT: Final = re.compile("[0-9a-f]{64}")
_COLUMNS: Final = "seq, lower(hex(commitment)), salt, value, source"


class PersonStore:
    """An open file of persons. Reads from any thread; one thread at a time adds and deletes, and nobody waits for it."""

    def __init__(self, path: Path) -> None:
        """Open `path`, which is made where it is missing; an erasure that a crash cut short is finished.

        Raises:
            LedgerError: `storage-failed`.
        """
        self.path = path
        self._writing, self._reading = threading.Lock(), threading.Lock()
        with self._told("opened"):
            made = not path.exists()
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE))
            self._writer = self._connect()
            self._writer.executescript(_TABLES)
            self._reader = self._connect()
            if made:
                sync_folder(path.parent)
            if self._writer.execute("SELECT erasing FROM state").fetchone()[0]:
                self._write_anew()
            self._empty_wal()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        for setting in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
            connection.execute(f"PRAGMA {setting}")
        return connection

    def close(self) -> None:
        """Let the file go. The last connection removes the empty WAL."""
        with self._writing, self._reading, contextlib.suppress(sqlite3.Error):
            self._reader.close()
            self._writer.close()

    # -- reading -------------------------------------------------------------------------------------------------------

    def covered(self) -> int:
        """The persons of all entries below this one were added.

        Raises:
            LedgerError: `storage-failed`, as every reader here.
        """
        return int(self._read("SELECT covered FROM state", [])[0][0])

    def by_value(self, value: bytes, source: str = OWN_SUBMITTER) -> list[Person]:
        """The persons with this identifier (canonical JSON) whose salt `source` made, the one named first in front."""
        sql = f"SELECT {_COLUMNS} FROM persons WHERE value = ? AND source = ? ORDER BY seq"
        return [_person(row) for row in self._read(sql, [value.decode(), source])]

    def called(self, value: bytes) -> set[str]:
        """The commitments of the persons with this identifier (canonical JSON), whoever made their salts."""
        rows = self._read("SELECT lower(hex(commitment)) FROM persons WHERE value = ?", [value.decode()])
        return {row[0] for row in rows}

    def by_commitment(self, commitment: str) -> Person | None:
        """The person of this commitment (64 hex digits)."""
        return self.by_commitments([commitment]).get(commitment)

    def by_commitments(self, commitments: Collection[str]) -> dict[str, Person]:
        """Those of these commitments that are here."""
        return {row[1]: _person(row) for row in self._among(_COLUMNS, commitments)}

    def introduced(self, commitments: Collection[str]) -> dict[str, int]:
        """The entries that first named those of these commitments that are here."""
        return {row[0]: row[1] for row in self._among("lower(hex(commitment)), seq", commitments)}

    def rows(self, low: int, high: int) -> pa.Table:
        """Persons first named by the entries [low, high) (`PERSON_SCHEMA`), by seq and commitment."""
        sql = f"SELECT {_COLUMNS} FROM persons WHERE seq >= ? AND seq < ? ORDER BY seq, commitment"
        with self._told("read"), contextlib.closing(self._connect()) as connection:  # it may be long
            rows = connection.execute(sql, [low, high]).fetchall()
        columns = zip(*rows, strict=True) if rows else [()] * len(PERSON_SCHEMA)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, PERSON_SCHEMA, strict=True)]
        return pa.Table.from_arrays(arrays, schema=PERSON_SCHEMA)

    def _among(self, columns: str, commitments: Collection[str]) -> Iterator[tuple[Any, ...]]:
        for some in _raw(commitments):
            places = ", ".join("?" * len(some))
            yield from self._read(f"SELECT {columns} FROM persons WHERE commitment IN ({places})", some)

    def _read(self, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        with self._reading, self._told("read"):
            return self._reader.execute(sql, parameters).fetchall()

    # -- writing -------------------------------------------------------------------------------------------------------

    def add(self, table: pa.Table, end: int) -> None:
        """Take in persons (`PERSON_SCHEMA`) that entries below `end` first named; on return they are durable.

        A crash may leave a part of them: the same again completes it, and what is here already stays as it is.

        Raises:
            LedgerError: `storage-failed`.
        """
        with self._writing, self._told("written"):
            for some in table.to_batches(max_chunksize=ROWS_PER_COMMIT):
                with self._transaction():
                    self._writer.executemany(
                        "INSERT INTO persons VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", _as_rows(some)
                    )
            with self._transaction():
                self._writer.execute("UPDATE state SET covered = max(covered, ?)", [end])
            self._empty_wal()

    def delete(self, commitments: Collection[str]) -> int:
        """Erase persons; on return no byte of their salts and identifiers is in the file or beside it. Returns how many there were.

        It writes the whole file anew (about 2 s per million persons), once for all of `commitments`.

        Raises:
            LedgerError: `storage-failed`: it is not finished; the same again, or the next start, finishes it.
        """
        count = 0
        with self._writing, self._told("written"):
            with self._transaction():
                for some in _raw(commitments):
                    places = ", ".join("?" * len(some))
                    sql = f"DELETE FROM persons WHERE commitment IN ({places})"
                    count += self._writer.execute(sql, some).rowcount
                if count:
                    self._writer.execute("UPDATE state SET erasing = 1")
            if self._writer.execute("SELECT erasing FROM state").fetchone()[0]:
                self._write_anew()
        return count

    def _write_anew(self) -> None:
        self._writer.execute("VACUUM")
        self._empty_wal()
        with self._transaction():  # only now: a crash before it does all this again
            self._writer.execute("UPDATE state SET erasing = 0")
        self._empty_wal()

    def _empty_wal(self) -> None:
        busy, *_ = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError(f"a reader kept the journal from being emptied for {WAIT_S:g} s")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                Code.STORAGE_FAILED, f"the persons in {self.path} cannot be {what}: {error}"
            ) from error


def _person(row: tuple[Any, ...]) -> Person:
    return Person(row[1], row[2], row[3].encode(), row[4])


def _as_rows(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    seqs, commitments, *others = (column.to_pylist() for column in batch.columns)
    return zip(seqs, map(bytes.fromhex, commitments), *others, strict=True)


def _raw(commitments: Collection[str]) -> Iterator[list[bytes]]:
    """The 32 bytes of each commitment, some at a time; a text that is no commitment is nobody's, and left out."""
    raw = [bytes.fromhex(text) for text in commitments if _COMMITMENT.fullmatch(text)]
    return (raw[low : low + ROWS_PER_READ] for low in range(0, len(raw), ROWS_PER_READ))
