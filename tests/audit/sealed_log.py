"""A data folder of storage version 2 with everything in it: segments, hot file, persons, id runs, head anchor. Made without a server."""

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ledger.audit.fsck import verify_folder
from ledger.core.note import format_vkey
from ledger.core.report import Report
from ledger.records.prepare import own_record
from ledger.records.resources import schema_text
from ledger.storage.anchor import HeadAnchor
from ledger.storage.ids import IdIndex, keys_of
from ledger.storage.layout import IDS, PERSONS, SEGMENTS, hot_path, write_version
from ledger.storage.people import PersonStore
from ledger.storage.schema import PERSON_SCHEMA
from tests.storage.sealing import ORIGIN, SIGNER, MemoryLog, action

USERS = 7
GROUP = 50


def asking(number: int, users: int = USERS) -> dict:
    user = f"user-{number % users}@example.com"
    return action(number, request={"user": user, "conversation_id": "c", "text": f"words {number}"})


def filled(entries: int, *, group: int = GROUP) -> MemoryLog:
    """A log as `log` writes it: entry 0, then groups, each with one of the log's own entries before it."""
    log = MemoryLog()
    genesis = {"log.origin": ORIGIN, "log.format": 1, "log.vkey": format_vkey(SIGNER.key)}
    log.commit(own_record("log.created", genesis))
    while len(log.rows) < entries:
        low = len(log.rows)
        count = min(group, entries - low)
        kind = "log.query_run" if low // group % 2 else "log.access_revoked"
        log.commit(own_record(kind, {"log.n": low}), *(asking(n) for n in range(low, low + count - 1)))
    return log


def people(log: MemoryLog) -> pa.Table:
    """The persons, each with the entry that names it first."""
    every = {person.commitment.encode(): person for person in log.named.values()}
    rows = []
    for row in log.rows:
        for digest in [digest for digest in every if digest in row.entry]:
            person = every.pop(digest)
            rows.append((row.seq, person.commitment, person.salt, person.value.decode(), person.source))
    columns = zip(*rows, strict=True) if rows else [[]] * 5
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, PERSON_SCHEMA, strict=True)],
        schema=PERSON_SCHEMA,
    )


def write_hot(data: Path, generation: int, log: MemoryLog, start: int, end: int) -> None:
    path = hot_path(data, generation)
    path.parent.mkdir(exist_ok=True)
    connection = duckdb.connect(str(path))
    connection.execute(schema_text("tables.sql"))
    connection.register("batch", log.table(start, end))
    connection.register("people", people(log))
    connection.execute("INSERT INTO entries SELECT * FROM batch")
    connection.execute(f"INSERT INTO persons SELECT * FROM people WHERE seq >= {start} AND seq < {end}")
    connection.close()


def write_folder(data: Path, log: MemoryLog, cuts: list[int]) -> None:
    """The log in a folder: sealed at `cuts`, the rest in a hot file."""
    data.mkdir(parents=True)
    (data / SEGMENTS).mkdir()
    persons, index = PersonStore(data / PERSONS), IdIndex(data / IDS)
    every, before = people(log), b""
    for start, end in zip([0, *cuts], cuts, strict=False):
        folder, _ = log.seal(data / SEGMENTS, start, end, previous=before)
        before = (folder / "manifest-1").read_bytes()
        index.add(start, end, keys_of([row.id for row in log.rows[start:end]]).astype("<u8").tobytes())
    seqs = every.column("seq").to_pylist()
    persons.add(every.filter(pa.array([seq < cuts[-1] for seq in seqs])), cuts[-1])
    persons.close()
    write_hot(data, len(cuts) + 1, log, cuts[-1], len(log.rows))
    write_version(data)
    anchor = HeadAnchor(data.parent / f"{data.name}.head")
    anchor.advance(log.notes[len(log.rows) - 1], len(log.rows))
    anchor.close()


class SealedLog:
    """Such a folder, never changed, and copies of it to tamper with."""

    def __init__(self, base: Path, entries: int = 5600, cuts: tuple[int, ...] = (901, 3001, 5051)) -> None:
        self.base, self.cuts = base, list(cuts)
        self.log = filled(entries)
        self.size = len(self.log.rows)
        self.pin = self.log.notes[self.size - 1]
        write_folder(base / "data", self.log, self.cuts)

    def copy(self, to: Path) -> Path:
        shutil.copytree(self.base, to, dirs_exist_ok=True)
        return to / "data"

    def verify(self, data: Path, **asked: Any) -> Report:
        return verify_folder(data, **({"vkey": SIGNER.key} | asked))
