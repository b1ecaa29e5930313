"""SQL over HTTP: formats, freshness, named questions, refusals."""

import io

import pyarrow.ipc
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


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({}, 422, "sql"),
        ({"sql": 1}, 422, "sql"),
        ({"sql": "SELECT 1", "more": 1}, 422, "more"),
        ({"sql": "SELECT 1", "limit": -1}, 422, "limit"),
        ({"sql": "SELECT $a", "parameters": {"a": [1]}}, 422, None),
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
