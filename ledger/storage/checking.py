"""What was written of a segment, re-read from the disk and checked against the log before anybody relies on it."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import chain, pairwise, repeat
from operator import getitem
from typing import Any, Final, NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from ledger.core.checkpoint import parse_checkpoint
from ledger.core.entry import OWN_SUBMITTER
from ledger.core.errors import Code, LedgerError
from ledger.core.merkle import HASH_BYTES, Frontier, root_of
from ledger.core.note import parse_note
from ledger.core.tiles import TILE_WIDTH
from ledger.records.columns import column_name
from ledger.records.members import CONTENTS
from ledger.storage.contents import parse_columns
from ledger.storage.parquet import CONTENTS_SCHEMA, FACT_GROUP_ROWS, ParquetReader

KEY_BYTES: Final = 8
NO_KEY: Final = bytes(KEY_BYTES)
FORGETTABLE: Final = "log.query_run"  # the log's own entries that may be retired
_PREV: Final = slice(len('{"prev":"'), len('{"prev":"') + 2 * HASH_BYTES)
_RECORDED: Final = b',"recorded_at":"'
_RECORDED_CHARACTERS: Final = len(_RECORDED) + len('2026-11-21T09:30:00.123456Z",')
_CHUNK_BYTES: Final = 24 * 1024 * 1024


def id_key(record_id: str) -> bytes:
    """What the id index knows an id by: the first 8 bytes of its SHA-256."""
    return sha256(record_id.encode()).digest()[:KEY_BYTES]


def differs(where: str, what: str) -> NoReturn:
    """Refuse what was written.

    Raises:
        LedgerError: `storage-failed`.
    """
    raise LedgerError(
        Code.STORAGE_FAILED, f"{where}: {what}; nothing was sealed, and what was to be sealed is untouched"
    )


def chunks(reader: ParquetReader) -> Iterator[pa.Table]:
    """A file's rows, some row groups at a time: as many as one projection takes."""
    pending: list[pa.Table] = []
    for group in range(len(reader.rows())):
        pending.append(reader.read(group))
        rows, size = (sum(getattr(table, what) for table in pending) for what in ("num_rows", "nbytes"))
        if rows >= FACT_GROUP_ROWS or size >= _CHUNK_BYTES:
            yield pa.concat_tables(pending).combine_chunks()
            pending = []
    if pending:
        yield pa.concat_tables(pending).combine_chunks()


class Chain:
    """Follows re-read rows from `start` on: seq, leaf hash, prev, checkpoints. Gathers what is derived of them.

    Attributes:
        next: the seq of the next row.
        hashes: all leaf hashes, one after the other.
        tiles: the roots of the tiles that end here.
        own: the log's own entries but those that may be retired, one a line.
        frontier: of the log after the last row; None where nothing was given to begin with.
    """

    def __init__(
        self, name: str, start: int, origin: str, before: Sequence[bytes] | None, frontier: Frontier | None
    ) -> None:
        """Begin at `start`.

        Args:
            name: of the file, for what is told of it.
            start: the first row's seq.
            origin: the log's.
            before: the leaf hashes of entries [start - max(1, start % 256), start), none for start 0; or None: then what the first entry
                follows is not checked, and there are no tiles.
            frontier: of the log of size `start`, where roots are to be compared with the checkpoints.
        """
        self.next = start
        self.hashes, self.tiles, self.own = bytearray(), bytearray(), bytearray()
        self.frontier = frontier
        self.checkpoint: bytes | None = None
        self._name, self._origin = name, origin
        self._prev: bytes | None = None
        self._open: list[bytes] | None = None
        if before is not None:
            if len(before) != (max(1, start % TILE_WIDTH) if start else 0):
                differs(name, f"{len(before)} hashes before entry {start} are not what completes its tile")
            self._prev = before[-1] if before else bytes(HASH_BYTES)
            self._open = list(before[-(start % TILE_WIDTH) :]) if start % TILE_WIDTH else []

    def follow(self, table: pa.Table) -> list[bytes | None]:
        """Check the next rows; returns their entries' bytes."""
        entries: list[bytes | None] = table.column("entry").cast(pa.binary()).to_pylist()
        hashes: list[bytes] = table.column("hash").to_pylist()
        low, self.next = self.next, self.next + table.num_rows
        if table.column("seq").to_pylist() != list(range(low, self.next)):
            differs(self._name, f"entries {low} to {self.next - 1} are not there one after the other")
        for seq, entry, digest in zip(range(low, self.next), entries, hashes, strict=True):
            if entry is not None:
                self._check(seq, entry, digest)
            elif digest is None or len(digest) != HASH_BYTES:
                differs(self._name, f"entry {seq} has no leaf hash")
            self._prev = digest
        self._grow(low, hashes, table.column("checkpoint"))
        return entries

    def _check(self, seq: int, entry: bytes, digest: bytes) -> None:
        if sha256(b"\x00" + entry).digest() != digest:
            differs(self._name, f"the bytes of entry {seq} do not have the hash that the log signed")
        if self._prev is not None and entry[_PREV] != self._prev.hex().encode():
            differs(self._name, f"entry {seq} does not follow entry {seq - 1}: its prev is another hash")
        if not entry.startswith(b'"seq":%d,' % seq, entry.rfind(_RECORDED) + _RECORDED_CHARACTERS):
            differs(self._name, f"the entry stored as {seq} says another place of itself")

    def _grow(self, low: int, hashes: list[bytes], notes: pa.ChunkedArray) -> None:
        self.hashes += b"".join(hashes)
        if self._open is not None:
            self._open += hashes
            while len(self._open) >= TILE_WIDTH:
                self.tiles += root_of(self._open[:TILE_WIDTH])
                del self._open[:TILE_WIDTH]
        done = low
        for place in pc.indices_nonzero(pc.is_valid(notes)).to_pylist():
            size = low + place + 1
            self.checkpoint = notes[place].as_py().encode()
            noted = parse_checkpoint(parse_note(self.checkpoint).text)
            if (noted.origin, noted.size) != (self._origin, size):
                differs(
                    self._name, f"the checkpoint on entry {size - 1} is of another log or size: {noted.size}"
                )
            if self.frontier is not None:
                self.frontier.extend(hashes[done - low : size - low])
                if self.frontier.root() != noted.root:
                    differs(self._name, f"the entries before {size} do not have the root that was signed")
            done = size
        if self.frontier is not None:
            self.frontier.extend(hashes[done - low :])

    def keep_own(self, entries: Sequence[bytes | None], facts: pa.Table) -> None:
        """Take the log's own entries out of rows that were followed."""
        owns = pc.fill_null(pc.equal(facts.column("submitter"), OWN_SUBMITTER), False)
        for place in pc.indices_nonzero(owns).to_pylist():
            entry = entries[place]
            if entry is not None and facts.column("type")[place].as_py() != FORGETTABLE:
                self.own += entry + b"\n"


def check_ids(name: str, low: int, table: pa.Table, facts: pa.Table) -> list[str | None]:
    """Compare the ids beside the entries with those in them; returns them.

    Args:
        name: of the file.
        low: the first row's seq.
        table: rows.
        facts: their facts.
    """
    ids: list[str | None] = table.column("id").to_pylist()
    said: list[str | None] = facts.column("id").to_pylist()
    if ids != said:
        at = first_difference(ids, said)
        differs(name, f"the id of entry {low + at} is {ids[at]!r}, and the entry says {said[at]!r}")
    return ids


class Committed:
    """What some entries, one after the other, commit to; `check` compares their contents with it."""

    def __init__(self, name: str, low: int, facts: pa.Table) -> None:
        """Of the entries from `low` on whose facts these are; `name` is the file with the contents."""
        self._name, self._low, self._facts = name, low, facts
        self._columns: dict[str, list[str | None]] = {}

    def _take(self, member: str) -> None:
        if member not in CONTENTS:
            differs(self._name, f"it has contents of {member[:100]!r}, which is none")
        self._columns[member] = self._facts.column(f"{column_name(member)}_commitment").to_pylist()

    def check(self, contents: pa.Table) -> None:
        """Check rows with `seq` and `contents`, all of these entries, in order."""
        seqs: list[int] = contents.column("seq").to_pylist()
        texts: list[bytes] = contents.column("contents").cast(pa.binary()).to_pylist()
        ends = [self._low - 1, *seqs, self._low + self._facts.num_rows]
        if any(later <= earlier for earlier, later in pairwise(ends)):
            differs(self._name, f"the contents from entry {seqs[0]} on are not in order")
        try:
            columns = parse_columns(texts)
        except ValueError as error:
            what = f"the contents of entries {seqs[0]} to {seqs[-1]} are not as the ledger writes them"
            differs(self._name, f"{what}: {error}")
        counts = [after - before for before, after in pairwise(columns.ends)]
        places = list(chain.from_iterable(map(repeat, [seq - self._low for seq in seqs], counts)))
        digests = [
            sha256(b"\x02" + salt + value).hexdigest()
            for salt, value in zip(columns.salts, columns.values, strict=True)
        ]
        for member in set(columns.members) - self._columns.keys():
            self._take(member)
        committed = list(map(getitem, map(self._columns.__getitem__, columns.members), places))
        if digests != committed:
            wrong = first_difference(digests, committed)
            where = f"the {columns.members[wrong]} of entry {self._low + places[wrong]}"
            differs(self._name, f"{where} is not what the entry commits to")
        # Entries that have contents have those of a few members, the same again and again.
        together = {tuple(columns.members[first:last]) for first, last in pairwise(columns.ends)}
        if any(len(set(members)) != len(members) for members in together):
            differs(self._name, f"of the entries {seqs[0]} to {seqs[-1]} one has a content twice")


def first_difference(these: Sequence[object], those: Sequence[object]) -> int:
    """The place of the first of two sequences' values that are not equal."""
    return next(at for at, (this, that) in enumerate(zip(these, those, strict=True)) if this != that)


class Merged:
    """Reads a contents file along with the entries.

    Attributes:
        count: how many rows it gave.
    """

    def __init__(self, reader: ParquetReader) -> None:
        self.count = 0
        self._tables = (reader.read(group) for group in range(len(reader.rows())))
        self._rest = CONTENTS_SCHEMA.empty_table()

    def until(self, high: int) -> Iterator[pa.Table]:
        """The next rows, as far as they are of entries before `high`."""
        while True:
            if not self._rest.num_rows:
                self._rest = next(self._tables, self._rest)
            low = pc.sum(pc.less(self._rest.column("seq"), high)).as_py() or 0
            if not low:
                return
            self.count += low
            piece, self._rest = self._rest.slice(0, low), self._rest.slice(low)
            yield piece


def table_digest(table: pa.Table) -> bytes:
    """SHA-256 over the values of a table, the same however Arrow has laid them out."""
    digest = sha256()
    for column in table.combine_chunks().columns:
        for chunk in column.chunks:
            _digest_array(digest, chunk)
    return digest.digest()


def _digest_array(digest: Any, array: pa.Array) -> None:
    """Which values are there, how long each is, and the values themselves. What stands where none is may be anything."""
    digest.update(b"%d" % len(array))
    _digest_buffer(digest, pc.cast(pc.is_valid(array), pa.uint8()))
    if pa.types.is_list(array.type):
        _digest_buffer(digest, pc.fill_null(pc.list_value_length(array), 0))
        _digest_array(digest, pc.list_flatten(array))
    elif pa.types.is_string(array.type):
        filled = pc.fill_null(array, "")
        _digest_buffer(digest, pc.binary_length(filled))
        offsets, data = (memoryview(buffer) if buffer else b"" for buffer in filled.buffers()[1:])
        ends = memoryview(offsets).cast("i")
        digest.update(data[ends[filled.offset] : ends[filled.offset + len(filled)]])
    else:
        zero = pa.scalar(0, pa.int64()).cast(array.type)
        _digest_buffer(digest, pc.fill_null(array, zero))


def _digest_buffer(digest: Any, array: pa.Array) -> None:
    width = array.type.bit_width // 8
    data = array.buffers()[1]
    if data is not None:
        digest.update(memoryview(data)[array.offset * width : (array.offset + len(array)) * width])
