"""The persons of sealed entries, read by somebody who believes nothing of the file."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any, Final

from ledger.audit.beside import StoredPerson
from ledger.audit.readonly import UnreadableError
from ledger.core.report import Findings, Kind

_EXPECTED: Final = {
    "persons": {"seq", "commitment", "salt", "value", "source"},
    "state": {"covered", "erasing"},
}
REMEMBERED: Final = 65_536


class People:
    """`persons.sqlite`, or nothing where there is no such file."""

    def __init__(self, path: Path) -> None:
        """Open it, without changing anything: a WAL that holds something is read too.

        Raises:
            UnreadableError: it is no such database.
        """
        self._known: dict[str, int | None] = {}
        self._connection: sqlite3.Connection | None = None
        if not path.exists():
            return
        wal = path.with_name(path.name + "-wal")
        still = "&immutable=1" if not wal.exists() or not wal.stat().st_size else ""
        try:
            self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{still}", uri=True)
            self._connection.text_factory = bytes  # whatever stands there
        except sqlite3.Error as error:
            raise UnreadableError(f"{path.name}: {error}") from error

    def check_shape(self, findings: Findings) -> None:
        """Report tables and columns that the log does not cover.

        Raises:
            UnreadableError: it cannot be read.
        """
        if self._connection is None:
            return
        for (raw,) in self._read("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')"):
            table = raw.decode(errors="replace")
            expected = _EXPECTED.get(table)
            if expected is None:
                findings.add(
                    Kind.ALTERED, f"persons.sqlite, {table}", "it is stored, and the log does not cover it"
                )
                continue
            columns = {row[1].decode() for row in self._read(f"PRAGMA table_info({table})")}
            for column in sorted(columns ^ expected):
                what = (
                    "it is stored, and the log does not cover it"
                    if column in columns
                    else "the column is gone"
                )
                kind = Kind.ALTERED if column in columns else Kind.UNVERIFIABLE
                findings.add(kind, f"persons.sqlite, {table}.{column}", what)

    def strangers(self, end: int, findings: Findings) -> None:
        """Report persons of entries that are not sealed."""
        for (seq,) in self._read(
            "SELECT seq FROM persons WHERE seq >= ? OR typeof(seq) <> 'integer' LIMIT 1000", end
        ):
            detail = f"a person is stored for it, and the sealed entries end at {end}"
            findings.add(Kind.ALTERED, f"persons.sqlite, seq {_shown(seq)}", detail)

    def rows(self, low: int, high: int) -> list[StoredPerson]:
        """The persons that entries of [low, high) are said to have introduced.

        Raises:
            UnreadableError: they cannot be read.
        """
        sql = "SELECT seq, commitment, salt, value, source FROM persons WHERE seq >= ? AND seq < ? ORDER BY seq, rowid"
        return [
            StoredPerson(
                seq,
                _bytes(commitment).hex(),
                _bytes(salt),
                _bytes(value),
                _bytes(source).decode(errors="replace"),
            )
            for seq, commitment, salt, value, source in self._read(sql, low, high)
        ]

    def introduced(self, commitment: str) -> int | None:
        """Which entry introduced a person; None for one who is not stored.

        Raises:
            UnreadableError: it cannot be read.
        """
        if commitment not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            try:
                raw = bytes.fromhex(commitment)
            except ValueError:
                return None
            rows = self._read("SELECT min(seq) FROM persons WHERE commitment = ?", raw)
            self._known[commitment] = rows[0][0] if rows and isinstance(rows[0][0], int) else None
        return self._known[commitment]

    def close(self) -> None:
        """Let the file go."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()

    def _read(self, sql: str, *parameters: object) -> list[Any]:
        if self._connection is None:
            return []
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except (sqlite3.Error, OverflowError) as error:
            raise UnreadableError(f"persons.sqlite: {error}") from error


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _shown(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
