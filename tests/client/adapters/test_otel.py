"""The span processor beside real providers, against a real ledger."""

import logging
import os
import subprocess
import sys
import textwrap

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased

from ledger.client.adapters import otel
from ledger.client.adapters.otel import NotAttachedError, attach
from tests.faults.server import ROOT, Server

TOOL = {
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": "read_file",
    "gen_ai.tool.call.id": "call_1",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("otel") / "log")
    yield running
    running.stop()


@pytest.fixture
def token(server):
    return server.headers["Authorization"].removeprefix("Bearer ")


def ask(server, sql):
    with server.client() as client:
        return client.post("/v1/query", json={"sql": sql}).raise_for_status().json()["rows"]


def test_spans_reach_the_ledger_beside_an_exporter_that_was_there_before(server, token):
    provider, other = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(other))
    processor = attach(server.url, token, provider=provider)
    with provider.get_tracer("test").start_as_current_span("execute_tool read_file", attributes=TOOL) as span:
        trace_id = f"{span.get_span_context().trace_id:032x}"
    assert processor.force_flush()
    rows = ask(server, f"SELECT tool_name, tool_call_id FROM records WHERE trace_trace_id = '{trace_id}'")
    assert rows == [["read_file", "call_1"]]
    assert [span.name for span in other.get_finished_spans()] == [otel.CANARY, "execute_tool read_file"]
    assert processor.lost == 0
    provider.shutdown()


def test_a_provider_that_samples_the_proof_away_is_told(server, token):
    with pytest.raises(NotAttachedError, match="samples it away"):
        attach(server.url, token, provider=TracerProvider(sampler=ALWAYS_OFF))


def test_a_provider_that_samples_some_away_is_warned_of(server, token, caplog):
    provider = TracerProvider(sampler=TraceIdRatioBased(1.0))
    attach(server.url, token, provider=provider)
    assert "spans that it does not sample never reach the ledger" in caplog.text
    provider.shutdown()


def test_a_token_that_may_not_write_is_told(server):
    with pytest.raises(NotAttachedError, match="token"):
        attach(server.url, "alt_" + "x" * 40, provider=TracerProvider(), timeout_s=10)


def test_a_ledger_that_is_away_is_told(token, monkeypatch):
    monkeypatch.setattr(otel, "FLUSH_S", 1.0)
    with pytest.raises(NotAttachedError, match="no ledger answers"):
        attach("http://127.0.0.1:9", token, provider=TracerProvider(), timeout_s=1)


def test_spans_wait_while_the_ledger_is_away_and_each_arrives_once(tmp_path):
    first = Server(tmp_path / "log")
    port = first.url.rpartition(":")[2]
    provider = TracerProvider()
    processor = attach(first.url, first.headers["Authorization"].removeprefix("Bearer "), provider=provider)
    first.kill()
    for _ in range(700):
        provider.get_tracer("test").start_span("execute_tool read_file", attributes=TOOL).end()
    second = Server(tmp_path / "log", options=["--port", port])
    assert processor.force_flush()
    assert ask(
        second, "SELECT count(*), count(DISTINCT trace_span_id) FROM records WHERE tool_name = 'read_file'"
    ) == [[700, 700]]
    assert processor.lost == 0
    provider.shutdown()
    second.stop()


def test_what_does_not_fit_the_queue_is_counted_and_told(monkeypatch, token, caplog):
    monkeypatch.setattr(otel, "QUEUE_SPANS", 2)
    monkeypatch.setattr(otel, "FLUSH_S", 0.2)
    provider = TracerProvider()
    processor = otel.LedgerSpanProcessor("http://127.0.0.1:9", token)
    provider.add_span_processor(processor)
    for _ in range(3):
        provider.get_tracer("test").start_span("x").end()
    assert processor.lost == 1
    provider.shutdown()
    assert processor.lost == 3
    assert [r.levelno for r in caplog.records if "not in the ledger" in r.message] == [logging.ERROR] * 2


@pytest.mark.parametrize("first", ["app", "ledger"])
def test_the_global_provider_is_never_replaced_by_ours(server, token, first):
    """In a process of its own: a global provider is set once."""
    program = """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from ledger.client.adapters.otel import attach
        if "{first}" == "app":
            app = TracerProvider()
            trace.set_tracer_provider(app)
            processor = attach()
            print(trace.get_tracer_provider() is app, processor.provider is app)
        else:
            processor = attach()
            app = TracerProvider()
            trace.set_tracer_provider(app)
            print(trace.get_tracer_provider() is app, processor.provider is not app)
        processor.provider.shutdown()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program.format(first=first))],
        env={**os.environ, "PYTHONPATH": str(ROOT), "AGENT_LEDGER_URL": server.url, "AGENT_LEDGER_TOKEN": token},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["True", "True"]
