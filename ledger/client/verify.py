"""Verifies a log from its static files: every entry, the chain, every tile, the newest checkpoint, what was kept elsewhere."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ledger.client.sources import CHECKPOINT, Source
from ledger.core.chain import Stored, looking_ahead
from ledger.core.checkpoint import parse_checkpoint
from ledger.core.errors import LedgerError
from ledger.core.keyhistory import handovers, parse_history
from ledger.core.merkle import HASH_BYTES, leaf_hash, root_of
from ledger.core.note import VerifierKey, parse_note
from ledger.core.report import Findings, Kind, Report
from ledger.core.stretch import STRETCH_ENTRIES
from ledger.core.tiles import ENTRIES, TILE_WIDTH, Level, encode_bundle, parse_bundle, parse_tile, tile_path
from ledger.core.verification import Verification
from ledger.core.verify import Pin, Verifier

UNREAD = "the tile is not there; its hashes follow from the entries"

SAVE_STRETCHES = 96

Progress = Callable[[int, int], None]
Keep = Callable[[dict[str, Any]], None]


def verify_source(
    source: Source,
    *,
    vkey: VerifierKey,
    own_key: bool = False,
    pins: Iterable[Pin | bytes] = (),
    receipts: Iterable[bytes] = (),
    progress: Progress | None = None,
    since: Verification | None = None,
    keep: Keep | None = None,
) -> Report:
    """Verify a log as anyone may who can read its files.

    Args:
        source: where to read.
        vkey: any verifier key of the log.
        own_key: the key is the log's own word, got from nowhere else.
        pins: checkpoints kept elsewhere.
        receipts: receipts kept elsewhere.
        progress: told entries done and in all.
        since: the record of a verification to begin from; whoever gives it believes it. Tiles before it are not read.
        keep: told the state, for a record: again and again, and last at the beginning of the last stretch.

    Raises:
        LedgerError: the source has no checkpoint; or the record is of no use for this log.
        OSError: a file is there and cannot be read.
        UnreachableError, ProblemError: of a running ledger.
    """
    note = source.checkpoint()
    first, handed = _keys(source, vkey)
    verifier = Verifier(
        first,
        pins=pins,
        receipts=receipts,
        own_key=own_key,
        joined=since.joined() if since else None,
        rested=since.rested() if since else None,
        handovers=handed,
        known=vkey,
    )
    try:
        size = parse_checkpoint(parse_note(note).text).size
    except LedgerError as error:
        verifier.findings.add(Kind.ALTERED, CHECKPOINT, error.detail, 0)
        return verifier.finish()
    reader = _Tiles(source, size, verifier.findings, verifier.size)
    for number, stored in enumerate(looking_ahead(reader.stretches())):
        last = stored.start + len(stored.entries) >= size
        if keep is not None and (last or number % SAVE_STRETCHES == SAVE_STRETCHES - 1):
            keep({"verifier": verifier.state()})
        verifier.add(stored)
        if progress is not None:
            progress(verifier.size, size)
    if verifier.size < size:
        verifier.skip(size)
    reader.check_upper_levels()
    verifier.end_with(note)
    return verifier.finish()


def _keys(source: Source, known: VerifierKey) -> tuple[VerifierKey, Sequence[bytes]]:
    """The log's first key, and the checkpoints that two of its keys signed; of a proof that does not hold, nothing is taken."""
    proof = source.key_proof()
    if proof is None:
        return known, ()
    try:
        return parse_history(proof, known).first, handovers(proof)
    except LedgerError:
        return known, ()


class _Tiles:
    """Reads bundles and tiles of a tree of one size, and checks the tiles against each other."""

    def __init__(self, source: Source, size: int, findings: Findings, base: int) -> None:
        self._source, self._size, self._findings, self._base = source, size, findings, base
        # Of each full tile of hashes: its root, as the entries say and as the tile itself says.
        self._roots: list[set[bytes]] = []
        self._whole = base == 0  # the tiles above are over all of them

    def stretches(self) -> Iterator[Stored]:
        """The entries and their hashes. Ends where a whole stretch is missing: a size is easily claimed."""
        for start in range(self._base, self._size, STRETCH_ENTRIES):
            entries: list[bytes | None] = []
            hashes: list[bytes | None] = []
            for n in range(start // TILE_WIDTH, -(-min(start + STRETCH_ENTRIES, self._size) // TILE_WIDTH)):
                bundle = self._bundle(n)
                entries += bundle
                hashes += self._hashes(n, bundle)
            if not any(entries):
                self._whole = False
                return
            yield Stored(start, entries, hashes)

    def check_upper_levels(self) -> None:
        """Compare every tile above level 0 with the roots of the tiles below it."""
        level, below = 1, self._roots
        while self._whole and below:
            tiles = range(0, len(below), TILE_WIDTH)
            read = [self._compare(level, at // TILE_WIDTH, below[at : at + TILE_WIDTH]) for at in tiles]
            level, below = level + 1, [{root_of(hashes)} for hashes in read if len(hashes) == TILE_WIDTH]

    def _compare(self, level: int, n: int, possible: Sequence[set[bytes]]) -> list[bytes]:
        """The hashes of a tile; those that follow from below where it is not there."""
        path = tile_path(level, n, len(possible))
        data = self._read(level, n, len(possible))
        try:
            hashes = [min(roots) for roots in possible] if data is None else parse_tile(data, len(possible))
        except LedgerError as error:
            self._findings.add(Kind.ALTERED, path, error.detail)
            return [min(roots) for roots in possible]
        if data is None:
            self._findings.add(Kind.MISSING, path, UNREAD)
        elif not all(digest in roots for digest, roots in zip(hashes, possible, strict=True)):
            self._findings.add(Kind.ALTERED, path, "its hashes are not the roots of the tiles below it")
        return hashes

    def _width(self, n: int) -> int:
        return min(TILE_WIDTH, self._size - n * TILE_WIDTH)

    def _bundle(self, n: int) -> list[bytes | None]:
        width, data = self._width(n), self._read(ENTRIES, n, self._width(n))
        if data is not None:
            try:
                return list(parse_bundle(data, width))
            except LedgerError as error:
                path = tile_path(ENTRIES, n, width)
                self._findings.add(Kind.ALTERED, path, error.detail, n * TILE_WIDTH)
        return [None] * width

    def _hashes(self, n: int, bundle: Sequence[bytes | None]) -> list[bytes | None]:
        """The tile of level 0; what its entries say where there is none, which is reported."""
        width, data = self._width(n), self._read(0, n, self._width(n))
        computed = [None if entry is None else leaf_hash(entry) for entry in bundle]
        hashes, path = computed, tile_path(0, n, width)
        if data is None:
            self._findings.add(Kind.MISSING, path, UNREAD)
        else:
            try:
                hashes = [*parse_tile(data, width)]
            except LedgerError as error:
                self._findings.add(Kind.ALTERED, path, error.detail)
        if width == TILE_WIDTH:
            known = [[digest for digest in digests if digest] for digests in (computed, hashes)]
            roots = {root_of(digests) for digests in known if len(digests) == width}
            self._roots.append(roots)
            self._whole = self._whole and bool(roots)
        return hashes

    def _read(self, level: Level, n: int, width: int) -> bytes | None:
        """A tile of this width, or the beginning of a wider one: a log may drop partial tiles that became full."""
        data = self._source.tile(tile_path(level, n, width))
        if data is not None or width == TILE_WIDTH:
            return data
        data = self._source.tile(tile_path(level, n))
        if data is None or level != ENTRIES:
            return None if data is None else data[: width * HASH_BYTES]
        try:
            return encode_bundle(parse_bundle(data, TILE_WIDTH)[:width])
        except LedgerError:
            return data
