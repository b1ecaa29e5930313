"""What every dialect goes through, over a real log: conflicts kept, refusals told, nothing half lost."""

import asyncio
import contextlib
import threading
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

from ledger.api.answers import Answers
from ledger.api.dialects import INLINE_BYTES, PIECE_RECORDS, VERSIONS, Taken, take, worked_on
from ledger.api.service import Service
from ledger.api.turns import Turns
from ledger.api.witnessed import Witnessing
from ledger.client.keyfile import AgentKey
from ledger.client.seal import Seal
from ledger.core.errors import Code, LedgerError
from ledger.ingest.draft import Draft, record_id
from ledger.ingest.reading import Reading
from ledger.log.access import Quota
from ledger.log.log import Log
from ledger.records.prepare import prepare
from ledger.telemetry import Telemetry
from ledger.trust.quota import BURST_S, Quotas
from ledger.trust.roles import PERMISSIONS, Principal, Role

ORIGIN = "example.com/dialects"
ALICE = Principal("alice", (Role.WRITER,), PERMISSIONS[Role.WRITER], "alice")


class Way:
    """A request's state over a log of its own: all that `take` looks at."""

    def __init__(self, log):
        self.log, self.telemetry = log, Telemetry()
        self.service = Service(log=log, admission=None, queries=None, catalog={}, telemetry=self.telemetry)

    def take(self, *readings, **options):
        async def taken():
            request = self.request()
            return [await take(request, reading, ALICE, **options) for reading in readings]

        return asyncio.run(taken())

    def request(self):
        loop = asyncio.get_running_loop()
        answers = Answers(self.service, loop, Witnessing(self.service.witnesses, loop))
        state = SimpleNamespace(service=self.service, answers=answers, large=Turns(), preparing=Turns(2))
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
            *(take(request, many(40, text=str(sender) * 500), ALICE) for sender in range(6)),
            return_exceptions=True,
        )
        full = [outcome for outcome in outcomes if isinstance(outcome, LedgerError)]
        assert {error.code for error in full} == {Code.QUEUE_FULL}
        assert all(error.members["retry_after"] >= 1 for error in full)
        again = [await take(request, many(40, text=str(sender) * 500), ALICE) for sender in range(6)]
        return sum(taken.appended for taken in outcomes if isinstance(taken, Taken)), again

    appended, again = asyncio.run(crowded())
    assert 0 < appended < 240
    assert appended + sum(taken.appended for taken in again) == way.log.head().size - 1 == 240


def test_a_body_far_beyond_a_quota_gets_in_bit_by_bit_when_it_comes_again_as_told(way):
    now_ns, records = [0], 3 * PIECE_RECORDS
    way.service = replace(way.service, quotas=Quotas(lambda: now_ns[0]))
    sender = replace(ALICE, quota=Quota(records_per_s=10))

    async def insist():
        request, refused = way.request(), []
        while True:
            try:
                taken = await take(request, many(records), sender)
            except LedgerError as error:
                refused.append(error.code)
                now_ns[0] += error.members["retry_after"] * 1_000_000_000
            else:
                return taken, refused

    taken, refused = asyncio.run(insist())
    assert set(refused) == {Code.QUOTA_EXCEEDED}
    assert len(refused) <= 3, "each time a piece more is in the log, and those before it cost nothing"
    assert taken.appended + taken.existing == way.log.head().size - 1 == records
    assert now_ns[0] / 1e9 >= (records - PIECE_RECORDS) / 10 - BURST_S


def test_sealed_records_count_like_any_other(way, tmp_path):
    key = AgentKey.create(tmp_path / "agent.key", "agent-7")
    way.log.append_own("log.access_granted", {"log.key_id": "agent-7", "log.public_key": key.public_key})
    way.service = replace(way.service, quotas=Quotas(lambda: 0))
    sender, seal = replace(ALICE, quota=Quota(records_per_s=1)), Seal(key, ORIGIN)

    def sealed(number):
        line = seal.line({"id": f"s-{number}", "type": "note", "time": "2026-11-21T09:30:00Z"})
        return prepare(
            line,
            submitter="alice",
            persons=way.log.persons,
            origin=ORIGIN,
            agent_key=way.log.agent_key,
        )

    async def post():
        answers = way.request().app.state.answers
        for number in range(BURST_S):
            [result] = await answers.submit([sealed(number)], sender, atomic=True)
            assert not isinstance(result, LedgerError)
        with pytest.raises(LedgerError) as refused:
            answers.submit([sealed(BURST_S)], sender, atomic=True)
        assert refused.value.code == Code.QUOTA_EXCEEDED

    asyncio.run(post())


def test_a_full_queue_costs_nothing_of_a_quota(way):
    quotas = Quotas(lambda: 0)
    way.service = replace(way.service, quotas=quotas)
    sender = replace(ALICE, quota=Quota(records_per_s=10))

    async def crowded():
        request = way.request()
        senders = (take(request, many(10, text=str(n) * 4_000), sender) for n in range(8))
        return await asyncio.gather(*senders, return_exceptions=True)

    outcomes = asyncio.run(crowded())
    assert {error.code for error in outcomes if isinstance(error, LedgerError)} == {Code.QUEUE_FULL}
    appended = way.log.head().size - 1
    quotas.spend("alice", sender.quota, 10 * BURST_S - appended, 0)
    with pytest.raises(LedgerError):
        quotas.spend("alice", sender.quota, 1, 0)


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
        large = await asyncio.gather(*(worked_on(request, ALICE, INLINE_BYTES + 1, work) for _ in range(4)))
        return large, await worked_on(request, ALICE, INLINE_BYTES, work)

    large, small = asyncio.run(all_of_them())
    assert most == 1
    assert threading.main_thread() not in large
    assert small is threading.main_thread()
