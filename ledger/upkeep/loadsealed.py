"""Makes sealed segments of a dump, each by the process that also seals a running log's. Only they keep the places of retired entries."""

import contextlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ledger.core.checkpoint import Checkpoint
from ledger.core.entry import parse_entry
from ledger.core.errors import LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import NoteSigner
from ledger.core.tiles import TILE_WIDTH
from ledger.log.standing import TYPES, Standing
from ledger.storage.build import Build
from ledger.storage.checking import KEY_BYTES
from ledger.storage.files import sync_folder, write_durably
from ledger.storage.hot import OWN_END
from ledger.storage.layout import PERSONS as PERSONS_FILE
from ledger.storage.layout import SEGMENTS, building_path, segment_path
from ledger.storage.manifest import (
    KEYS,
    FileInfo,
    Manifest,
    Retired,
    manifest_digest,
    manifest_name,
    sign_manifest,
)
from ledger.storage.people import PersonStore
from ledger.storage.removed import Removed
from ledger.storage.schema import ROW_SCHEMA
from ledger.upkeep.dumped import People, altered, rows
from ledger.upkeep.transfer import ENTRIES, PERSONS, Progress

FILE_MODE: Final = 0o444
FOLDER_MODE: Final = 0o555


class Cut(NamedTuple):
    """A segment to be made: its entries, and the checkpoint at its end."""

    start: int
    end: int
    note: bytes


def write_sealed(
    folder: Path,
    data: Path,
    head: Checkpoint,
    signer: NoteSigner,
    keys: KeyHistory,
    *,
    entries_per_segment: int,
    progress: Progress | None,
) -> None:
    """Fill `data` with the segments of the dump in `folder`: signed by `signer`, the key in force among the log's `keys`.

    Raises:
        LedgerError: `evidence-altered`, `storage-failed`: what is wrong in the dump, and where.
        OSError: something cannot be read or written.
    """
    cuts, removed = _survey(folder / ENTRIES, head.size, entries_per_segment)
    stream, people = _Stream(rows(folder / ENTRIES, head.size)), People(folder / PERSONS)
    store = PersonStore(data / PERSONS_FILE)
    previous: str | None = None
    frontier: list[bytes] = []
    try:
        for cut in cuts:
            building = building_path(data, cut.start)
            building.mkdir(mode=0o700)
            files, frontier = _build(building, cut, head.origin, stream, frontier)
            note = _sign(cut, files, (signer, keys), previous, removed)
            previous = manifest_digest(note)
            write_durably(building / manifest_name(1), note, FILE_MODE)
            building.chmod(FOLDER_MODE)
            building.rename(segment_path(data, cut.start))
            store.add(people.below(cut.end), cut.end)
            if progress is not None:
                progress(cut.end, head.size)
        people.finish(head.size)
    finally:
        store.close()
    sync_folder(data / SEGMENTS)


def _survey(path: Path, size: int, most: int) -> tuple[list[Cut], Removed]:
    """Where segments end, and what the log's own entries say is gone."""
    cuts: list[Cut] = []
    standing, start, done = Standing(), 0, 0
    for table in rows(path, size):
        for at in pc.indices_nonzero(
            pc.ends_with(pc.fill_null(table.column("entry"), ""), OWN_END)
        ).to_pylist():
            own = parse_entry(table.column("entry")[at].as_py().encode())
            if own.members.get("type") in TYPES:
                with contextlib.suppress(LedgerError):  # as at a start: verification tells
                    standing = standing.after(own.members, done + at)
        for at in pc.indices_nonzero(pc.is_valid(table.column("checkpoint"))).to_pylist():
            end = done + at + 1
            if end - start >= most or end == size:
                cuts.append(Cut(start, end, table.column("checkpoint")[at].as_py().encode()))
                start = end
        done += table.num_rows
    if done != size or start != size:
        raise altered(
            ENTRIES,
            f"it has {done} entries, the last checkpoint in it is of {start}, and it should be of {size}",
        )
    return cuts, standing.keeping.removed


class _Stream:
    """The rows of a dump, a segment's at a time.

    Attributes:
        hashes: the newest leaf hashes that were given, as many as a tile has.
        retired: seq → what is left of its id, of the retired entries given last.
    """

    def __init__(self, tables: Iterator[pa.Table]) -> None:
        self.hashes: list[bytes] = []
        self.retired: dict[int, bytes] = {}
        self._tables = tables
        self._rest = pa.table({})

    def take(self, start: int, end: int) -> Iterator[pa.RecordBatch]:
        """The rows [start, end)."""
        self.retired = {}
        while start < end:
            table = self._rest if self._rest.num_rows else next(self._tables)
            taken, self._rest = table.slice(0, end - start), table.slice(end - start)
            for at in pc.indices_nonzero(pc.is_null(taken.column("entry"))).to_pylist():
                self.retired[start + at] = taken.column("id_key")[at].as_py() or bytes(KEY_BYTES)
            self.hashes = [*self.hashes, *taken.column("hash").to_pylist()][-TILE_WIDTH:]
            start += taken.num_rows
            yield from taken.select(ROW_SCHEMA.names).combine_chunks().to_batches()


def _build(
    building: Path, cut: Cut, origin: str, stream: _Stream, frontier: list[bytes]
) -> tuple[dict[str, FileInfo], list[bytes]]:
    before = stream.hashes[-(cut.start % TILE_WIDTH or 1) :] if cut.start else []
    build = Build(
        building,
        cut.start,
        cut.end,
        origin=origin,
        checkpoint=cut.note,
        before=before,
        frontier=frontier,
        nice=0,
    )
    try:
        built = build.run(stream.take(cut.start, cut.end))
    except LedgerError as error:
        raise altered(ENTRIES, error.detail) from None
    files = dict(built.files)
    if stream.retired:
        files[KEYS] = _put_keys(building / KEYS, cut.start, stream.retired)
    return files, built.frontier or []


def _put_keys(path: Path, start: int, retired: dict[int, bytes]) -> FileInfo:
    """What is left of the ids of retired entries: the rows had none to make keys of."""
    keys = bytearray(path.read_bytes())
    for seq, key in retired.items():
        keys[(seq - start) * KEY_BYTES : (seq - start + 1) * KEY_BYTES] = key
    mode = path.stat().st_mode & 0o777
    write_durably(path, bytes(keys), mode)
    return FileInfo(len(keys), sha256(keys).hexdigest())


def _sign(
    cut: Cut,
    files: dict[str, FileInfo],
    signed_by: tuple[NoteSigner, KeyHistory],
    previous: str | None,
    removed: Removed,
) -> bytes:
    signer, keys = signed_by
    manifest = Manifest(
        origin=keys.origin,
        start=cut.start,
        end=cut.end,
        generation=1,
        root=keys.open(cut.note, own=True).root,
        checkpoint=cut.note,
        files=files,
        previous=previous,
        retired=Retired(*removed.counts(cut.start, cut.end)),
    )
    return sign_manifest(manifest, signer)
