"""A log in memory and the segments of it: real records, entries, checkpoints, manifests; no server."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from ledger.core import ed25519
from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.entry import GENESIS_PREV, OWN_SUBMITTER, format_entry
from ledger.core.keyhistory import KeyHistory
from ledger.core.merkle import Frontier, leaf_hash
from ledger.core.note import NoteSigner
from ledger.log.persons import Persons
from ledger.records.prepare import own_record, prepare
from ledger.records.prepared import Person, Prepared
from ledger.storage.build import Build, Built
from ledger.storage.contents import format_contents
from ledger.storage.manifest import Manifest, Retired, manifest_digest, manifest_name, sign_manifest
from ledger.storage.schema import ROW_SCHEMA, Row
from ledger.storage.segment import Segment

ORIGIN = "ledger.example/test"
RECORDED_AT = "2026-11-21T09:30:00.123456Z"
SIGNER = NoteSigner(ORIGIN, ed25519.SigningKey(bytes(range(32))))


def action(number: int, **members: object) -> dict:
    return {
        "id": f"rec-{number:05d}",
        "type": "action",
        "time": "2026-11-21T09:30:00.000001Z",
        "request": {"user": "alice@example.com", "conversation_id": "c-1", "text": f"please do {number}"},
        "tool": {"name": "send_money", "call_id": f"call-{number}", "arguments": {"to": "bob", "n": number}},
        **members,
    }


class MemoryLog:
    """Rows as a hot file would give them, `groups` of them committed at a time."""

    def __init__(self) -> None:
        self.persons = Persons(lambda _: None)
        self.named: dict[str, Person] = {}
        self.rows: list[Row] = []
        self.notes: dict[int, bytes] = {}
        self._frontier = Frontier()

    def commit(self, *items: Prepared | dict) -> None:
        for value in items:
            item = self._prepared(value)
            self.named.update((person.commitment, person) for person in item.persons)
            seq = len(self.rows)
            entry = format_entry(
                prev=self.rows[-1].hash if self.rows else GENESIS_PREV,
                record=item.record,
                recorded_at=RECORDED_AT,
                seq=seq,
                submitter=item.submitter,
                signature=item.signature,
            )
            self.rows.append(Row(seq, leaf_hash(entry), item.id, entry, item.contents))
            self._frontier.append(self.rows[-1].hash)
        checkpoint = Checkpoint(ORIGIN, len(self.rows), self._frontier.root())
        self.notes[len(self.rows) - 1] = sign_checkpoint(checkpoint, SIGNER)

    def _prepared(self, value: Prepared | dict) -> Prepared:
        if isinstance(value, Prepared):
            return value
        data = json.dumps(value).encode()
        return prepare(
            data, submitter="token:t", persons=self.persons, origin=ORIGIN, agent_key=lambda _: None
        )

    def table(self, low: int = 0, high: int | None = None) -> pa.Table:
        rows = self.rows[low:high]
        columns = {
            "seq": [row.seq for row in rows],
            "hash": [row.hash for row in rows],
            "id": [row.id for row in rows],
            "entry": [row.entry.decode() for row in rows],
            "contents": [format_contents(row.contents).decode() for row in rows],
            "checkpoint": [self.notes[row.seq].decode() if row.seq in self.notes else None for row in rows],
        }
        return pa.table(columns, schema=ROW_SCHEMA)

    def hashes(self, low: int, high: int) -> list[bytes]:
        return [row.hash for row in self.rows[low:high]]

    def frontier(self, size: int) -> Frontier:
        frontier = Frontier()
        frontier.extend(self.hashes(0, size))
        return frontier

    def build(self, building: Path, start: int, end: int) -> Build:
        return Build(
            building,
            start,
            end,
            origin=ORIGIN,
            checkpoint=self.notes[end - 1],
            before=self.hashes(start - max(1, start % 256), start) if start else [],
            frontier=self.frontier(start).nodes(),
        )

    def seal(
        self,
        segments: Path,
        start: int,
        end: int,
        *,
        previous: bytes = b"the one before",
        rows: Iterator[pa.RecordBatch] | None = None,
        retired: Retired = Retired(),  # noqa: B008
    ) -> tuple[Path, Built]:
        """A segment as the sealer makes it, but for what makes it durable."""
        folder = segments / f"{start:016d}"
        folder.mkdir(parents=True)
        built = self.build(folder, start, end).run(rows or batches(self.table(start, end)))
        manifest = Manifest(
            ORIGIN,
            start,
            end,
            1,
            self.frontier(end).root(),
            self.notes[end - 1],
            built.files,
            previous=manifest_digest(previous) if start else None,
            retired=retired,
        )
        (folder / manifest_name(1)).write_bytes(sign_manifest(manifest, SIGNER))
        return folder, built


def batches(table: pa.Table, size: int = 500) -> Iterator[pa.RecordBatch]:
    return iter(table.to_batches(max_chunksize=size))


def a_log(entries: int = 600, group: int = 50) -> MemoryLog:
    """A log: its own first entry, then actions in groups, an own entry in each."""
    log = MemoryLog()
    log.commit(own_record("log.created", {"log.origin": ORIGIN}))
    while len(log.rows) < entries:
        low = len(log.rows)
        count = min(group, entries - low)
        own = own_record("log.query_run" if low // group % 2 else "log.content_withheld", {"log.n": low})
        log.commit(own, *(action(n) for n in range(low, low + count - 1)))
    return log


def opened(folder: Path, **options: object) -> Segment:
    return Segment.open(folder, keys=KeyHistory.begin(SIGNER.key), origin=ORIGIN, **options)


def whole(segment: Segment, **options: object) -> pa.Table:
    return pa.Table.from_batches(segment.rows(segment.start, segment.end, **options), ROW_SCHEMA)


def is_own(row: Row) -> bool:
    return row.entry.endswith(f'"submitter":"{OWN_SUBMITTER}","v":1}}'.encode())


def column(table: pa.Table, name: str) -> Sequence:
    return table.column(name).to_pylist()
