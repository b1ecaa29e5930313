"""Ranges are sets: every operation against Python's own."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges, parse_ranges

pairs = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12)


def members(ranges: Ranges) -> set[int]:
    return {seq for start, end in ranges for seq in range(start, end)}


def members_of(some: list[tuple[int, int]]) -> set[int]:
    return {seq for start, end in some for seq in range(start, end)}


@given(pairs, pairs, st.integers(0, 60), st.integers(0, 60))
def test_operations_are_those_of_sets(left, right, low, high):
    a, b = Ranges(left), Ranges(right)
    x, y = members_of(left), members_of(right)
    assert members(a) == x
    assert members(a | b) == x | y
    assert members(a - b) == x - y
    assert members(a & b) == x & y
    assert members(a.clip(low, high)) == {seq for seq in x if low <= seq < high}
    assert a.count == len(x)
    assert [seq in a for seq in range(61)] == [seq in x for seq in range(61)]
    assert members(a.before(lambda seq: seq >= low)) == {seq for seq in x if seq < low}
    assert members(a) == x  # nothing above changed it


@given(pairs, pairs)
def test_equal_sets_are_equal_ranges_and_no_two_ranges_touch(left, right):
    a, b = Ranges(left), Ranges(right)
    assert (a | b) == (b | a)
    assert hash(a | b) == hash(b | a)
    for made in (a | b, a - b, a & b):
        listed = list(made)
        assert made == Ranges(listed)
        assert all(end < start for (_, end), (start, _) in itertools.pairwise(listed))
        assert all(start < end for start, end in listed)
        assert parse_ranges(made.pairs()) == made


def test_a_boundary_in_ten_million_is_found_with_few_questions():
    asked: list[int] = []
    ranges = Ranges((at, at + 5) for at in range(0, 10_000_000, 10))
    found = ranges.before(lambda seq: asked.append(seq) is None and seq >= 7_654_322)
    assert list(found)[-1] == (7_654_320, 7_654_322)
    assert len(asked) < 30


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        "[[0,1]]",
        [0, 1],
        [[0]],
        [[1, 1]],
        [[2, 1]],
        [[-1, 2]],
        [[0, 2**53]],
        [[False, True]],
        [[0, 1.0]],
    ],
)
def test_what_is_no_range_is_refused(value):
    with pytest.raises(LedgerError) as caught:
        parse_ranges(value)
    assert caught.value.code == Code.INVALID_PARAMETER
