import json

import pytest
from hypothesis import given

from ledger.core.errors import LedgerError
from ledger.ingest.hermes import read
from tests.ingest.odd import SUBMITTER, kept, odd, prepared, records

NOW = 1_795_167_000_000_000_000
TURN = "20261121_093000_ab12:task-1:0f0f0f0f"


SECONDS = [
    "pre_llm_call",
    "post_api_request",
    "pre_tool_call",
    "pre_approval_request",
    "post_approval_response",
    "post_tool_call",
]


def fired(event, extra=None, **members):
    """A payload as `agent.shell_hooks._serialize_payload` of Hermes 0.19.0 writes it, with the time its forwarder adds."""
    return {
        "hook_event_name": event,
        "tool_name": None,
        "tool_input": None,
        "session_id": "20261121_093000_ab12",
        "cwd": "/home/user/alice",
        "extra": {"task_id": "task-1", "turn_id": TURN, **(extra or {})},
        "time": f"2026-11-21T09:30:{SECONDS.index(event) if event in SECONDS else 0:02}Z",
        **members,
    }


CALL = {"tool_call_id": "call_1", "api_request_id": f"{TURN}:api:1", "middleware_trace": []}
RM = {"command": "rm -rf /data"}
ASKED = fired(
    "pre_llm_call",
    {
        "user_message": "Clean up, please",
        "sender_id": "+49 151 2345678",
        "platform": "whatsapp",
        "model": "m",
        "is_first_turn": True,
        "conversation_history": [],
    },
)
ANSWERED = fired(
    "post_api_request",
    {
        "api_request_id": f"{TURN}:api:1",
        "model": "claude-sonnet-4-6",
        "provider": "anthropic",
        "base_url": "https://api.anthropic.com",
        "api_duration": 1.234,
        "finish_reason": "tool_calls",
        "response_model": "claude-sonnet-4-6-1",
        "usage": {"input_tokens": 2048, "output_tokens": 512, "prompt_tokens": 2048},
        "response": {
            "finish_reason": "tool_calls",
            "assistant_message": {
                "role": "assistant",
                "content": "I shall.",
                "tool_calls": [
                    {"id": "call_1", "function": {"name": "terminal", "arguments": json.dumps(RM)}}
                ],
            },
        },
        "assistant_message": "ChatCompletionMessage(…)",
    },
)
MEANT = fired("pre_tool_call", CALL, tool_name="terminal", tool_input=RM)
WAITED = fired(
    "pre_approval_request",
    {
        "tool_call_id": "call_1",
        "command": RM["command"],
        "description": "recursive delete",
        "pattern_key": "recursive delete",
        "session_key": "agent:main:whatsapp:dm:+491512345678",
        "surface": "gateway",
    },
    session_id="",
)
CHOSE = fired("post_approval_response", {**WAITED["extra"], "choice": "once"}, session_id="")
RAN = fired(
    "post_tool_call",
    {**CALL, "result": '{"output": "gone"}', "status": "ok", "error_type": None, "duration_ms": 42},
    tool_name="terminal",
    tool_input=RM,
)


def one(payload, **options):
    [record] = records(read, payload, received_ns=NOW, **options)
    return record


def test_the_hooks_of_a_call_are_one_action_from_the_intent_to_the_outcome():
    meant, waited, chose, ran = (one(payload) for payload in (MEANT, WAITED, CHOSE, RAN))
    assert [record["type"] for record in (meant, waited, chose, ran)] == [
        "action.intent",
        "action.decision",
        "action.approval",
        "action.outcome",
    ]
    assert {record["action_id"] for record in (meant, waited, chose, ran)} == {f"hermes:{TURN}:call_1"}
    assert meant["tool"] == {"name": "terminal", "call_id": "call_1", "arguments": RM}
    assert waited["policy"] == {
        "effect": "require_approval",
        "engine": "hermes",
        "rule": "recursive delete",
    }
    assert chose["approval"] == {
        "outcome": "approved",
        "shown": {"command": RM["command"], "description": "recursive delete"},
    }
    assert ran["outcome"] == {
        "status": "success",
        "duration_ns": 42_000_000,
        "result": '{"output": "gone"}',
    }


def test_the_request_says_who_asked_and_where_that_was_read():
    record = one(ASKED)
    assert record["type"] == "request"
    assert record["request"] == {
        "user": "+49 151 2345678",
        "text": "Clean up, please",
        "origin": "human",
        "channel": "whatsapp",
        "conversation_id": "20261121_093000_ab12",
        "turn_id": TURN,
    }
    assert record["identity"]["principal"] == "+49 151 2345678"
    assert record["identity"]["principal_source"].startswith("sender_id of Hermes")


def test_the_models_answer_names_the_call():
    record = one(ANSWERED)
    assert record["decision"] == {
        "provider": "anthropic",
        "request_model": "claude-sonnet-4-6",
        "response_model": "claude-sonnet-4-6-1",
        "finish_reason": "tool_calls",
        "input_tokens": 2048,
        "output_tokens": 512,
        "output": [
            {
                "role": "assistant",
                "parts": [
                    {"type": "text", "content": "I shall."},
                    {"type": "tool_call", "id": "call_1", "name": "terminal", "arguments": RM},
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("extra", "outcome", "policy"),
    [
        ({"status": "error", "error_type": "tool_error"}, ("failure", "tool_error"), None),
        ({"status": "blocked", "error_type": "plugin_block"}, ("denied", "plugin_block"), "deny"),
        ({"status": None}, ("unknown", None), None),
        ({"status": []}, ("unknown", None), None),
    ],
)
def test_how_a_call_ended_is_what_hermes_says_and_a_deny_is_never_inferred(extra, outcome, policy):
    record = one(fired("post_tool_call", {**CALL, **extra}, tool_name="terminal", tool_input=RM))
    assert (record["outcome"]["status"], record["outcome"].get("error_type")) == outcome
    assert record.get("policy", {}).get("effect") == policy


@pytest.mark.parametrize(
    ("choice", "outcome"),
    [("always", "approved"), ("smart_deny", "rejected"), ("timeout", "expired"), ("perhaps", None)],
)
def test_a_choice_is_an_approval_or_none(choice, outcome):
    record = one(fired("post_approval_response", {**WAITED["extra"], "choice": choice}))
    assert record["approval"].get("outcome") == outcome
    assert record["ext"]["hermes.choice"] == choice


def test_a_firing_sent_again_is_the_same_record_and_another_turns_call_of_that_id_is_not():
    assert one(MEANT) == one(MEANT)
    other = fired("pre_tool_call", {**CALL, "turn_id": "other"}, tool_name="terminal", tool_input=RM)
    assert one(other)["id"] != one(MEANT)["id"]
    assert one(other)["action_id"] != one(MEANT)["action_id"]


def test_a_hook_without_a_time_has_that_of_its_receipt_and_says_so():
    record = one({name: value for name, value in MEANT.items() if name != "time"})
    assert record["time"] == "2026-11-20T09:30:00.000000000Z"
    assert "of receipt" in record["ext"]["hermes.time"]


def test_any_other_hook_is_recorded_as_what_it_is():
    record = one(fired("on_session_end", {"completed": True}))
    assert record["type"] == "hermes.on_session_end"
    assert record["source"]["original"]["extra"] == {"completed": True}


def test_nothing_that_names_a_person_and_nothing_they_said_is_signed_in_clear():
    for payload in (ASKED, WAITED, MEANT):
        [record] = read(json.dumps(payload).encode(), submitter=SUBMITTER, received_ns=NOW).records
        entry = prepared(record).record
        for hidden in (b"2345678", b"please", b"rm -rf", b"alice"):
            assert hidden not in entry


def test_a_history_that_is_too_long_does_not_take_the_rest_with_it():
    history = [{"role": "user", "content": "x" * 1_000}] * 2_000
    extra = {**ASKED["extra"], "conversation_history": history}
    original = one({**ASKED, "extra": extra})["source"]["original"]
    assert original["cwd"] == "/home/user/alice"
    assert original["extra"]["model"] == "m"
    assert original["extra"]["conversation_history"]["ledger.too_large"]["bytes"] > 2_000_000


def test_several_firings_come_as_an_array_or_one_a_line():
    lines = b"\n".join(json.dumps(payload).encode() for payload in (MEANT, RAN))
    assert records(read, lines, received_ns=NOW, media_type="application/x-ndjson") == [one(MEANT), one(RAN)]
    reading = read(json.dumps([MEANT, {}, RAN]).encode(), submitter=SUBMITTER, received_ns=NOW)
    assert len(reading.records) == 2
    assert [error.path for error in reading.refused] == ["[1].hook_event_name"]


def test_an_odd_firing_among_others_is_read_and_only_it_says_so():
    sent = json.dumps([MEANT, {**RAN, "cwd": "\ud800", "tool_input": {"n": float("nan")}}]).encode()
    meant, ran = records(read, sent, received_ns=NOW)
    assert meant == one(MEANT)
    assert ran["ext"]["json.odd"]
    assert ran["tool"]["arguments"] == {"n": "nan"}


@pytest.mark.parametrize("body", [b"", b"[", b"7", b"{}", b'{"hook_event_name": "Nope!"}', b"\xff"])
def test_a_body_that_is_no_payload_is_refused(body):
    with pytest.raises(LedgerError):
        read(body, submitter=SUBMITTER, received_ns=NOW)


@given(odd(ASKED, ANSWERED, MEANT, WAITED, CHOSE, RAN, [MEANT, RAN]))
def test_whatever_a_payload_holds_it_becomes_a_record_or_is_refused_with_its_path(body):
    kept(read, body, received_ns=NOW)
