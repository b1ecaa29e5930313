"""Pages bound to a size, cancelling, and that every query is recorded."""

import contextlib
import io
import json
import threading
import time

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.api.samples import fresh

SLOW = "SELECT count(*) FROM range(10000000) a, range(10000000) b"
CANARY = "canary-9e21"


@pytest.fixture(scope="module")
def thirty(server):
    """Thirty records of one tool, and the size after them."""
    made = [fresh(tool={"name": "paged", "arguments": {"n": n}}) for n in range(30)]
    return server.post(*made).json()["size"]


def ask(client, sql, **more):
    return client.post("/v1/query", json={"sql": sql, **more})


PAGED = "SELECT seq FROM records WHERE tool_name = $tool ORDER BY seq"
TOOL = {"tool": "paged"}


def test_cursors_give_every_row_once_while_the_log_grows(http, thirty):
    seen, cursor = [], None
    for _ in range(10):
        more = {} if cursor is None else {"cursor": cursor}
        answer = ask(http, PAGED, parameters=TOOL, limit=7, **more).json()
        assert answer["size"] >= thirty
        seen.append((answer["size"], [seq for [seq] in answer["rows"]]))
        http.post("/v1/records", json=fresh(tool={"name": "paged"}))
        cursor = answer.get("next")
        if cursor is None:
            break
    assert {size for size, _ in seen} == {seen[0][0]}
    rows = [seq for _, page in seen for seq in page]
    assert len(rows) == len(set(rows)) == 30
    assert rows == sorted(rows)


def test_an_answer_as_of_a_size_is_the_same_later(http, thirty):
    count = "SELECT count(*), max(seq) FROM records"
    first = ask(http, count, as_of=thirty).json()
    http.post("/v1/records", json=fresh())
    again = ask(http, count, as_of=thirty).json()
    assert first["rows"] == again["rows"] == [[thirty, thirty - 1]]
    assert (first["size"], first["root"]) == (again["size"], again["root"])
    assert ask(http, count).json()["rows"][0][0] > thirty


def test_every_format_says_how_to_go_on(http, thirty):
    question = {"sql": PAGED, "parameters": TOOL, "limit": 2, "as_of": thirty}
    cursors = set()
    for accept in ("application/json", "application/x-ndjson", "text/csv", "application/vnd.apache.parquet"):
        answer = http.post("/v1/query", json=question, headers={"Accept": accept})
        assert answer.headers["ledger-truncated"] == "true"
        cursors.add(answer.headers["ledger-next"])
        if accept == "application/json":
            assert answer.json()["next"] in cursors
        if accept == "application/x-ndjson":
            last = json.loads(answer.text.splitlines()[-1])
            assert last == {"truncated": {"row_count": 2, "next": answer.headers["ledger-next"]}}
        if accept.endswith("parquet"):
            assert pq.read_table(io.BytesIO(answer.content)).schema.metadata[b"ledger.truncated"] == b"true"
    assert len(cursors) == 1
    whole = ask(http, PAGED, parameters=TOOL, as_of=thirty)
    assert "ledger-next" not in whole.headers
    assert "next" not in whole.json()


def test_a_cursor_goes_with_its_own_question_alone(server, http, thirty):
    cursor = ask(http, PAGED, parameters=TOOL, limit=2).json()["next"]
    flipped = cursor[:20] + ("A" if cursor[20] != "A" else "B") + cursor[21:]
    for body in (
        {"sql": PAGED + " ", "parameters": TOOL, "cursor": cursor},
        {"sql": PAGED, "parameters": {"tool": "other"}, "cursor": cursor},
        {"sql": PAGED, "parameters": TOOL, "cursor": flipped},
        {"sql": PAGED, "parameters": TOOL, "cursor": cursor[:-1]},
        {"sql": PAGED, "parameters": TOOL, "cursor": ""},
        {"sql": PAGED, "parameters": TOOL, "cursor": "é" * 44},
        {"sql": PAGED, "parameters": TOOL, "cursor": cursor, "as_of": 3},
    ):
        answer = http.post("/v1/query", json=body)
        assert answer.status_code == 422
        assert answer.json()["path"] in {"cursor", "as_of"}
    with server.as_("reader") as reader:  # who sees no contents may get other rows
        assert ask(reader, PAGED, parameters=TOOL, cursor=cursor).status_code == 422


def test_a_size_the_log_never_had_is_refused(http, thirty):
    answer = ask(http, "SELECT 1", as_of=10**9)
    assert (answer.status_code, answer.json()["path"]) == (422, "as_of")
    assert "entries" in answer.json()["detail"]


def test_a_named_question_is_paged_too(http, thirty):
    queries = http.get("/v1/queries").json()["queries"]
    name = next(q["name"] for q in queries if not any(p["required"] for p in q["parameters"]))
    first = http.post(f"/v1/queries/{name}", json={"limit": 0}).json()
    if first["truncated"]:
        again = http.post(f"/v1/queries/{name}", json={"cursor": first["next"]})
        assert again.status_code == 200
        assert again.json()["size"] == first["size"]


def in_the_background(server, role, query_id, sql=SLOW, *, seconds=60):
    """Ask something slow from another thread; gives what became of it."""
    outcome = {}

    def asking():
        with server.as_(role) as client, contextlib.suppress(httpx.HTTPError):
            headers = {"Ledger-Query-Id": query_id}
            answer = client.post("/v1/query", json={"sql": sql}, headers=headers, timeout=seconds)
            outcome["answer"] = answer

    thread = threading.Thread(target=asking)
    thread.start()
    return thread, outcome


def until(true, seconds=20):
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if (found := true()) is not None:
            return found
        time.sleep(0.05)
    raise AssertionError("it never came")


def shown(client, query_id):
    queries = client.get("/v1/query/running").json()["queries"]
    return next((query for query in queries if query["id"] == query_id), None)


def test_a_query_is_seen_and_ended_by_who_asked_it_and_by_an_admin_and_by_nobody_else(server, http):
    for ender in ("reader", "admin"):
        query_id = f"mine-{ender}"
        thread, outcome = in_the_background(server, "reader", query_id)
        with server.as_(ender) as client, server.as_("auditor") as other:
            found = until(lambda query_id=query_id: shown(client, query_id))
            assert found["by"] == "a-reader"
            assert shown(other, query_id) is None
            assert other.delete(f"/v1/query/running/{query_id}").status_code == 404
            assert client.delete(f"/v1/query/running/{query_id}").status_code == 204
            thread.join(20)
            assert outcome["answer"].status_code == 422
            assert outcome["answer"].json()["type"].endswith("query-killed")
            gone = until(lambda query_id=query_id: True if shown(client, query_id) is None else None)
            assert gone
            assert client.delete(f"/v1/query/running/{query_id}").status_code == 404
    assert ask(http, "SELECT 1").json()["rows"] == [[1]]


def test_of_a_query_that_runs_it_is_told_how_far_it_has_come(server, http):
    """Of one that reads a range to its end DuckDB knows how much there is."""
    thread, outcome = in_the_background(
        server, "reader", "long", "SELECT sum(hash(range)) FROM range(2_000_000_000)"
    )
    with server.as_("reader") as client:
        seen: list[float] = []

        def further():
            found = shown(client, "long")
            if found is not None and found["fraction"] not in [None, *seen]:
                seen.append(found["fraction"])
            return True if len(seen) == 3 else None

        until(further)
        assert 0 <= seen[0] < seen[1] < seen[2] <= 1
        assert client.delete("/v1/query/running/long").status_code == 204
    thread.join(20)
    assert outcome["answer"].json()["type"].endswith("query-killed")


def test_a_client_that_leaves_has_cancelled_its_query(server, http):
    thread, outcome = in_the_background(server, "reader", "leaving", seconds=1)
    with server.as_("reader") as client:
        until(lambda: shown(client, "leaving"))
        thread.join(20)
        assert outcome == {}
        assert until(lambda: True if shown(client, "leaving") is None else None)


def test_an_id_is_told_back_and_one_that_is_none_is_refused(http):
    answer = http.post("/v1/query", json={"sql": "SELECT 1"}, headers={"Ledger-Query-Id": "a.b-c_1"})
    assert answer.headers["ledger-query-id"] == "a.b-c_1"
    assert len(ask(http, "SELECT 1").headers["ledger-query-id"]) == 36
    for bad in ("a/b", "a b", "x" * 65):
        refused = http.post("/v1/query", json={"sql": "SELECT 1"}, headers={"Ledger-Query-Id": bad})
        assert refused.status_code == 422


def journal(client):
    sql = "SELECT seq, ext->'log.queries' AS queries, request_text FROM records WHERE type = 'log.query_run' ORDER BY seq"
    return ask(client, sql).json()["rows"]


def recorded(client, by, needle):
    """The newest run whose words have this, with its facts."""
    for _, runs, words in reversed(journal(client)):
        for facts, said in zip(runs, json.loads(words or "[]"), strict=False):
            if facts["by"] == by and said and needle in json.dumps(said):
                return facts, said
    return None


def test_every_query_is_recorded_by_whom_with_what_came_of_it(server, http):
    marked = {
        "answered": f"SELECT '{CANARY}-a'",
        "query-refused": f"DELETE FROM records -- {CANARY}",
        "query-failed": f"SELECT '{CANARY}-f'::INT",
    }
    with server.as_("reader") as reader:
        for outcome, sql in marked.items():
            assert (ask(reader, sql).status_code == 200) == (outcome == "answered")
            facts, said = until(lambda sql=sql: recorded(http, "token:a-reader", sql.replace('"', '\\"')))
            assert (facts["outcome"], facts["contents"]) == (outcome, False)
            assert said == {"sql": sql, "parameters": {}}
        assert facts["rows"] == 0


def test_the_words_of_a_query_are_for_content_readers_alone(server, http):
    with server.as_("content-reader") as seeing, server.as_("reader") as reader:
        ask(seeing, "SELECT $who", parameters={"who": f"{CANARY}-words"})
        until(lambda: recorded(http, "token:a-content-reader", f"{CANARY}-words"))
        hidden = json.dumps(journal(reader))
        assert CANARY not in hidden
        assert "token:a-content-reader" in hidden
        for seq, _, _ in journal(http):
            assert CANARY not in reader.get(f"/v1/entries/{seq}").text


def test_reading_cannot_flood_the_log(server, http):
    before, began = len(journal(http)), time.monotonic()
    for n in range(60):
        ask(http, f"SELECT {n}")
    time.sleep(1.2)
    seconds = time.monotonic() - began
    assert len(journal(http)) - before <= seconds + 2


def test_an_arrow_page_reads_without_the_ledger(http, thirty):
    accept = {"Accept": "application/vnd.apache.arrow.stream"}
    answer = http.post("/v1/query", json={"sql": "SELECT seq FROM records", "limit": 3}, headers=accept)
    table = pa.ipc.open_stream(answer.content).read_all()
    assert table.schema.metadata[b"ledger.root"].decode() == answer.headers["ledger-root"]
