"""Merkle hashes, the frontier and proofs, against RFC 6962's own recursion; threats 22 and 23."""

import os
from collections.abc import Sequence
from functools import cache
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core import merkle
from ledger.core.errors import Code, LedgerError, VerificationError
from ledger.core.merkle import Frontier, verify_consistency, verify_inclusion

MOST = 66
LEAVES = [merkle.leaf_hash(bytes([index])) for index in range(MOST)]


@cache
def tree_hash(start: int, end: int) -> bytes:
    """MTH(D[start:end]), word for word from RFC 6962, 2.1."""
    if end == start:
        return sha256(b"").digest()
    if end - start == 1:
        return LEAVES[start]
    split = 1
    while split * 2 < end - start:
        split *= 2
    return sha256(b"\x01" + tree_hash(start, start + split) + tree_hash(start + split, end)).digest()


def read(nodes: Sequence[merkle.Node]) -> list[bytes]:
    """A reader that has complete subtrees only."""
    for level, index in nodes:
        assert index + 1 << level <= MOST
    return [tree_hash(index << level, index + 1 << level) for level, index in nodes]


def refuses(check, *args) -> bool:
    try:
        check(*args)
    except VerificationError as refusal:
        return refusal.code == Code.INVALID_PROOF
    return False


def test_hashes_carry_the_prefixes_of_rfc_6962():
    assert merkle.leaf_hash(b"data") == sha256(b"\x00data").digest()
    assert merkle.node_hash(b"l" * 32, b"r" * 32) == sha256(b"\x01" + b"l" * 32 + b"r" * 32).digest()
    assert sha256().digest() == merkle.EMPTY_ROOT


@pytest.mark.parametrize("size", [0, 1, 2, 3, 31, 32, 33, MOST])
def test_complete_subtrees_are_all_that_a_tree_of_these_leaves_and_any_smaller_one_has(size: int):
    levels = merkle.complete_subtrees(LEAVES[:size])
    assert [len(row) for row in levels] == [size >> level for level in range(len(levels))]
    for smaller in range(size + 1):
        frontier = Frontier()
        frontier.extend(LEAVES[:smaller])
        assert [levels[level][i] for level, i in merkle.frontier_nodes(smaller)] == frontier.nodes()


def test_the_frontier_has_the_root_of_rfc_6962_at_every_size():
    frontier = Frontier()
    for size in range(MOST + 1):
        assert frontier.root() == merkle.root_of(LEAVES[:size]) == tree_hash(0, size)
        assert frontier.nodes() == read(merkle.frontier_nodes(size))
        if size < MOST:
            frontier.append(LEAVES[size])


@given(st.lists(st.integers(0, 40), max_size=12))
def test_the_root_does_not_depend_on_how_leaves_come_in_batches(batches):
    leaves = iter(range(10**9))
    frontier, one_by_one = Frontier(), Frontier()
    for count in batches:
        batch = [merkle.leaf_hash(b"%d" % next(leaves)) for _ in range(count)]
        frontier.extend(iter(batch))
        for leaf in batch:
            one_by_one.append(leaf)
        assert frontier.root() == one_by_one.root()
        assert frontier.size == one_by_one.size


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_frontier_rebuilt_from_its_nodes_grows_like_the_first(size, more):
    leaves = [merkle.leaf_hash(b"%d" % index) for index in range(size + more)]
    first = Frontier()
    first.extend(leaves[:size])
    rebuilt = Frontier.from_nodes(size, first.nodes())
    rebuilt.extend(leaves[size:])
    assert rebuilt.root() == merkle.root_of(leaves)


def test_a_frontier_is_refused_when_its_nodes_do_not_fit_its_size():
    with pytest.raises(LedgerError) as refusal:
        Frontier.from_nodes(5, LEAVES[:3])
    assert refusal.value.code == Code.OUT_OF_RANGE


def test_a_copy_of_a_frontier_grows_apart():
    first = Frontier()
    first.extend(LEAVES[:5])
    root = first.root()
    other = first.copy()
    other.extend(LEAVES[5:9])
    other.append(LEAVES[9])
    assert (first.root(), first.size) == (root, 5)
    assert other.root() == tree_hash(0, 10)


def test_every_inclusion_proof_up_to_66_is_made_and_holds_for_its_leaf_alone():
    for size in range(1, MOST + 1):
        root = tree_hash(0, size)
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, read)
            verify_inclusion(LEAVES[index], index, size, proof, root)
            assert refuses(verify_inclusion, LEAVES[index - 1], index, size, proof, root)
            assert refuses(verify_inclusion, LEAVES[index], index ^ 1, size, proof, root)


def test_every_consistency_proof_up_to_66_is_made_and_holds_for_its_roots_alone():
    for new in range(1, MOST + 1):
        for old in range(1, new + 1):
            proof = merkle.consistency_proof(old, new, read)
            old_root, new_root = tree_hash(0, old), tree_hash(0, new)
            verify_consistency(old, new, proof, old_root, new_root)
            assert refuses(verify_consistency, old, new, proof, LEAVES[0] if old > 1 else LEAVES[1], new_root)
            assert refuses(verify_consistency, old, new, proof, old_root, bytes(32))


def test_a_proof_of_the_wrong_shape_is_refused_whatever_is_wrong_with_it():
    """Threat 23: one hash more at either end, one less, two swapped, one too short."""
    for size in range(1, 20):
        root = tree_hash(0, size)
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, read)
            for bad in misshapen(proof):
                assert refuses(verify_inclusion, LEAVES[index], index, size, bad, root)
            proof = merkle.consistency_proof(index + 1, size, read)
            for bad in misshapen(proof):
                assert refuses(verify_consistency, index + 1, size, bad, tree_hash(0, index + 1), root)


def misshapen(proof: list[bytes]) -> list[list[bytes]]:
    changed = [[*proof, bytes(32)], [bytes(32), *proof], [*proof, b""]]
    if proof:
        changed += [proof[1:], proof[:-1], [*proof, proof[-1]], [proof[0][:31], *proof[1:]], []]
    if len(proof) > 1:
        changed += [proof[::-1], [proof[1], proof[0], *proof[2:]]]
    return changed


@pytest.mark.parametrize("size", [0, -1, 2**63, 2**64, 10**30])
def test_sizes_no_log_can_have_are_refused(size):
    assert refuses(verify_inclusion, LEAVES[0], 0, size, [], LEAVES[0])
    assert refuses(verify_consistency, 1, size, [], LEAVES[0], LEAVES[0])
    assert refuses(verify_consistency, size, size, [], LEAVES[0], LEAVES[0])
    for make in (merkle.inclusion_proof, merkle.consistency_proof):
        with pytest.raises(LedgerError):
            make(size, size, read) if size else make(1, size, read)


@pytest.mark.parametrize("index", [-1, 5, 6, 2**63, 2**64 - 1])
def test_an_index_outside_the_log_is_refused(index):
    assert refuses(verify_inclusion, LEAVES[0], index, 5, [], LEAVES[0])
    with pytest.raises(LedgerError) as refusal:
        merkle.inclusion_proof(index, 5, read)
    assert refusal.value.code == Code.OUT_OF_RANGE


def test_consistency_from_size_0_or_backwards_is_refused():
    root = tree_hash(0, 5)
    assert refuses(verify_consistency, 0, 5, [], merkle.EMPTY_ROOT, root)
    assert refuses(verify_consistency, 0, 0, [], merkle.EMPTY_ROOT, merkle.EMPTY_ROOT)
    assert refuses(verify_consistency, 5, 3, merkle.consistency_proof(3, 5, read), root, tree_hash(0, 3))
    assert merkle.consistency_proof(0, 5, read) == []


def test_two_roots_for_one_size_are_refused():
    assert refuses(verify_consistency, 5, 5, [], tree_hash(0, 5), tree_hash(1, 6))


def test_an_interior_hash_is_never_accepted_as_a_leaf():
    """Threat 22, all of n <= 64: each interior hash, at each index, with each proof that leads there."""
    for size in range(2, 65):
        root = tree_hash(0, size)
        proofs = [merkle.inclusion_proof(index, size, read) for index in range(size)]
        interior = [tree_hash(s, e) for s, e in subtrees(0, size)]
        for digest in interior:
            for index, proof in enumerate(proofs):
                for start in range(len(proof) + 1):
                    assert refuses(verify_inclusion, digest, index, size, proof[start:], root)


def subtrees(start: int, end: int) -> list[tuple[int, int]]:
    """Every interior node of the tree over a range, its root too."""
    if end - start < 2:
        return []
    split = 1 << (end - start - 1).bit_length() - 1
    return [(start, end), *subtrees(start, start + split), *subtrees(start + split, end)]


def test_an_entry_made_of_two_hashes_does_not_pass_for_their_node():
    """Threat 22: 64 bytes that equal left and right."""
    forged = merkle.leaf_hash(LEAVES[0] + LEAVES[1])
    assert forged != tree_hash(0, 2)
    assert merkle.root_of([forged, LEAVES[2]]) != merkle.root_of(LEAVES[:3])


def test_a_tree_that_lost_or_changed_a_leaf_is_consistent_with_no_older_root():
    for size in range(2, 34):
        for changed in range(size - 1):
            leaves = LEAVES[:size]
            leaves[changed] = os.urandom(32)
            proof = merkle.consistency_proof(size - 1, size, read)
            assert refuses(
                verify_consistency, size - 1, size, proof, tree_hash(0, size - 1), merkle.root_of(leaves)
            )
