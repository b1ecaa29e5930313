import json

import pytest
from hypothesis import given

from ledger.ingest.openclaw import read
from tests.ingest.odd import SUBMITTER, kept, odd, prepared, records

NOW = 1_795_167_000_000_000_000
TRACE = {"traceId": "0AF7651916CD43DD8448EB211C80319C", "spanId": "b7ad6b7169203331", "traceFlags": "01"}
RUN = {
    "runId": "0d3f",
    "sessionId": "6b96",
    "sessionKey": "agent:main:whatsapp:dm:+491512345678",
    "agentId": "main",
    "channelId": "+491512345678",
    "messageProvider": "whatsapp",
    "trigger": "user",
    "workspaceDir": "/home/user/alice",
}
TOOL = {**RUN, "toolName": "exec", "toolCallId": "call_1", "trace": TRACE}


AFTER = {
    "before_tool_call",
    "after_tool_call",
    "approval_resolved",
    "agent_end",
}  # what comes after the model's answer


def hook(name, event, ctx, **members):
    return {
        "hook": name,
        "time": 1_795_253_400_000 - (name not in AFTER),
        "event": event,
        "ctx": ctx,
        **members,
    }


CALL = {"toolName": "exec", "params": {"command": "rm -rf /data"}, "runId": "0d3f", "toolCallId": "call_1"}
MEANT = hook("before_tool_call", CALL, TOOL)
RAN = hook(
    "after_tool_call", {**CALL, "result": {"ok": True}, "durationMs": 41.5}, TOOL, time=1_795_253_400_042
)
RESOLVED = hook("approval_resolved", {**CALL, "decision": "allow-once", "title": "Delete?"}, TOOL)
RECEIVED = hook(
    "message_received",
    {
        "from": "+491512345678",
        "content": "Clean up, please",
        "timestamp": 1_795_253_399_000,
        "messageId": "m1",
    },
    {"channelId": "whatsapp", "conversationId": "+491512345678", "runId": "0d3f"},
)
BEGAN = hook(
    "before_agent_run", {"prompt": "Clean up, please", "messages": [], "senderId": "+491512345678"}, RUN
)
PROMPTED = hook(
    "llm_input",
    {
        "runId": "0d3f",
        "sessionId": "6b96",
        "provider": "openai",
        "model": "gpt-5",
        "systemPrompt": "Be brief",
        "prompt": "Clean up, please",
        "historyMessages": [],
        "imagesCount": 0,
    },
    RUN,
)
ANSWERED = hook(
    "llm_output",
    {
        "runId": "0d3f",
        "sessionId": "6b96",
        "provider": "openai",
        "model": "gpt-5",
        "assistantTexts": ["I shall."],
        "lastAssistant": {
            "role": "assistant",
            "model": "gpt-5-0901",
            "stopReason": "toolUse",
            "content": [
                {"type": "text", "text": "I shall."},
                {
                    "type": "toolCall",
                    "id": "call_1",
                    "name": "exec",
                    "arguments": {"command": "rm -rf /data"},
                },
            ],
        },
        "usage": {"input": 812, "output": 55},
    },
    RUN,
)
ENDED = hook(
    "agent_end", {"runId": "0d3f", "messages": [], "success": False, "error": "no", "durationMs": 7}, RUN
)


def one(payload):
    [record] = records(read, payload, received_ns=NOW)
    return record


def test_the_hooks_of_a_call_are_one_action_from_the_intent_to_the_outcome():
    meant, resolved, ran = one(MEANT), one(RESOLVED), one(RAN)
    assert [record["type"] for record in (meant, resolved, ran)] == [
        "action.intent",
        "action.approval",
        "action.outcome",
    ]
    assert {record["action_id"] for record in (meant, resolved, ran)} == {"openclaw:0d3f:call_1"}
    assert meant["time"] == "2026-11-21T09:30:00.000000000Z"
    assert meant["tool"] == {"name": "exec", "call_id": "call_1", "arguments": CALL["params"]}
    assert meant["identity"] == {"agent_id": "main"}
    assert meant["request"] == {
        "conversation_id": "6b96",
        "turn_id": "0d3f",
        "channel": "whatsapp",
    }
    assert meant["trace"] == {"trace_id": TRACE["traceId"].lower(), "span_id": TRACE["spanId"]}
    assert resolved["approval"] == {"outcome": "approved", "shown": {"title": "Delete?"}}
    assert ran["outcome"] == {"status": "success", "duration_ns": 41_500_000, "result": {"ok": True}}


def test_a_request_says_who_asked_and_where_that_was_read():
    for payload in (RECEIVED, BEGAN):
        record = one(payload)
        assert record["type"] == "request"
        assert record["request"]["user"] == record["identity"]["principal"] == "+491512345678"
        assert record["request"]["text"] == "Clean up, please"
        assert record["request"]["turn_id"] == "0d3f"
        assert record["request"]["channel"] == "whatsapp"
        assert record["identity"]["principal_source"].startswith("senderId of OpenClaw")


def test_the_model_was_asked_and_its_answer_names_the_call():
    asked, answered = one(PROMPTED), one(ANSWERED)
    assert asked["decision"] == {
        "provider": "openai",
        "request_model": "gpt-5",
        "prompt": {"systemPrompt": "Be brief", "historyMessages": [], "prompt": "Clean up, please"},
    }
    assert asked["request"]["text"] == "Clean up, please"
    assert answered["decision"] == {
        "provider": "openai",
        "request_model": "gpt-5",
        "response_model": "gpt-5-0901",
        "finish_reason": "toolUse",
        "input_tokens": 812,
        "output_tokens": 55,
        "output": [
            {
                "role": "assistant",
                "parts": [
                    {"type": "text", "content": "I shall."},
                    {"type": "tool_call", "id": "call_1", "name": "exec", "arguments": CALL["params"]},
                ],
            }
        ],
    }


def test_no_number_of_a_person_and_nothing_they_said_is_signed_in_clear():
    for payload in (MEANT, RAN, RESOLVED, RECEIVED, BEGAN, PROMPTED, ANSWERED, ENDED):
        [record] = read(json.dumps(payload).encode(), submitter=SUBMITTER, received_ns=NOW).records
        entry = prepared(record).record
        for hidden in (b"2345678", b"lease", b"rm -rf", b"alice", b"shall"):
            assert hidden not in entry


def test_an_error_is_a_failure_and_only_what_is_called_blocked_a_denial():
    blocked = one(hook("after_tool_call", {**CALL, "blocked": True, "blockReason": "no"}, TOOL))
    assert (blocked["outcome"]["status"], blocked["policy"]["effect"]) == ("denied", "deny")
    failed = hook("after_tool_call", {**CALL, "error": "blocked by policy"}, TOOL)
    assert one(failed)["outcome"] == {"status": "failure", "error_type": "tool_error"}
    assert "policy" not in one(failed)
    assert one(ENDED)["outcome"] == {"status": "failure", "duration_ns": 7_000_000}


@pytest.mark.parametrize(
    ("decision", "outcome"), [("deny", "rejected"), ("timeout", "expired"), ("cancelled", None), (7, None)]
)
def test_a_resolution_is_an_approval_or_none(decision, outcome):
    record = one(hook("approval_resolved", {**CALL, "decision": decision}, TOOL))
    assert record.get("approval", {}).get("outcome") == outcome


def test_a_firing_sent_again_is_the_same_record():
    again = json.loads(json.dumps(MEANT))
    assert one(again) == one(MEANT)
    assert (
        one({**PROMPTED, "time": 1_795_253_400_001})["id"] != one(PROMPTED)["id"]
    )  # one run asks a model often


def test_any_other_hook_is_recorded_as_what_it_is():
    record = one(hook("session_end", {"sessionId": "6b96", "messageCount": 3}, {"agentId": "main"}))
    assert record["type"] == "openclaw.session_end"
    assert record["source"]["original"] == {"event": {"messageCount": 3}}


def test_one_bad_hook_does_not_hold_up_the_others():
    reading = read(json.dumps([MEANT, {"event": {}}, RAN]).encode(), submitter=SUBMITTER, received_ns=NOW)
    assert len(reading.records) == 2
    assert [error.path for error in reading.refused] == ["[1].hook"]


@given(odd(MEANT, RAN, RESOLVED, RECEIVED, BEGAN, PROMPTED, ANSWERED, ENDED, [MEANT, RAN]))
def test_whatever_a_hook_holds_it_becomes_a_record_or_is_refused_with_its_path(body):
    kept(read, body, received_ns=NOW)
