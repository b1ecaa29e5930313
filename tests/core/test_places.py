"""A set of places as bits is a set, also after it was saved."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.core.errors import FormatError
from ledger.core.places import BLOCK, Places

seqs = st.integers(0, 3 * BLOCK) | st.sampled_from([0, BLOCK - 1, BLOCK, 2 * BLOCK, 10**15])
keys = st.sampled_from(["", "tool.arguments", "request.user 00ff"])
ranges = st.tuples(seqs, st.integers(1, 2 * BLOCK)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def places_of(several: set[tuple[int, str]]) -> Places:
    made = Places()
    for seq, key in several:
        made.add(seq, key)
    return made


def members(places: Places) -> set[tuple[int, str]]:
    return {(seq, key) for low, high, key in places.runs() for seq in range(low, high)}


@settings(max_examples=200)
@given(st.sets(st.tuples(seqs, keys), max_size=60), ranges, st.tuples(seqs, keys))
def test_places_are_a_set(several: set[tuple[int, str]], cut: tuple[int, int], one: tuple[int, str]):
    places = places_of(several)
    assert members(places) == several
    assert (one in places) == (one in several)
    assert places.keys_at(one[0]) == sorted(
        (key for seq, key in several if seq == one[0]), key=places.keys_at(one[0]).index
    )
    for key in ("", "tool.arguments"):
        assert places.count(*cut, key) == sum(k == key and cut[0] <= s < cut[1] for s, k in several)
    assert places.discard(*one) == (one in several)
    left = {place for place in several - {one} if not cut[0] <= place[0] < cut[1]}
    assert places.cut(*cut) == len(several - {one}) - len(left)
    assert members(places) == left
    assert bool(places) == bool(left)


@given(st.lists(ranges, max_size=6), st.sets(st.tuples(seqs, keys), max_size=20))
def test_ranges_and_what_was_saved_are_the_same_places(
    several: list[tuple[int, int]], more: set[tuple[int, str]]
):
    places = places_of(more)
    for low, high in several:
        places.add_range(low, high)
    expected = more | {(seq, "") for low, high in several for seq in range(low, high)}
    assert members(places) == expected
    assert members(Places.from_json(places.to_json())) == expected
    both = places_of({(5, "x")})
    both.take(places)
    assert members(both) == expected | {(5, "x")}


def test_a_range_that_is_claimed_to_be_longer_than_any_log_costs_what_is_there():
    places = places_of({(5, ""), (10 * BLOCK, "")})
    assert places.count(0, 2**63) == 2
    assert places.cut(6, 2**63) == 1


def test_every_second_of_ten_million_entries_is_saved_in_little():
    places = Places()
    bits = int("01" * (BLOCK // 2), 2)
    for start in range(0, 10_000_000, BLOCK):
        places.add_bits(start, bits)
    assert places.count(0, 10_000_000) >= 4_999_000
    assert len(places.to_json()[0][1]) < 100_000


@pytest.mark.parametrize("saved", [None, 3, [["a"]], [["a", "!"]], [["a", "eJxjAAAAAQAB"]]])
def test_what_was_not_saved_here_is_refused(saved: object):
    with pytest.raises(FormatError):
        Places.from_json(saved)
