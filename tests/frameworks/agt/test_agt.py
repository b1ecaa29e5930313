"""AGT's own event processor with our sink, and a real ledger."""

import logging
import os
import time

import pytest
from agent_os.event_sink import (
    GovernanceEvent,
    GovernanceEventKind,
    GovernanceEventProcessor,
    GovernanceEventSink,
    SinkExportResult,
)

from ledger.client.adapters import agt
from ledger.client.adapters.agt import LedgerSink
from tests.faults.server import Server

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
DENIED = {
    "kind": GovernanceEventKind.TOOL_CALL_BLOCKED,
    "agent_id": "clerk",
    "agent_did": "did:mesh:clerk",
    "session_id": "session-1",
    "action": "transfer_funds",
    "resource": "ACC-9",
    "decision": "deny",
    "reason": "over_limit",
    "policy_name": "P-17",
    "trace_id": TRACE,
}


@pytest.fixture
def sink(server, token):
    made = LedgerSink(server.url, token)
    yield made
    made.shutdown()


def test_a_denial_comes_through_agts_own_processor_as_a_denied_action(sink, logged):
    assert isinstance(sink, GovernanceEventSink)
    processor = GovernanceEventProcessor(schedule_delay_ms=20)
    processor.add_sink(sink)
    processor.on_event(GovernanceEvent(**DENIED))
    deadline = time.monotonic() + 10
    while not processor.delivered_count and time.monotonic() < deadline:
        time.sleep(0.02)  # its own flush does not wait for what its worker has in hand
    assert sink.force_flush()
    (row,) = logged("SELECT * FROM actions")
    told = {
        "tool_name": "transfer_funds",
        "policy_effect": "deny",
        "policy_id": "P-17",
        "policy_reason": "over_limit",
        "resource_id": "ACC-9",
        "request_conversation_id": "session-1",
        "trace_trace_id": TRACE,
        "outcome_status": "denied",
        "execution": "not_observed",
    }
    assert {name: row[name] for name in told} == told
    processor.shutdown()


def test_an_event_that_is_sent_twice_is_in_the_log_once(sink, logged):
    event = GovernanceEvent(**DENIED)
    assert sink.emit([event, event]) is sink.emit([event]) is SinkExportResult.SUCCESS
    assert sink.force_flush()
    assert logged("SELECT count(*) AS n FROM records WHERE tool_name = 'transfer_funds'") == [{"n": 1}]
    assert sink.lost == 0


def test_events_wait_while_the_ledger_is_away(tmp_path, server, token):
    sink = LedgerSink(server.url, token)
    port = server.url.rpartition(":")[2]
    server.kill()
    events = [GovernanceEvent(**DENIED) for _ in range(1_200)]
    assert sink.emit(events) is SinkExportResult.SUCCESS
    assert not sink.force_flush(300)
    again = Server(server.data, options=["--port", port], python=os.environ["AGENT_LEDGER_PYTHON"])
    assert sink.force_flush()
    with again.client() as client:
        answer = client.post(
            "/v1/query", json={"sql": "SELECT count(*) FROM records WHERE tool_name = 'transfer_funds'"}
        )
    assert answer.json()["rows"] == [[1_200]]
    assert sink.shutdown()
    again.stop()


def test_what_it_cannot_keep_is_counted_and_told(monkeypatch, token, caplog):
    monkeypatch.setattr(agt, "QUEUE_EVENTS", 2)
    sink = LedgerSink("http://127.0.0.1:9", token)
    assert sink.emit([GovernanceEvent(**DENIED)] * 3) is SinkExportResult.DROPPED
    assert sink.lost == 1
    assert sink.shutdown(100) is False
    assert sink.lost == 3
    assert [r.levelno for r in caplog.records if "not in the ledger" in r.message] == [logging.ERROR] * 2


def test_the_lines_of_the_page_record_a_verdict(page, logged):
    names = page("agt")
    names["processor"].on_event(GovernanceEvent(**DENIED))
    deadline = time.monotonic() + 10
    while not names["processor"].delivered_count and time.monotonic() < deadline:
        time.sleep(0.02)
    assert names["sink"].force_flush()
    assert logged("SELECT policy_effect FROM records WHERE tool_name = 'transfer_funds'") == [
        {"policy_effect": "deny"}
    ]
    names["processor"].shutdown()
