"""Tiles and entry bundles (c2sp.org/tlog-tiles): the tree as immutable files of 256 hashes or entries.

Tile `n` of level `l` holds the roots of the complete subtrees of 256^l leaves from n * 256 on. A tile that is not full
yet is served under its width (`tile/0/000.p/5`), and only full tiles are hashed into the level above.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias

from ledger.core.errors import Code, FormatError, LedgerError
from ledger.core.merkle import HASH_BYTES, MAX_SIZE, Node, node_hash

TILE_WIDTH = 256
TILE_HEIGHT = 8
MAX_LEVEL = 63
ENTRIES: Literal["entries"] = "entries"
MAX_BUNDLE_ENTRY_BYTES = 2**16 - 1

Level: TypeAlias = int | Literal["entries"]
TileReader: TypeAlias = Callable[[int, int, int], bytes]

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<n>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


class Tile(NamedTuple):
    """Which tile: its level (0 to 63, or "entries"), its number in the level, and its width (1 to 256)."""

    level: Level
    n: int
    width: int = TILE_WIDTH


def tile_path(level: Level, n: int, width: int = TILE_WIDTH) -> str:
    """The path of a tile below a log's address, without a slash before it.

    Raises:
        LedgerError: `out-of-range`, when there can be no such tile.
    """
    if not (level == ENTRIES or (isinstance(level, int) and 0 <= level <= MAX_LEVEL)) or n < 0:
        raise LedgerError(Code.OUT_OF_RANGE, f"there is no tile {n} of level {level}")
    if not 1 <= width <= TILE_WIDTH:
        raise LedgerError(Code.OUT_OF_RANGE, f"a tile is 1 to {TILE_WIDTH} wide, not {width}")
    number = f"{n % 1000:03}"
    while n := n // 1000:
        number = f"x{n % 1000:03}/{number}"
    return f"tile/{level}/{number}" + (f".p/{width}" if width < TILE_WIDTH else "")


def parse_tile_path(path: str) -> Tile:
    """Read the path of a tile.

    Raises:
        FormatError: it is no such path, or not the only spelling of it.
    """
    match = _PATH.fullmatch(path)
    if match:
        level: Level = ENTRIES if match["level"] == ENTRIES else int(match["level"])
        n = int(match["n"].replace("x", "").replace("/", ""))
        width = int(match["width"] or TILE_WIDTH)
        possible = n < MAX_SIZE and width <= TILE_WIDTH and (level == ENTRIES or int(level) <= MAX_LEVEL)
        if possible and tile_path(level, n, width) == path:
            return Tile(level, n, width)
    raise FormatError(
        Code.MALFORMED_TILE, f"{path[:100]!r} is no path of a tile: tile/<level>/<n>[.p/<width>]"
    )


def tile_width(level: int, n: int, size: int) -> int:
    """How wide a tile is in the tree of this size: 256 when full, 0 when it does not exist."""
    return max(0, min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - n * TILE_WIDTH))


def tiles_for(size: int) -> Iterator[Tile]:
    """Every tile of hashes of the tree of this size, level by level, partial ones last in their level."""
    level = 0
    while count := size >> TILE_HEIGHT * level:
        yield from (Tile(level, n) for n in range(count // TILE_WIDTH))
        if rest := count % TILE_WIDTH:
            yield Tile(level, count // TILE_WIDTH, rest)
        level += 1


def bundles_for(size: int) -> Iterator[Tile]:
    """Every entry bundle of the log of this size."""
    yield from (Tile(ENTRIES, n) for n in range(size // TILE_WIDTH))
    if rest := size % TILE_WIDTH:
        yield Tile(ENTRIES, size // TILE_WIDTH, rest)


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries one after another, each after its length in two big-endian bytes.

    Raises:
        LedgerError: an entry is longer than two bytes can say, or there are not 1 to 256 of them.
    """
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise LedgerError(Code.OUT_OF_RANGE, f"a bundle holds 1 to {TILE_WIDTH} entries, not {len(entries)}")
    for entry in entries:
        if len(entry) > MAX_BUNDLE_ENTRY_BYTES:
            raise LedgerError(
                Code.ENTRY_TOO_LARGE,
                f"an entry of {len(entry)} bytes does not fit a bundle ({MAX_BUNDLE_ENTRY_BYTES})",
                size=len(entry),
                limit=MAX_BUNDLE_ENTRY_BYTES,
            )
    return b"".join([part for entry in entries for part in (len(entry).to_bytes(2, "big"), entry)])


def parse_bundle(data: bytes, width: int | None = None) -> list[bytes]:
    """The entries of a bundle.

    Args:
        data: the bundle.
        width: how many entries it must hold; 1 to 256 when None.

    Raises:
        FormatError: it ends in the middle of an entry, or holds another number of them.
    """
    entries: list[bytes] = []
    position = 0
    while position < len(data) and len(entries) <= TILE_WIDTH:
        start = position + 2
        position = start + int.from_bytes(data[position:start], "big")
        if start > len(data) or position > len(data):
            raise FormatError(
                Code.MALFORMED_TILE, f"the bundle ends in the middle of its entry {len(entries)}"
            )
        entries.append(data[start:position])
    if not 1 <= len(entries) <= TILE_WIDTH or (width is not None and len(entries) != width):
        raise FormatError(
            Code.MALFORMED_TILE, f"the bundle holds {len(entries)} entries, not {width or '1 to 256'}"
        )
    return entries


def parse_tile(data: bytes, width: int) -> list[bytes]:
    """The hashes of a tile.

    Raises:
        FormatError: it does not hold exactly `width` hashes.
    """
    if len(data) != width * HASH_BYTES:
        raise FormatError(
            Code.MALFORMED_TILE, f"a tile {width} wide is {width * HASH_BYTES} bytes, not {len(data)}"
        )
    return [data[start : start + HASH_BYTES] for start in range(0, len(data), HASH_BYTES)]


class TileHashes:
    """A `merkle.HashReader` over the tiles of one tree, each tile read once.

    The hashes are as true as the tiles are: whoever folds them must compare the outcome with a signed root.
    """

    def __init__(self, read_tile: TileReader, size: int) -> None:
        """A reader of the tree of this size.

        Args:
            read_tile: gives the bytes of the tile (level, n, width).
            size: the tree's size, of a signed checkpoint: it says how wide the last tiles are.
        """
        self._read_tile = read_tile
        self._size = size
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def __call__(self, nodes: Sequence[Node]) -> list[bytes]:
        """The hashes of complete subtrees (level, index).

        Raises:
            LedgerError: `out-of-range`, when the tree has no such subtree.
            FormatError: a tile has the wrong length.
        """
        return [self._node(level, index) for level, index in nodes]

    def _node(self, level: int, index: int) -> bytes:
        if level < 0 or index < 0 or (index + 1) << level > self._size:
            raise LedgerError(
                Code.OUT_OF_RANGE, f"a tree of size {self._size} has no subtree {index} of level {level}"
            )
        tile_level, height = divmod(level, TILE_HEIGHT)
        n, start = divmod(index << height, TILE_WIDTH)
        row = self._tile(tile_level, n)[start : start + (1 << height)]
        while len(row) > 1:
            pairs = iter(row)
            row = [node_hash(left, right) for left, right in zip(pairs, pairs, strict=True)]
        return row[0]

    def _tile(self, level: int, n: int) -> list[bytes]:
        if (level, n) not in self._tiles:
            width = tile_width(level, n, self._size)
            self._tiles[level, n] = parse_tile(self._read_tile(level, n, width), width)
        return self._tiles[level, n]
