"""The Merkle tree of RFC 6962 / RFC 9162 over SHA-256: hashes, frontier, proofs.

A *node* `(level, index)` is the root of the complete subtree over the 2^level leaves from index * 2^level. Proofs are
planned as lists of such nodes, read in one call to a `HashReader`, and folded: so the same code makes them from a
database, from tiles or from a list.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from operator import add
from typing import Any, NamedTuple, Self, TypeAlias

from ledger.core.errors import Code, LedgerError, VerificationError

HASH_BYTES = 32
MAX_SIZE = 2**63 - 1
EMPTY_ROOT = sha256(b"").digest()

_LEAF, _NODE = sha256(b"\x00"), sha256(b"\x01")

Node: TypeAlias = tuple[int, int]
HashReader: TypeAlias = Callable[[Sequence[Node]], Sequence[bytes]]


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 ‖ data): the Merkle leaf, and for an entry the chain link."""
    return sha256(b"\x00" + data).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """The hashes of many leaves."""
    return _hashes(_LEAF, entries)


def _hashes(prefix: Any, several: Iterable[bytes]) -> list[bytes]:
    # To copy a state costs less than to make one, and the bytes need not be copied behind their prefix.
    copy = prefix.copy
    # `update` gives None: one expression costs less than three statements.
    return [(state := copy()).update(data) or state.digest() for data in several]


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


def complete_subtrees(leaves: Sequence[bytes]) -> list[Sequence[bytes]]:
    """The roots of all complete subtrees over these leaf hashes, by level: `[level][index]`, the leaves themselves at level 0."""
    levels = [leaves]
    while len(row := levels[-1]) > 1:
        levels.append(_hashes(_NODE, map(add, row[::2], row[1::2])))  # `map` ends where the shorter does
    return levels


def root_of(hashes: Iterable[bytes]) -> bytes:
    """The root over leaf hashes."""
    frontier = Frontier()
    frontier.extend(hashes)
    return frontier.root()


class Frontier:
    """What a tree needs to keep of itself to grow: at most one complete subtree of each level.

    Subtree `level` is there exactly when that bit of `size` is set.
    """

    __slots__ = ("_nodes", "size")

    def __init__(self) -> None:
        self.size = 0
        self._nodes: list[bytes] = []

    @classmethod
    def from_nodes(cls, size: int, nodes: Sequence[bytes]) -> Self:
        """A frontier from the hashes of `frontier_nodes(size)`, in that order (largest subtree first).

        Raises:
            LedgerError: `out-of-range`, when the number of hashes does not fit the size.
        """
        plan = frontier_nodes(size)
        if len(plan) != len(nodes):
            raise LedgerError(
                Code.OUT_OF_RANGE, f"a tree of size {size} has {len(plan)} subtrees, not {len(nodes)}"
            )
        frontier = cls()
        frontier.size = size
        frontier._nodes = [b""] * size.bit_length()
        for (level, _), digest in zip(plan, nodes, strict=True):
            frontier._nodes[level] = digest
        return frontier

    def nodes(self) -> list[bytes]:
        """The hashes of `frontier_nodes(size)`: what `from_nodes` takes."""
        return [self._nodes[level] for level, _ in frontier_nodes(self.size)]

    def copy(self) -> Self:
        """An independent frontier of the same tree."""
        other = type(self)()
        other.size = self.size
        other._nodes = self._nodes.copy()  # noqa: SLF001  (its own kind)
        return other

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        level, rest, nodes = 0, self.size, self._nodes
        while rest & 1:
            leaf = sha256(b"\x01" + nodes[level] + leaf).digest()
            level += 1
            rest >>= 1
        if level == len(nodes):
            nodes.append(leaf)
        else:
            nodes[level] = leaf
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add many leaf hashes: level by level, which is twice as fast as one after the other."""
        row = list(leaves)
        size, level, nodes = self.size, 0, self._nodes
        self.size += len(row)
        while row:
            if level == len(nodes):
                nodes.append(b"")
            if size & 1:
                row.insert(0, nodes[level])
            if len(row) & 1:
                nodes[level] = row.pop()
            row = _hashes(_NODE, map(add, row[::2], row[1::2]))
            size >>= 1
            level += 1

    def root(self) -> bytes:
        """The root of the tree of this size."""
        if self.size == 0:
            return EMPTY_ROOT
        return _fold(self.nodes())


def frontier_nodes(size: int) -> list[Node]:
    """The complete subtrees that a tree of this size is made of, largest first."""
    return _cover(0, size)


# ---- the shape of proofs, which maker and checker share


class Range(NamedTuple):
    """The leaves from `start` to before `end`: a subtree, complete or at the right edge."""

    start: int
    end: int


def _split(width: int) -> int:
    """The largest power of two below a width of two or more: where RFC 6962 divides a tree."""
    return 1 << (width - 1).bit_length() - 1


def _inclusion_path(index: int, size: int) -> list[Range]:
    """The siblings on the way from leaf `index` up to the root."""
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(Range(middle, end))
            end = middle
        else:
            path.append(Range(start, middle))
            start = middle
    return path[::-1]


def _consistency_path(old: int, new: int) -> tuple[Range, list[Range]]:
    """The largest subtree at the right edge of the old tree that both trees have, and its siblings up to the new root.

    The siblings that begin before `old` belong to both trees, the others to the new one alone.
    """
    path = []
    start, end = 0, new
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(Range(middle, end))
            end = middle
        else:
            path.append(Range(start, middle))
            start = middle
    return Range(start, end), path[::-1]


# ---- making proofs


def inclusion_proof(index: int, size: int, hashes: HashReader) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root of size `size`, the leaf's sibling first.

    Raises:
        LedgerError: `out-of-range`, when there is no such leaf.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise LedgerError(Code.OUT_OF_RANGE, f"there is no entry {index} in a log of size {size}", size=size)
    return _read_roots(_inclusion_path(index, size), hashes)


def consistency_proof(old: int, new: int, hashes: HashReader) -> list[bytes]:
    """The hashes that show the tree of size `old` to be the beginning of the tree of size `new`.

    Empty for equal sizes, and for old size 0, of which there is nothing to prove.

    Raises:
        LedgerError: `out-of-range`, when the sizes are not in order.
    """
    if not 0 <= old <= new <= MAX_SIZE:
        raise LedgerError(
            Code.OUT_OF_RANGE, f"there is no consistency proof from size {old} to {new}", size=new
        )
    if old in (0, new):
        return []
    common, path = _consistency_path(old, new)
    # Where the common subtree is the whole old tree, the verifier has its root already.
    return _read_roots(path if common.start == 0 else [common, *path], hashes)


def root_at(size: int, hashes: HashReader) -> bytes:
    """The root over the first `size` leaves of a tree, from the hashes of its complete subtrees (RFC 9162, 2.1.1)."""
    return _read_roots([Range(0, size)], hashes)[0] if size else EMPTY_ROOT


def _read_roots(ranges: Sequence[Range], hashes: HashReader) -> list[bytes]:
    plans = [_cover(start, end) for start, end in ranges]
    digests = iter(hashes([node for plan in plans for node in plan]))
    return [_fold([next(digests) for _ in plan]) for plan in plans]


def _cover(start: int, end: int) -> list[Node]:
    """The complete subtrees of a range, largest first. It begins where a subtree as wide as itself could."""
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def _fold(digests: Sequence[bytes]) -> bytes:
    """The root over complete subtrees, largest first."""
    root = digests[-1]
    for left in digests[-2::-1]:
        root = node_hash(left, root)
    return root


# ---- checking proofs


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf hash is at `index` in the tree of this size and root.

    Raises:
        VerificationError: it is not, or the proof has the wrong shape.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise _invalid(f"there is no entry {index} in a log of size {size}")
    path = _inclusion_path(index, size)
    _check_shape(proof, len(path), (leaf, root), f"the inclusion proof of entry {index} in size {size}")
    digest = leaf
    for sibling, hashed in zip(path, proof, strict=True):
        digest = node_hash(hashed, digest) if sibling.start < index else node_hash(digest, hashed)
    if digest != root:
        raise _invalid(f"the inclusion proof of entry {index} does not lead to the root of size {size}")


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Check that the tree of size `old` and `old_root` is the beginning of the one of size `new` and `new_root`.

    Size 0 is refused: every log begins with the empty tree, so nothing would be shown.

    Raises:
        VerificationError: it is not, or the proof has the wrong shape.
    """
    if not 0 < old <= new <= MAX_SIZE:
        raise _invalid(
            f"consistency is shown from a size above 0 to one not smaller, not from {old} to {new}"
        )
    common, path = _consistency_path(old, new)
    known = common.start == 0
    _check_shape(
        proof,
        len(path) + (not known),
        (old_root, new_root),
        f"the consistency proof from size {old} to {new}",
    )
    old_digest = new_digest = old_root if known else proof[0]
    for sibling, hashed in zip(path, proof if known else proof[1:], strict=True):
        if sibling.start < old:
            old_digest = node_hash(hashed, old_digest)
            new_digest = node_hash(hashed, new_digest)
        else:
            new_digest = node_hash(new_digest, hashed)
    if old_digest != old_root:
        raise _invalid(f"the consistency proof does not lead to the root of size {old}")
    if new_digest != new_root:
        raise _invalid(f"the tree of size {old} is not the beginning of the tree of size {new}")


def _check_shape(proof: Sequence[bytes], length: int, ends: Sequence[bytes], what: str) -> None:
    if len(proof) != length:
        raise _invalid(f"{what} has {len(proof)} hashes, not {length}")
    if any(len(digest) != HASH_BYTES for digest in (*ends, *proof)):
        raise _invalid(f"{what}, its leaf or its root has a hash that is not {HASH_BYTES} bytes")


def _invalid(detail: str) -> VerificationError:
    return VerificationError(Code.INVALID_PROOF, detail)
