"""What a team writes that wants a chain and no ledger: rows in SQLite or DuckDB, each with the SHA-256 over the one before and itself.

Group commit, and the ids in memory against duplicates, as the ledger has them. No commitments, no signature, no anchor, nothing checked.
"""

import json
import sqlite3
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import duckdb
import pyarrow as pa

from benchmarks.peers.feeding import Facts, Group, Lines, Plan, main

COLUMNS = "seq BIGINT, hash BLOB, id TEXT, body TEXT"
Row = tuple[int, bytes, str, str]


class Chain:
    """Gives each record its place and its hash."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.last = bytes(32)

    def rows(self, read: list[tuple[str, bytes]]) -> list[Row]:
        rows = []
        for name, line in read:
            seq = self.ids.setdefault(name, len(self.ids))
            self.last = sha256(self.last + line).digest()
            rows.append((seq, self.last, name, line.decode()))
        return rows


def ids(lines: Lines) -> list[tuple[str, bytes]]:
    return [(json.loads(line)["id"], line) for line in lines]


@contextmanager
def sqlite(folder: Path, plan: Plan, facts: Facts):  # noqa: ARG001
    connection = sqlite3.connect(folder / "rows.sqlite", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"CREATE TABLE entries ({COLUMNS}, PRIMARY KEY (seq)) STRICT".replace("BIGINT", "INT"))
    chain = Chain()

    def commit(read: list[tuple[str, bytes]]) -> None:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", chain.rows(read))
        connection.execute("COMMIT")

    with grouped(commit) as write:
        yield write
    connection.close()


@contextmanager
def duck(folder: Path, plan: Plan, facts: Facts):  # noqa: ARG001
    connection = duckdb.connect(str(folder / "rows.duckdb"))
    connection.execute(f"CREATE TABLE entries ({COLUMNS})")
    chain = Chain()

    def commit(read: list[tuple[str, bytes]]) -> None:
        columns = zip(*chain.rows(read), strict=True)
        batch = pa.table(dict(zip(("seq", "hash", "id", "body"), map(list, columns), strict=True)))  # noqa: F841 - DuckDB finds it by its name
        connection.execute("INSERT INTO entries SELECT * FROM batch")

    with grouped(commit) as write:
        yield write
    connection.close()


@contextmanager
def grouped(commit):
    group = Group(commit)
    yield lambda lines: group.write(ids(lines))
    group.close()


if __name__ == "__main__":
    main({"sqlite": sqlite, "duckdb": duck})
