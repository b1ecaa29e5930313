"""What a real server tells of itself: numbers to who has a token, lines without content or tokens, spans to its collector."""

import json

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ledger.log.log import Log
from tests.faults.oracle import ORIGIN, record
from tests.faults.server import Server
from tests.telemetry.test_export import PARENT, TRACE_ID, collector  # noqa: F401 - a fixture
from tests.telemetry.test_numbers import values

CANARY = "canary-7f3a"


@pytest.fixture
def serve(tmp_path):
    started = []

    def start(**options):
        data = tmp_path / "data"
        Log.create(data, ORIGIN)
        started.append(Server(data, **options))
        return started[-1]

    yield start
    for server in started:
        server.kill()


def secretive(name):
    """A record whose contents and person carry the canary."""
    return record(name, CANARY) | {
        "request": {"user": f"{CANARY}@example.com", "text": CANARY},
        "tool": {"name": "send_money", "arguments": {"to": CANARY}},
    }


def test_metrics_show_commits_and_refusals_to_who_has_a_token(serve):
    server = serve()
    assert server.post(record("one")).status_code == 201
    assert server.post(record("two"), record("three"), {"type": "action"}).status_code == 207
    assert server.post(record("one", "other words")).status_code == 409
    with server.client() as client:
        answer = client.get("/metrics")
        assert client.get("/metrics", headers={"Authorization": ""}).status_code == 401
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    shown = values(answer.text)
    assert shown["agent_ledger_size"] == shown["agent_ledger_anchored_size"] == 4
    assert shown["agent_ledger_queue_bytes"] == 0
    assert shown["agent_ledger_batch_records_count"] == shown["agent_ledger_commit_seconds_count"] == 2
    assert shown["agent_ledger_batch_records_sum"] == 3
    assert shown['agent_ledger_refusals_total{code="id-conflict"}'] == 1
    assert shown['agent_ledger_refusals_total{code="missing-member"}'] == 1


def test_no_line_of_the_log_carries_content_a_person_or_a_token(serve):
    """Threats 38 and 52: also where a client puts its token, or its words, into the address."""
    server = serve(options=["--access-log"])
    token = server.headers["Authorization"].removeprefix("Bearer ")
    with server.client() as client:
        assert client.post("/v1/records", json=secretive("one")).status_code == 201
        assert client.post("/v1/records", json=secretive("one") | {"time": CANARY}).status_code == 422
        assert client.post("/v1/records", json=secretive("two") | {CANARY: CANARY}).status_code == 422
        assert client.post("/v1/records", content=f'{{"{CANARY}'.encode()).status_code == 400
        assert client.get(f"/v1/log?token={token}&q={CANARY}").status_code in {200, 422}
        assert client.get(f"/v1/nothing/{token}").status_code == 404
        assert client.get("/v1/log", headers={"Authorization": f"Bearer alt_{CANARY}"}).status_code == 401
        for sql in (
            f"SELECT '{CANARY}' FROM nowhere",
            f"SELECT request_text FROM records WHERE id <> '{CANARY}'",
        ):
            client.post("/v1/query", json={"sql": sql})
        assert client.get("/v1/records/one%0D%0AX-Forged:%20yes%1b%5B31m").status_code == 404
    assert server.stop() == 0
    said = server.said()
    assert said.count('"event": "request"') >= 9
    assert CANARY not in said
    assert token not in said
    lines = [line for line in said.splitlines() if line.startswith("{")]
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert not any(line.startswith("X-Forged") for line in said.splitlines())
    assert "\x1b" not in said


def test_a_collector_gets_a_span_for_each_request_and_commit_without_content(serve, collector):  # noqa: F811
    server = serve(environment={"AGENT_LEDGER_OTLP_ENDPOINT": collector.url})
    token = server.headers["Authorization"].removeprefix("Bearer ")
    with server.client() as client:
        context = {"traceparent": f"00-{TRACE_ID}-{PARENT}-01"}
        assert client.post("/v1/records", json=secretive("one"), headers=context).status_code == 201
        assert client.get(f"/v1/records/{CANARY}?q={CANARY}").status_code == 404
    assert server.stop() == 0
    sent = b"".join(collector.received["/v1/traces"])
    assert CANARY.encode() not in sent
    assert token.encode() not in sent
    traces = ExportTraceServiceRequest.FromString(sent)
    spans = {
        span.name: span for r in traces.resource_spans for scope in r.scope_spans for span in scope.spans
    }
    assert spans.keys() >= {"commit", "POST /v1/records"}
    assert spans["POST /v1/records"].trace_id.hex() == TRACE_ID
    assert spans["POST /v1/records"].parent_span_id.hex() == PARENT
    assert collector.received["/v1/metrics"]
