"""What is recorded of queries, and how little of it."""

import asyncio
import json

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.forensics.journal import KEPT_BYTES, MAX_RUNS, Journal, Run
from ledger.log.log import Log
from tests.forensics.conftest import ORIGIN

CANARY = "canary-5d1c"


@pytest.fixture
def log(tmp_path):
    Log.create(tmp_path / "data", ORIGIN)
    opened = Log.open(tmp_path / "data")
    yield opened
    opened.close()


def run(**members):
    made = {
        "by": "token:alice",
        "query": None,
        "sql": f"SELECT '{CANARY}'",
        "parameters": {"who": CANARY},
        "contents": True,
        "outcome": "answered",
        "size": 1,
        "rows": 3,
        "truncated": False,
        "seconds": 0.0042,
    }
    return Run(**made | members)


def recorded(log):
    found = [log.stored(seq) for seq in range(1, log.head().size)]
    return [(json.loads(each.entry)["record"], each.contents) for each in found]


def test_a_query_is_on_the_disk_when_its_note_returns_and_its_words_are_a_content_alone(log):
    async def once():
        journal = Journal(log)
        await journal.note(run())
        assert log.head().size == 2
        await journal.close()

    asyncio.run(once())
    [(record, [content])] = recorded(log)
    assert record["type"] == "log.query_run"
    assert record["ext"]["log.queries"] == [
        {
            "by": "token:alice",
            "contents": True,
            "outcome": "answered",
            "size": 1,
            "rows": 3,
            "truncated": False,
            "ms": 4,
        }
    ]
    assert CANARY not in json.dumps(record)
    assert content.member == "request.text"
    assert json.loads(content.value) == [{"sql": f"SELECT '{CANARY}'", "parameters": {"who": CANARY}}]


def test_a_burst_is_one_entry_and_nothing_of_it_is_lost(log):
    async def burst():
        journal = Journal(log, every_s=0.3)
        await journal.note(run(rows=0))
        for number in range(1, 40):
            await journal.note(run(rows=number))
        assert log.head().size == 2
        await asyncio.sleep(0.8)
        assert log.head().size == 3
        await journal.note(run(rows=40))
        await journal.close()

    asyncio.run(burst())
    rows = [query["rows"] for record, _ in recorded(log) for query in record["ext"]["log.queries"]]
    assert rows == list(range(41))


def test_what_is_beyond_an_entrys_room_is_counted(log):
    async def flood():
        journal = Journal(log, every_s=0.1)
        await journal.note(run())
        for _ in range(MAX_RUNS + 7):
            await journal.note(
                run(by="token:" + "a" * 64, query="q" * 64, sql="x" * KEPT_BYTES, outcome="c" * 20)
            )
        await journal.close()

    asyncio.run(flood())
    [_, (record, [content])] = recorded(log)
    assert (len(record["ext"]["log.queries"]), record["ext"]["log.queries_more"]) == (MAX_RUNS, 7)
    assert len(content.value) < KEPT_BYTES
    assert json.loads(content.value) == [None] * MAX_RUNS


def test_a_refused_query_has_its_code_and_no_size(log):
    async def once():
        journal = Journal(log)
        await journal.note(run(outcome="query-refused", size=None, rows=0, sql=None, query="denials"))
        await journal.close()

    asyncio.run(once())
    [(record, [content])] = recorded(log)
    assert record["ext"]["log.queries"][0]["outcome"] == "query-refused"
    assert "size" not in record["ext"]["log.queries"][0]
    assert json.loads(content.value) == [{"parameters": {"who": CANARY}}]


def test_a_log_that_writes_no_more_still_lets_ask_and_what_was_asked_waits(log, monkeypatch):
    async def refused():
        journal = Journal(log, every_s=0.05)
        with monkeypatch.context() as patch:
            patch.setattr(log, "submit", _stopped)
            await journal.note(run(rows=1))
            await journal.note(run(rows=2))
            await asyncio.sleep(0.2)
        await asyncio.sleep(0.3)
        await journal.close()

    asyncio.run(refused())
    assert [query["rows"] for record, _ in recorded(log) for query in record["ext"]["log.queries"]] == [1, 2]


def _stopped(*_, **__):
    raise LedgerError(Code.LOG_STOPPED, "stopped")


def test_the_words_of_a_query_may_be_erased_and_the_log_stays_whole(log):
    async def once():
        journal = Journal(log)
        await journal.note(run())
        await journal.close()

    asyncio.run(once())
    log.erase([(1, "request.text")], by="token:admin", ground="asked for")
    assert log.stored(1).contents == ()
    assert CANARY.encode() not in log.entry(1)
