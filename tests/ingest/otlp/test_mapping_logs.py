"""Log records: what they say of a model call, of a policy, and all else."""

import json

import pytest

from ledger.ingest.otlp.spans import LogRecord
from tests.ingest.otlp.test_mapping import ASKED, CALL, RESOURCE, S, T, records

PATH = {"path": "/data/q3.csv"}


def log(event_name, body, **members):
    return LogRecord(
        T, S, 5_000, event_name, "INFO", body, members.pop("attributes", {}), resource=RESOURCE, **members
    )


@pytest.mark.parametrize(
    "body", [{"content": "Read the report."}, '{"role": "user", "content": "Read the report."}']
)
@pytest.mark.parametrize("attributes", [None, {"event.name": "gen_ai.user.message"}])
def test_the_users_words_in_a_log_record_are_a_request_of_the_span_it_stands_in(body, attributes):
    name = "" if attributes else "gen_ai.user.message"
    (request,) = records(log(name, body, attributes=attributes or {}))
    assert request["type"] == "request"
    assert request["request"] == {"text": "Read the report."}
    assert request["trace"] == {"trace_id": T, "span_id": S}
    assert request["time"] == "1970-01-01T00:00:00.000005000Z"


def test_a_choice_in_a_log_record_is_a_decision_of_the_span_and_its_calls_stand_below():
    decision, intent = records(log("gen_ai.choice", {"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "parts": [CALL]}}))  # fmt: skip
    assert decision["trace"]["span_id"] == intent["trace"]["parent_span_id"] == S
    assert decision["decision"]["finish_reason"] == "tool_calls"
    assert intent["ext"]["otel.part"] == "choice.0"
    assert intent["tool"]["arguments"] == PATH


def test_the_whole_call_in_one_log_record_is_its_decision():
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": ASKED,
        "gen_ai.output.messages": [{"role": "assistant", "parts": [CALL]}],
    }
    decision, intent = records(log("gen_ai.client.inference.operation.details", None, attributes=attributes))
    assert decision["type"] == "decision"
    assert decision["trace"]["span_id"] == S
    assert intent["tool"]["call_id"] == "call_1"


def test_any_other_log_record_is_kept_with_its_body():
    (record,) = records(
        log("", "Calling read_file with args: /data/q3.csv", attributes={"code.line.number": 426})
    )
    assert record["type"] == "otel.log"
    assert record["source"]["original"] == {
        "severity": "INFO",
        "body": "Calling read_file with args: /data/q3.csv",
        "attributes": {"code.line.number": 426},
    }


def test_two_log_records_of_one_span_are_two_records():
    first, second = log("", "one"), log("", "two")._replace(time_ns=5_001)
    ids = {record["id"] for record in records(first, second)}
    assert len(ids) == 2


def test_a_governance_decision_without_its_cloudevent_is_read_from_the_body():
    body = json.dumps(
        {
            "timestamp": "2026-11-21T01:34:20.353139+00:00",
            "event_type": "tool_call_blocked",
            "agent_id": "Finance",
            "action": "transfer_funds",
            "decision": "deny",
            "reason": "transfers need a human",
            "metadata": {"policy_name": "P-17"},
        }
    )
    (record,) = records(log("audit_entry", body, scope="agent_os.governance.audit"))
    assert record["type"] == "action.decision"
    assert record["policy"]["effect"] == "deny"
    assert record["tool"]["name"] == "transfer_funds"
    assert record["trace"] == {"trace_id": T, "span_id": S}
    assert record["ext"]["otel.kind"] == "policy"


def test_nothing_of_a_governance_scope_that_is_no_decision_is_lost():
    (record,) = records(log("", "sink started", scope="agent_os.governance.audit"))
    assert record["type"] == "otel.log"
    assert record["source"]["original"]["body"] == "sink started"
