"""One span, one log record: which records it gives."""

import json

import pytest

from ledger.ingest.otlp.mapping import records_of
from ledger.ingest.otlp.spans import Event, LogRecord, Span
from ledger.log.persons import Persons
from ledger.records.prepare import prepare

T, S, P = "a" * 32, "b" * 16, "c" * 16
RESOURCE = {"service.name": "finance", "service.instance.id": "i-1"}
CALL = {"type": "tool_call", "id": "call_1", "name": "read_file", "arguments": '{"path": "/data/q3.csv"}'}
ASKED = [{"role": "user", "parts": [{"type": "text", "content": "Read the report."}]}]


def span(attributes, **members):
    members = {
        "name": "chat m",
        "kind": "client",
        "start_ns": 1_000,
        "end_ns": 3_000,
        "resource": RESOURCE,
    } | members
    return Span(trace_id=T, span_id=S, parent_span_id=P, attributes=attributes, **members)


def records(*items, submitter="token:a"):
    reading = records_of(
        [item for item in items if isinstance(item, Span)],
        [item for item in items if isinstance(item, LogRecord)],
        submitter,
    )
    for record in reading.records:
        prepare(
            record,
            submitter=submitter,
            persons=Persons(lambda _: None),
            origin="o/t",
            agent_key=lambda _: None,
            reserved_ids=True,
        )
    return [json.loads(record) for record in reading.records]


def test_a_model_call_gives_a_decision_and_an_intent_for_each_tool_it_asks_for():
    decision, intent = records(
        span(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt",
                "gen_ai.response.model": "gpt-2026",
                "gen_ai.response.id": "resp_1",
                "gen_ai.response.finish_reasons": ["tool_calls"],
                "gen_ai.usage.input_tokens": 42,
                "gen_ai.usage.output_tokens": 7,
                "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
                "gen_ai.input.messages": json.dumps(ASKED),
                "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [CALL]}]),
                "server.address": "127.0.0.1",
            }
        )
    )
    assert decision["type"] == "decision"
    assert decision["time"] == "1970-01-01T00:00:00.000001000Z"
    assert decision["source"] == {
        "id": "otlp:finance",
        "original": {
            "name": "chat m",
            "attributes": {"gen_ai.operation.name": "chat", "server.address": "127.0.0.1"},
        },
    }
    assert decision["decision"] == {
        "provider": "openai",
        "request_model": "gpt",
        "response_model": "gpt-2026",
        "response_id": "resp_1",
        "finish_reason": "tool_calls",
        "input_tokens": 42,
        "output_tokens": 7,
        "prompt": [{"role": "system", "parts": [{"type": "text", "content": "Be brief."}]}, *ASKED],
        "output": [{"role": "assistant", "parts": [CALL | {"arguments": {"path": "/data/q3.csv"}}]}],
    }
    assert decision["request"] == {"text": "Read the report."}
    assert decision["outcome"] == {"duration_ns": 2_000}
    assert decision["trace"] == {"trace_id": T, "span_id": S, "parent_span_id": P}
    assert decision["identity"] == {"agent_instance_id": "i-1"}
    assert decision["ext"] == {"otel.span_kind": "client", "otel.kind": "chat", "otel.part": "decision"}
    assert intent["type"] == "action.intent"
    assert intent["tool"] == {"name": "read_file", "call_id": "call_1", "arguments": {"path": "/data/q3.csv"}}
    assert intent["trace"] == {"trace_id": T, "parent_span_id": S}
    assert intent["decision"] == {
        "provider": "openai",
        "request_model": "gpt",
        "response_model": "gpt-2026",
        "response_id": "resp_1",
    }
    assert "outcome" not in intent


@pytest.mark.parametrize(
    ("members", "outcome"),
    [
        ({}, {"status": "success"}),
        ({"status": "ok"}, {"status": "success"}),
        ({"status": "error", "status_message": "EACCES: /data/q3.csv"}, {"status": "failure"}),
        (
            {
                "status": "error",
                "events": (Event("exception", 2_000, {"exception.type": "PermissionError"}),),
            },
            {"status": "failure", "error_type": "PermissionError"},
        ),
    ],
)
def test_a_tool_that_ran_is_an_action_that_failed_if_its_span_says_so(members, outcome):
    (action,) = records(
        span(
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "read_file",
                "gen_ai.tool.call.id": "call_1",
                "gen_ai.tool.call.arguments": '{"path": "/data/q3.csv"}',
                "gen_ai.tool.call.result": "revenue,10",
            },
            **members,
        )
    )
    assert action["type"] == "action"
    assert action["tool"] == {"name": "read_file", "call_id": "call_1", "arguments": {"path": "/data/q3.csv"}}
    assert action["outcome"] == outcome | {"duration_ns": 2_000, "result": "revenue,10"}


def test_an_agents_run_tells_who_asked_for_what_and_which_calls_it_saw():
    intent, run = records(
        span(
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.id": "agent-7",
                "gen_ai.agent.name": "Finance",
                "gen_ai.conversation.id": "sess-1",
                "user.id": "alice@example.com",
                "gen_ai.input.messages": json.dumps(ASKED),
                "gen_ai.output.messages": json.dumps(
                    [
                        {"role": "assistant", "parts": [CALL]},
                        {
                            "role": "tool",
                            "parts": [{"type": "tool_call_response", "id": "call_1", "response": "DENIED"}],
                        },
                    ]
                ),
            }
        )
    )
    assert run["type"] == "agent.run"
    assert run["identity"] == {
        "agent_instance_id": "i-1",
        "agent_id": "agent-7",
        "agent_name": "Finance",
        "principal": "alice@example.com",
        "principal_source": "user.id",
    }
    assert run["request"] == {"text": "Read the report.", "conversation_id": "sess-1"}
    assert intent["tool"]["call_id"] == "call_1"
    assert intent["outcome"] == {"result": "DENIED"}, "returned text is no execution, and no denial"
