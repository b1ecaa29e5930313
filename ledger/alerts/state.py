"""What alerts remember, in one SQLite file of the data folder: how far each rule has read, what it has seen, what was raised, who has heard of it.

One transaction holds what a stretch of entries changed, with the new place in the log: after a crash a rule has read a stretch or it has not, and
raises nothing twice and nothing less. Derived from the log: without the file rules begin anew, and the same find has the same id.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from ledger.alerts.alert import Alert
from ledger.core.errors import Code, LedgerError
from ledger.storage.files import sync_folder

FILE: Final = "alerts.sqlite"
KEPT: Final = 1_000  # alerts that everybody has heard of and that are still shown
WAITING: Final = 1_000_000  # alerts that wait for a target; beyond, it misses the oldest, and that is counted
_MODE: Final = 0o600
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS rule (
    name     TEXT PRIMARY KEY,
    digest   TEXT NOT NULL,       -- of what it looks for
    position INTEGER NOT NULL,    -- the entries below this one were looked at
    hash     BLOB,                -- the leaf hash of the one before
    quiet    INTEGER NOT NULL,    -- nothing is raised for entries below this one: they are learnt from
    ran_at   INTEGER NOT NULL,    -- of a standing query: its last run, microseconds since 1970
    raised   INTEGER NOT NULL,
    minute   INTEGER NOT NULL,    -- the minute of the newest alert, how many it had, how many more were held back, and where
    in_it    INTEGER NOT NULL,
    held     INTEGER NOT NULL,
    held_seq INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS seen (rule TEXT, key BLOB, PRIMARY KEY (rule, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending (      -- what a rule waits with, until `due`
    rule TEXT, key BLOB, seq INTEGER NOT NULL, due INTEGER NOT NULL, what TEXT NOT NULL,
    PRIMARY KEY (rule, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pending_due ON pending (rule, due);
CREATE TABLE IF NOT EXISTS alert (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, rule TEXT NOT NULL, kind TEXT NOT NULL, severity TEXT NOT NULL,
    seq INTEGER NOT NULL, leaf_hash TEXT NOT NULL, at TEXT NOT NULL, because TEXT NOT NULL, recorded INTEGER NOT NULL, recorded_in INTEGER
);
CREATE INDEX IF NOT EXISTS alert_unrecorded ON alert (number) WHERE recorded = 0;
CREATE TABLE IF NOT EXISTS target (
    name TEXT PRIMARY KEY, position INTEGER NOT NULL, delivered INTEGER NOT NULL, missed INTEGER NOT NULL, delivered_at TEXT
);
"""
_ALERT: Final = "number, id, rule, kind, severity, seq, leaf_hash, at, because, recorded_in"


class Progress(NamedTuple):
    """Of a rule: its digest, how far it has read, the leaf hash of the entry before, from where on it raises, its last run, how many alerts."""

    digest: str
    position: int
    hash: bytes | None
    quiet: int
    ran_at: int
    raised: int


class Heard(NamedTuple):
    """Of a target: the number of the alert it heard last, how many it heard, how many it missed, when it heard the last."""

    position: int
    delivered: int
    missed: int
    delivered_at: str | None


class State:
    """The open file. Safe to use from any thread; each call is done when it returns, and survives a power cut unless in a `transaction`."""

    def __init__(self, data: Path) -> None:
        """Open it, or make it.

        Raises:
            LedgerError: `storage-failed`.
        """
        self.path = data / FILE
        self._lock = threading.RLock()
        with self._told():
            made = not self.path.exists()
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE))
            self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            for setting in ("journal_mode = WAL", "synchronous = FULL"):
                self._db.execute(f"PRAGMA {setting}")
            self._db.executescript(_TABLES)
            if made:
                sync_folder(self.path.parent)

    def close(self) -> None:
        """Let the file go."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what is done within, or nothing.

        Raises:
            LedgerError: `storage-failed`: nothing of it.
        """
        with self._lock, self._told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a COMMIT on a full disk leaves it open, or ends it by itself
                    self._db.execute("ROLLBACK")
                raise

    # -- rules ---------------------------------------------------------------------------------------------------------

    def rules(self) -> dict[str, Progress]:
        """How far each rule is."""
        sql = "SELECT name, digest, position, hash, quiet, ran_at, raised FROM rule"
        return {row[0]: Progress(*row[1:]) for row in self._all(sql)}

    def begin_rule(self, name: str, digest: str, position: int, quiet: int) -> None:
        """A rule that is new, or that looks for something else than before: it remembers nothing."""
        with self.transaction():
            self.forget_rule(name)
            self._run(
                "INSERT INTO rule VALUES (?, ?, ?, NULL, ?, 0, 0, -1, 0, 0, 0)", name, digest, position, quiet
            )

    def forget_rule(self, name: str) -> None:
        """Forget a rule; what it raised is still delivered."""
        for table, column in (("rule", "name"), ("seen", "rule"), ("pending", "rule")):
            self._run(f"DELETE FROM {table} WHERE {column} = ?", name)

    def advance(self, name: str, position: int, leaf_hash: bytes) -> None:
        """A rule has looked at everything below `position`; `leaf_hash` is of the entry before."""
        self._run("UPDATE rule SET position = ?, hash = ? WHERE name = ?", position, leaf_hash, name)

    def ran(self, name: str, position: int, at_us: int) -> None:
        """A standing query was asked over everything below `position`."""
        self._run(
            "UPDATE rule SET position = ?, hash = NULL, ran_at = ? WHERE name = ?", position, at_us, name
        )

    # -- what a rule remembers -----------------------------------------------------------------------------------------

    def see(self, rule: str, key: bytes) -> bool:
        """Remember a key; whether it is new."""
        return self._run("INSERT OR IGNORE INTO seen VALUES (?, ?)", rule, key).rowcount == 1

    def wait(self, rule: str, key: bytes, seq: int, due: int, what: str = "") -> None:
        """Keep something until `due` (microseconds since 1970), in the place of what had the same key."""
        self._run("INSERT OR REPLACE INTO pending VALUES (?, ?, ?, ?, ?)", rule, key, seq, due, what)

    def waiting(self, rule: str, key: bytes) -> tuple[int, int, str] | None:
        """What is kept under a key: seq, due, what."""
        rows = self._all("SELECT seq, due, what FROM pending WHERE rule = ? AND key = ?", rule, key)
        return rows[0] if rows else None

    def settle(self, rule: str, key: bytes) -> None:
        """Forget what is kept under a key."""
        self._run("DELETE FROM pending WHERE rule = ? AND key = ?", rule, key)

    def settle_all(self, rule: str, seq: int, what: str) -> None:
        """Forget everything that is kept of an entry with these words."""
        self._run("DELETE FROM pending WHERE rule = ? AND seq = ? AND what = ?", rule, seq, what)

    def due(self, rule: str, now_us: int, limit: int = 1_000) -> list[tuple[bytes, int, str]]:
        """What was due before now, oldest first: key, seq, what."""
        sql = "SELECT key, seq, what FROM pending WHERE rule = ? AND due < ? ORDER BY due LIMIT ?"
        return self._all(sql, rule, now_us, limit)

    # -- alerts --------------------------------------------------------------------------------------------------------

    def minute(self, rule: str) -> tuple[int, int, int, int]:
        """The minute of a rule's newest alert, how many it had, how many more were held back, the newest of their entries."""
        row = self._all("SELECT minute, in_it, held, held_seq FROM rule WHERE name = ?", rule)
        return row[0] if row else (-1, 0, 0, 0)

    def set_minute(self, rule: str, minute: int, in_it: int, held: int, held_seq: int) -> None:
        """Likewise, set."""
        sql = "UPDATE rule SET minute = ?, in_it = ?, held = ?, held_seq = ? WHERE name = ?"
        self._run(sql, minute, in_it, held, held_seq, rule)

    def add(self, alert: Alert, *, recorded: bool) -> bool:
        """Keep an alert, whose `number` means nothing yet; False where it is here already. Without `recorded` the log is to say it too."""
        sql = (
            f"INSERT OR IGNORE INTO alert ({_ALERT}, recorded) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)"
        )
        because = json.dumps(alert.because, ensure_ascii=False)
        done = self._run(sql, *alert[1:8], because, int(recorded))
        self._run("UPDATE rule SET raised = raised + ? WHERE name = ?", done.rowcount, alert.rule)
        return done.rowcount == 1

    def unrecorded(self, limit: int) -> list[Alert]:
        """Alerts that the log does not say yet, oldest first."""
        return self._alerts(f"SELECT {_ALERT} FROM alert WHERE recorded = 0 ORDER BY number LIMIT ?", limit)

    def recorded(self, number: int, seq: int | None) -> None:
        """The log says it, in entry `seq`; None where it cannot."""
        self._run("UPDATE alert SET recorded = 1, recorded_in = ? WHERE number = ?", seq, number)

    def newest(self) -> int:
        """The number of the newest alert, 0 where there was none."""
        rows = self._all("SELECT seq FROM sqlite_sequence WHERE name = 'alert'")
        return int(rows[0][0]) if rows else 0

    def shown(self, limit: int) -> list[Alert]:
        """The newest alerts, the newest first."""
        return self._alerts(f"SELECT {_ALERT} FROM alert ORDER BY number DESC LIMIT ?", limit)

    def prune(self) -> None:
        """Forget alerts that everybody has heard of, but for the newest; and of those that wait, the oldest where they are too many."""
        with self.transaction():
            newest = self.newest()
            floor = newest - WAITING
            self._run(
                "UPDATE target SET missed = missed + (? - position), position = ? WHERE position < ?",
                floor,
                floor,
                floor,
            )
            self._run(
                "DELETE FROM alert WHERE number <= ? AND number <= (SELECT coalesce(min(position), ?) FROM target) AND recorded = 1",
                newest - KEPT,
                newest,
            )

    # -- targets -------------------------------------------------------------------------------------------------------

    def targets(self) -> dict[str, Heard]:
        """What each target has heard."""
        sql = "SELECT name, position, delivered, missed, delivered_at FROM target"
        return {row[0]: Heard(*row[1:]) for row in self._all(sql)}

    def keep_targets(self, names: list[str]) -> None:
        """These are the targets from now on: a new one begins with the next alert, one that is gone is forgotten."""
        with self.transaction():
            newest = self.newest()
            for name in self.targets().keys() - set(names):
                self._run("DELETE FROM target WHERE name = ?", name)
            for name in names:
                self._run("INSERT OR IGNORE INTO target VALUES (?, ?, 0, 0, NULL)", name, newest)

    def next_for(self, target: str, limit: int) -> list[Alert]:
        """The alerts that a target has not heard of, oldest first."""
        sql = f"SELECT {_ALERT} FROM alert WHERE number > (SELECT position FROM target WHERE name = ?) ORDER BY number LIMIT ?"
        return self._alerts(sql, target, limit)

    def heard(self, target: str, number: int, at: str, delivered: int) -> None:
        """A target has heard of everything up to an alert, `delivered` of which were for it."""
        sql = (
            "UPDATE target SET position = max(position, ?), delivered = delivered + ?, "
            "delivered_at = CASE WHEN ? > 0 THEN ? ELSE delivered_at END WHERE name = ?"
        )
        self._run(sql, number, delivered, delivered, at, target)

    def _alerts(self, sql: str, *parameters: object) -> list[Alert]:
        return [Alert._make([*row[:8], json.loads(row[8]), row[9]]) for row in self._all(sql, *parameters)]

    # -- SQLite --------------------------------------------------------------------------------------------------------

    def _run(self, sql: str, *parameters: object) -> sqlite3.Cursor:
        with self._lock, self._told():
            return self._db.execute(sql, parameters)

    def _all(self, sql: str, *parameters: object) -> list[Any]:
        with self._lock, self._told():
            return self._db.execute(sql, parameters).fetchall()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                Code.STORAGE_FAILED,
                f"{self.path}: what alerts remember cannot be read or written ({error}); without the file, rules begin anew",
            ) from error
