"""What every dialect goes through, over a real log: conflicts kept, refusals told, nothing half lost."""

import asyncio
import contextlib
import threading
from collections import Counter
from types import SimpleNamespace

import pytest

from ledger.api.answers import Answers
from ledger.api.dialects import INLINE_BYTES, PIECE_RECORDS, VERSIONS, Taken, take, worked_on
from ledger.api.service import Service
from ledger.core.errors import Code, LedgerError
from ledger.ingest.draft import Draft, record_id
from ledger.ingest.reading import Reading
from ledger.log.log import Log
from ledger.telemetry import Telemetry

ORIGIN = "example.com/dialects"


class Way:
    """A request's state over a log of its own: all that `take` looks at."""

    def __init__(self, log):
        self.log, self.telemetry = log, Telemetry()
        self.service = Service(log=log, tokens=None, queries=None, catalog={}, telemetry=self.telemetry)

    def take(self, *readings, **options):
        async def taken():
            request = self.request()
            return [await take(request, reading, "alice", **options) for reading in readings]

        return asyncio.run(taken())

    def request(self):
        answers = Answers(self.log, asyncio.get_running_loop())
        state = SimpleNamespace(service=self.service, answers=answers, large=asyncio.Semaphore(1))
        return SimpleNamespace(app=SimpleNamespace(state=state))


@pytest.fixture
def way(tmp_path):
    Log.create(tmp_path / "data", ORIGIN)
    with contextlib.closing(Log.open(tmp_path / "data", queue_bytes=64_000)) as log:
        yield Way(log)


def reading(*texts, name="span", dropped=None):
    records = [
        Draft("action", 1, record_id("test", "alice", name)).content("tool.arguments", text).bytes()
        for text in texts
    ]
    return Reading(records, Counter(dropped or {}))


def many(number, text="x"):
    records = [
        Draft("action", 1, record_id("test", "alice", str(index))).content("tool.arguments", text).bytes()
        for index in range(number)
    ]
    return Reading(records)


def test_what_is_sent_again_is_found_and_not_appended(way):
    first, again = way.take(reading("a"), reading("a"))
    assert (first.appended, first.existing) == (1, 0)
    assert (again.appended, again.existing, again.refused) == (0, 1, [])


def test_what_contradicts_an_id_is_kept_beside_it_and_found_there_again(way):
    contradicting = [reading(text) for text in ("a", "b", "c", "b", "a")]
    assert [taken.appended for taken in way.take(*contradicting)] == [1, 1, 1, 0, 0]
    stored = [record_id("test", "alice", "span") + end for end in ("", "~2", "~3")]
    assert [way.log.find(name) for name in stored] == [1, 2, 3]


def test_contradictions_within_one_body_are_kept_too(way):
    [taken] = way.take(reading("a", "b", "a", "c"))
    assert (taken.appended, taken.existing, taken.refused) == (3, 1, [])


def test_what_contradicts_an_id_without_end_is_refused_in_the_end(way):
    [taken] = way.take(reading(*(str(number) for number in range(VERSIONS + 2))))
    assert taken.appended == VERSIONS
    assert [error.code for error in taken.refused] == [Code.ID_CONFLICT] * 2
    assert way.telemetry.refusals() == {"id-conflict": 2}


def test_a_sender_who_chooses_ids_can_neither_take_the_ledgers_nor_have_two_of_one(way):
    own = b'{"type":"action","time":"2026-01-01T00:00:00Z","id":"mine","tool":{"name":"%s"}}'
    [taken] = way.take(
        Reading([own % b"a", own % b"b", *reading("a").records]),
        reserved_ids=False,
    )
    assert taken.appended == 1
    assert [error.code for error in taken.refused] == [Code.ID_CONFLICT, Code.RESERVED_NAME]


def test_a_refused_record_does_not_keep_the_others_out_and_is_named(way):
    good, bad = reading("a", name="good").records, b'{"type":"action","id":"ledger:test:bad","time":"now"}'
    [taken] = way.take(Reading([bad, *good, b"not a record"]))
    assert taken.appended == 1
    assert [(error.code, error.members.get("id")) for error in taken.refused] == [
        (Code.INVALID_MEMBER, "ledger:test:bad"),
        (Code.MALFORMED_JSON, None),
    ]


def test_what_is_dropped_is_counted_by_reason(way):
    [taken] = way.take(reading("a", dropped={"a2a transport": 3}))
    assert taken == Taken(1, 0, [], Counter({"a2a transport": 3}))
    assert way.telemetry.drops() == {"a2a transport": 3}


def test_a_full_queue_loses_nothing_that_is_sent_again(way):
    async def crowded():
        request = way.request()
        outcomes = await asyncio.gather(
            *(take(request, many(40, text=str(sender) * 500), "alice") for sender in range(6)),
            return_exceptions=True,
        )
        full = [outcome for outcome in outcomes if isinstance(outcome, LedgerError)]
        assert {error.code for error in full} == {Code.QUEUE_FULL}
        assert all(error.members["retry_after"] >= 1 for error in full)
        again = [await take(request, many(40, text=str(sender) * 500), "alice") for sender in range(6)]
        return sum(taken.appended for taken in outcomes if isinstance(taken, Taken)), again

    appended, again = asyncio.run(crowded())
    assert 0 < appended < 240
    assert appended + sum(taken.appended for taken in again) == way.log.head().size - 1 == 240


def test_a_body_of_many_records_goes_in_piece_by_piece(way):
    [taken] = way.take(many(2 * PIECE_RECORDS + 1))
    assert (taken.appended, taken.refused) == (2 * PIECE_RECORDS + 1, [])


def test_large_bodies_are_worked_on_off_the_event_loop_and_one_at_a_time(way):
    at_once, most = 0, 0

    def work():
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        threading.Event().wait(0.02)
        at_once -= 1
        return threading.current_thread()

    async def all_of_them():
        request = way.request()
        large = await asyncio.gather(*(worked_on(request, INLINE_BYTES + 1, work) for _ in range(4)))
        return large, await worked_on(request, INLINE_BYTES, work)

    large, small = asyncio.run(all_of_them())
    assert most == 1
    assert threading.main_thread() not in large
    assert small is threading.main_thread()
