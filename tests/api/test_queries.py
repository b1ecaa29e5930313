"""SQL over HTTP: formats, freshness, named questions, refusals."""

import csv
import io
import json

import pyarrow.ipc
import pyarrow.parquet
import pytest

from tests.api.samples import fresh

COUNT = "SELECT count(*) AS n FROM records"


def test_a_query_sees_what_was_acknowledged_before_it(http):
    for _ in range(5):
        size = http.post("/v1/records", json=fresh()).json()["size"]
        answer = http.post("/v1/query", json={"sql": COUNT}).json()
        assert answer["rows"] == [[size]]
        assert answer["size"] == size


def test_an_answer_comes_as_json_csv_or_arrow(http):
    record = fresh(tool={"name": "=cmd()"})
    http.post("/v1/records", json=record)
    query = {"sql": "SELECT id, tool_name FROM records WHERE id = $id", "parameters": {"id": record["id"]}}
    answer = http.post("/v1/query", json=query)
    assert answer.json()["rows"] == [[record["id"], "=cmd()"]]
    assert answer.headers["ledger-size"] == str(answer.json()["size"])
    as_csv = http.post("/v1/query", json=query, headers={"Accept": "text/csv"})
    assert as_csv.headers["content-type"].startswith("text/csv")
    assert as_csv.text.splitlines()[1] == f"{record['id']},'=cmd()"
    accept = {"Accept": "application/vnd.apache.arrow.stream, */*;q=0.1"}
    table = pyarrow.ipc.open_stream(
        io.BytesIO(http.post("/v1/query", json=query, headers=accept).content)
    ).read_all()
    assert table.to_pylist() == [{"id": record["id"], "tool_name": "=cmd()"}]
    assert http.post("/v1/query", json=query, headers={"Accept": "image/png"}).status_code == 406


def test_an_answer_comes_as_ndjson_parquet_or_raw_csv_and_says_by_headers_how_much_there_is(http):
    query = {"sql": "SELECT range AS n, '=x' AS t FROM range(5)", "limit": 2}
    for accept, read in {
        "application/x-ndjson": lambda body: [json.loads(line) for line in body.splitlines()][:2],
        "application/vnd.apache.parquet": lambda body: pyarrow.parquet.read_table(
            io.BytesIO(body)
        ).to_pylist(),
        "text/csv; formulas=raw": lambda body: [
            {"n": int(row["n"]), "t": row["t"]} for row in csv.DictReader(io.StringIO(body.decode()))
        ],
    }.items():
        answer = http.post("/v1/query", json=query, headers={"Accept": f"{accept}, */*;q=0.5"})
        assert answer.headers["content-type"].startswith(accept)
        assert (answer.headers["ledger-row-count"], answer.headers["ledger-truncated"]) == ("2", "true")
        assert read(answer.content) == [{"n": 0, "t": "=x"}, {"n": 1, "t": "=x"}]


def test_typed_parameters_reach_sql_and_named_questions(http):
    record = fresh(time="2026-11-21T10:30:00Z")
    http.post("/v1/records", json=record)
    since = {"type": "timestamp", "value": "2026-11-21T10:29:59Z"}
    names = {"type": "text[]", "value": [record["id"], "nobody"]}
    query = {
        "sql": "SELECT id FROM records WHERE time > $since AND id IN $ids",
        "parameters": {"since": since, "ids": names},
    }
    assert http.post("/v1/query", json=query).json()["rows"] == [[record["id"]]]
    named = next(
        q
        for q in http.get("/v1/queries").json()["queries"]
        if "since" in {p["name"] for p in q["parameters"]}
    )
    given = {p["name"]: "x" for p in named["parameters"] if p["required"] and p["type"] == "text"} | {
        "since": since
    }
    assert http.post(f"/v1/queries/{named['name']}", json={"parameters": given}).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({}, 422, "sql"),
        ({"sql": 1}, 422, "sql"),
        ({"sql": "SELECT 1", "more": 1}, 422, "more"),
        ({"sql": "SELECT 1", "limit": -1}, 422, "limit"),
        ({"sql": "SELECT $a", "parameters": {"a": [[1]]}}, 422, "parameters.a"),
        ({"sql": "SELECT $a", "parameters": {"a": {"type": "integer", "value": "x"}}}, 422, "parameters.a"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_with_its_path(http, body, status, path):
    answer = http.post("/v1/query", json=body)
    assert (answer.status_code, answer.json()["type"]) == (
        status,
        "urn:agent-ledger:problem:invalid-parameter",
    )
    if path:
        assert answer.json()["path"] == path


@pytest.mark.parametrize(
    "sql", ["DELETE FROM records", "SELECT 1; SELECT 2", "SELEC 1", "SELECT nope FROM records", ""]
)
def test_sql_that_is_no_single_select_is_a_problem(http, sql):
    answer = http.post("/v1/query", json={"sql": sql})
    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_error_in_the_text_says_where(http):
    sql = "SELECT seq,\n       nope\nFROM records"
    said = http.post("/v1/query", json={"sql": sql}).json()
    assert (said["type"], said["position"]) == ("urn:agent-ledger:problem:query-failed", sql.index("nope"))
    assert "position" not in http.post("/v1/query", json={"sql": "DELETE FROM records"}).json()


def test_the_named_questions_come_with_their_sql_and_the_titles_of_their_groups(http):
    told = http.get("/v1/queries").json()
    assert {query["group"] for query in told["queries"]} <= set(told["groups"])
    question = next(query for query in told["queries"] if query["name"] == "what-is-missing-by-agent")
    given = {p["name"]: p["default"] for p in question["parameters"]}
    own = http.post("/v1/query", json={"sql": question["sql"], "parameters": given}).json()
    assert own["rows"] == http.post(f"/v1/queries/{question['name']}", json={}).json()["rows"]


def test_every_named_question_runs(http):
    queries = http.get("/v1/queries").json()["queries"]
    assert len(queries) >= 8
    for query in queries:
        values = {"text": "x", "integer": 1, "boolean": True, "timestamp": "2026-11-21T09:30:00Z"}
        given = {p["name"]: values[p["type"]] for p in query["parameters"] if p["required"]}
        answer = http.post(f"/v1/queries/{query['name']}", json={"parameters": given})
        assert answer.status_code == 200, (query["name"], answer.text)
        assert [c["name"] for c in answer.json()["columns"]] == [c["name"] for c in query["columns"]]


def test_a_named_question_refuses_what_it_does_not_know(http):
    assert http.post("/v1/queries/nope", json={}).status_code == 404
    name = http.get("/v1/queries").json()["queries"][0]["name"]
    answer = http.post(f"/v1/queries/{name}", json={"parameters": {"nope": 1}})
    assert (answer.status_code, answer.json()["path"]) == (422, "parameters.nope")


def test_the_schema_describes_every_view_and_what_it_says_of_types_is_what_answers_have(http):
    tables = http.get("/v1/schema").json()["tables"]
    assert [table["name"] for table in tables][:2] == ["records", "actions"]
    for table in tables:
        answer = http.post("/v1/query", json={"sql": f"SELECT * FROM {table['name']} LIMIT 0"}).json()
        told = {column["name"]: column["type"] for column in table["columns"]}
        assert {column["name"]: column["type"].replace('"', "") for column in answer["columns"]} == told
        assert all(column["about"] for column in table["columns"])
    terms = {column["name"]: column["term"] for column in tables[1]["columns"]}
    assert terms["tool_name"] == "OTel gen_ai.tool.name"
