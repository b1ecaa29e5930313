"""A sealed segment, read. What its layout is: docs/storage.md."""

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.merkle import HASH_BYTES
from ledger.core.tiles import TILE_WIDTH
from ledger.storage.checking import KEY_BYTES
from ledger.storage.contents import NO_CONTENTS, parse_contents
from ledger.storage.manifest import (
    CONTENTS,
    ENTRIES,
    HASHES,
    KEYS,
    OWN,
    TILES,
    Manifest,
    generation_of,
    manifest_name,
    open_manifest,
)
from ledger.storage.parquet import CONTENTS_SCHEMA, ENTRY_SCHEMA, GROUP_ROWS, ParquetReader
from ledger.storage.schema import ROW_SCHEMA, Known
from ledger.storage.synced import digest_of, pieces, size_of

Fetch = Callable[[Path], Path]
MAX_MANIFEST_BYTES: Final = 1_000_000
# What to do where a file is not in its folder.
MOVED: Final = (
    "if it was moved to an object store, name that: --objects s3://bucket/prefix, or AGENT_LEDGER_OBJECTS"
)


class Segment:
    """The entries [start, end), from files that do not change. Safe to use from any thread.

    Attributes:
        folder: where it stands.
        manifest: the one in force when it was opened.
        start: the first entry.
        end: the entry after the last.
    """

    def __init__(self, folder: Path, manifest: Manifest, fetch: Fetch | None) -> None:
        self.folder, self.manifest = folder, manifest
        self.start, self.end = manifest.start, manifest.end
        self._fetch = fetch
        self._entries: ParquetReader | None = None
        self._contents: Contents | None = None

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        keys: KeyHistory | None,
        origin: str,
        fetch: Fetch | None = None,
    ) -> "Segment":
        """Read the newest manifest, and see that each file is there and has its length. What is in them, reading tells.

        Args:
            folder: of the segment.
            keys: the log's keys; None checks no signature.
            origin: the log's.
            fetch: brings a file that is not in the folder; what it brings is compared with the manifest before it is read.

        Raises:
            LedgerError: `storage-failed`, with what is wrong and where.
        """
        try:
            newest = max((generation_of(path.name) or 0 for path in folder.iterdir()), default=0)
            path = folder / manifest_name(newest)
            if not newest:
                _damaged(folder, "it has no manifest")
            if size_of(path) > MAX_MANIFEST_BYTES:
                _damaged(path, "it is too long for a manifest")
            manifest = open_manifest(b"".join(pieces(path)), keys, origin)
            if manifest.generation != newest:
                _damaged(path, f"it is the manifest of generation {manifest.generation}")
            if folder.name.isdecimal() and int(folder.name) != manifest.start:
                _damaged(path, f"it is the manifest of the segment that begins at entry {manifest.start}")
            for name, info in manifest.files.items():
                _check_size(folder / name, info.bytes, required=fetch is None)
        except OSError as error:
            _damaged(folder, str(error))
        return cls(folder, manifest, fetch)

    def check_signature(self, keys: KeyHistory) -> None:
        """Check the signatures on its manifest, where it was opened before the log's keys were known.

        Raises:
            LedgerError: `storage-failed`.
        """
        path = self.folder / manifest_name(self.manifest.generation)
        try:
            if open_manifest(b"".join(pieces(path)), keys, keys.origin) != self.manifest:
                _damaged(path, "it changed while it was read")
        except OSError as error:
            _damaged(path, str(error))

    def close(self) -> None:
        """Let its files go."""
        if self._entries is not None:
            self._entries.close()
        if self._contents is not None:
            self._contents.reader.close()

    # -- files -----------------------------------------------------------------------------------------------------

    def path(self, role: str) -> Path:
        """Where the file in the place of `role` (`entries.parquet` …) stands; it is fetched where it is not here.

        Raises:
            LedgerError: `storage-failed`.
        """
        name = self.manifest.file(role)
        path = self.folder / name
        if self._fetch is None or path.exists():
            return path
        fetched = self._fetch(path)
        try:
            if digest_of(fetched) != self.manifest.files[name]:
                _damaged(fetched, f"what was fetched as {path} is not what the manifest names")
        except OSError as error:
            _damaged(fetched, str(error))
        return fetched

    def digest_mismatches(self) -> list[str]:
        """Which files are not what the manifest names, and how: every byte is read, at the speed of SHA-256."""
        found = []
        for name, info in self.manifest.files.items():
            path = self.folder / name
            try:
                size_of(path)
                if digest_of(path) != info:
                    found.append(f"{path}: its bytes are not those that the manifest names")
            except FileNotFoundError:
                if self._fetch is None:
                    found.append(f"{path}: it is gone")
            except OSError as error:
                found.append(f"{path}: {error}")
            except LedgerError as error:
                found.append(error.detail)
        return found

    def _small(self, role: str) -> bytes:
        path = self.path(role)
        try:
            data = b"".join(pieces(path))
        except OSError as error:
            _damaged(path, str(error))
        expected = self.manifest.files[self.manifest.file(role)]
        if len(data) != expected.bytes:
            _damaged(path, f"it has {len(data)} bytes, which are not those that the manifest names")
        if sha256(data).hexdigest() != expected.sha256:  # what is held and what is gone is read from here
            _damaged(path, "its bytes are not those that the manifest names")
        return data

    # -- rows ------------------------------------------------------------------------------------------------------

    def _rows_of(self) -> ParquetReader:
        if self._entries is None:
            reader = self._reader(ENTRIES, ENTRY_SCHEMA)
            count = self.end - self.start
            expected = [min(GROUP_ROWS, count - low) for low in range(0, count, GROUP_ROWS)]
            if reader.rows() != expected:
                raise reader.damaged(f"its row groups are not those of {count} entries")
            self._entries = reader
        return self._entries

    def _contents_of(self) -> "Contents":
        if self._contents is None:
            self._contents = Contents(self._reader(CONTENTS, CONTENTS_SCHEMA))
        return self._contents

    def _reader(self, role: str, schema: pa.Schema) -> ParquetReader:
        path = self.folder / self.manifest.file(role)
        return ParquetReader(path, schema, find=None if self._fetch is None else lambda: self.path(role))

    def _clipped(self, low: int, high: int) -> Iterator[tuple[int, int, int]]:
        """The row groups with entries [low, high): group, and from where to where in it."""
        low, high = max(low, self.start) - self.start, min(high, self.end) - self.start
        for group in range(low // GROUP_ROWS, -(-high // GROUP_ROWS) if high > low else 0):
            first = group * GROUP_ROWS
            yield group, max(low - first, 0), min(high - first, GROUP_ROWS)

    def _group(self, group: int, *, keep: bool) -> pa.Table:
        reader = self._rows_of()
        table = reader.kept(group) if keep else reader.read(group)
        first = self.start + group * GROUP_ROWS
        seqs = table.column("seq")
        if (seqs[0].as_py(), seqs[-1].as_py()) != (first, first + table.num_rows - 1):
            raise reader.damaged(f"row group {group} does not begin with entry {first}")
        return table

    def rows(self, low: int, high: int, *, contents: bool = True) -> Iterator[pa.RecordBatch]:
        """Rows [low, high) in order, as far as they are here (`ROW_SCHEMA`), at most 2,048 rows and 32 MiB of contents at a time.

        A retired entry has neither `id` nor `entry`. Without `contents` their texts hold none.

        Raises:
            LedgerError: `storage-failed`.
        """
        for group, first, last in self._clipped(low, high):
            table = self._group(group, keep=False).slice(first, last - first)
            begin = self.start + group * GROUP_ROWS + first
            if not contents:
                yield _with_contents(table, CONTENTS_SCHEMA.empty_table())
                continue
            for upto, part in self._contents_of().parts(begin, begin + table.num_rows):
                piece, table = table.slice(0, upto - begin), table.slice(upto - begin)
                begin = upto
                yield _with_contents(piece, part)

    def row(self, seq: int) -> tuple[Any, ...] | None:
        """One row, by the columns of `ROW_SCHEMA`; None where it is not here.

        Raises:
            LedgerError: `storage-failed`.
        """
        for group, place, _ in self._clipped(seq, seq + 1):
            table = self._group(group, keep=True)
            found = {name: table.column(name)[place].as_py() for name in ENTRY_SCHEMA.names}
            found["contents"] = self._contents_of().text(seq)
            return tuple(found[name] for name in ROW_SCHEMA.names)
        return None

    def known(self, seqs: Sequence[int]) -> dict[int, Known]:
        """Entries and the salts stored with them, by seq; what is not here is not in it. A retired one is empty bytes.

        Raises:
            LedgerError: `storage-failed`.
        """
        found = {}
        for seq in sorted(set(seqs)):
            row = self.row(seq)
            if row is not None:
                _, leaf_hash, _, entry, contents, _ = row
                found[seq] = Known(leaf_hash, (entry or "").encode(), self._salts(seq, contents))
        return found

    def _salts(self, seq: int, contents: str) -> dict[str, bytes]:
        try:
            return {content.member: content.salt for content in parse_contents(contents)}
        except ValueError as error:
            raise self._contents_of().reader.damaged(
                f"the contents of entry {seq} were altered ({error})"
            ) from None

    def entries(self, low: int, high: int) -> list[bytes]:
        """Canonical bytes of the entries [low, high), as far as they are here.

        Raises:
            LedgerError: `retired`, naming the first that is; `storage-failed`.
        """
        found: list[bytes] = []
        for group, first, last in self._clipped(low, high):
            column = self._group(group, keep=True).column("entry").slice(first, last - first)
            for place, entry in enumerate(column.cast(pa.binary()).to_pylist()):
                if entry is None:
                    seq = self.start + group * GROUP_ROWS + first + place
                    raise LedgerError(
                        Code.RETIRED, f"entry {seq} was retired by policy: its hash is left of it", seq=seq
                    )
                found.append(entry)
        return found

    def ids(self) -> Iterator[tuple[str, int]]:
        """The ids of all entries that are not retired, with their sequence numbers.

        Raises:
            LedgerError: `storage-failed`.
        """
        for group, _, _ in self._clipped(self.start, self.end):
            table = self._rows_of().read(group, ["seq", "id"])
            pairs = zip(table.column("id").to_pylist(), table.column("seq").to_pylist(), strict=True)
            yield from ((record_id, seq) for record_id, seq in pairs if record_id is not None)

    # -- small files -------------------------------------------------------------------------------------------------

    def hashes(self, low: int, high: int) -> list[bytes]:
        """Leaf hashes of the entries [low, high), as far as they are here.

        Raises:
            LedgerError: `storage-failed`.
        """
        low, high = max(low, self.start), min(high, self.end)
        if low >= high:
            return []
        path, size = self.path(HASHES), (high - low) * HASH_BYTES
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                data = os.pread(fd, size, (low - self.start) * HASH_BYTES)
            finally:
                os.close(fd)
        except OSError as error:
            _damaged(path, str(error))
        if len(data) != size:
            _damaged(path, f"it ends before the hash of entry {high - 1}")
        return [data[at : at + HASH_BYTES] for at in range(0, size, HASH_BYTES)]

    def tile_roots(self) -> bytes:
        """The roots of the tiles whose last entry is here, one after the other.

        Raises:
            LedgerError: `storage-failed`.
        """
        return self._sized(TILES, (self.end // TILE_WIDTH - self.start // TILE_WIDTH) * HASH_BYTES)

    def id_keys(self) -> bytes:
        """The keys of all ids, 8 bytes an entry, those of retired entries too: see `ledger.storage.ids`.

        Raises:
            LedgerError: `storage-failed`.
        """
        return self._sized(KEYS, (self.end - self.start) * KEY_BYTES)

    def own_entries(self) -> list[bytes]:
        """The log's own entries here, in order, all but `log.query_run`.

        Raises:
            LedgerError: `storage-failed`.
        """
        return self._small(OWN).split(b"\n")[:-1]

    def _sized(self, role: str, size: int) -> bytes:
        data = self._small(role)
        if len(data) != size:
            _damaged(self.folder / self.manifest.file(role), f"it has {len(data)} bytes, not {size}")
        return data


class Contents:
    """The contents file, by entry."""

    def __init__(self, reader: ParquetReader) -> None:
        self.reader = reader
        self._bounds = reader.bounds()
        if any(after[0] <= before[1] for before, after in pairwise(self._bounds)):
            raise reader.damaged("its row groups are not in order")

    def parts(self, low: int, high: int) -> Iterator[tuple[int, pa.Table]]:
        """The contents of [low, high) piece by piece: up to before which entry, and the rows."""
        groups = [g for g, (first, last) in enumerate(self._bounds) if first < high and last >= low]
        for group in groups[:-1]:
            yield self._bounds[group][1] + 1, self.reader.read(group)
        yield high, self.reader.read(groups[-1]) if groups else CONTENTS_SCHEMA.empty_table()

    def text(self, seq: int) -> str:
        """The text of one entry's contents."""
        group = bisect_left([last for _, last in self._bounds], seq)
        if group == len(self._bounds) or seq < self._bounds[group][0]:
            return NO_CONTENTS
        table = self.reader.kept(group)
        place = pc.index(table.column("seq"), pa.scalar(seq, pa.uint64())).as_py()
        return NO_CONTENTS if place < 0 else str(table.column("contents")[place].as_py())


def _with_contents(table: pa.Table, contents: pa.Table) -> pa.RecordBatch:
    places = pc.index_in(table.column("seq"), value_set=contents.column("seq"))
    texts = pc.fill_null(pc.take(contents.column("contents"), places), NO_CONTENTS)
    columns = {**{name: table.column(name) for name in ENTRY_SCHEMA.names}, "contents": texts}
    whole = pa.Table.from_arrays([columns[name] for name in ROW_SCHEMA.names], schema=ROW_SCHEMA)
    return whole.combine_chunks().to_batches()[0]


def _check_size(path: Path, expected: int, *, required: bool) -> None:
    try:
        size = size_of(path)
    except FileNotFoundError:
        if required:
            _damaged(path, f"it is gone; {MOVED}")
        return
    if size != expected:
        _damaged(path, f"it has {size} bytes, and the manifest names {expected}")


def _damaged(path: Path, why: str) -> NoReturn:
    raise LedgerError(
        Code.STORAGE_FAILED,
        f"{path} cannot be read: {why}. Run `agent-ledger verify`; put the file back from a backup",
    )
