"""The queue before the writer: what a group is made of, who waits behind whom, and what is refused."""

import threading
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.core.errors import Code, LedgerError
from ledger.log import queue as module
from ledger.log.log import Log
from ledger.log.queue import (
    BATCH_BYTES,
    BATCH_RECORDS,
    MAX_RETRY_AFTER_S,
    QUEUE_BYTES,
    Queue,
    retry_after,
)
from ledger.records.prepared import Prepared
from tests.log.conftest import prepared, record

MIB = 1024 * 1024
SMALL_QUEUE = 4 * MIB


def records(number, size_bytes=500, who="token:hog"):
    one = Prepared("id", "action", b"{}", who, (), (), (), None, False, size_bytes)
    return [one] * number


def put(queue, items):
    queue.submit(items, atomic=False, done=lambda _: None)


def refusal(queue, items):
    with pytest.raises(LedgerError) as caught:
        put(queue, items)
    return caught.value


def drained(queue):
    """All groups, as (submitter, how many records) of each submission."""
    groups = []
    queue.close()
    while not (work := queue.next()).last:
        groups.append(work.group)
        queue.settled(work.group)
    groups.append(work.group)
    queue.settled(work.group)
    return [[(s.submitter, len(s.items)) for s in group] for group in groups]


def flood(queue, make):
    """As much as one credential gets in; how many submissions that is."""
    taken = 0
    while True:
        try:
            put(queue, make())
        except LedgerError:
            return taken
        taken += 1


@settings(deadline=None)
@given(st.integers(1, 2_500), st.integers(1, 1_000))
def test_a_polite_client_waits_behind_one_submission_of_a_flood_and_not_behind_all_of_it(number, size_bytes):
    queue = Queue(SMALL_QUEUE)
    assert flood(queue, lambda: records(number, size_bytes)) >= 1
    put(queue, records(1, who="token:polite"))
    groups = drained(queue)
    [place] = [index for index, group in enumerate(groups) if ("token:polite", 1) in group]
    before = sum(len(group) for group in groups[:place]) + groups[place].index(("token:polite", 1))
    assert before <= 1
    assert place <= 1


@settings(deadline=None)
@given(st.integers(2, 8), st.integers(1, 500), st.integers(100, 5_000))
def test_many_that_flood_get_equal_parts_of_the_groups(hogs, number, size_bytes):
    queue = Queue(SMALL_QUEUE)
    for who in range(hogs):
        flood(queue, lambda: records(number, size_bytes, f"token:{who}"))  # noqa: B023 - called at once
    waiting = [submission.submitter for _, _, submission in queue._order._waiting]
    shortest = min(waiting.count(who) for who in set(waiting))
    order = [who for group in drained(queue) for who, _ in group]
    for upto in range(1, shortest * len(set(waiting))):
        counts = [order[:upto].count(who) for who in set(waiting)]
        assert max(counts) - min(counts) <= 1


def test_a_credential_that_is_alone_holds_a_half_and_leaves_the_rest_to_who_comes():
    queue = Queue()
    flood(queue, lambda: records(10, 10_000))
    assert 0.45 < queue.held_bytes / QUEUE_BYTES <= 0.5
    for newcomer in range(5):
        put(queue, records(1, MIB // 4, f"token:{newcomer}"))
    assert queue.credentials == 6


def test_a_submission_as_large_as_a_request_may_be_gets_in_beside_a_flood():
    queue = Queue()
    flood(queue, lambda: records(1, 100_000))
    put(queue, records(32, MIB, "token:bulk"))
    put(queue, records(1, MIB, "token:polite"))
    assert queue.held_bytes <= 2 * QUEUE_BYTES


def test_a_refused_submission_takes_nothing():
    queue = Queue()
    flood(queue, lambda: records(1, MIB))
    held, waiting = queue.held_bytes, len(queue._order)
    for _ in range(100):
        assert refusal(queue, records(1, MIB)).code == Code.QUEUE_FULL
    assert (queue.held_bytes, len(queue._order)) == (held, waiting)


def test_a_group_keeps_within_its_limits_unless_one_submission_is_larger():
    queue = Queue()
    for number, size_bytes in [(1_000, 10), (900, 10), (1_500, 10), (3_000, 10), (1, BATCH_BYTES), (1, 10)]:
        put(queue, records(number, size_bytes, f"token:{number}-{size_bytes}"))
    groups = drained(queue)
    assert max(len(group) for group in groups) > 1
    for group in groups:
        assert len(group) == 1 or sum(number for _, number in group) <= BATCH_RECORDS


def test_order_within_a_credential_is_kept_whatever_the_sizes():
    queue = Queue()
    for number in range(1, 40):
        put(queue, records(number, 20 * (40 - number)))
        put(queue, records(1, 10_000, "token:other"))
    found = [number for group in drained(queue) for who, number in group if who == "token:hog"]
    assert found == list(range(1, 40))


@pytest.mark.parametrize(
    ("amount", "per_s", "seconds"),
    [(1, 0, 1), (10, 100, 1), (101, 100, 2), (1_000, 100, 10), (10**9, 1, MAX_RETRY_AFTER_S)],
)
def test_when_to_come_back_is_when_there_will_be_room_at_the_rate_at_which_it_empties(amount, per_s, seconds):
    assert retry_after(amount, per_s) == seconds


def test_who_comes_back_when_told_finds_room(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: now[0], sleep=lambda _: None))
    queue, group_seconds = Queue(), 3.0

    def write_one_group():
        work = queue.next()
        now[0] += group_seconds
        queue.settled(work.group)

    flood(queue, lambda: records(1, MIB))
    write_one_group()
    flood(queue, lambda: records(1, MIB))
    asked = records(4, MIB)
    told = refusal(queue, asked).members["retry_after"]
    assert told > 1, "a queue that empties slowly says so"
    came_back = now[0] + told
    while now[0] < came_back:
        write_one_group()
    put(queue, asked)


def test_nothing_is_remembered_of_credentials_that_have_nothing_waiting():
    queue = Queue()
    for number in range(1_000):
        put(queue, records(1, who=f"token:{number}"))
    drained(queue)
    assert (queue.credentials, queue.held_bytes, len(queue._order._ends)) == (0, 0, 0)


def test_one_that_is_alone_is_never_kept_waiting_for_company(monkeypatch):
    waited = []
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: 0.0, sleep=waited.append))
    queue = Queue()
    for _ in range(3):
        put(queue, records(1))
        queue.settled(queue.next().group)
    assert waited == []


def test_many_that_were_answered_together_are_waited_for_together_but_not_for_long(monkeypatch):
    now, late = [0.0], [f"token:{number}" for number in range(1, 8)]
    queue = Queue()

    def sleep(seconds):
        now[0] += seconds
        if late:
            put(queue, records(1, who=late.pop()))

    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: now[0], sleep=sleep))
    for number in range(8):
        put(queue, records(1, who=f"token:{number}"))
    queue.settled(queue.next().group)
    put(queue, records(1, who="token:0"))
    assert len(queue.next().group) == 8
    put(queue, records(1, who="token:0"))  # the others do not come this time
    before = now[0]
    assert len(queue.next().group) == 1
    assert now[0] - before == pytest.approx(module.GATHER_S, abs=2 * module.GATHER_STEP_S)


def test_a_call_is_made_by_the_writer_between_groups_and_its_result_comes_back(log: Log):
    name = log._sequencer.call(lambda: threading.current_thread().name)
    assert name.result(10) == "sequencer"
    failing = log._sequencer.call(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        failing.result(10)
    assert log.append_own("log.query_run", {"log.query": "x"}).seq == 1


def test_what_waits_when_the_log_closes_is_written_and_calls_are_made(data):
    log = Log.open(data)
    release, answers = threading.Event(), []
    log._sequencer.call(lambda: release.wait(10))
    log.submit([prepared(log, record(1))], atomic=False, done=answers.extend)
    last = log._sequencer.call(lambda: "made")
    closing = threading.Thread(target=log.close)
    closing.start()
    release.set()
    closing.join(10)
    assert (last.result(0), answers[0].seq) == ("made", 1)
    with pytest.raises(LedgerError) as refused:
        log._sequencer.call(lambda: None)
    assert refused.value.code == Code.LOG_STOPPED
