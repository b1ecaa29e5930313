"""Fairness, by simulation: whatever credentials do, what each may hold and when each is served stays within what is promised."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.log.fair import FORGET_AT, SMALL_PART, FairOrder, Shares

LIMIT = 64 * 1024
SMALL = LIMIT // SMALL_PART
CREDENTIALS = [f"token:{number}" for number in range(4)]

steps = st.lists(st.tuples(st.sampled_from(CREDENTIALS), st.booleans(), st.integers(1, SMALL)), max_size=200)


def play(shares, steps):
    """Take and give back as `steps` say, where it is allowed; what each holds, after each step."""
    held = defaultdict(list)
    for who, takes, size in steps:
        if takes:
            if not shares.missing(who, size):
                shares.take(who, size)
                held[who].append(size)
        elif held[who]:
            shares.give(who, held[who].pop(0))
        yield {name: sum(sizes) for name, sizes in held.items() if sizes}


anything = st.lists(
    st.tuples(st.sampled_from(CREDENTIALS), st.booleans(), st.integers(1, LIMIT)), max_size=200
)


@given(anything, st.integers(1, SMALL // 16))
def test_who_holds_nothing_and_brings_little_is_let_in_whatever_others_did(steps, size):
    shares = Shares(LIMIT)
    for _ in play(shares, steps):
        assert shares.missing("token:polite", size) == 0


@given(steps, st.integers(SMALL + 1, 10 * LIMIT))
def test_who_holds_nothing_and_brings_much_is_let_in_beside_three_that_take_all_they_can_get(steps, size):
    shares = Shares(LIMIT)
    for _ in play(shares, [step for step in steps if step[0] != CREDENTIALS[3]]):
        assert shares.missing("token:polite", size) == 0


@given(steps)
def test_what_is_held_is_counted_exactly_and_nothing_is_remembered_of_who_holds_nothing(steps):
    shares = Shares(LIMIT)
    for held in play(shares, steps):
        assert {name: shares.held(name) for name in held} == held
        assert (shares.held_bytes, len(shares)) == (sum(held.values()), len(held))


@given(anything)
def test_all_together_hold_at_most_twice_the_limit(steps):
    shares = Shares(LIMIT)
    for held in play(shares, steps):
        assert sum(held.values()) <= 2 * LIMIT


@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_of_n_that_take_all_they_can_get_each_comes_to_hold_one_part_of_n_plus_one(number):
    shares, piece = Shares(LIMIT), LIMIT // 1024
    hogs = [f"token:{n}" for n in range(number)]
    while not shares.missing(hogs[0], piece):  # the first has filled up its half when the others come
        shares.take(hogs[0], piece)
    for _ in range(40):
        for hog in hogs:
            shares.give(hog, min(shares.held(hog), 32 * piece))
        for hog in hogs * 1024:
            if not shares.missing(hog, piece):
                shares.take(hog, piece)
    fair = LIMIT / (number + 1)
    assert all(abs(shares.held(hog) - fair) <= 8 * piece for hog in hogs)


def test_one_that_is_alone_may_bring_anything_and_then_no_more_than_a_half():
    shares = Shares(LIMIT)
    assert shares.missing("a", 10 * LIMIT) == 0
    shares.take("a", LIMIT // 2)
    assert shares.missing("a", 1) > 0
    assert shares.missing("b", SMALL) == 0


@given(steps, st.integers(1, SMALL))
def test_what_is_said_to_be_missing_is_enough_when_others_give_it_back(steps, size):
    shares = Shares(LIMIT)
    for held in play(shares, steps):
        missing = shares.missing("token:0", size)
        for who, bytes_held in held.items():
            if missing and who != "token:0" and bytes_held >= missing:
                shares.give(who, missing)
                assert shares.missing("token:0", size) == 0
                shares.take(who, missing)


arrivals = st.lists(st.tuples(st.sampled_from(CREDENTIALS), st.integers(1, 1_000)), min_size=1, max_size=100)


@given(st.lists(st.one_of(st.none(), st.tuples(st.sampled_from(CREDENTIALS), st.integers(1, 1_000)))))
def test_what_one_credential_sent_is_served_in_its_order_and_nothing_is_lost(steps):
    order: FairOrder[tuple[str, int]] = FairOrder()
    sent, served = defaultdict(list), defaultdict(list)
    for number, step in enumerate([*steps, *[None] * len(steps)]):
        if step is not None:
            sent[step[0]].append(number)
            order.push(step[0], step[1], (step[0], number))
        elif order:
            who, found = order.pop()
            served[who].append(found)
    assert not order
    assert served == sent


@given(arrivals, st.integers(0, 100), st.integers(1, 10**9))
def test_who_had_nothing_waiting_is_served_after_at_most_one_thing_of_each_other(arrivals, before, cost):
    order: FairOrder[str] = FairOrder()
    for who, size in arrivals:
        order.push(who, size, who)
    for _ in range(min(before, len(arrivals) - 1)):
        order.pop()
    order.push("polite", cost, "polite")
    for who, size in arrivals:
        order.push(who, size, who)
    first = []
    while (who := order.pop()) != "polite":
        first.append(who)
    assert len(first) == len(set(first))


@given(
    st.lists(st.tuples(st.integers(1, 1_000), st.integers(1, 1_000)), min_size=50, max_size=100),
    st.integers(0, 99),
)
def test_of_two_that_always_wait_neither_is_served_more_than_the_other_by_more_than_a_thing_of_each(
    costs, popped
):
    order: FairOrder[tuple[str, int]] = FairOrder()
    for one, other in costs:
        order.push("one", one, ("one", one))
        order.push("other", other, ("other", other))
    served = {"one": 0, "other": 0}
    left = {"one": len(costs), "other": len(costs)}
    largest = max(one for one, _ in costs) + max(other for _, other in costs)
    for _ in range(popped):
        who, cost = order.pop()
        served[who] += cost
        left[who] -= 1
        if all(left.values()):
            assert abs(served["one"] - served["other"]) <= largest


def test_credentials_that_wait_for_nothing_are_forgotten():
    order: FairOrder[int] = FairOrder()
    order.push("hog", 1, 0)
    for number in range(20 * FORGET_AT):
        order.push("hog", 10, number)
        order.push(f"token:{number}", 1, number)
        order.pop()
        order.pop()
    assert len(order) == 1
    assert len(order._ends) <= FORGET_AT + 2
