"""OTLP/HTTP as its page says, over a real server: any exporter works, what is refused is said, and hostile bodies end well."""

import gzip
import os
import subprocess
import sys

import pytest
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from ledger.api import otlp
from ledger.core.errors import Code
from ledger.ingest.otlp.decode import Signal, decode
from tests.conftest import SHARED
from tests.ingest.otlp.otlp_json import as_json

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
EXPORTER = """
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult

class Told(OTLPSpanExporter):
    def export(self, spans):
        result = super().export(spans)
        print(result.name, flush=True)
        return result

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(Told()))
with provider.get_tracer("agent").start_as_current_span("execute_tool send_money") as span:
    span.set_attribute("gen_ai.operation.name", "execute_tool")
    span.set_attribute("gen_ai.tool.name", "send_money")
    span.set_attribute("gen_ai.tool.call.id", "call_of_the_exporter")
    print(format(span.get_span_context().trace_id, "032x"))
provider.shutdown()
"""
"""A program of somebody else's: nothing in it knows the ledger."""


def spans(*names, **members):
    """A request of one span for each name, its ids made of its place."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "tests"
    of_scope = group.scope_spans.add()
    for name in names:
        span = of_scope.spans.add(
            trace_id=os.urandom(16), span_id=os.urandom(8), name=name, start_time_unix_nano=10**18, **members
        )
        span.attributes.add(key="gen_ai.operation.name").value.string_value = "execute_tool"
        span.attributes.add(key="gen_ai.tool.name").value.string_value = name
    return request


def only(request):
    return request.resource_spans[0].scope_spans[0].spans


def asked(http, sql, **parameters):
    answer = http.post("/v1/query", json={"sql": sql, "parameters": parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"]


def in_log(http, span):
    return asked(
        http, "SELECT count(*) FROM records WHERE trace_trace_id = $trace", trace=span.trace_id.hex()
    )[0][0]


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_any_exporter_works_by_setting_endpoint_and_headers(server, http, compression):
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": server.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{server.tokens['writer']}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": compression,
        "OTEL_SERVICE_NAME": "exporter",
    }
    done = subprocess.run(
        [sys.executable, "-c", EXPORTER],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    trace_id, result = done.stdout.split()
    assert (result, done.stderr) == ("SUCCESS", "")
    rows = asked(
        http, "SELECT submitter, source_id FROM records WHERE trace_trace_id = $trace", trace=trace_id
    )
    assert rows
    assert set(map(tuple, rows)) == {("token:a-writer", "otlp:exporter")}


def test_an_exporter_without_a_token_hears_why(server):
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url}
    done = subprocess.run(
        [sys.executable, "-c", EXPORTER],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split()[1] == "FAILURE"
    assert "401" in done.stderr


def test_the_answer_to_what_was_all_taken_is_empty_and_in_the_encoding_of_the_request(http):
    request = spans("read_file")
    answer = http.post("/v1/traces", content=request.SerializeToString(), headers=PROTOBUF)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/x-protobuf"
    answer = http.post("/v1/traces", content=as_json(request), headers=JSON)
    assert (answer.status_code, answer.json()) == (200, {})
    assert answer.headers["content-type"] == "application/json"
    answer = http.post("/v1/logs", content=b"", headers=PROTOBUF)
    assert (answer.status_code, answer.content) == (200, b"")


def test_what_is_sent_again_in_either_encoding_and_any_order_is_there_once(http):
    request = spans("read_file", "send_money")
    for _ in range(2):
        http.post("/v1/traces", content=request.SerializeToString(), headers=PROTOBUF).raise_for_status()
    size = http.get("/v1/log").json()["size"]
    turned = ExportTraceServiceRequest()
    turned.CopyFrom(request)
    del only(turned)[:]
    only(turned).extend(reversed(only(request)))
    for body, headers in (
        (as_json(request), JSON),
        (turned.SerializeToString(), PROTOBUF),
        (gzip.compress(as_json(turned)), {**JSON, "Content-Encoding": "gzip"}),
    ):
        assert http.post("/v1/traces", content=body, headers=headers).status_code == 200
    assert http.get("/v1/log").json()["size"] == size


def test_another_sender_does_not_take_the_place_of_a_span(server, http):
    request = spans("read_file")
    body = request.SerializeToString()
    http.post("/v1/traces", content=body, headers=PROTOBUF).raise_for_status()
    first = in_log(http, only(request)[0])
    with server.as_("writer") as other:
        other.post("/v1/traces", content=body, headers=PROTOBUF).raise_for_status()
    assert in_log(http, only(request)[0]) == 2 * first
    rows = asked(
        http,
        "SELECT DISTINCT submitter FROM records WHERE trace_trace_id = $trace",
        trace=only(request)[0].trace_id.hex(),
    )
    assert len(rows) == 2


def test_spans_that_cannot_be_read_cost_the_others_nothing_and_are_counted_in_the_answer(http):
    request = spans("good", "no trace", "short", "zero")
    good, no_trace, short, zero = only(request)
    no_trace.trace_id, short.span_id, zero.span_id = b"", b"123", bytes(8)
    answer = http.post("/v1/traces", content=request.SerializeToString(), headers=PROTOBUF)
    told = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert answer.status_code == 200
    assert told.rejected_spans == 3
    assert "2 refused: spanId" in told.error_message
    assert in_log(http, good) >= 1
    told = http.post("/v1/traces", content=as_json(request), headers=JSON).json()["partialSuccess"]
    assert told["rejectedSpans"] == "3"


@pytest.mark.usefixtures("shared")
def test_what_is_transport_is_not_recorded_and_that_is_said(http):
    body = (SHARED / "otlp/a2a-server/001.traces.pb").read_bytes()
    told = ExportTraceServiceResponse.FromString(
        http.post("/v1/traces", content=body, headers=PROTOBUF).content
    )
    assert told.partial_success.rejected_spans == 0
    assert "not recorded: transport" in told.partial_success.error_message
    assert 'agent_ledger_dropped_total{reason="transport' in http.get("/metrics").text


@pytest.mark.usefixtures("shared")
def test_every_capture_posts_without_refusal(http):
    kinds = {"traces": ExportTraceServiceResponse, "logs": ExportLogsServiceResponse}
    captures = [
        path
        for path in sorted(SHARED.glob("otlp/*/*"))
        if path.suffix == ".pb" or path.name.endswith(".traces.json")
    ]
    assert len(captures) > 110
    for path in captures:
        signal = path.name.split(".")[1]
        headers = PROTOBUF if path.suffix == ".pb" else JSON
        answer = http.post(f"/v1/{signal}", content=path.read_bytes(), headers=headers)
        assert answer.status_code == 200, (path, answer.text)
        if path.suffix == ".pb":
            assert b"refused" not in answer.content, path
            told = kinds[signal].FromString(answer.content).partial_success
            assert (told.rejected_spans if signal == "traces" else told.rejected_log_records) == 0
        else:
            assert answer.json() == {}


def status_of(answer):
    if answer.headers["content-type"] == "application/x-protobuf":
        return Status.FromString(answer.content)
    found = answer.json()
    return Status(code=found["code"], message=found["message"])


REFUSED = {
    "not protobuf": ("/v1/traces", b"hello", PROTOBUF, 400, "malformed-protobuf"),
    "cut off": (
        "/v1/traces",
        spans("x").SerializeToString()[:-1],
        PROTOBUF,
        400,
        "malformed-protobuf",
    ),
    "json as protobuf": ("/v1/traces", b'{"resourceSpans":[]}', PROTOBUF, 400, "malformed-protobuf"),
    "not json": ("/v1/logs", b"{", JSON, 400, "malformed-json"),
    "not an object": ("/v1/logs", b"[]", JSON, 400, "malformed-json"),
    "other types": ("/v1/traces", b'{"resourceSpans":{}}', JSON, 400, "malformed-json"),
    "keys twice": (
        "/v1/traces",
        b'{"resourceSpans":[],"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]}',
        JSON,
        400,
        "duplicate-key",
    ),
    "deep json": ("/v1/traces", b'{"a":' * 100_000, JSON, 400, "too-deep"),
    "no utf-8": ("/v1/logs", b'{"a":"\xff"}', JSON, 400, "invalid-text"),
    "only bad spans": (
        "/v1/traces",
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]}',
        JSON,
        400,
        "invalid-member",
    ),
    "another type": ("/v1/traces", b"x", {"Content-Type": "text/plain"}, 415, "unsupported-media-type"),
    "no type": ("/v1/traces", b"x", {}, 415, "unsupported-media-type"),
    "another compression": (
        "/v1/traces",
        b"x",
        {**PROTOBUF, "Content-Encoding": "deflate"},
        415,
        "unsupported-encoding",
    ),
    "too many bytes": ("/v1/traces", bytes(33 << 20), PROTOBUF, 413, "body-too-large"),
    "metrics": ("/v1/metrics", b"", PROTOBUF, 404, "not-found"),
    "metrics in json": ("/v1/metrics", b"{}", JSON, 404, "not-found"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_refusal_is_a_status_in_the_encoding_of_the_request(http, what):
    path, body, headers, expected, code = REFUSED[what]
    size = http.get("/v1/log").json()["size"]
    answer = http.post(path, content=body, headers=headers)
    assert answer.status_code == expected, answer.content
    told = status_of(answer)
    assert answer.headers["content-type"] == headers.get("Content-Type", "") or headers != PROTOBUF
    assert told.message.endswith(f"({code})")
    assert told.code > 0
    if expected == 400 and headers == PROTOBUF:
        [detail] = told.details
        found = BadRequest()
        assert detail.Unpack(found)
        assert found.field_violations[0].description
    assert "retry-after" not in answer.headers, "no exporter sends this again"
    assert http.get("/v1/log").json()["size"] == size


@pytest.mark.parametrize(
    ("role", "expected"), [(None, 401), ("nobody", 401), ("reader", 403), ("auditor", 403)]
)
def test_who_may_not_write_is_told_so_in_the_same_encoding(server, http, role, expected):
    token = server.tokens.get(role, role)
    headers = {**PROTOBUF, "Authorization": f"Bearer {token}" if token else ""}
    answer = http.post("/v1/traces", content=b"", headers=headers)
    assert answer.status_code == expected
    assert Status.FromString(answer.content).message


def test_an_error_of_ours_in_one_span_costs_the_others_nothing(monkeypatch):
    spans_of = otlp.records_of

    def with_a_bug(spans, logs, submitter):
        if any(span.name == "bug" for span in spans):
            raise ZeroDivisionError
        return spans_of(spans, logs, submitter)

    monkeypatch.setattr(otlp, "records_of", with_a_bug)
    body = spans("one", "bug", "two").SerializeToString()
    [piece] = decode(body, "application/x-protobuf", Signal.TRACES).slices
    reading = otlp._next_reading(iter([piece]), "alice")
    assert len(reading.records) == 2
    assert [error.code for error in reading.refused] == [Code.INTERNAL]
