"""Every library's shape of the same four messages is read as one."""

import json

import pytest

from ledger.ingest.otlp.calls import Call, calls, last_group, this_turn
from ledger.ingest.otlp.messages import core, read, user_text

PATH = {"path": "/data/q3.csv"}
JSON_PATH = json.dumps(PATH)
TEXT = {"type": "text", "content": "Read the report."}
CALL = {"type": "tool_call", "id": "call_1", "name": "read_file", "arguments": PATH}
RESPONSE = {"type": "tool_call_response", "id": "call_1", "response": "revenue,10"}
DONE = {"type": "text", "content": "Done."}
CORE = [("user", [TEXT]), ("assistant", [CALL]), ("tool", [RESPONSE]), ("assistant", [DONE])]

SHAPES = {
    "conventions": [
        {"role": "user", "parts": [TEXT]},
        {"role": "assistant", "parts": [CALL | {"arguments": JSON_PATH}], "finish_reason": "tool_call"},
        {"role": "tool", "parts": [RESPONSE]},
        {"role": "assistant", "parts": [DONE]},
    ],
    "conventions, as Azure writes them": [
        {"role": "user", "parts": [TEXT]},
        {"role": "assistant", "parts": [CALL | {"arguments": JSON_PATH}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "result": "revenue,10"}]},
        {"role": "assistant", "parts": [DONE]},
    ],
    "OpenAI chat": [
        {"role": "user", "content": "Read the report."},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "read_file", "arguments": JSON_PATH},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "revenue,10"},
        {"role": "assistant", "content": [{"type": "text", "text": "Done."}]},
    ],
    "OpenAI responses": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Read the report."}]},
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "read_file",
            "arguments": JSON_PATH,
        },
        {"type": "function_call_output", "call_id": "call_1", "output": "revenue,10"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Done."}]},
    ],
    "LangChain, by constructor": [
        {
            "lc": 1,
            "type": "constructor",
            "id": ["langchain", "schema", "messages", name],
            "kwargs": kwargs,
        }
        for name, kwargs in [
            ("HumanMessage", {"content": "Read the report.", "type": "human"}),
            (
                "AIMessage",
                {"content": "", "tool_calls": [{"name": "read_file", "args": PATH, "id": "call_1"}]},
            ),
            ("ToolMessage", {"content": "revenue,10", "tool_call_id": "call_1", "type": "tool"}),
            ("AIMessage", {"content": "Done.", "type": "ai", "tool_calls": []}),
        ]
    ],
    "LangChain, by data": [
        {"type": "human", "data": {"content": "Read the report.", "type": "human"}},
        {
            "type": "ai",
            "data": {"content": "", "tool_calls": [{"name": "read_file", "args": PATH, "id": "call_1"}]},
        },
        {"type": "tool", "data": {"content": "revenue,10", "tool_call_id": "call_1", "status": "success"}},
        {"type": "ai", "data": {"content": "Done.", "type": "ai"}},
    ],
    "LangChain, plain": {
        "messages": [
            [
                {"type": "human", "content": "Read the report."},
                {
                    "type": "ai",
                    "content": "",
                    "tool_calls": [{"name": "read_file", "args": PATH, "id": "call_1"}],
                },
                {"type": "tool", "content": "revenue,10", "tool_call_id": "call_1"},
                {"type": "ai", "content": "Done."},
            ]
        ]
    },
    "Anthropic": [
        {"role": "user", "content": "Read the report."},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "call_1", "name": "read_file", "input": PATH}],
        },
        {
            "role": "tool",
            "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "revenue,10"}],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "Done."}]},
    ],
    "Bedrock Converse": [
        {"role": "user", "content": [{"text": "Read the report."}]},
        {
            "role": "assistant",
            "content": [{"toolUse": {"toolUseId": "call_1", "name": "read_file", "input": PATH}}],
            "tool_calls": [
                {"type": "function", "id": "call_1", "function": {"name": "read_file", "arguments": PATH}}
            ],
        },
        {
            "role": "tool",
            "content": [{"toolResult": {"toolUseId": "call_1", "content": [{"text": "revenue,10"}]}}],
        },
        {"role": "assistant", "content": [{"text": "Done."}]},
    ],
    "Gemini": [
        {"role": "user", "parts": [{"text": "Read the report."}]},
        {"role": "model", "parts": [{"functionCall": {"id": "call_1", "name": "read_file", "args": PATH}}]},
        {"role": "tool", "parts": [{"functionResponse": {"id": "call_1", "response": "revenue,10"}}]},
        {"role": "model", "parts": [{"text": "Done."}]},
    ],
    "OpenInference, grown from flat names": [
        {"message": {"role": "user", "content": "Read the report."}},
        {
            "message": {
                "role": "assistant",
                "tool_calls": [
                    {"tool_call": {"id": "call_1", "function": {"name": "read_file", "arguments": JSON_PATH}}}
                ],
            }
        },
        {"message": {"role": "tool", "content": "revenue,10", "tool_call_id": "call_1"}},
        {
            "message": {
                "role": "assistant",
                "contents": [{"message_content": {"type": "text", "text": "Done."}}],
            }
        },
    ],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("written", [lambda value: value, json.dumps], ids=["value", "text"])
def test_every_shape_of_messages_is_read_as_one(shape, written):
    messages = read(written(SHAPES[shape]), "user")
    assert [(role, [plain(part) for part in parts]) for role, parts in core(messages)] == CORE
    assert user_text(messages) == "Read the report."
    (call,) = calls(messages)
    assert call == Call("call_1", "read_file", PATH, answered=True, result="revenue,10")


def plain(part):
    """A part without what its library adds to it."""
    return {name: part[name] for name in ("type", "content", "id", "name", "arguments", "response") if name in part and (
        part["type"] != "tool_call_response" or name != "name")}  # fmt: skip


def test_what_a_library_adds_to_a_message_stays_in_it():
    (message,) = read(
        [
            {
                "type": "ai",
                "content": "Done.",
                "id": "lc_run--1",
                "response_metadata": {"id": "chatcmpl-1"},
                "name": None,
            }
        ],
        "assistant",
    )
    assert message == {
        "role": "assistant",
        "parts": [DONE],
        "id": "lc_run--1",
        "response_metadata": {"id": "chatcmpl-1"},
    }


def test_an_item_of_a_response_keeps_its_own_id_beside_that_of_the_call():
    (message,) = read(
        [{"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "x", "arguments": "{}"}],
        "assistant",
    )
    assert message["parts"] == [
        {"item_id": "fc_1", "type": "tool_call", "id": "call_1", "name": "x", "arguments": {}}
    ]


@pytest.mark.parametrize("cut", ['[{"role": "user", "parts": [{"type": "te', '{"messages": [', ""])
def test_text_that_was_cut_off_is_no_message(cut):
    assert read(cut, "user") is None


def test_a_plain_text_is_a_message_of_whoever_says_it():
    assert read("Read the report.", "user") == [{"role": "user", "parts": [TEXT]}]


def test_a_call_known_by_two_ids_has_the_one_that_its_result_names():
    told = [
        {"role": "assistant", "parts": [CALL | {"id": "fc_9"}]},
        {"role": "tool", "parts": [RESPONSE]},
    ]
    assert calls(told) == [Call("call_1", "read_file", PATH, answered=True, result="revenue,10")]


def test_calls_without_ids_are_answered_in_their_order():
    told = [
        {"role": "assistant", "parts": [CALL | {"id": None}, CALL | {"id": None, "name": "list_files"}]},
        {"role": "tool", "parts": [RESPONSE | {"id": None}]},
        {"role": "tool", "parts": [RESPONSE | {"id": None, "response": "a, b"}]},
    ]
    assert [(call.name, call.result) for call in calls(told)] == [
        ("read_file", "revenue,10"),
        ("list_files", "a, b"),
    ]


def test_a_result_that_belongs_to_no_call_is_given_to_none():
    told = [
        {"role": "assistant", "parts": [CALL, CALL | {"id": "call_2"}]},
        {"role": "tool", "parts": [RESPONSE | {"id": "call_9"}]},
    ]
    assert [call.answered for call in calls(told)] == [False, False]


def test_a_call_that_the_user_writes_is_none():
    assert calls([{"role": "user", "parts": [CALL]}, {"role": "system", "parts": [CALL]}]) == []


def test_the_last_group_of_a_history_is_what_the_model_asked_for_last():
    history = read(SHAPES["OpenAI chat"][:3], "user")
    assert last_group([*history[1:], *history]) == history[1:]
    assert last_group(history[:1]) == []


def test_calls_that_nothing_names_are_not_told_again_in_the_next_turn():
    unnamed = [{"role": "assistant", "parts": [CALL | {"id": None}]}, {"role": "tool", "parts": [RESPONSE]}]
    assert last_group(unnamed) == unnamed
    assert last_group([*unnamed, {"role": "user", "parts": [TEXT]}]) == []


def test_a_turn_is_what_follows_the_users_last_words():
    history = read(SHAPES["Anthropic"], "user")
    assert this_turn([*history, *history]) == history[1:]
