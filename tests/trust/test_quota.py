"""Quotas, with a clock of our own: exactly what was allowed, never more, and as soon as was said."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import Code, LedgerError
from ledger.log.access import Quota
from ledger.trust.quota import BURST_S, FORGET_AT, Quotas

SECOND_NS = 1_000_000_000


class Clock:
    def __init__(self):
        self.now_ns = 10**15

    def __call__(self):
        return self.now_ns


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def quotas(clock):
    return Quotas(clock)


def allowed(quotas, quota, records, size_bytes=0, name="a"):
    """None when it may be appended, otherwise the refusal's seconds."""
    try:
        quotas.spend(name, quota, records, size_bytes)
    except LedgerError as error:
        if error.code is not Code.QUOTA_EXCEEDED:
            raise
        return error.members["retry_after"]
    return None


def test_a_burst_is_let_through_to_the_last_record_and_not_one_more(quotas):
    quota = Quota(records_per_s=100)
    assert [allowed(quotas, quota, 1) for _ in range(100 * BURST_S)] == [None] * (100 * BURST_S)
    assert allowed(quotas, quota, 1) == 1


def test_after_the_burst_exactly_the_rate_is_let_through(quotas, clock):
    quota = Quota(records_per_s=3)
    while allowed(quotas, quota, 1) is None:
        pass
    let_through = 0
    for _ in range(60 * 1_000):
        clock.now_ns += SECOND_NS // 1_000
        let_through += allowed(quotas, quota, 1) is None
    assert let_through == 3 * 60


@given(
    st.integers(1, 50),
    st.integers(1, 5_000),
    st.lists(
        st.tuples(st.integers(0, 5 * SECOND_NS), st.integers(1, 300), st.integers(1, 20_000)), max_size=60
    ),
)
def test_in_no_stretch_of_time_is_more_let_through_than_the_burst_the_rate_and_one_submission(
    records_per_s, bytes_per_s, steps
):
    clock = Clock()
    quotas, quota = Quotas(clock), Quota(records_per_s, bytes_per_s)
    taken = []
    for pause_ns, records, size_bytes in steps:
        clock.now_ns += pause_ns
        if allowed(quotas, quota, records, size_bytes) is None:
            taken.append((clock.now_ns, records, size_bytes))
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            seconds = (taken[last][0] - taken[first][0]) / SECOND_NS + BURST_S
            before_the_last = taken[first:last]
            assert sum(records for _, records, _ in before_the_last) <= records_per_s * seconds + max(
                (records for _, records, _ in before_the_last), default=0
            )
            assert sum(size for *_, size in before_the_last) <= bytes_per_s * seconds + max(
                (size for *_, size in before_the_last), default=0
            )


@given(st.integers(1, 50), st.integers(1, 5_000), st.integers(1, 2_000), st.integers(1, 100_000))
def test_who_comes_back_when_told_is_let_in_and_a_second_sooner_is_not(
    records_per_s, bytes_per_s, records, size_bytes
):
    clock = Clock()
    quotas, quota = Quotas(clock), Quota(records_per_s, bytes_per_s)
    while (told := allowed(quotas, quota, records, size_bytes)) is None:
        pass
    clock.now_ns += (told - 1) * SECOND_NS
    again = allowed(quotas, quota, records, size_bytes)
    if told > 1:
        assert again == 1
    clock.now_ns += SECOND_NS
    assert again is None or allowed(quotas, quota, records, size_bytes) is None


def test_what_is_more_than_a_burst_goes_through_when_nothing_else_did_and_is_paid_off_afterwards(
    quotas, clock
):
    quota = Quota(records_per_s=10)
    assert allowed(quotas, quota, 10_000) is None
    assert allowed(quotas, quota, 1) == math.ceil((10_000 + 1) / 10 - BURST_S)
    assert allowed(quotas, quota, 10_000) == 1_000
    clock.now_ns += 1_000 * SECOND_NS
    assert allowed(quotas, quota, 10_000) is None


def test_bytes_and_records_count_alone(quotas):
    records, bytes_ = Quota(records_per_s=1), Quota(bytes_per_s=1_000)
    assert allowed(quotas, records, 1, 10**12, name="records") is None
    assert allowed(quotas, bytes_, 1_000, 10 * BURST_S, name="bytes") is None
    assert allowed(quotas, bytes_, 1, 1_000 * BURST_S, name="bytes") == 1


def test_what_is_refused_costs_nothing(quotas):
    quota = Quota(records_per_s=1, bytes_per_s=1_000_000)
    for _ in range(BURST_S):
        quotas.spend("a", quota, 1, 100_000)
    for _ in range(1_000):
        assert allowed(quotas, quota, 5, 100_000) == 5


def test_what_is_given_back_may_be_spent_again(quotas):
    quota = Quota(records_per_s=5, bytes_per_s=1_000)
    for _ in range(100):
        quotas.spend("a", quota, 5 * BURST_S, 1_000 * BURST_S)
        quotas.give_back("a", quota, 5 * BURST_S, 1_000 * BURST_S)
    quotas.spend("a", quota, 5 * BURST_S, 1_000 * BURST_S)
    assert allowed(quotas, quota, 1) == 1


def test_a_spent_bucket_is_known_before_anything_is_read_and_looking_costs_nothing(quotas, clock):
    quota = Quota(records_per_s=1)
    quotas.refuse_spent("a", quota)
    quotas.spend("a", quota, BURST_S + 3, 0)
    with pytest.raises(LedgerError) as refused:
        quotas.refuse_spent("a", quota)
    assert (refused.value.code, refused.value.members["retry_after"]) == (Code.QUOTA_EXCEEDED, 4)
    clock.now_ns += 4 * SECOND_NS
    for _ in range(100):
        quotas.refuse_spent("a", quota)
    assert allowed(quotas, quota, 1) is None
    assert allowed(quotas, quota, 1) == 1


def test_one_token_spends_nothing_of_another(quotas):
    quota = Quota(records_per_s=1)
    quotas.spend("a", quota, 1_000, 0)
    assert allowed(quotas, quota, 1, name="b") is None


def test_full_buckets_are_forgotten(quotas, clock):
    quota = Quota(records_per_s=1)
    for number in range(10 * FORGET_AT):
        quotas.spend(f"t-{number}", quota, 1, 0)
        clock.now_ns += SECOND_NS
    assert len(quotas._full_at) <= FORGET_AT + 1
