"""Libraries of which there is no capture, written down from what they were seen to send (design/framework-telemetry.md), and older versions."""

import json

import pytest

from ledger.ingest.otlp.spans import Event
from tests.ingest.otlp.test_mapping import ASKED, CALL, RESOURCE, S, T, records, span

PATH = {"path": "/data/q3.csv"}
MESSAGE = {
    "lc": 1,
    "type": "constructor",
    "id": ["langchain", "schema", "messages", "ToolMessage"],
    "kwargs": {"content": "revenue,10", "type": "tool", "tool_call_id": "call_1", "status": "success"},
}


@pytest.mark.parametrize(
    "result",
    [
        {"output": MESSAGE, "kwargs": {"color": "green"}},
        {"output": "revenue,10", "kwargs": {"tool_call_id": "call_1"}},
        MESSAGE,
    ],
)
def test_langgraph_by_traceloop_hides_arguments_in_a_repr_and_the_calls_id_in_the_result(result):
    (action,) = records(
        span(
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "read_file",
                "gen_ai.tool.call.arguments": json.dumps(
                    {
                        "input_str": "{'path': '/data/q3.csv'}",
                        "tags": [],
                        "metadata": {"langgraph_node": "tools"},
                    }
                ),
                "gen_ai.tool.call.result": json.dumps(result),
                "traceloop.association.properties.user_id": "alice@example.com",
                "traceloop.association.properties.thread_id": "thread-1",
                "traceloop.association.properties.session_id": "sess-1",
            },
            scope="opentelemetry.instrumentation.langchain",
        )
    )
    assert action["tool"] == {"name": "read_file", "call_id": "call_1", "arguments": PATH}
    assert action["outcome"]["result"] == "revenue,10"
    assert action["identity"]["principal"] == "alice@example.com"
    assert action["identity"]["principal_source"] == "traceloop.association.properties.user_id"
    assert action["request"] == {"conversation_id": "thread-1"}
    left = action["source"]["original"]["attributes"]
    assert left["gen_ai.tool.call.arguments"] == {"tags": [], "metadata": {"langgraph_node": "tools"}}
    assert left["traceloop.association.properties.session_id"] == "sess-1"


def test_crewai_by_traceloop_has_the_users_words_in_a_task():
    (task,) = records(
        span(
            {
                "traceloop.span.kind": "task",
                "crewai.task.description": "Read the report.",
                "crewai.agent.role": "Finance",
            },
            name="Read the report..task",
            scope="opentelemetry.instrumentation.crewai",
        )
    )
    assert task["type"] == "otel.span"
    assert task["request"] == {"text": "Read the report."}
    assert task["identity"]["agent_name"] == "Finance"
    assert task["source"]["original"]["name"] == "Read the report..task", (
        "a name holds the user's words: never a fact"
    )


def test_openai_agents_by_openinference_names_the_answer_only_in_the_whole_response():
    output = [
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "read_file",
            "arguments": json.dumps(PATH),
        }
    ]
    decision, intent = records(
        span(
            {
                "openinference.span.kind": "LLM",
                "llm.system": "openai",
                "llm.model_name": "gpt-2026",
                "llm.finish_reason": "stop",
                "llm.input_messages.0.message.role": "user",
                "llm.input_messages.0.message.content": "Read the report.",
                "llm.output_messages.0.message.role": "assistant",
                "llm.output_messages.0.message.tool_calls.0.tool_call.id": "call_1",
                "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "read_file",
                "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": json.dumps(PATH),
                "output.value": json.dumps(
                    {"id": "resp_1", "model": "gpt-2026", "output": output, "object": "response"}
                ),
            }
        )
    )
    assert decision["decision"]["response_id"] == "resp_1"
    assert decision["decision"]["response_model"] == "gpt-2026"
    assert "request_model" not in decision["decision"]
    assert decision["decision"]["finish_reason"] == "stop", "as it was sent, although it is a tool call"
    assert decision["request"] == {"text": "Read the report."}
    assert intent["tool"] == {"name": "read_file", "call_id": "call_1", "arguments": PATH}
    assert intent["decision"]["response_id"] == "resp_1"


def test_what_a_whole_request_says_beside_its_messages_is_kept():
    (decision,) = records(
        span(
            {
                "openinference.span.kind": "LLM",
                "input.value": json.dumps({"messages": ASKED, "model": "gpt", "temperature": 1.5}),
                "output.value": "Done.",
            }
        )
    )
    assert decision["decision"]["prompt"] == ASKED
    assert decision["decision"]["output"] == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Done."}]}
    ]
    assert decision["source"]["original"]["attributes"]["input.value"] == {"model": "gpt", "temperature": 1.5}


def test_an_error_type_is_a_failure_even_where_the_status_was_left_unset():
    (action,) = records(span({"gen_ai.operation.name": "execute_tool", "error.type": "TimeoutError"}))
    assert action["outcome"] == {"status": "failure", "error_type": "TimeoutError", "duration_ns": 2_000}


def test_a_tool_that_returns_an_error_as_its_message_has_failed():
    (action,) = records(
        span(
            {
                "openinference.span.kind": "TOOL",
                "tool.name": "read_file",
                "output.value": json.dumps({"type": "tool", "data": {"content": "no", "tool_call_id": "call_1", "status": "error"}}),
            },
            status="ok",
        )
    )  # fmt: skip
    assert action["outcome"]["status"] == "failure"
    assert action["outcome"]["result"] == "no"
    assert action["tool"]["call_id"] == "call_1"


def test_a_model_that_did_not_answer_is_the_one_that_was_asked():
    (decision,) = records(span({"openinference.span.kind": "LLM", "llm.model_name": "gpt"}, status="error"))
    assert decision["decision"] == {"request_model": "gpt"}
    assert decision["outcome"]["status"] == "failure"


def test_two_accounts_of_one_answer_that_differ_are_both_kept():
    (decision,) = records(
        span(
            {
                "openinference.span.kind": "LLM",
                "llm.output_messages.0.message.role": "assistant",
                "llm.output_messages.0.message.content": "Paid.",
                "output.value": json.dumps(
                    {"generations": [[{"message": {"type": "ai", "data": {"content": "Refused."}}}]]}
                ),
            }
        )
    )
    assert decision["decision"]["output"] == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Paid."}]}
    ]
    assert "Refused." in decision["source"]["original"]["attributes"]["output.value"]


@pytest.mark.parametrize(
    "events",
    [
        [
            Event("gen_ai.system.message", 1, {"content": "Be brief."}),
            Event("gen_ai.user.message", 1, {"gen_ai.event.content": json.dumps({"content": "Read the report."})}),
            Event("gen_ai.choice", 2, {"finish_reason": "tool_calls", "message": json.dumps({"role": "assistant", "parts": [CALL]})}),
        ],
        [
            Event(
                "gen_ai.content.prompt",
                1,
                {"gen_ai.prompt": json.dumps([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Read the report."}])},
            ),
            Event("gen_ai.content.completion", 2, {"gen_ai.completion": json.dumps([{"role": "assistant", "parts": [CALL], "finish_reason": "tool_calls"}])}),
        ],
    ],
)  # fmt: skip
def test_messages_in_the_events_of_a_span_are_the_calls_own(events):
    decision, intent = records(
        span({"gen_ai.operation.name": "chat", "gen_ai.system": "openai"}, events=tuple(events))
    )
    assert decision["decision"]["provider"] == "openai"
    assert decision["decision"]["finish_reason"] == "tool_calls"
    assert decision["request"]["text"] == "Read the report."
    assert [message["role"] for message in decision["decision"]["prompt"]] == ["system", "user"]
    assert intent["tool"]["arguments"] == PATH
    assert [set(event) for event in decision["source"]["original"]["events"]] == [
        {"name", "time_unix_ns"}
    ] * len(events)


def test_pydantic_ai_before_its_format_2_writes_the_events_as_one_attribute():
    events = [
        {"event.name": "gen_ai.user.message", "content": "Read the report.", "role": "user"},
        {
            "event.name": "gen_ai.choice",
            "index": 0,
            "message": {
                "role": "assistant",
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "read_file", "arguments": json.dumps(PATH)}}],
            },
        },
    ]  # fmt: skip
    decision, intent = records(span({"gen_ai.operation.name": "chat", "events": json.dumps(events)}))
    assert decision["request"]["text"] == "Read the report."
    assert intent["tool"] == {"name": "read_file", "call_id": "call_1", "arguments": PATH}


def test_a_flat_history_without_ids_still_tells_what_was_called_and_returned():
    decision, intent = records(
        span(
            {
                "llm.request.type": "chat",
                "gen_ai.prompt.0.role": "user",
                "gen_ai.prompt.0.content": "Read the report.",
                "gen_ai.prompt.1.role": "assistant",
                "gen_ai.prompt.1.tool_calls.0.name": "read_file",
                "gen_ai.prompt.1.tool_calls.0.arguments": json.dumps(PATH),
                "gen_ai.prompt.2.role": "tool",
                "gen_ai.prompt.2.content": "revenue,10",
                "gen_ai.completion.0.role": "assistant",
            },
            name="ollama.chat",
        )
    )
    assert "output" not in decision["decision"], "it left out what the model answered: that is no answer"
    assert intent["ext"]["otel.part"] == "told.0"
    assert intent["tool"] == {"name": "read_file", "arguments": PATH}
    assert intent["outcome"] == {"result": "revenue,10"}
    assert "decision" not in intent, "the call before this one decided it"


def test_a_resource_read_over_mcp_is_an_action_and_its_address_a_content():
    (action,) = records(
        span({"mcp.method.name": "resources/read", "mcp.resource.uri": "file:///data/q3.csv"}, kind="server")
    )
    assert action["type"] == "action"
    assert action["tool"] == {
        "protocol": "mcp",
        "operation": "resources/read",
        "server": "finance",
        "arguments": {"uri": "file:///data/q3.csv"},
    }
    assert "resource" not in action


@pytest.mark.parametrize("method", ["tools/list", "initialize", "server/discover", "ping"])
def test_what_a_client_and_a_server_say_to_get_acquainted_is_no_action(method):
    (other,) = records(span({"mcp.method.name": method}))
    assert other["type"] == "otel.span"


@pytest.mark.parametrize(
    ("kind", "status", "outcome"),
    [
        ("client", "unset", "unknown"),
        ("client", "ok", "success"),
        ("client", "error", "failure"),
        ("server", "unset", "success"),
        ("server", "error", "failure"),
    ],
)
def test_a_client_that_does_not_say_how_a_call_ended_leaves_it_open(kind, status, outcome):
    (action,) = records(
        span(
            {"mcp.method.name": "tools/call"}, name="MCP send tools/call read_file", kind=kind, status=status
        )
    )
    assert action["outcome"]["status"] == outcome
    assert action["tool"]["name"] == "read_file"


def test_an_mcp_servers_user_is_told_from_what_an_app_says_of_itself():
    said = {
        "enduser.id": "alice@example.com",
        "mcp.method.name": "tools/call",
        "enduser.scope": "files:read files:write",
    }
    (server,) = records(span(said, kind="server"))
    (client,) = records(span(said, kind="client"))
    assert server["identity"]["principal_source"] == "enduser.id (MCP server)"
    assert server["identity"]["scopes"] == ["files:read", "files:write"]
    assert client["identity"]["principal_source"] == "enduser.id"


def test_of_two_users_the_surer_one_is_the_principal_and_the_other_is_kept():
    (record,) = records(span({"gen_ai.user": "bob", "enduser.id": "alice", "user.id": "alice"}))
    assert record["identity"]["principal"] == "alice"
    assert record["source"]["original"]["attributes"] == {"gen_ai.user": "bob"}


def test_environment_that_langsmith_leaks_is_kept_as_content_alone():
    (record,) = records(
        span({"langsmith.span.kind": "chain", "langsmith.metadata.LANGSMITH_PROJECT": "demo-secret"})
    )
    left = record["source"].pop("original")
    assert left["attributes"]["langsmith.metadata.LANGSMITH_PROJECT"] == "demo-secret"
    assert "demo-secret" not in json.dumps(record)


def test_any_other_span_is_kept_with_all_it_says():
    (record,) = records(
        span(
            {"b": 2, "a": [1, {"c": "x"}]},
            name="GET /pay",
            status="error",
            status_message="refused",
            events=(
                Event("exception", 2_000, {"exception.type": "PaymentError", "exception.message": "no"}),
            ),
            links=((T, S),),
            scope="app",
            scope_version="1.2",
            flags=("duplicate-keys",),
            resource=RESOURCE | {"k8s.pod.name": "pay-0"},
        )
    )
    assert record["type"] == "otel.span"
    assert record["outcome"] == {"status": "failure", "error_type": "PaymentError", "duration_ns": 2_000}
    assert record["source"]["original"] == {
        "name": "GET /pay",
        "attributes": {"a": [1, {"c": "x"}], "b": 2},
        "status": {"code": "error", "message": "refused"},
        "events": [
            {
                "name": "exception",
                "time_unix_ns": "2000",
                "attributes": {"exception.type": "PaymentError", "exception.message": "no"},
            }
        ],
        "links": [{"trace_id": T, "span_id": S}],
        "resource": {"k8s.pod.name": "pay-0"},
        "scope_version": "1.2",
        "flags": ["duplicate-keys"],
    }


def test_autogens_messages_are_taken_out_of_the_hop_that_passed_them_on():
    passed = {
        "response": {
            "inner_messages": [
                {
                    "type": "ToolCallRequestEvent",
                    "source": "Finance",
                    "id": "e1",
                    "models_usage": {"prompt_tokens": 42, "completion_tokens": 7},
                    "created_at": "2026-11-21T01:26:03.812842Z",
                    "content": [{"id": "call_1", "name": "read_file", "arguments": json.dumps(PATH)}],
                },
                {
                    "type": "ToolCallExecutionEvent",
                    "source": "Finance",
                    "id": "e2",
                    "created_at": "2026-11-21T01:26:03.815383Z",
                    "content": [
                        {"call_id": "call_1", "name": "read_file", "content": "EACCES", "is_error": True}
                    ],
                },
            ]
        }
    }
    run = "e4c9d293-d366-4ca6-9b97-8a3ead0d4135"
    attributes = {"message": json.dumps(passed), "messaging.destination": f"Manager_{run}.({run})-A"}
    decision, intent, outcome, hop = records(span(attributes, scope="autogen SingleThreadedAgentRuntime"))
    assert decision["decision"]["input_tokens"] == 42
    assert decision["time"] == "2026-11-21T01:26:03.812842000Z", "the same in each hop"
    assert intent["tool"] == {"name": "read_file", "call_id": "call_1", "arguments": PATH}
    assert outcome["type"] == "action.outcome"
    assert outcome["outcome"] == {"result": "EACCES", "status": "failure"}
    assert {record["request"]["conversation_id"] for record in (decision, intent, outcome, hop)} == {run}
    left = hop["source"]["original"]["attributes"]["message"]["response"]["inner_messages"]
    assert [event["id"] for event in left] == ["e1", "e2"]
    assert "content" not in left[0]


def test_a_record_is_the_senders_own_and_the_same_when_it_is_sent_again():
    one = span({"gen_ai.operation.name": "execute_tool"})
    (mine,), (again,), (theirs,) = records(one), records(one), records(one, submitter="token:b")
    assert mine == again
    assert mine["id"] != theirs["id"]
    assert mine["id"].startswith("ledger:otlp:")
