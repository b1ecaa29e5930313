"""Makes files of a segment anew without what is gone, in the worker process.

What is read is compared with the manifest first: nothing is made of a file that was altered. What is written is re-read and checked as
that of a new segment is, and that what is kept is everything that was not to go.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ledger.core.ranges import Ranges, parse_ranges
from ledger.storage.checking import Chain, Committed, Merged, chunks, differs
from ledger.storage.contents import NO_CONTENTS, parse_contents
from ledger.storage.facts import FactsFile
from ledger.storage.files import sync_folder
from ledger.storage.manifest import CONTENTS, ENTRIES, FACTS, HASHES, OWN, FileInfo, file_name
from ledger.storage.parquet import CONTENTS_SCHEMA, ENTRY_SCHEMA, GROUP_BYTES, GroupedWriter, ParquetReader
from ledger.storage.removed import Removed
from ledger.storage.schema import ROW_SCHEMA
from ledger.storage.synced import check_reads_back, pieces


class Job(NamedTuple):
    """What to make anew, as `ledger.storage.build.Rebuild` asks for it."""

    folder: Path
    start: int
    end: int
    origin: str
    generation: int
    sources: dict[str, tuple[Path, FileInfo]]
    removed: Removed

    def made(self, role: str) -> Path:
        """Where the new file goes."""
        return self.folder / file_name(role, self.generation)


def read_job(asked: Mapping[str, Any]) -> Job:
    """The job, of JSON."""
    removed = Removed(
        parse_ranges(asked["entries"]),
        parse_ranges(asked["contents"]),
        {member: parse_ranges(pairs) for member, pairs in asked["erased"].items()},
    )
    sources = {role: (Path(path), FileInfo(*info)) for role, (path, info) in asked["sources"].items()}
    return Job(
        Path(asked["folder"]),
        asked["start"],
        asked["end"],
        asked["origin"],
        asked["generation"],
        sources,
        removed,
    )


def remake(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Make entries and facts, or contents, or all of them anew.

    Raises:
        LedgerError: `storage-failed`, with the file and the entry.
        OSError: the disk is full, or broke.
    """
    job = read_job(asked)
    for path, info in job.sources.values():
        check_reads_back(path, info)
    made: dict[str, FileInfo] = {}
    if ENTRIES in asked["roles"]:
        made |= _remake_entries(job)
    if CONTENTS in asked["roles"]:
        made |= _remake_contents(job)
    sync_folder(job.folder)
    return {"files": {name: list(info) for name, info in made.items()}}


def _remake_entries(job: Job) -> dict[str, FileInfo]:
    path, facts_path = job.made(ENTRIES), job.made(FACTS)
    own = set(b"".join(pieces(job.sources[OWN][0])).split(b"\n"))
    source = ParquetReader(job.sources[ENTRIES][0], ENTRY_SCHEMA)
    writer, gone = GroupedWriter(path, ENTRY_SCHEMA), 0
    for group in range(len(source.rows())):
        table = _retired(source.read(group), job.removed.entries, own)
        gone += table.column("entry").null_count
        writer.write(table)
    source.close()
    files = {path.name: writer.close()}
    check_reads_back(path, files[path.name])
    chain, facts, left = Chain(path.name, job.start, job.origin, None, None), FactsFile(facts_path), 0
    reader = ParquetReader(path, ENTRY_SCHEMA)
    for table in chunks(reader):
        chain.follow(table)
        left += table.column("entry").null_count
        facts.add(table)
    reader.close()
    if (chain.next, left) != (job.end, gone) or chain.hashes != b"".join(pieces(job.sources[HASHES][0])):
        differs(path.name, "it does not hold the entries that were to stay")
    files[facts_path.name] = facts.finish()
    check_reads_back(facts_path, files[facts_path.name])
    facts.check()
    return files


def _retired(table: pa.Table, gone: Ranges, own: set[bytes]) -> pa.Table:
    """Rows without the bytes and the ids of entries that are gone; those of the log itself never are."""
    seqs: list[int] = table.column("seq").to_pylist()
    if not gone.clip(seqs[0], seqs[-1] + 1):
        return table
    entries = table.column("entry").cast(pa.binary()).to_pylist()
    stays = pa.array([seq not in gone or entry in own for seq, entry in zip(seqs, entries, strict=True)])
    for name in ("id", "entry"):
        place = table.schema.get_field_index(name)
        kept = pc.if_else(stays, table.column(name), pa.scalar(None, pa.string()))
        table = table.set_column(place, table.schema.field(place), kept)
    return table


def _remake_contents(job: Job) -> dict[str, FileInfo]:
    path = job.made(CONTENTS)
    source = ParquetReader(job.sources[CONTENTS][0], CONTENTS_SCHEMA)
    writer, kept = GroupedWriter(path, CONTENTS_SCHEMA, size_limit=GROUP_BYTES), 0
    for group in range(len(source.rows())):
        table = without_removed(source.read(group), job.removed)
        kept += _count(table)
        writer.write(table)
    source.close()
    info = writer.close()
    check_reads_back(path, info)
    reader = ParquetReader(path, CONTENTS_SCHEMA)
    merged, left = Merged(reader), 0
    for low, facts in _facts(job):
        committed = Committed(path.name, low, facts)
        for piece in merged.until(low + facts.num_rows):
            committed.check(piece)
            left += _count(piece)
    reader.close()
    if left != kept:
        differs(path.name, "it does not hold the contents that were to stay")
    return {path.name: info}


def _facts(job: Job) -> Iterator[tuple[int, pa.Table]]:
    reader, low = ParquetReader(job.sources[FACTS][0]), job.start
    for group in range(len(reader.rows())):
        facts = reader.read(group)
        if facts.column("seq").to_pylist() != list(range(low, low + facts.num_rows)):
            differs(FACTS, f"its rows from entry {low} on are not there one after the other")
        yield low, facts
        low += facts.num_rows
    reader.close()


def without_removed(table: pa.Table, removed: Removed) -> pa.Table:
    """Rows without the contents that are gone, and none where none are left."""
    empty = {"hash": pa.binary(), "id": pa.string(), "entry": pa.string(), "checkpoint": pa.string()}
    columns = {name: pa.nulls(table.num_rows, kind) for name, kind in empty.items()}
    columns |= {name: table.column(name).combine_chunks() for name in CONTENTS_SCHEMA.names}
    whole = pa.Table.from_arrays([columns[name] for name in ROW_SCHEMA.names], schema=ROW_SCHEMA)
    covered = [removed.cover(batch) for batch in whole.combine_chunks().to_batches()]
    left = pa.Table.from_batches(covered, ROW_SCHEMA).select(CONTENTS_SCHEMA.names)
    return left.filter(pc.not_equal(left.column("contents"), NO_CONTENTS))


def _count(table: pa.Table) -> int:
    return sum(len(parse_contents(text)) for text in table.column("contents").to_pylist())
