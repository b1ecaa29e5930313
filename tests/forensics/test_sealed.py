"""A log that is not small is asked through tables that a builder made: the answers are those of a worker that took in everything itself."""

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges
from ledger.forensics.sealed import SealedTables
from ledger.log.keeping import Removes
from ledger.log.log import Log
from ledger.log.removal import retire
from ledger.records.prepare import prepare
from tests.forensics.conftest import ORIGIN, Desk, action
from tests.forensics.test_actions_worlds import worlds

VIEWS = ("records", "actions", "sessions", "identities", "resources", "tools", "denials", "flows")
BATCH = 100


def rows(desk: Desk, sql: str, **options: object) -> Counter[str]:
    return Counter(json.dumps(row, sort_keys=True) for row in desk.ask(sql, limit=100_000, **options))


def post(desk: Desk, records: list[tuple[str, bytes]]) -> None:
    settled = threading.Event()
    refused: list[object] = []
    items = [
        prepare(
            record,
            submitter=submitter,
            persons=desk.log.persons,
            origin=ORIGIN,
            agent_key=desk.log.agent_key,
            reserved_ids=True,
        )
        for submitter, record in records
    ]

    def done(outcomes: list[object]) -> None:
        refused.extend(outcome for outcome in outcomes if isinstance(outcome, LedgerError))
        settled.set()

    desk.log.submit(items, atomic=False, done=done)
    assert settled.wait(30)
    assert refused == []


@pytest.fixture
def log(new_log: Callable[[], Path]) -> Iterator[Log]:
    opened = Log.open(new_log(), rotate_entries=120)
    yield opened
    opened.close()


@pytest.fixture
def plain(log: Log) -> Iterator[Desk]:
    """Workers that take in the whole log."""
    opened = Desk(log, max_rows=100_000, workers=1)
    yield opened
    opened.close()


@pytest.fixture
def desk(log: Log, tmp_path: Path) -> Iterator[Desk]:
    """Workers with sealed tables, from 100 entries on."""
    opened = Desk(log, tables=tmp_path / "queries", from_entries=100, behind=60, max_rows=100_000, workers=1)
    yield opened
    opened.close()


def sealed(desk: Desk) -> int:
    tables = desk.service._tables
    newest = None if tables is None else tables.newest()
    return 0 if newest is None else newest.size


def agree(desk: Desk, plain: Desk, **options: object) -> None:
    for view in VIEWS:
        one, other = (rows(each, f"SELECT * FROM {view}", **options) for each in (desk, plain))
        assert (view, sorted({**(one - other), **(other - one)})[:2]) == (view, [])


def test_sealed_tables_a_tail_and_earlier_sizes_answer_as_one(log: Log, desk: Desk, plain: Desk):
    records = worlds(7)[:640]
    random.Random(7).shuffle(records)
    records, last = records[:600], records[600:]
    for low in range(0, len(records), BATCH):
        post(desk, records[low : low + BATCH])
        desk.ask("SELECT count(*) FROM actions")
    log.seal()
    desk.service._tables.wait(30)
    post(desk, last)
    assert log.head().size > sealed(desk) > 100, "some of it is sealed, and some came since"
    agree(desk, plain)
    agree(desk, plain, contents=False)
    agree(desk, plain, as_of=sealed(desk) - 50)
    agree(desk, plain, as_of=log.head().size - 1)
    agree(desk, plain)


def test_a_log_whose_segments_were_made_before_is_taken_in_from_their_files(
    log: Log, desk: Desk, plain: Desk
):
    post(desk, worlds(8)[:300])
    log.seal()
    post(desk, worlds(8)[300:330])
    desk.ask("SELECT 1")
    assert sealed(desk) == log.head().size
    agree(desk, plain)


def test_what_is_removed_is_in_no_answer_from_then_on_and_in_no_file(
    log: Log, desk: Desk, plain: Desk, tmp_path: Path
):
    desk.post(
        *(
            action(
                n,
                request={"user": f"user-{n}@example.com", "text": f"SECRET-{n:03d}"},
                tool={"name": f"t{n}"},
            )
            for n in range(150)
        )
    )
    log.seal()
    assert desk.ask("SELECT request_text FROM records WHERE seq = 7") == [['"SECRET-006"']]
    assert sealed(desk) == log.head().size
    log.erase([(7, "request.text"), (8, "request.user")], by="token:admin", ground="asked for")
    retire(log, "old", Removes.ENTRIES, Ranges([(20, 30)]))
    assert desk.ask("SELECT request_text, tool_name FROM records WHERE seq = 7") == [[None, "t6"]]
    assert desk.ask("SELECT count(*) FROM records WHERE seq BETWEEN 20 AND 29") == [[0]]
    assert desk.ask("SELECT request_user FROM records WHERE seq = 8") == [[None]]
    assert sealed(desk) == log.head().size
    agree(desk, plain)
    stored = b"".join(path.read_bytes() for path in (tmp_path / "queries").iterdir())
    assert b"SECRET-006" not in stored
    assert b"SECRET-007" in stored


def test_where_records_come_too_fast_an_answer_is_of_an_earlier_size_and_says_by_how_much(
    log: Log, tmp_path: Path
):
    desk = Desk(
        log,
        tables=tmp_path / "queries",
        from_entries=100,
        behind=1_000,
        at_once=10,
        tail=25,
        workers=1,
    )
    desk.post(*(action(n) for n in range(150)))
    assert desk.run("SELECT 1").behind == 0
    for low in range(200, 240, 4):
        desk.post(*(action(n) for n in range(low, low + 4)))
    size, count = log.head().size, "SELECT count(*) FROM records"
    reached = []
    for _ in range(4):  # each takes in ten, to where the log signed a checkpoint; in the end it holds 25
        answer = desk.run(count)
        told = json.loads(answer.body)
        assert told["rows"] == [[answer.size]] == [[size - answer.behind]] == [[size - told["behind"]]]
        assert answer.root == log.root_at(answer.size)
        reached.append(answer.size - sealed(desk))
    assert reached == [8, 16, 24, 24]
    whole = desk.run(count, as_of=size - 1)
    assert (whole.size, whole.behind) == (size - 1, 0), "what asks for a size gets it"
    assert desk.ask(count, whole=True) == [[size]]
    assert "behind" not in json.loads(desk.run(count).body)
    desk.close()


def test_a_person_who_is_named_later_is_named_in_sealed_tables_too(log: Log, desk: Desk, plain: Desk):
    desk.post(*(action(n, request={"user": f"user-{n % 3}@example.com"}) for n in range(120)))
    desk.ask("SELECT 1")
    assert sealed(desk) > 100
    desk.post(action(500, request={"user": "another@example.com"}))
    agree(desk, plain)


def test_tables_that_were_altered_are_not_asked(log: Log, desk: Desk):
    desk.post(*(action(n, tool={"name": "t"}) for n in range(150)))
    desk.ask("SELECT 1")
    path = desk.service._tables.newest().path
    stored = bytearray(path.read_bytes())
    stored[len(stored) // 2] ^= 1
    path.write_bytes(stored)
    for worker in desk.service._idle:
        worker.kill()
        worker._process.wait()
    with pytest.raises(LedgerError) as refused:
        desk.ask("SELECT count(*) FROM records")
    assert refused.value.code == Code.EVIDENCE_ALTERED


def test_segments_that_were_altered_make_no_tables(log: Log, desk: Desk):
    desk.post(*(action(n, tool={"name": "t"}) for n in range(150)))
    log.seal()
    path = log.segments()[0].path("facts.parquet")
    path.chmod(0o644)
    stored = bytearray(path.read_bytes())
    stored[len(stored) // 2] ^= 1
    path.write_bytes(stored)
    with pytest.raises(LedgerError) as refused:
        desk.ask("SELECT count(*) FROM records")
    assert path.name in refused.value.detail


def test_without_contents_no_query_gives_one(log: Log, desk: Desk):
    canary = "CANARY-9d1f"
    desk.post(
        *(
            action(
                n,
                request={"user": f"{canary}@example.com", "text": canary},
                tool={"name": "t", "arguments": {"path": canary}},
            )
            for n in range(150)
        )
    )
    assert canary in str(desk.ask("SELECT * FROM actions", limit=5))
    for sql in [
        *(f"SELECT * FROM {view}" for view in (*VIEWS, "persons")),
        "SELECT request_text, tool_arguments FROM main.records",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM information_schema.columns",
        "SELECT * FROM information_schema.views",
        "SUMMARIZE actions",
        "SELECT max(request_text), min(tool_arguments), any_value(resource_id) FROM actions",
    ]:
        try:
            answer = desk.run(sql, contents=False).body
        except LedgerError as refused:
            answer = refused.detail.encode()
        assert canary.encode() not in answer, sql
    for sql in [
        "SELECT * FROM stored.records",
        "SELECT * FROM memory.stored.records",
        'SELECT * FROM sealed."stored".records',
        "SELECT * FROM sealed . stored /* x */ . records",
        'FROM "made".sessions',
        "SELECT * FROM live.records",
        "SELECT * FROM query('SELECT * FROM stor' || 'ed.records')",
        "SELECT * FROM query_table('stored.records')",
        "SELECT json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
        "SELECT * FROM duckdb_tables()",
        "SELECT * FROM pragma_storage_info('records')",
    ]:
        with pytest.raises(LedgerError) as refused_name:
            desk.run(sql, contents=False)
        assert refused_name.value.code == Code.QUERY_REFUSED, sql


def test_a_worker_that_was_busy_while_something_was_erased_answers_no_more(log: Log, tmp_path: Path):
    desk = Desk(log, tables=tmp_path / "queries", from_entries=100, workers=2)
    desk.post(*(action(n, request={"text": f"SECRET-{n:03d}"}) for n in range(5)))

    with desk.service._worker(log.head()) as busy:
        log.erase([(3, "request.text")], by="token:admin", ground="asked for")
        assert desk.ask("SELECT request_text FROM records WHERE seq = 3") == [[None]]
    assert not busy.alive, "it was given what is erased now"
    for _ in range(4):
        assert desk.ask("SELECT request_text FROM records WHERE seq = 3") == [[None]]
    desk.close()


def test_tables_that_are_being_made_when_something_is_erased_are_not_gone_on_with(
    log: Log, desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    desk.post(*(action(n, request={"text": f"SECRET-{n:03d}"}) for n in range(120)))
    desk.ask("SELECT 1")
    tables = desk.service._tables
    built = SealedTables._built
    first: list[int] = []

    def erasing(self: SealedTables, *given: object) -> object:
        if not first:
            first.append(1)
            log.erase([(3, "request.text")], by="token:admin", ground="asked for")
        return built(self, *given)

    monkeypatch.setattr(SealedTables, "_built", erasing)
    desk.post(*(action(n) for n in range(200, 300)))
    tables.refresh(log.head())
    tables.wait(30)
    assert first
    assert desk.ask("SELECT request_text FROM records WHERE seq = 3") == [[None]]
    assert b"SECRET-002" not in tables.newest().path.read_bytes()
