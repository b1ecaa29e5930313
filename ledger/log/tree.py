"""The Merkle tree over the stored hashes: tiles and proofs without storing a single inner node.

Level 0 is read from the database. The roots of full tiles (32 bytes for each 256 entries) are kept in memory, level by
level. At start those of sealed segments are read from their `tiles`, and the rest is made of stored leaf hashes; that the
root over all of it is the signed one shows that each of them is right.
"""

from collections.abc import Callable, Sequence
from typing import Self

from ledger.core.errors import Code, LedgerError
from ledger.core.merkle import (
    HASH_BYTES,
    Frontier,
    consistency_proof,
    frontier_nodes,
    inclusion_proof,
    root_at,
    root_of,
)
from ledger.core.tiles import TILE_WIDTH, TileHashes

ReadHashes = Callable[[int, int], list[bytes]]


class Tree:
    """The frontier and the roots of full tiles. Grows from the sequencer's thread only; reads stay below a given size."""

    def __init__(self, read_hashes: ReadHashes) -> None:
        self._read_hashes = read_hashes
        self._levels: list[bytearray] = []  # [0] holds the roots of full level-0 tiles, and so on
        self._open_tile: list[bytes] = []  # leaf hashes since the last full tile
        self.frontier = Frontier()

    @classmethod
    def load(cls, read_hashes: ReadHashes, roots: bytes) -> Self:
        """The tree over full level-0 tiles with these roots, 32 bytes each: a hundredth of the work of its leaves."""
        tree = cls(read_hashes)
        above = Frontier()
        above.extend(_split(roots))
        for root in _split(roots):
            tree._close_tile(0, root)
        tree.frontier = Frontier.from_nodes(above.size * TILE_WIDTH, above.nodes())
        return tree

    def extend(self, hashes: Sequence[bytes]) -> None:
        """Append leaf hashes."""
        self.frontier.extend(hashes)
        self._open_tile.extend(hashes)
        while len(self._open_tile) >= TILE_WIDTH:
            full, self._open_tile = self._open_tile[:TILE_WIDTH], self._open_tile[TILE_WIDTH:]
            self._close_tile(0, root_of(full))

    def _close_tile(self, level: int, root: bytes) -> None:
        if level == len(self._levels):
            self._levels.append(bytearray())
        roots = self._levels[level]
        roots += root
        if len(roots) % (TILE_WIDTH * HASH_BYTES) == 0:
            self._close_tile(level + 1, root_of(_split(roots[-TILE_WIDTH * HASH_BYTES :])))

    def tile(self, level: int, index: int, width: int) -> bytes:
        """The first `width` hashes of one tile (C2SP tlog-tiles).

        Raises:
            LedgerError: `not-found` where the tree has not grown so far.
        """
        start = index * TILE_WIDTH
        if level == 0:
            data = b"".join(self._read_hashes(start, start + width))
        elif level <= len(self._levels):
            data = bytes(self._levels[level - 1][start * HASH_BYTES : (start + width) * HASH_BYTES])
        else:
            data = b""
        if len(data) != width * HASH_BYTES:
            raise LedgerError(Code.NOT_FOUND, f"tile {level}/{index} has no {width} hashes yet")
        return data

    def inclusion(self, seq: int, size: int) -> list[bytes]:
        """The inclusion proof of entry `seq` in the tree of `size` (RFC 9162, 2.1.3)."""
        return inclusion_proof(seq, size, TileHashes(self.tile, size))

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The consistency proof between two sizes (RFC 9162, 2.1.4)."""
        return consistency_proof(old, new, TileHashes(self.tile, new))

    def root_at(self, size: int) -> bytes:
        """The root of the tree when it had `size` entries."""
        return root_at(size, TileHashes(self.tile, size))

    def nodes_at(self, size: int) -> list[bytes]:
        """`Frontier.nodes` of the tree when it had `size` entries."""
        return list(TileHashes(self.tile, size)(frontier_nodes(size))) if size else []

    def tile_roots(self, first: int, end: int) -> bytes:
        """The roots of the full level-0 tiles [first, end), 32 bytes each."""
        return bytes(self._levels[0][first * HASH_BYTES : end * HASH_BYTES]) if self._levels else b""


def _split(data: bytes | bytearray) -> list[bytes]:
    return [bytes(data[at : at + HASH_BYTES]) for at in range(0, len(data), HASH_BYTES)]
