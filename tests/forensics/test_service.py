"""Threats 33, 34 and 38, and what a query may count on."""

import asyncio
import csv
import io
import json
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges
from ledger.forensics import service as service_module
from ledger.forensics.engine import Query
from ledger.forensics.process import Bounds, WorkerProcess
from ledger.forensics.render import ARROW, CSV, CSV_RAW, NDJSON, PARQUET
from ledger.log.keeping import Removes
from ledger.log.log import Log
from ledger.log.removal import retire
from tests.forensics.conftest import ORIGIN, Desk, action

BOMBS = [
    "SELECT length(repeat('x', 1000000000))",
    "SELECT repeat('x', 1000000000)",
    "SELECT count(*) FROM range(10000000) a, range(10000000) b",
    "SELECT len(range(2000000000))",
    "SELECT levenshtein(repeat('ab', 200000), repeat('ba', 200000))",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
    "SELECT list(repeat(i::VARCHAR, 1000)) FROM range(100000000) r(i)",
    "SELECT count(DISTINCT hash(i)) FROM range(300000000) a(i)",
]


@pytest.fixture(scope="module")
def hurried(log: Log) -> Iterator[Desk]:
    opened = Desk(log, deadline_s=1, memory_bytes=200_000_000)
    yield opened
    opened.close()


def test_a_query_sees_every_record_acknowledged_before_it_was_asked(desk: Desk):
    for number in range(100, 120):
        [appended] = desk.post(action(number, tool={"name": f"tool-{number}"}))
        asked = desk.run("SELECT seq FROM records WHERE tool_name = $name", {"name": f"tool-{number}"})
        assert json.loads(asked.body)["rows"] == [[appended.seq]]
        assert asked.size >= appended.size


def test_an_answer_names_the_checkpoint_it_stands_on(desk: Desk):
    asked = desk.run("SELECT max(seq) + 1 FROM records")
    answer = json.loads(asked.body)
    assert answer["rows"] == [[asked.size]] == [[desk.log.head().size]]
    assert (
        (answer["size"], answer["root"])
        == (asked.size, asked.root.hex())
        == (asked.size, desk.log.head().root.hex())
    )
    assert answer["seconds"] > 0


@pytest.mark.parametrize("sql", BOMBS)
def test_a_bomb_is_stopped_and_the_next_query_is_answered(hurried: Desk, sql: str):
    began = time.monotonic()
    with pytest.raises(LedgerError) as refusal:
        hurried.run(sql)
    assert refusal.value.code in {Code.QUERY_TIMEOUT, Code.QUERY_KILLED, Code.QUERY_FAILED}
    assert time.monotonic() - began < 5
    assert hurried.ask("SELECT count(*) FROM records") == [[hurried.log.head().size]]


def test_while_a_bomb_runs_records_are_still_committed(hurried: Desk):
    async def both() -> tuple[LedgerError, list[float]]:
        bomb = asyncio.create_task(hurried.service.run(BOMBS[2]))
        await asyncio.sleep(0.2)
        seconds = []
        for number in range(200, 220):
            began = time.monotonic()
            await asyncio.to_thread(hurried.post, action(number))
            seconds.append(time.monotonic() - began)
        with pytest.raises(LedgerError) as refusal:
            await bomb
        return refusal.value, seconds

    refusal, seconds = hurried.loop.run_until_complete(both())
    assert refusal.code == Code.QUERY_TIMEOUT
    assert sorted(seconds)[len(seconds) // 2] < 0.1


def test_the_event_loop_is_free_while_a_query_runs(hurried: Desk):
    async def ticks() -> int:
        bomb = asyncio.create_task(hurried.service.run(BOMBS[2]))
        count = 0
        while not bomb.done():
            await asyncio.sleep(0.01)
            count += 1
        with pytest.raises(LedgerError):
            await bomb
        return count

    assert hurried.loop.run_until_complete(ticks()) > 30


def test_too_many_waiting_queries_are_turned_away(desk: Desk):
    async def crowd() -> list[object]:
        many = [
            desk.service.run("SELECT 1")
            for _ in range(service_module.MAX_WAITING + service_module.WORKERS + 5)
        ]
        return await asyncio.gather(*many, return_exceptions=True)

    answers = desk.loop.run_until_complete(crowd())
    busy = [answer for answer in answers if isinstance(answer, LedgerError)]
    assert [error.code for error in busy] == [Code.QUERIES_BUSY] * 5
    assert desk.ask("SELECT 1") == [[1]]


def test_rows_beyond_the_limit_are_cut_and_said_to_be(desk: Desk):
    for media in (None, CSV, CSV_RAW, NDJSON, ARROW, PARQUET):
        asked = desk.run("SELECT * FROM range(50)", limit=10, **({"media": media} if media else {}))
        assert (asked.row_count, asked.truncated) == (10, True)
        exact = desk.run("SELECT * FROM range(10)", limit=10, **({"media": media} if media else {}))
        assert (exact.row_count, exact.truncated) == (10, False)
    assert desk.ask("SELECT * FROM range(50) ORDER BY 1 DESC", limit=2) == [[49], [48]]


def test_bytes_beyond_the_cap_are_cut_and_said_to_be(log: Log):
    desk = Desk(log, max_bytes=10_000)
    for media in (None, CSV, NDJSON, ARROW, PARQUET):
        options = {"media": media} if media else {}
        asked = desk.run("SELECT repeat('x', 100) FROM range(9000)", **options)
        assert asked.truncated
        assert 1 <= asked.row_count < 100 or media in (ARROW, PARQUET)
        assert len(asked.body) < 12_000
        with pytest.raises(LedgerError, match="one row"):
            desk.run("SELECT repeat('x', 20000)", **options)
    desk.close()


def test_values_arrive_as_json_without_loss(desk: Desk):
    [row] = desk.ask(
        "SELECT TIMESTAMPTZ '2026-11-21 09:30:00.5+01', TIMESTAMP '2026-11-21 09:30:00', DATE '2026-11-21', 'ab'::BLOB, 9007199254740993,"
        " 9007199254740991, -9007199254740993, 1.10, 1.5::DOUBLE, 'nan'::DOUBLE, true, NULL, 'é', 170141183460469231731687303715884105727,"
        " [1, NULL], {'a': [TIMESTAMPTZ '2026-11-21 09:30:00Z'], 'b': 9007199254740993}, MAP {'k': 1}, '{\"a\": [1, 2.5]}'::JSON, sum(1),"
        " TIMESTAMPTZ 'infinity', INTERVAL 1 DAY, uuid '00000000-0000-7000-8000-000000000000', TIME '09:30:00', '\\xFF'::BLOB"
    )
    assert row == [
        "2026-11-21T08:30:00.500000Z", "2026-11-21T09:30:00", "2026-11-21", "6162", "9007199254740993",
        9007199254740991, "-9007199254740993", "1.10", 1.5, "nan", True, None, "é", "170141183460469231731687303715884105727",
        [1, None], {"a": ["2026-11-21T09:30:00Z"], "b": "9007199254740993"}, {"k": 1}, {"a": [1, 2.5]}, 1,
        "infinity", row[20], "00000000-0000-7000-8000-000000000000", "09:30:00", "ff",
    ]  # fmt: skip


def test_parameters_are_values_and_never_sql(desk: Desk):
    quote = "x'; DROP TABLE records; --"
    assert desk.ask("SELECT $a, $b + 1, $c, $d IS NULL", {"a": quote, "b": 41, "c": True, "d": None}) == [
        [quote, 42, True, True]
    ]
    with pytest.raises(LedgerError, match="mismatch"):
        desk.run("SELECT 1", {"unused": 1})


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "\uff1d1", "=cmd|' /C calc'!A0"]
)
def test_a_csv_cell_that_a_spreadsheet_would_run_begins_with_an_apostrophe(desk: Desk, text: str):
    asked = desk.run("SELECT $text AS a, [$text] AS b, -5 AS c, $text || 'x' AS d", {"text": text}, media=CSV)
    rows = list(csv.reader(io.StringIO(asked.body.decode(), newline="")))
    assert rows == [
        ["a", "b", "c", "d"],
        [f"'{text}", json.dumps([text], ensure_ascii=False), "-5", f"'{text}x"],
    ]


def test_raw_csv_keeps_every_text_as_it_is(desk: Desk):
    assert desk.run("SELECT '=1+1' AS \"=cmd\", [1, NULL]", media=CSV_RAW).body.startswith(b"=cmd,")
    assert b"=1+1" in desk.run("SELECT '=1+1'", media=CSV_RAW).body.splitlines()[1]


def test_a_csv_header_that_a_spreadsheet_would_run_begins_with_an_apostrophe(desk: Desk):
    assert desk.run('SELECT 1 AS "=cmd"', media=CSV).body.startswith(b"'=cmd\r\n")


def test_arrow_keeps_the_types(desk: Desk):
    asked = desk.run("SELECT seq, recorded_at FROM records ORDER BY seq", media=ARROW)
    table = pa.ipc.open_stream(asked.body).read_all()
    assert table.schema.types == [pa.uint64(), pa.timestamp("us", tz="UTC")]
    assert table.num_rows == asked.row_count == desk.log.head().size


def test_ndjson_is_a_row_a_line_and_a_last_line_only_where_there_is_more(desk: Desk):
    sql = "SELECT range AS n, 'a' || chr(10) || 'b' AS t, 1 AS t FROM range(3)"
    lines = desk.run(sql, media=NDJSON).body.decode().splitlines()
    assert [json.loads(line) for line in lines] == [{"n": n, "t": "a\nb", "t_1": 1} for n in range(3)]
    cut = desk.run(sql, media=NDJSON, limit=2).body.decode().splitlines()
    assert [json.loads(line) for line in cut[2:]] == [{"truncated": {"row_count": 2}}]


@pytest.mark.parametrize("media", [ARROW, PARQUET])
def test_a_table_says_in_its_schema_what_it_stands_on_and_whether_it_is_whole(desk: Desk, media: str):
    body = desk.run(
        "SELECT seq, recorded_at, entry_part FROM (SELECT *, [id] AS entry_part FROM records), range(4)",
        media=media,
        limit=3,
    ).body
    table = pa.ipc.open_stream(body).read_all() if media == ARROW else pq.read_table(io.BytesIO(body))
    head = desk.log.head()
    told = {name.decode(): value.decode() for name, value in table.schema.metadata.items()}
    assert told["ledger.size"] == str(head.size)
    assert told["ledger.root"] == head.root.hex()
    assert (told["ledger.row_count"], told["ledger.truncated"]) == ("3", "true")
    assert table.num_rows == 3
    assert table.schema.types[1] == pa.timestamp("us", tz="UTC")


@pytest.mark.parametrize(
    "sql", ["SELECT INTERVAL 1 DAY", "SELECT union_value(n := 2)", "SELECT [INTERVAL 1 DAY]"]
)
def test_what_parquet_has_no_type_for_is_refused_with_a_way_out(desk: Desk, sql: str):
    with pytest.raises(LedgerError, match="cast it to text"):
        desk.run(sql, media=PARQUET)
    assert desk.run(sql).row_count == 1


def test_parameters_of_every_kind_arrive_with_their_types(desk: Desk):
    given = {
        "t": datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
        "d": date(2026, 11, 21),
        "names": ["a", "b"],
        "f": 1.5,
        "times": [datetime(2026, 11, 21, tzinfo=UTC)],
        "none": [],
    }
    sql = (
        "SELECT typeof($t), typeof($d), typeof($names), typeof($f), typeof($times), 'b' IN $names,"
        " $t > TIMESTAMPTZ '2026-11-21 09:29:59Z', len($none)"
    )
    assert desk.ask(sql, given) == [
        [
            "TIMESTAMP WITH TIME ZONE",
            "DATE",
            "VARCHAR[]",
            "DOUBLE",
            "TIMESTAMP WITH TIME ZONE[]",
            True,
            True,
            0,
        ]
    ]


def test_an_error_of_sql_says_what_is_wrong_in_one_line(desk: Desk):
    with pytest.raises(LedgerError) as refusal:
        desk.run("SELECT tool_nam FROM records")
    assert refusal.value.code == Code.QUERY_FAILED
    assert "tool_nam" in refusal.value.detail
    assert "\n" not in refusal.value.detail


def test_a_person_is_named_in_the_columns_and_salts_are_not_there(desk: Desk):
    desk.post(action(300, request={"user": "alice@example.com", "text": "hello"}))
    assert desk.ask(
        "SELECT request_user, request_text, length(request_user_commitment) FROM records WHERE id = 'rec-00300'"
    ) == [["alice@example.com", '"hello"', 64]]
    columns = desk.ask("SELECT column_name FROM information_schema.columns")
    assert not [name for [name] in columns if "salt" in name]


# What is done to the stored rows by hand → what no query may be answered from.
ALTERATIONS = {
    "a byte of an entry": "UPDATE entries SET entry = replace(entry, 'tool-1', 'tool-2') WHERE seq = 2",
    "an entry and its hash": (
        "UPDATE entries SET entry = replace(entry, 'tool-1', 'tool-2'), hash = unhex(sha256(chr(0) || replace(entry, 'tool-1', 'tool-2')))"
        " WHERE seq = 2"
    ),
    "a hash": "UPDATE entries SET hash = unhex(repeat('ab', 32)) WHERE seq = 2",
    "a content": "UPDATE entries SET contents = replace(contents, '{\"n\": 1}', '{\"n\": 2}') WHERE seq = 2",
    "a content's member": (
        "UPDATE entries SET contents = replace(contents, 'tool.arguments', 'outcome.result') WHERE seq = 2"
    ),
    "a salt": "UPDATE entries SET contents = regexp_replace(contents, '[0-9a-f]{32}', repeat('0', 32)) WHERE seq = 2",
    "a person": "UPDATE persons SET value = '\"mallory\"'",
    "a swap": "UPDATE entries SET seq = CASE seq WHEN 2 THEN 3 WHEN 3 THEN 2 ELSE seq END",
    "a gap": "UPDATE entries SET seq = seq + 1 WHERE seq >= 2",
}  # fmt: skip


@pytest.mark.parametrize("what", ALTERATIONS)
def test_altered_evidence_is_refused_not_queried(new_log: Callable[[], Path], what: str):
    folder = new_log()
    log = Log.open(folder)
    desk = Desk(log)
    desk.post(
        *[
            action(n, tool={"name": f"tool-{n}", "arguments": {"n": n}}, request={"user": "bob"})
            for n in range(5)
        ]
    )
    assert desk.ask("SELECT count(*) FROM records") == [[6]]
    desk.close()
    log._store._writing._writer.execute(ALTERATIONS[what])  # as an operator would, under the ledger's feet
    desk = Desk(log)
    for _ in range(2):
        with pytest.raises(LedgerError) as refusal:
            desk.run("SELECT count(*) FROM records")
        assert refusal.value.code == Code.EVIDENCE_ALTERED
        assert "agent-ledger verify" in refusal.value.detail
    desk.close()
    log.close()


def test_a_checkpoint_that_the_logs_key_did_not_sign_is_not_answered_for(new_log: Callable[[], Path]):
    log = Log.open(new_log())
    desk = Desk(log)
    desk.post(action(1))
    head = log.head()
    log._written.head = head._replace(note=head.note.replace(b"\n2\n", b"\n1\n"), size=1)
    with pytest.raises(LedgerError) as refusal:
        desk.run("SELECT 1")
    assert refusal.value.code in {Code.INVALID_SIGNATURE, Code.UNKNOWN_SIGNER, Code.EVIDENCE_ALTERED}
    desk.close()
    log.close()


def test_a_worker_whose_service_forgot_it_ends_by_itself(log: Log):
    worker = WorkerProcess(log.keys, Bounds(0.1, 200_000_000, 5 * 1024**3))
    head = log.head()
    worker.fill(log, head, head.size)
    worker.kill = lambda: None  # the service is gone, or hangs
    with pytest.raises(LedgerError):
        worker.ask(Query(BOMBS[2], {}, "application/json", 10, 1_000))
    assert worker._process.wait() == -signal.SIGALRM


def test_closing_does_not_wait_for_a_bomb(log: Log):
    desk = Desk(log, deadline_s=60)

    async def close_during_a_bomb() -> float:
        bomb = asyncio.create_task(desk.service.run(BOMBS[2]))
        await asyncio.sleep(0.5)
        began = time.monotonic()
        await desk.service.close()
        with pytest.raises(LedgerError):
            await bomb
        return time.monotonic() - began

    assert desk.loop.run_until_complete(close_during_a_bomb()) < 5
    desk.loop.close()


def test_a_worker_that_got_half_of_the_rows_is_not_given_them_twice(
    new_log: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
):
    log = Log.open(new_log())
    desk = Desk(log)
    desk.post(*[action(n) for n in range(3)])

    def broken(start: int, end: int) -> Iterator[pa.RecordBatch]:
        yield next(iter(Log.rows(log, start, end - 2)))
        raise LedgerError(Code.STORAGE_FAILED, "the disk")

    with monkeypatch.context() as patch:
        patch.setattr(log, "rows", broken)
        with pytest.raises(LedgerError, match="the disk"):
            desk.run("SELECT 1")
    assert desk.ask("SELECT count(*) FROM records") == [[4]]
    desk.close()
    log.close()


def test_what_the_log_says_is_gone_is_in_no_answer_and_a_retired_entry_in_no_row(tmp_path):
    Log.create(tmp_path / "data", ORIGIN)
    log = Log.open(tmp_path / "data")
    desk = Desk(log)
    texts = [{"user": "alice@example.com", "text": f"please {n}"} for n in range(4)]
    desk.post(*(action(n, request=text) for n, text in enumerate(texts)))
    asked = "SELECT seq, request_text, request_user FROM records WHERE type = 'action' ORDER BY seq"
    assert [row[1] for row in desk.ask(asked)] == [f'"please {n}"' for n in range(4)]
    log.erase([(2, "request.text")], by="token:admin", ground="asked for")
    retire(log, "old", Removes.ENTRIES, Ranges([(3, 4)]))
    left = desk.ask(asked)
    log.erase([(1, "request.user")], by="token:admin", ground="asked for")
    nobody = desk.ask(asked)
    desk.close()
    log.close()
    assert left == [
        [1, '"please 0"', "alice@example.com"],
        [2, None, "alice@example.com"],
        [4, '"please 3"', "alice@example.com"],
    ]
    assert [row[2] for row in nobody] == [None] * 3
