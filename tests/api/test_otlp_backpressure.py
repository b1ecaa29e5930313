"""A ledger that cannot take it now tells exporters so, and what they send again is in the log once."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ledger.api.otlp import _refused
from ledger.core.errors import Code, LedgerError
from ledger.telemetry import Telemetry
from tests.faults.server import Server

AGENTS, SPANS = 8, 40
RETRYABLE = {429, 503}
OF_OTLP = {400, 401, 403, 404, 413, 415, 429, 500, 503}


@pytest.fixture
def narrow(tmp_path):
    server = Server(tmp_path / "data", options=("--queue-mib", "1"))
    yield server
    assert server.stop() == 0


def made(agent):
    """The finished spans of one agent, each of 20 kB, as its exporter gets them."""
    finished = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(finished))
    for number in range(SPANS):
        with provider.get_tracer("agent").start_as_current_span(f"{agent} {number}") as span:
            span.set_attribute("gen_ai.operation.name", "execute_tool")
            span.set_attribute("gen_ai.tool.name", f"tool-{agent}")
            span.set_attribute("gen_ai.tool.call.arguments", "x" * 20_000)
    return finished.get_finished_spans()


def test_real_exporters_that_find_the_queue_full_come_back_and_nothing_is_lost_or_doubled(narrow):
    def export(agent):
        exporter = OTLPSpanExporter(f"{narrow.url}/v1/traces", headers=narrow.headers, timeout=60)
        return exporter.export(made(agent))

    with ThreadPoolExecutor(AGENTS) as threads:
        results = list(threads.map(export, range(AGENTS)))
    assert results == [SpanExportResult.SUCCESS] * AGENTS
    with narrow.client() as http:
        refused = [line for line in http.get("/metrics").text.splitlines() if 'code="queue-full"' in line]
        assert refused, "the queue was never full: the test shows nothing"
        sql = "SELECT tool_name, count(*), count(DISTINCT trace_span_id) FROM records WHERE type = 'action' GROUP BY ALL"
        rows = http.post("/v1/query", json={"sql": sql}).json()["rows"]
    assert sorted(rows) == sorted([f"tool-{agent}", SPANS, SPANS] for agent in range(AGENTS))


@pytest.mark.parametrize("code", list(Code))
def test_every_refusal_has_a_status_that_otlp_knows_and_only_the_passing_ones_say_when_to_come_back(code):
    scope = {"type": "http", "headers": [(b"content-type", b"application/x-protobuf")]}
    state = SimpleNamespace(service=SimpleNamespace(telemetry=Telemetry()))
    request = SimpleNamespace(scope=scope, app=SimpleNamespace(state=state))
    answer = _refused(request, LedgerError(code, "why", path="where"))
    assert answer.status_code in OF_OTLP
    assert ("retry-after" in answer.headers) == (answer.status_code in RETRYABLE)
    assert Status.FromString(answer.body).message == f"why ({code})"
