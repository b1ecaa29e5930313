"""POST /v1/records with an Arrow IPC stream: the bulk way in, answered like any other batch."""

import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pytest

from ledger.records.limits import BODY_BYTES
from tests.api.samples import fresh
from tests.ingest.arrows import stream, table
from tests.ingest.mutate import broken

ARROW = {"Content-Type": "application/vnd.apache.arrow.stream"}


def post(http, records, **headers):
    return http.post("/v1/records", content=stream(table(records)), headers=ARROW | headers)


def test_an_arrow_stream_is_answered_like_the_same_batch_as_ndjson(http):
    good, bad = [fresh() for _ in range(3)], fresh(time="yesterday")
    answer = post(http, [*good, bad])
    assert answer.status_code == 207
    body = answer.json()
    assert (body["appended"], body["existing"], body["refused"]) == (3, 0, 1)
    assert [result["id"] for result in body["results"][:3]] == [record["id"] for record in good]
    again = http.post(
        "/v1/records",
        content="\n".join(map(json.dumps, [*good, bad])),
        headers={"Content-Type": "application/x-ndjson"},
    ).json()
    assert again["existing"] == 3
    assert again["results"][3] == body["results"][3]
    assert [result["seq"] for result in again["results"][:3]] == [
        result["seq"] for result in body["results"][:3]
    ]


def test_a_retry_changes_nothing_and_what_was_sent_is_what_is_kept(http):
    records = [fresh() for _ in range(600)]
    first, again = post(http, records), post(http, records)
    assert (first.status_code, again.status_code) == (201, 200)
    assert [r["seq"] for r in first.json()["results"]] == [r["seq"] for r in again.json()["results"]]
    kept = http.get(f"/v1/records/{records[599]['id']}").json()
    assert kept["entry"]["record"]["tool"]["name"] == "send_money"
    assert {c["member"]: json.loads(c["value"]) for c in kept["contents"]} == {
        "request.text": records[599]["request"]["text"],
        "tool.arguments": {"amount": 1.5},
    }
    assert [json.loads(p["value"]) for p in kept["persons"]] == ["alice@example.com"]
    assert post(http, [records[0] | {"type": "note"}]).json()["results"][0]["status"] == 409


def test_all_or_nothing_holds_for_columns_too(http):
    before = http.get("/v1/log").json()["size"]
    answer = post(
        http, [fresh(), fresh(tool={"name": "x", "facts": {"row_count": -1}})], Prefer="handling=strict"
    )
    assert answer.status_code == 422
    assert [(p["record"], p["path"]) for p in answer.json()["results"]] == [(1, "tool.facts.row_count")]
    assert http.get("/v1/log").json()["size"] == before


def test_a_compressed_request_is_taken(http):
    body = gzip.compress(stream(table([fresh()])))
    answer = http.post("/v1/records", content=body, headers=ARROW | {"Content-Encoding": "gzip"})
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed-arrow"),
        (b"ARROW1\0\0", 400, "malformed-arrow"),
        (json.dumps(fresh()).encode(), 400, "malformed-arrow"),
        (stream(table([fresh()]))[:-20], 400, "malformed-arrow"),
        (b"\xff" * 64, 400, "malformed-arrow"),
    ],
)
def test_what_is_no_stream_is_a_problem_with_a_code(http, body, status, code):
    answer = http.post("/v1/records", content=body, headers=ARROW)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:agent-ledger:problem:{code}")


def test_a_column_that_is_no_member_is_named_with_the_one_that_was_meant(http):
    data = table([fresh()])
    data = data.rename_columns(
        ["tool_args" if name == "tool_arguments" else name for name in data.column_names]
    )
    answer = http.post("/v1/records", content=stream(data), headers=ARROW)
    assert answer.status_code == 422
    assert answer.json()["path"] == "tool_args"
    assert "did you mean tool_arguments?" in answer.json()["detail"]


def test_hostile_streams_are_refused_and_the_server_serves_on_in_flat_memory(server, http):  # threat 31
    def memory_bytes():
        return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * 4096

    def column(values):
        """Ten thousand records that are read to their end, and refused."""
        required = {"type": ["note"] * 10_000, "time": ["2026-11-21T09:30:00Z"] * 10_000}
        return stream(pa.table({**required, "source_seq": [-1] * 10_000, **values}))

    long = '"' + "x" * (1024 * 1024 - 2) + '"'
    bombs = [
        column({"tool_arguments": pa.DictionaryArray.from_arrays(pa.array([0] * 10_000, pa.int8()), [long])}),
        column({"policy_input": pa.array(["[" * 300] * 10_000)}),
        column({"decision_reason": pa.array(["[" + "[]," * 500 + "[]]"] * 10_000)}),
        column({"tool_name": pa.array(["\x01" * 2_000] * 10_000)}),
        stream(pa.table({"type": pa.nulls(10_000)})),
    ]
    post(http, [fresh()])
    before, size = memory_bytes(), http.get("/v1/log").json()["size"]
    random_ = random.Random(11)
    valid = stream(table([fresh() for _ in range(3)]), compression="lz4")
    for body in [*bombs, *bombs, *(broken(valid, random_) for _ in range(300))]:
        answer = http.post("/v1/records", content=body, headers=ARROW)
        assert answer.status_code < 500, answer.text[:1000]
    assert memory_bytes() - before < 8 * BODY_BYTES
    assert http.get("/healthz").status_code == 200
    assert http.get("/v1/log").json()["size"] >= size
