"""Makes the files of a new segment, in the worker process: rows are written once, as they come; all else is made of what was re-read."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ledger.core.merkle import Frontier
from ledger.storage.checking import (
    NO_KEY,
    Chain,
    Committed,
    Merged,
    check_ids,
    chunks,
    differs,
    id_key,
)
from ledger.storage.contents import NO_CONTENTS
from ledger.storage.facts import FactsFile
from ledger.storage.files import sync_folder
from ledger.storage.manifest import CONTENTS, ENTRIES, FACTS, HASHES, KEYS, OWN, TILES, FileInfo
from ledger.storage.parquet import (
    CONTENTS_SCHEMA,
    ENTRY_SCHEMA,
    GROUP_BYTES,
    GroupedWriter,
    ParquetReader,
)
from ledger.storage.schema import ROW_SCHEMA
from ledger.storage.synced import check_reads_back, write_synced

MAX_NICE: Final = 19


class Job(NamedTuple):
    """What to build, as `ledger.storage.build.Build` asks for it."""

    folder: Path
    start: int
    end: int
    origin: str
    checkpoint: bytes
    before: list[bytes]
    frontier: list[bytes] | None


class Rows(NamedTuple):
    """What became of the rows as they came: the files with them, how many have contents, and the keys of retired ids, by seq."""

    files: dict[str, FileInfo]
    disclosed: int
    retired: dict[int, bytes]


class Steps:
    """How much processor time each step took, in seconds."""

    def __init__(self) -> None:
        self.taken: dict[str, float] = {}
        self._since = time.process_time()

    def done(self, step: str) -> None:
        """What was used since the last step was this one's."""
        now = time.process_time()
        self.taken[step] = self.taken.get(step, 0.0) + now - self._since
        self._since = now


def write_rows(job: Job, batches: Iterable[pa.RecordBatch], steps: Steps) -> Rows:
    """Write entries and contents as they come.

    Raises:
        LedgerError: `storage-failed`: they are not the rows that were announced.
        OSError: the disk is full, or broke.
    """
    entries = GroupedWriter(job.folder / ENTRIES, ENTRY_SCHEMA)
    contents = GroupedWriter(job.folder / CONTENTS, CONTENTS_SCHEMA, size_limit=GROUP_BYTES)
    retired: dict[int, bytes] = {}
    count = disclosed = 0
    for batch in batches:
        table = pa.Table.from_batches([batch], ROW_SCHEMA)
        steps.done("receive")
        count += table.num_rows
        if count > job.end - job.start:
            differs("the rows", f"there are more than the {job.end - job.start} that were announced")
        retired |= _retired_keys(table)
        entries.write(_without_retired_ids(table).select(ENTRY_SCHEMA.names))
        steps.done("write entries")
        given = pc.and_kleene(
            pc.is_valid(table.column("entry")), pc.not_equal(table.column("contents"), NO_CONTENTS)
        )
        some = table.filter(given).select(CONTENTS_SCHEMA.names)
        disclosed += some.num_rows
        contents.write(some)
        steps.done("write contents")
    if count != job.end - job.start:
        differs("the rows", f"they end after {count} of {job.end - job.start}")
    files = {ENTRIES: entries.close(), CONTENTS: contents.close()}
    steps.done("write entries")
    return Rows(files, disclosed, retired)


def _retired_keys(table: pa.Table) -> dict[int, bytes]:
    if not table.column("entry").null_count:
        return {}
    gone = table.filter(pc.is_null(table.column("entry")))
    pairs = zip(gone.column("seq").to_pylist(), gone.column("id").to_pylist(), strict=True)
    return {seq: id_key(record_id) for seq, record_id in pairs if record_id is not None}


def _without_retired_ids(table: pa.Table) -> pa.Table:
    """Of a retired entry the key of its id is kept, and not the id."""
    if not table.column("entry").null_count:
        return table
    place = table.schema.get_field_index("id")
    kept = pc.if_else(pc.is_valid(table.column("entry")), table.column("id"), pa.scalar(None, pa.string()))
    return table.set_column(place, table.schema.field(place), kept)


def check_rows(job: Job, rows: Rows, steps: Steps) -> dict[str, Any]:
    """Re-read what was written, check it, and make everything else of it; then re-read that.

    Raises:
        LedgerError: `storage-failed`, with the file and the entry.
        OSError: the disk is full, or broke.
    """
    for name, written in rows.files.items():
        check_reads_back(job.folder / name, written)
    steps.done("read back")
    frontier = None if job.frontier is None else Frontier.from_nodes(job.start, job.frontier)
    chain = Chain(ENTRIES, job.start, job.origin, job.before, frontier)
    entries = ParquetReader(job.folder / ENTRIES, ENTRY_SCHEMA)
    contents = Merged(ParquetReader(job.folder / CONTENTS, CONTENTS_SCHEMA))
    made, keys = FactsFile(job.folder / FACTS), bytearray()
    for table in chunks(entries):
        low = chain.next
        checked = chain.follow(table)
        steps.done("check entries")
        facts = made.add(table)
        steps.done("project")
        ids = check_ids(ENTRIES, low, table, facts)
        keys += b"".join(
            rows.retired.get(seq, NO_KEY) if record_id is None else id_key(record_id)
            for seq, record_id in enumerate(ids, low)
        )
        chain.keep_own(checked, facts)
        steps.done("check ids")
        committed = Committed(CONTENTS, low, facts)
        for piece in contents.until(chain.next):
            committed.check(piece)
        steps.done("check contents")
    if (chain.next, contents.count) != (job.end, rows.disclosed) or chain.checkpoint != job.checkpoint:
        differs(ENTRIES, "it does not end where its checkpoint does, or contents are lost")
    files = rows.files | {FACTS: made.finish()}
    steps.done("write facts")
    small = {HASHES: chain.hashes, KEYS: keys, TILES: chain.tiles, OWN: chain.own}
    files |= {name: write_synced(job.folder / name, bytes(data)) for name, data in small.items()}
    sync_folder(job.folder)
    for name in (FACTS, *small):
        check_reads_back(job.folder / name, files[name])
    made.check()
    steps.done("check facts")
    return {
        "files": {name: list(info) for name, info in files.items()},
        "root": chain.frontier.root().hex() if chain.frontier else None,
        "frontier": [node.hex() for node in chain.frontier.nodes()] if chain.frontier else None,
    }
