"""The persons of sealed entries, read beside whoever writes them: the file is SQLite's, and SQLite copies it as it is at one moment."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa

from ledger.core.errors import Code, LedgerError
from ledger.storage.files import naming
from ledger.storage.schema import PERSON_SCHEMA

BUSY_S: Final = 30.0
ASKED_AT_ONCE: Final = 900
FILE_MODE: Final = 0o600
_COLUMNS: Final = 'seq, lower(hex(commitment)), salt, "value", source'


@contextmanager
def _open(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_S)
        ) as database:
            yield database
    except sqlite3.Error as error:
        raise LedgerError(Code.STORAGE_FAILED, f"{path} cannot be read or copied: {error}") from error


def count_persons(path: Path, below: int) -> int:
    """How many persons of the first `below` entries are known.

    Raises:
        LedgerError: `storage-failed`.
    """
    if not path.exists():
        return 0
    with _open(
        path, "rw"
    ) as database:  # a file with a write-ahead log cannot be read by who may write nothing
        ((count,),) = database.execute("SELECT count(*) FROM persons WHERE seq < ?", [below])
    return int(count)


def stored_persons(path: Path, commitments: Sequence[str]) -> set[str]:
    """Which of these persons (64 hex digits each) a file has that nobody writes.

    Raises:
        LedgerError: `storage-failed`.
    """
    if not commitments or not path.exists():
        return set()
    found: set[str] = set()
    with _open(path, "ro&immutable=1") as database:
        for low in range(0, len(commitments), ASKED_AT_ONCE):
            some = [bytes.fromhex(each) for each in commitments[low : low + ASKED_AT_ONCE]]
            sql = f"SELECT lower(hex(commitment)) FROM persons WHERE commitment IN ({', '.join('?' * len(some))})"
            found.update(row[0] for row in database.execute(sql, some))
    return found


def lost_persons(path: Path, before: Path) -> set[str] | None:
    """The persons of the file `before` that are not in another that nobody writes; None where `before` cannot be read.

    Raises:
        LedgerError: `storage-failed`.
    """
    if not before.exists() or not path.exists():
        return None
    with _open(path, "ro&immutable=1") as database:
        try:
            database.execute("ATTACH ? AS earlier", [f"{before.absolute().as_uri()}?mode=ro&immutable=1"])
            rows = database.execute(
                "SELECT lower(hex(commitment)) FROM earlier.persons WHERE commitment NOT IN (SELECT commitment FROM main.persons)"
            ).fetchall()
        except sqlite3.DatabaseError:
            return None
    return {row[0] for row in rows}


def copy_persons(source: Path, to: Path, end: int) -> None:
    """Copy the persons of the first `end` entries, as they are at one moment. Nothing where there is no file.

    Raises:
        LedgerError: `storage-failed`.
        OSError: the copy cannot be synced.
    """
    if not source.exists():
        return
    to.touch(mode=FILE_MODE)
    with _open(source, "rw") as read, _open(to, "rw") as written:
        read.backup(written)
        written.execute("PRAGMA journal_mode = DELETE")
        written.execute("PRAGMA secure_delete = ON")
        written.execute("DELETE FROM persons WHERE seq >= ?", [end])  # of a segment that is being sealed
        written.execute("UPDATE state SET covered = min(covered, ?)", [end])
        written.commit()
        written.execute("VACUUM")
    with naming(to), to.open("rb") as stream:
        os.fsync(stream.fileno())


def read_persons(path: Path, low: int, high: int) -> pa.Table:
    """Persons first named by the entries [low, high), of a file that nobody writes, and which stays as it is.

    Raises:
        LedgerError: `storage-failed`.
    """
    sql = f"SELECT {_COLUMNS} FROM persons WHERE seq >= ? AND seq < ? ORDER BY seq, commitment"
    with _open(path, "ro&immutable=1") as database:
        rows = database.execute(sql, [low, high]).fetchall()
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(PERSON_SCHEMA)
    try:
        arrays = [pa.array(column, field.type) for column, field in zip(columns, PERSON_SCHEMA, strict=True)]
    except pa.ArrowException as error:
        raise LedgerError(Code.STORAGE_FAILED, f"{path} holds what is no person: {error}") from error
    return pa.Table.from_arrays(arrays, schema=PERSON_SCHEMA)
