"""A proof of a fork convinces whoever has the log's key, and nobody can make one of an honest log. Threats 5 and 6."""

import pytest

from ledger.core.errors import LedgerError, VerificationError
from ledger.core.fork import Fork, format_fork, parse_fork, verify_fork
from ledger.core.merkle import root_of
from tests.witness.conftest import Tree, proof_between

ON, OFF = Tree(), Tree(branch="another")


def root(tree, size):
    return root_of(tree.leaves(size))


def fork(older, newer, size, new_size):
    return Fork(
        ON.key,
        older.note(size),
        newer.note(new_size),
        root(newer, size),
        tuple(proof_between(newer.leaves(new_size), size)),
    )


@pytest.mark.parametrize(("size", "new_size"), [(4, 4), (4, 9), (5, 9), (8, 16), (7, 30)])
def test_two_histories_under_one_key_are_proved_whatever_their_sizes(size, new_size):
    found = verify_fork(parse_fork(format_fork(fork(ON, OFF, size, new_size))), ON.key)
    assert (found.older.size, found.newer.size) == (size, new_size)


@pytest.mark.parametrize(("size", "new_size"), [(4, 4), (4, 9), (2, 9), (8, 16)])
def test_of_one_history_there_is_no_proof(size, new_size):
    with pytest.raises(VerificationError, match="proves no fork"):
        verify_fork(fork(ON, ON, size, new_size), ON.key)
    honest = fork(ON, ON, size, new_size)
    for wrong in (bytes(32), root(ON, new_size), root(OFF, size)):
        if wrong != honest.root:
            with pytest.raises(VerificationError):
                verify_fork(Fork(ON.key, honest.older, honest.newer, wrong, honest.consistency), ON.key)


def test_before_the_branches_part_there_is_no_proof():
    with pytest.raises(VerificationError):
        verify_fork(fork(ON, OFF, 3, 9), ON.key)


def test_a_smaller_checkpoint_after_a_larger_one_is_no_proof():
    with pytest.raises(VerificationError):
        verify_fork(Fork(ON.key, ON.note(9), OFF.note(4), root(OFF, 4), ()), ON.key)


def test_a_checkpoint_of_another_key_is_no_proof_about_this_one():
    forged = Tree(branch="another", seed=b"\x09")
    with pytest.raises(VerificationError):
        verify_fork(fork(ON, forged, 4, 9), ON.key)
    with pytest.raises(VerificationError, match="it is about the key"):
        verify_fork(fork(ON, OFF, 4, 9), forged.key)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b'{"fork":1}',
        b"\xff",
        format_fork(fork(ON, OFF, 4, 9)).replace(b'"fork":1', b'"fork":2'),
    ],
)
def test_what_is_no_proof_is_refused(text):
    with pytest.raises(LedgerError):
        verify_fork(parse_fork(text))
