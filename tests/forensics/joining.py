"""The join alone: records straight into the worker's engine, without a log around it. For tests of many orders and many records."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from ledger.core.entry import commitment
from ledger.forensics.engine import Engine, Query
from ledger.forensics.evidence import CHECKED_CONTENT
from ledger.records.prepare import prepare
from ledger.records.prepared import Person, Prepared

ORIGIN = "ledger.example/joining"
RECORDED_AT = "2026-11-21T09:30:00.000000Z"
MEMORY_BYTES = 2 * 1024**3


class Persons:
    """Equal persons have equal commitments, as in a log."""

    def person(self, value: bytes) -> Person:
        salt = hashlib.sha256(value).digest()[:16]
        return Person(commitment(salt, value).hex(), salt, value, "log")


def prepared(record: bytes, submitter: str) -> Prepared:
    return prepare(
        record,
        submitter=submitter,
        persons=Persons(),
        origin=ORIGIN,
        agent_key=lambda _: None,
        reserved_ids=True,
    )


class Joined:
    """An engine that holds some records."""

    def __init__(
        self,
        records: Iterable[tuple[str, bytes]] = (),
        memory_bytes: int = MEMORY_BYTES,
        sealed: Path | None = None,
        size: int = 0,
    ) -> None:
        self.engine = Engine(memory_bytes, sealed=sealed, size=size)
        self.size = size
        self.ids: set[str] = set()
        self.people: set[str] = set()
        self.take([prepared(record, submitter) for submitter, record in records])

    def take(self, items: list[Prepared], recorded_at: str = RECORDED_AT) -> None:
        """Append what is new: the same id again is the same record."""
        new = {item.id: item for item in items if item.id not in self.ids}
        self.ids |= set(new)
        rows = list(new.values())
        people = {person.commitment: person.value.decode() for item in rows for person in item.persons}
        people = {known: value for known, value in people.items() if known not in self.people}
        self.people |= set(people)
        self.engine.take_persons(
            pa.table(
                {"commitment": pa.array(people, pa.string()), "value": pa.array(people.values(), pa.string())}
            )
        )
        self.engine.take(
            pa.table(
                {
                    "seq": pa.array(range(self.size, self.size + len(rows)), pa.uint64()),
                    "hash": pa.array([hashlib.sha256(item.record).digest() for item in rows], pa.binary()),
                    "entry": pa.array(
                        [_entry(item, self.size + n, recorded_at) for n, item in enumerate(rows)], pa.string()
                    ),
                    "contents": pa.array(
                        [
                            [{"member": c.member, "value": c.value.decode()} for c in item.contents]
                            for item in rows
                        ],
                        pa.list_(CHECKED_CONTENT),
                    ),
                }
            ),
            self.size + len(rows),
        )
        self.size += len(rows)

    def ask(
        self, sql: str, rows: int = 10_000_000, as_of: int | None = None, **parameters: Any
    ) -> list[list[Any]]:
        query = Query(sql, parameters, "application/json", rows, 10**10, as_of)
        return json.loads(self.engine.answer(query, dict).body)["rows"]


def _entry(item: Prepared, seq: int, recorded_at: str) -> str:
    return (
        f'{{"prev":"","record":{item.record.decode()},"recorded_at":"{recorded_at}",'
        f'"seq":{seq},"submitter":{json.dumps(item.submitter)},"v":1}}'
    )
