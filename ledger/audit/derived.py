"""What a segment repeats of its entries, to be found faster: hashes, id keys, facts, tiles, own entries. Compared with the entries."""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from ledger.audit.readonly import UnreadableError
from ledger.audit.sealed import Sealed
from ledger.core.chain import Stored
from ledger.core.entry import OWN_SUBMITTER, parse_entry
from ledger.core.errors import LedgerError
from ledger.core.merkle import HASH_BYTES, leaf_hash, root_of
from ledger.core.report import Findings, Kind
from ledger.core.tiles import TILE_WIDTH
from ledger.storage.checking import FORGETTABLE, KEY_BYTES, id_key
from ledger.storage.facts import Facts
from ledger.storage.manifest import FACTS, HASHES, KEYS, TILES

OWN_END = f'"submitter":"{OWN_SUBMITTER}","v":1}}'.encode()
NOT_THOSE = "it is not made of the entries"


class Piece(NamedTuple):
    """Rows of one segment within a stretch: the entries [low, high), in order and each there once."""

    sealed: Sealed
    low: int
    high: int
    entries: Sequence[bytes | None]
    hashes: Sequence[bytes | None]
    ids: Sequence[str | None]


class Derived:
    """Compares pieces. One for each process: it has a database in memory to project with."""

    def __init__(self) -> None:
        self._facts: Facts | None = None

    def check(self, piece: Piece, stored: Stored, findings: Findings) -> None:
        """Compare what a segment repeats of a piece, which is a part of a stretch, with the piece."""
        self._try(self._check_hashes, piece, findings)
        self._try(self._check_keys, piece, findings)
        self._try(self._check_own, piece, findings)
        self._try(self._check_facts, piece, findings)
        try:
            _check_tiles(piece, stored, findings)
        except UnreadableError as error:
            findings.add(Kind.UNVERIFIABLE, f"entries {piece.low} to {piece.high - 1}", str(error), piece.low)

    @staticmethod
    def _try(check: object, piece: Piece, findings: Findings) -> None:
        try:
            check(piece, findings)  # type: ignore[operator]
        except UnreadableError as error:
            findings.add(Kind.UNVERIFIABLE, f"entries {piece.low} to {piece.high - 1}", str(error), piece.low)

    @staticmethod
    def _check_hashes(piece: Piece, findings: Findings) -> None:
        stored = _slice(piece, HASHES, HASH_BYTES)
        if stored != b"".join(digest or b"" for digest in piece.hashes):
            _name_different(piece, HASHES, stored, [*map(_hash, piece.hashes, piece.entries)], findings)

    @staticmethod
    def _check_keys(piece: Piece, findings: Findings) -> None:
        stored = _slice(piece, KEYS, KEY_BYTES)
        # Of a retired entry the key is what remains of its id: nothing is left to compare it with.
        expected = [
            stored[at * KEY_BYTES : (at + 1) * KEY_BYTES] if record_id is None else id_key(record_id)
            for at, record_id in enumerate(piece.ids)
        ]
        if stored != b"".join(expected):
            _name_different(piece, KEYS, stored, expected, findings)

    @staticmethod
    def _check_own(piece: Piece, findings: Findings) -> None:
        kept = piece.sealed.own()
        for seq, entry in enumerate(piece.entries, piece.low):
            apart = kept.get(seq)
            if apart is None and (entry is None or not entry.endswith(OWN_END) or _forgettable(entry)):
                continue
            if apart != entry:
                where = f"{piece.sealed.found.name}/own.jsonl, entry {seq}"
                findings.add(Kind.ALTERED, where, NOT_THOSE, seq)

    def _check_facts(self, piece: Piece, findings: Findings) -> None:
        if self._facts is None:
            self._facts = Facts()
        start = piece.sealed.start
        columns = piece.sealed.columns(FACTS, self._facts.schema)
        stored = columns.read(piece.low - start, piece.high - start).select(self._facts.schema.names)
        seqs = pa.array(range(piece.low, piece.high), pa.uint64())
        entries = pa.array(piece.entries, pa.binary())
        try:
            made = self._facts.of(pa.table({"seq": seqs, "entry": entries.cast(pa.string())}))
        except (LedgerError, pa.ArrowException) as error:
            where = f"{piece.sealed.found.name}/facts.parquet, entries {piece.low} to {piece.high - 1}"
            findings.add(Kind.UNVERIFIABLE, where, f"they cannot be made anew: {error}", piece.low)
            return
        if not stored.combine_chunks().equals(made.cast(stored.schema)):
            _name_facts(piece, stored, made, findings)

    def close(self) -> None:
        """Let the database go."""
        if self._facts is not None:
            self._facts.close()


def _forgettable(entry: bytes) -> bool:
    try:
        return parse_entry(entry).members.get("type") == FORGETTABLE
    except LedgerError:
        return True  # it is reported as what it is


def _slice(piece: Piece, role: str, width: int) -> bytes:
    data, start = piece.sealed.small(role), piece.sealed.start
    return data[(piece.low - start) * width : (piece.high - start) * width]


def _name_different(
    piece: Piece, role: str, stored: bytes, expected: Sequence[bytes | None], findings: Findings
) -> None:
    width = KEY_BYTES if role == KEYS else HASH_BYTES
    for at, value in enumerate(expected):
        if stored[at * width : (at + 1) * width] != value:
            where = f"{piece.sealed.found.name}/{role}, entry {piece.low + at}"
            findings.add(Kind.ALTERED, where, NOT_THOSE, piece.low + at)
            return  # of a file that was cut all others are wrong too


def _name_facts(piece: Piece, stored: pa.Table, made: pa.Table, findings: Findings) -> None:
    where = f"{piece.sealed.found.name}/facts.parquet"
    if stored.num_rows != made.num_rows:
        detail = f"{stored.num_rows} rows stand in the place of {made.num_rows} entries"
        findings.add(Kind.ALTERED, f"{where}, entry {piece.low}", detail, piece.low)
        return
    for at in range(made.num_rows):
        left, right = stored.slice(at, 1), made.slice(at, 1)
        if not left.combine_chunks().equals(right.combine_chunks()):
            names = [
                name
                for name in made.column_names
                if left.column(name).to_pylist() != right.column(name).to_pylist()
            ]
            detail = "it is not what the entry says"
            findings.add(
                Kind.ALTERED, f"{where}, {', '.join(names)} of entry {piece.low + at}", detail, piece.low + at
            )


def _hash(stored: bytes | None, entry: bytes | None) -> bytes | None:
    """The leaf hash; of an entry whose bytes and stored hash differ, which is reported as what it is, that of its bytes."""
    return stored if entry is None else leaf_hash(entry)


def _check_tiles(piece: Piece, stored: Stored, findings: Findings) -> None:
    """The roots of the tiles whose last entry is in the piece. A stretch begins with a tile."""
    data, first = piece.sealed.small(TILES), piece.sealed.start // TILE_WIDTH
    said = stored.hashes or [None] * len(stored.entries)
    for tile in range(piece.low // TILE_WIDTH, piece.high // TILE_WIDTH):
        part = slice(tile * TILE_WIDTH - stored.start, (tile + 1) * TILE_WIDTH - stored.start)
        root = data[(tile - first) * HASH_BYTES : (tile - first + 1) * HASH_BYTES]
        if root == _root(said[part]):
            continue
        made = _root([*map(_hash, said[part], stored.entries[part])])
        if made is not None and root != made:
            where = f"{piece.sealed.found.name}/tiles, tile {tile}"
            findings.add(Kind.ALTERED, where, NOT_THOSE, tile * TILE_WIDTH)
    extra = len(data) - (piece.sealed.end // TILE_WIDTH - first) * HASH_BYTES
    if piece.high == piece.sealed.end and extra > 0:
        findings.add(
            Kind.ALTERED, f"{piece.sealed.found.name}/tiles", f"{extra} bytes more than there are tiles"
        )


def _root(leaves: Sequence[bytes | None]) -> bytes | None:
    return None if None in leaves else root_of(leaves)  # type: ignore[arg-type]
