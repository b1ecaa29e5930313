"""What is sent to a collector, what it costs, and what an embedding program notices of it: nothing."""

import asyncio
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from opentelemetry import metrics, trace
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ledger.telemetry import Telemetry
from ledger.telemetry.export import OtlpExporter
from ledger.telemetry.requests import TracedRequests
from tests.telemetry.test_numbers import Log

TRACE_ID, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def collector():
    """A real HTTP collector on loopback: what was posted to which path."""
    received = {"/v1/traces": [], "/v1/metrics": []}

    class Collect(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received[self.path].append(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collect)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_address[1]}", received=received)
    server.shutdown()
    server.server_close()


def test_a_collector_gets_commits_and_numbers_and_the_global_providers_stay_untouched(collector, tmp_path):
    globals_before = trace.get_tracer_provider(), metrics.get_meter_provider()
    telemetry = Telemetry(endpoint=collector.url)
    telemetry.observe(Log(0, queue_bytes=12))
    telemetry.committed(3, 0.25, 10)
    telemetry.refused("queue-full")
    telemetry.close()
    assert (trace.get_tracer_provider(), metrics.get_meter_provider()) == globals_before

    traces = ExportTraceServiceRequest.FromString(b"".join(collector.received["/v1/traces"]))
    [span] = [span for r in traces.resource_spans for scope in r.scope_spans for span in scope.spans]
    assert span.name == "commit"
    assert {item.key: item.value.int_value for item in span.attributes} == {
        "agent_ledger.records": 3,
        "agent_ledger.size": 10,
    }
    assert span.end_time_unix_nano - span.start_time_unix_nano == 250_000_000

    numbers = ExportMetricsServiceRequest.FromString(collector.received["/v1/metrics"][-1])
    found = {m.name: m for r in numbers.resource_metrics for scope in r.scope_metrics for m in scope.metrics}
    assert found["agent_ledger.queue.size"].gauge.data_points[0].as_int == 12
    assert found["agent_ledger.log.size"].gauge.data_points[0].as_int == 7
    assert found["agent_ledger.log.anchored_size"].gauge.data_points[0].as_int == 0
    assert found["agent_ledger.refusals"].sum.data_points[0].as_int == 1
    assert found["agent_ledger.commit.records"].histogram.data_points[0].sum == 3
    assert found["agent_ledger.commit.duration"].histogram.data_points[0].sum == 0.25


def test_nothing_of_opentelemetry_is_loaded_unless_it_is_configured():
    program = (
        "import sys; from ledger.telemetry import Telemetry; Telemetry().metrics_text();"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_collector_that_is_away_costs_commits_nothing_and_the_end_a_few_seconds():
    telemetry = Telemetry(endpoint="http://127.0.0.1:9")
    started = time.perf_counter()
    for size in range(20_000):
        telemetry.committed(1, 0.001, size)
    told = time.perf_counter() - started
    telemetry.close()
    assert told / 20_000 < 20e-6
    assert time.perf_counter() - started < 20


@pytest.fixture
def traced():
    """An exporter whose spans stay in memory, and those spans."""
    spans = InMemorySpanExporter()
    source = SimpleNamespace(gauges=dict, refusals=dict, drops=dict)
    exporter = OtlpExporter(
        source, "http://unused", reader=InMemoryMetricReader(), processor=SimpleSpanProcessor(spans)
    )
    yield exporter.tracer, spans
    exporter.close()


def serve(application, tracer, headers=()):
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/records/secret-id",
        "query_string": b"token=alt_x",
        "headers": [(b"authorization", b"Bearer alt_y"), *headers],
    }
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(TracedRequests(application, tracer)(scope, None, send))
    return sent


async def answer(scope, receive, send):
    scope["route"] = SimpleNamespace(path="/v1/records/{id}")
    await send({"type": "http.response.start", "status": 404})
    await send({"type": "http.response.body", "body": b""})


def test_a_request_is_a_span_under_its_callers_and_names_the_route_only(traced):
    tracer, spans = traced
    sent = serve(answer, tracer, [(b"traceparent", f"00-{TRACE_ID}-{PARENT}-01".encode())])
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    [span] = spans.get_finished_spans()
    assert span.name == "GET /v1/records/{id}"
    assert f"{span.context.trace_id:032x}" == TRACE_ID
    assert f"{span.parent.span_id:016x}" == PARENT
    assert dict(span.attributes) == {
        "http.request.method": "GET",
        "http.route": "/v1/records/{id}",
        "http.response.status_code": 404,
    }
    assert "secret-id" not in span.to_json()
    assert "alt_" not in span.to_json()


def test_a_request_that_breaks_is_an_error_span_without_its_words(traced):
    tracer, spans = traced

    async def breaks(scope, receive, send):
        raise ValueError("the user's words")

    with pytest.raises(ValueError, match="words"):
        serve(breaks, tracer)
    [span] = spans.get_finished_spans()
    assert span.attributes["error.type"] == "ValueError"
    assert span.status.status_code.name == "ERROR"
    assert "words" not in span.to_json()


def test_a_malformed_trace_context_is_ignored(traced):
    tracer, spans = traced
    serve(answer, tracer, [(b"traceparent", b"00-\xff\xff-x")])
    [span] = spans.get_finished_spans()
    assert span.parent is None


def test_what_is_not_a_request_passes_through(traced):
    tracer, spans = traced
    seen = []

    async def application(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(TracedRequests(application, tracer)({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]
    assert spans.get_finished_spans() == ()
