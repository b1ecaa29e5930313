"""Whatever stands in a span or a log record, it becomes records that the log takes, or is counted."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.ingest.otlp import names
from ledger.ingest.otlp.embedded import arguments, structure
from ledger.ingest.otlp.mapping import TOO_MANY_CALLS, records_of
from ledger.ingest.otlp.spans import Event, LogRecord, Span
from ledger.log.persons import Persons
from ledger.records.limits import MAX_CONTENT_BYTES
from ledger.records.prepare import prepare

T, S, P = "a" * 32, "b" * 16, "c" * 16
OPERATIONS = ["chat", "generate_content", "execute_tool", "invoke_agent", "chain", "create_agent", ""]
SCOPES = [
    "",
    "agent_framework",
    "fastmcp",
    "mcp-python-sdk",
    "autogen SingleThreadedAgentRuntime",
    "autogen-core",
    "agent_os.governance.audit",
    "openinference.instrumentation.crewai",
    "openinference.instrumentation.langchain",
    "opentelemetry.instrumentation.langchain",
]
NAMES = sorted(
    {
        *(
            name
            for table in vars(names).values()
            if isinstance(table, tuple)
            for name in table
            if isinstance(name, str)
        ),
        "gen_ai.operation.name",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.response.finish_reasons",
        "openinference.span.kind",
        "traceloop.span.kind",
        "langsmith.span.kind",
        "llm.request.type",
        "llm.input_messages.0.message.role",
        "llm.input_messages.0.message.content",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments",
        "llm.invocation_parameters",
        "gen_ai.prompt.0",
        "gen_ai.prompt.0.content",
        "gen_ai.prompt.1.tool_calls.0.name",
        "gen_ai.completion.0.role",
        "pydantic_ai.all_messages",
        "crew_tasks",
        "mcp.method.name",
        "mcp.resource.uri",
        "enduser.scope",
        "fastmcp.server.name",
        "code.function.parameter.path",
        "message",
        "messaging.destination",
        "event.name",
        "error.type",
        "exception.type",
        "agt.audit.meta.cloudevent",
        "gen_ai.event.content",
    }
)
KEYS = st.sampled_from(
    [
        "role", "parts", "content", "type", "tool_calls", "tool_call", "function", "name", "arguments", "args", "input",
        "id", "call_id", "tool_call_id", "response", "result", "output", "messages", "message", "generations", "lc",
        "kwargs", "data", "choices", "toolUse", "toolResult", "functionCall", "text", "event_type", "timestamp", "kind",
        "decision", "source", "models_usage", "inner_messages", "chat_message", "created_at", "is_error", "user_id",
        "agent", "description", "specversion", "input_str", "finish_reason", "response_metadata", "generation_info",
    ]
)  # fmt: skip
WORDS = st.sampled_from(
    [
        "user", "assistant", "tool", "system", "text", "tool_call", "tool_call_response", "function_call", "TOOL", "LLM",
        "AGENT", "tools/call", "resources/read", "ToolCallRequestEvent", "ToolCallExecutionEvent", "TextMessage", "human",
        "ai", "call_1", "read_file", "2026-11-21T09:30:00Z", "deny", "sk-" + "a" * 24, "[{", "{'a': {1, 2}}", "{'a': 1}",
        '{"a": 1, "a": 2}', "{'a': 1, 'a': 2}", "NaN", '{"a": NaN}', "\x00", "\ud800", '{"a": "\\ud800"}', "[" * 500,
    ]
)  # fmt: skip
SCALARS = st.one_of(
    WORDS,
    st.text(max_size=20),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.booleans(),
    st.binary(max_size=8),
    st.none(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=6),
        st.dictionaries(st.text(max_size=4), inner, max_size=3),
    ),
    max_leaves=20,
)


def as_text(value):
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return repr(value)


ATTRIBUTES = st.dictionaries(
    st.one_of(st.sampled_from(NAMES), st.text(max_size=12)),
    st.one_of(VALUES, VALUES.map(as_text)),
    max_size=14,
)
IDS = st.sampled_from([T, "", "0" * 31, "Z" * 32, "a" * 32 + "\n"])
SPANS = st.builds(
    Span,
    trace_id=IDS,
    span_id=st.sampled_from([S, "", "x"]),
    parent_span_id=st.sampled_from([None, P, "", "q"]),
    name=st.sampled_from(
        ["chat m", "execute_tool read_file", "MCP send tools/call x", "ollama.chat", "\ud800", ""]
    ),
    kind=st.sampled_from(["", "internal", "server", "client", "producer", "consumer"]),
    start_ns=st.integers(0, 2**64 - 1),
    end_ns=st.integers(0, 2**64 - 1),
    attributes=ATTRIBUTES,
    status=st.sampled_from(["unset", "ok", "error"]),
    status_message=st.text(max_size=8),
    events=st.lists(
        st.builds(
            Event,
            st.sampled_from(
                ["exception", "gen_ai.user.message", "gen_ai.choice", "gen_ai.content.prompt", "x"]
            ),
            st.integers(0, 2**64 - 1),
            ATTRIBUTES,
        ),
        max_size=3,
    ).map(tuple),
    links=st.just(((T, S),)),
    scope=st.sampled_from(SCOPES),
    scope_version=st.text(max_size=4),
    flags=st.sampled_from([(), ("duplicate-keys",)]),
    resource=st.dictionaries(
        st.sampled_from(["service.name", "service.instance.id", "x"]), VALUES, max_size=3
    ),
)
LOGS = st.builds(
    LogRecord,
    trace_id=st.one_of(st.none(), IDS),
    span_id=st.sampled_from([None, S, "y"]),
    time_ns=st.integers(0, 2**64 - 1),
    event_name=st.sampled_from(
        [
            "",
            "gen_ai.user.message",
            "gen_ai.choice",
            "gen_ai.tool.message",
            "gen_ai.client.inference.operation.details",
        ]
    ),
    severity=st.text(max_size=6),
    body=st.one_of(VALUES, VALUES.map(as_text)),
    attributes=ATTRIBUTES,
    scope=st.sampled_from(SCOPES),
    scope_version=st.just(""),
    flags=st.just(()),
    resource=st.just({}),
)


def taken(reading):
    persons = Persons(lambda _: None)
    for record in reading.records:
        prepare(
            record, submitter="a", persons=persons, origin="o/t", agent_key=lambda _: None, reserved_ids=True
        )
    return [json.loads(record) for record in reading.records]


@settings(max_examples=150, deadline=None)
@given(SPANS, st.sampled_from(OPERATIONS))
def test_whatever_a_span_holds_it_becomes_records_that_the_log_takes(span, operation):
    span = span._replace(attributes={"gen_ai.operation.name": operation, **span.attributes})
    before = repr(span)
    reading = records_of([span], [], "a")
    assert repr(span) == before, "it is only looked at"
    assert len(taken(reading)) >= 1
    assert records_of([span], [], "a").records == reading.records, "sent again, it is the same"


@settings(max_examples=100, deadline=None)
@given(LOGS)
def test_whatever_a_log_record_holds_it_becomes_records_that_the_log_takes(log):
    before = repr(log)
    reading = records_of([], [log], "a")
    assert repr(log) == before
    assert len(taken(reading)) >= 1
    assert records_of([], [log], "a").records == reading.records


@settings(max_examples=100, deadline=None)
@given(st.one_of(VALUES, VALUES.map(as_text), VALUES.map(repr)))
def test_reading_what_stands_in_a_text_never_raises(value):
    structure(value)
    arguments(value)


def chat(calls):
    return Span(
        T,
        S,
        None,
        "chat m",
        "client",
        1,
        2,
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": calls}]),
        },
    )


def test_a_model_call_with_too_many_tool_calls_gives_no_more_records_than_it_may_and_says_so():
    reading = records_of(
        [chat([{"type": "tool_call", "id": str(n), "name": "x"} for n in range(5_000)])], [], "a"
    )
    assert len(reading.records) == 1 + 128
    assert reading.dropped == {TOO_MANY_CALLS: 5_000 - 128}
    assert len(taken(reading)[0]["decision"]["output"][0]["parts"]) == 5_000


def test_many_calls_with_many_results_take_no_longer_than_their_number():
    calls = [{"type": "tool_call", "id": f"c{n}", "name": "x"} for n in range(20_000)]
    results = [{"type": "tool_call_response", "id": f"c{n}", "response": n} for n in reversed(range(20_000))]
    span = Span(
        T, S, None, "x", "", 1, 2,
        {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.output.messages": [{"role": "assistant", "parts": calls}, {"role": "tool", "parts": results}],
        },
    )  # fmt: skip
    started = time.perf_counter()
    records_of([span], [], "a")
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("size", [MAX_CONTENT_BYTES - 300, MAX_CONTENT_BYTES * 3])
def test_an_attribute_too_large_to_keep_costs_no_other(size):
    span = Span(T, S, None, "x", "", 1, 2, {"large": "x" * size, "small": "kept", "other": "y" * 1_000})
    (record,) = taken(records_of([span], [], "a"))
    kept = record["source"]["original"]["attributes"]
    assert kept["small"] == "kept"
    assert kept["other"] == "y" * 1_000
    assert kept["large"] == {"ledger.too_large": {"bytes": size + 2}}


def test_a_secret_in_a_name_is_masked_and_the_name_kept_as_a_content():
    span = Span(
        T, S, None, "x", "", 1, 2, {"gen_ai.agent.name": "bot sk-" + "a" * 30, "gen_ai.agent.id": "bot"}
    )
    (record,) = taken(records_of([span], [], "a"))
    assert record["identity"] == {"agent_id": "bot", "agent_name": "bot [masked: an API key]"}
    assert record["source"]["original"]["attributes"] == {"gen_ai.agent.name": "bot sk-" + "a" * 30}


WORDS_OF_THE_USER = "zebra-crossing"
MESSAGES = json.dumps(
    [
        {"role": "user", "parts": [{"type": "text", "content": WORDS_OF_THE_USER}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "x", "arguments": {"a": WORDS_OF_THE_USER}}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": WORDS_OF_THE_USER}]},
    ]
)  # fmt: skip


@pytest.mark.parametrize("operation", [*OPERATIONS, "mcp", "hop"])
def test_no_word_of_the_user_is_signed_in_clear(operation):
    contents = [
        "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.prompt", "gen_ai.completion", "input.value", "output.value",
        "pydantic_ai.all_messages", "gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "code.function.parameter.path",
        "mcp.resource.uri", "crewai.task.description", "http.url", "message", "gen_ai.system_instructions", "user.id",
    ]  # fmt: skip
    said = {name: value for name in contents for value in (MESSAGES, WORDS_OF_THE_USER)}
    said |= {"gen_ai.input.messages": MESSAGES, "message": json.dumps({"messages": json.loads(MESSAGES)})}
    said |= {"mcp.method.name": "tools/call"} if operation == "mcp" else {"gen_ai.operation.name": operation}
    event = Event("exception", 1, {"exception.type": "E", "exception.message": WORDS_OF_THE_USER})
    span = Span(
        T, S, None, WORDS_OF_THE_USER, "server", 1, 2, said, "error", WORDS_OF_THE_USER, (event,),
        scope="autogen x" if operation == "hop" else "",
    )  # fmt: skip
    log = LogRecord(T, S, 1, "", "INFO", WORDS_OF_THE_USER, said)
    reading = records_of([span], [log], "a")
    persons = Persons(lambda _: None)
    for record in reading.records:
        prepared = prepare(
            record, submitter="a", persons=persons, origin="o/t", agent_key=lambda _: None, reserved_ids=True
        )
        assert WORDS_OF_THE_USER.encode() not in prepared.record
    assert WORDS_OF_THE_USER.encode() in b"".join(reading.records)
