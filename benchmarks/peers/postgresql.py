"""PostgreSQL as it is installed, fsync and synchronous_commit on: a server in the run's folder, a connection for each writer.

Whoever runs this as root needs a user `postgres`: the server refuses root.
"""

import json
import os
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from benchmarks.peers.feeding import Facts, Lines, Plan, main

TABLE = "CREATE TABLE entries (seq bigserial PRIMARY KEY, id text NOT NULL UNIQUE, body text NOT NULL)"
INSERT = "INSERT INTO entries (id, body) SELECT * FROM unnest(%s::text[], %s::text[]) RETURNING seq"
COPY = "COPY entries (id, body) FROM STDIN"
PATIENCE_S = 30


@contextmanager
def server(folder: Path):
    """Run one; gives how to connect to it. It listens on a socket in its folder, on no network."""
    data = folder / "data"
    data.mkdir(parents=True)
    root = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    if root:
        shutil.chown(folder, "postgres", "postgres")
        shutil.chown(data, "postgres", "postgres")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **root}
    subprocess.run(
        ["initdb", "-D", data, "-U", "bench", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"],
        check=True,
        **quiet,
    )
    command = ["postgres", "-D", data, "-k", folder, "-c", "listen_addresses="]
    with subprocess.Popen(command, **{**quiet, "stderr": subprocess.DEVNULL}) as process:
        try:
            yield f"host={folder} user=bench dbname=postgres"
        finally:
            process.terminate()


def connected(where: str) -> psycopg.Connection:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        with suppress(psycopg.OperationalError):
            return psycopg.connect(where, autocommit=True)
        time.sleep(0.05)
    raise SystemExit("PostgreSQL did not answer")


@contextmanager
def table(folder: Path, plan: Plan, facts: Facts):
    mine = threading.local()
    with server(folder / "pg") as where:
        connection = connected(where)
        connection.execute(TABLE)
        for name in ("fsync", "synchronous_commit", "full_page_writes", "server_version"):
            facts[name] = connection.execute(f"SHOW {name}").fetchone()[0]
        syncs = "SELECT wal_sync FROM pg_stat_wal"
        before = connection.execute(syncs).fetchone()[0]
        send = inserted if plan.form == "insert" else copied

        def write(lines: Lines) -> None:
            if not hasattr(mine, "connection"):
                mine.connection = connected(where)
            send(
                mine.connection, [json.loads(line)["id"] for line in lines], [line.decode() for line in lines]
            )

        yield write
        time.sleep(1)  # the server adds up what its processes did about once a second
        facts["syncs"] = connection.execute(syncs).fetchone()[0] - before
        connection.close()


def inserted(connection: psycopg.Connection, ids: list[str], bodies: list[str]) -> None:
    connection.execute(INSERT, [ids, bodies]).fetchall()


def copied(connection: psycopg.Connection, ids: list[str], bodies: list[str]) -> None:
    with connection.cursor().copy(COPY) as copy:
        for row in zip(ids, bodies, strict=True):
            copy.write_row(row)


if __name__ == "__main__":
    main({"insert": table, "copy": table})
