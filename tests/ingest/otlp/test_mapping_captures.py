"""What the records of each capture hold, against the truth in its meta.json: nothing of it lost, nothing added."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import pytest

from ledger.ingest.otlp.decode import JSON, PROTOBUF, Signal, decode
from ledger.ingest.otlp.mapping import records_of
from ledger.ingest.otlp.spans import NOTHING
from ledger.log.persons import Persons
from ledger.records.prepare import prepare
from tests.conftest import SHARED

CAPTURES = sorted(path.name for path in SHARED.glob("otlp/*") if path.is_dir())
ARGUMENTS = {
    "read_file": {"path": "/data/q3/report.csv"},
    "transfer_funds": {"from_account": "ACC-1", "to_account": "ACC-9", "amount": 5000},
    "delete_file": {"path": "/data/q3/report.csv"},
}
READ = "Please read_file /data/q3/report.csv and summarise it for the CFO."
PAY = "Please transfer_funds 5000 from ACC-1 to ACC-9."
DELETE = "Please delete_file /data/q3/report.csv."
REPORT = "revenue,10\ncost,4"
DENIED = "DENIED by policy P-17"
ALL = {"read_file", "transfer_funds", "delete_file"}
TEXTS = {READ, PAY, DELETE}
ALICE = "alice@example.com"
OK, FAILED = ("success", None), ("failure", "PermissionError")
TOOL_ERROR = ("failure", "tool_error")


class Holds(NamedTuple):
    """What the telemetry of a capture says, by its meta.json and design/framework-telemetry.md.

    asked: the tools a model asked for; returned: what came back for them, wherever it is told; ran: what was executed, and how each
    ended; texts: the users' words; model: provider, model asked, model that answered; ids: whether model calls have their ids.
    """

    asked: frozenset = frozenset()
    returned: Mapping = NOTHING
    ran: Mapping = NOTHING
    texts: frozenset = frozenset()
    who: frozenset = frozenset()
    agents: frozenset = frozenset()
    conversations: frozenset = frozenset()
    model: frozenset = frozenset()
    ids: bool = False
    dropped: Mapping = NOTHING


MODEL = {("openai", "fake-gpt", "fake-gpt-2026-01-01")}
ONE = {"asked": {"read_file"}, "texts": {READ}}
PROVIDER = {**ONE, "returned": {"read_file": REPORT}}
AGENT_FRAMEWORK = Holds(
    ALL,
    {
        "read_file": REPORT,
        "transfer_funds": f"{DENIED}: transfers need a human",
        "delete_file": "Error: Function failed.",
    },
    {"read_file": OK, "delete_file": FAILED},
    TEXTS,
    agents={"FinanceAgent", "FinanceAgentChat"},
    model=MODEL,
    ids=True,
)
PYDANTIC = Holds(
    ALL,
    {"read_file": REPORT, "transfer_funds": DENIED},
    {
        "read_file": OK,
        "transfer_funds": ("failure", "pydantic_ai.exceptions.ToolRetryError"),
        "delete_file": FAILED,
    },
    TEXTS,
    {(ALICE, "metadata.user")},
    {"FinanceAgent"},
    {"sess-0042"},
    MODEL,
    ids=True,
)
LANGGRAPH = Holds(
    ALL,
    {"read_file": REPORT, "transfer_funds": DENIED},
    {"read_file": OK, "delete_file": FAILED},
    TEXTS,
    {(ALICE, "metadata.user_id")},
    {"FinanceAgent"},
    {"sess-00420", "sess-00421", "sess-00422"},
    MODEL,
    ids=True,
)
EXPECTED = {
    "a2a-client": Holds(dropped={"transport: a2a": 7}),
    "a2a-server": Holds(dropped={"transport: a2a": 64}),
    "ag2": Holds(
        ALL,
        {"read_file": REPORT, "transfer_funds": f"PermissionError: {DENIED}\n", "delete_file": ...},
        {"read_file": OK, "transfer_funds": FAILED, "delete_file": FAILED},
        TEXTS,
        {(ALICE, "enduser.id")},
        {"FinanceAgent"},
        model=MODEL,
    ),
    "agent-framework": AGENT_FRAMEWORK,
    "agent-framework-json": AGENT_FRAMEWORK,
    "agt": Holds(agents={"FinanceAgent"}, conversations={"sess-0042"}),
    "autogen-agentchat": Holds(
        ALL,
        {"read_file": REPORT, "transfer_funds": DENIED, "delete_file": "EACCES: /data/q3/report.csv"},
        {"read_file": OK, "transfer_funds": OK, "delete_file": FAILED},
        TEXTS,
        agents={"FinanceAgent", "FinanceAgentDirect"},
        conversations={"e4c9d293-d366-4ca6-9b97-8a3ead0d4135"},
    ),
    "azure-ai-projects": Holds(
        **ONE,
        ran={"read_file": OK},
        returned={"read_file": REPORT},
        agents={"FinanceAgent"},
        model={("microsoft.foundry", "fake-gpt", "fake-gpt-2026-01-01")},
        ids=True,
    ),
    "crewai-openinference": Holds(
        ALL,
        {
            "read_file": REPORT,
            "transfer_funds": "Tool execution blocked by hook. Tool: transfer_funds",
            "delete_file": "Error executing tool: EACCES: /data/q3/report.csv",
        },
        {"read_file": OK, "delete_file": FAILED},
        TEXTS,
        {(ALICE, "crew_inputs.user_id")},
        {"FinanceAgent"},
    ),
    "e2e-maf-fastmcp": Holds(
        {"read_file", "transfer_funds"},
        {"read_file": json.dumps({"result": REPORT}), "transfer_funds": "Error: Function failed."},
        {"read_file": OK, "transfer_funds": ("failure", "ToolExecutionException")},
        {READ, PAY},
        {(ALICE, "enduser.id (MCP server)")},
        {"FinanceAgent"},
        model=MODEL,
        ids=True,
    ),
    "fastmcp-client": Holds(
        ran={"read_file": ("unknown", None), "transfer_funds": TOOL_ERROR, "no_such_tool": TOOL_ERROR},
        agents={"FinanceAgent"},
    ),
    "langgraph-langsmith": LANGGRAPH._replace(
        who={(ALICE, "langsmith.metadata.user_id")},
        ran={"read_file": OK, "delete_file": ("failure", "Exception")},
    ),
    "langgraph-openinference": LANGGRAPH,
    "mcp-client": Holds(
        ran=dict.fromkeys(["read_file", "transfer_funds", "no_such_tool"], ("unknown", None)),
        agents={"FinanceAgent"},
    ),
    "mcp-server": Holds(ran={"read_file": OK, "transfer_funds": TOOL_ERROR, "no_such_tool": TOOL_ERROR}),
    "openai-agents-traceloop": Holds(
        ALL,
        {
            "read_file": REPORT,
            "transfer_funds": DENIED,
            "delete_file": "An error occurred while running the tool. Please try again.",
        },
        {"read_file": OK, "transfer_funds": OK, "delete_file": ("failure", None)},
        TEXTS,
        agents={"FinanceAgent", "FinanceAgentChat"},
        model={("openai", None, "fake-gpt-2026-01-01"), ("openai", "fake-gpt", None)},
    ),
    "provider-bedrock-traceloop": Holds(**PROVIDER, model={("aws.bedrock", "claude-fake", None)}),
    "provider-botocore": Holds(**PROVIDER, model={("aws.bedrock", "anthropic.claude-fake", None)}),
    "provider-genai": Holds(
        returned={"read_file": REPORT},
        ran={"read_file": OK},
        texts={READ},
        model={("gemini", "gemini-fake", "gemini-fake-1")},
        ids=True,
    ),
    "provider-ollama": Holds(**PROVIDER, model={("Ollama", "llama-fake", "llama-fake")}),
    "provider-openai-traceloop": Holds(**PROVIDER, who={(ALICE, "gen_ai.user")}, model=MODEL, ids=True),
    "provider-openai-v2": Holds(**PROVIDER, model=MODEL, ids=True),
    "pydantic-ai": PYDANTIC,
    "pydantic-ai-json": PYDANTIC,
    "ray-serve": Holds(dropped={"transport: ray": 10}),
    "semantic-kernel": Holds(
        ALL,
        {
            "read_file": REPORT,
            "transfer_funds": DENIED,
            "delete_file": "An error occurred while invoking the function Files-delete_file: EACCES: /data/q3/report.csv",
        },
        {"read_file": OK, "transfer_funds": OK, "delete_file": FAILED},
        TEXTS,
        agents={"FinanceAgent"},
        model={("openai", "fake-gpt", None)},
        ids=True,
    ),
}


def spans_and_logs(name):
    """Every span and log record of a capture, in the order it was sent."""
    spans, logs = [], []
    for path in sorted((SHARED / "otlp" / name).glob("[0-9]*.*")):
        _, signal, *encoding = path.name.split(".")
        if encoding and signal in list(Signal):
            for piece in decode(
                path.read_bytes(), PROTOBUF if encoding == ["pb"] else JSON, Signal(signal)
            ).slices:
                spans += piece.spans
                logs += piece.logs
    return spans, logs


def reading_of(name):
    reading = records_of(*spans_and_logs(name), "token:a")
    return [json.loads(record) for record in reading.records], reading


def said(records, facet, member):
    return {value for record in records if (value := record.get(facet, {}).get(member)) is not None}


def plain_name(record):
    name = record.get("tool", {}).get("name")
    return name.removeprefix("Files-") if name else None


def test_every_capture_has_its_truth_here(shared):
    assert set(EXPECTED) == set(CAPTURES)


@pytest.mark.parametrize("name", CAPTURES)
def test_the_records_of_a_capture_hold_what_its_telemetry_says(name):
    records, reading = reading_of(name)
    truth = EXPECTED[name]
    intents = [record for record in records if record["type"] == "action.intent"]
    assert {plain_name(record) for record in intents} - {None} == truth.asked
    for record in intents:
        if "arguments" in record["tool"]:
            assert record["tool"]["arguments"] == ARGUMENTS[plain_name(record)]
    assert returned(records) == {
        tool: returned(records)[tool] if result is ... else {result}
        for tool, result in truth.returned.items()
    }
    assert ended(records) == truth.ran
    assert said(records, "request", "text") == truth.texts
    assert {
        (record["identity"]["principal"], record["identity"]["principal_source"])
        for record in records
        if "principal" in record.get("identity", {})
    } == truth.who
    assert said(records, "identity", "agent_name") == truth.agents
    assert {
        text for text in said(records, "request", "conversation_id") if "resp_" not in text
    } == truth.conversations
    assert reading.dropped == truth.dropped
    assert reading.refused == []
    calls = [record["decision"] for record in records if record["type"] == "decision" and span_said(record)]
    assert {tuple(call.get(n) for n in ("provider", "request_model", "response_model")) for call in calls} - {
        (None, None, None)
    } == truth.model
    assert not truth.ids or all("response_id" in call for call in calls)


def span_said(record):
    """Whether the record is of a span, not of a log record beside it: only those have a kind."""
    return "otel.span_kind" in record["ext"]


def returned(records):
    """What came back of each tool, whoever tells it."""
    names = {
        record["tool"]["call_id"]: plain_name(record)
        for record in records
        if "call_id" in record.get("tool", {}) and plain_name(record)
    }
    found = {}
    for record in records:
        result = record.get("outcome", {}).get("result")
        tool = plain_name(record) or names.get(record.get("tool", {}).get("call_id"))
        if result is not None and tool is not None:
            found.setdefault(tool, set()).add(result)
    return found


def ended(records):
    """How each tool that ran ended: what the tool's own span says, or else MCP's surest word."""
    actions = sorted(
        (record for record in records if record["type"] == "action"),
        key=lambda record: (record["ext"]["otel.part"] == "tool", record["outcome"]["status"] != "unknown"),
    )
    return {
        plain_name(record): (record["outcome"]["status"], record["outcome"].get("error_type"))
        for record in actions
    }


@pytest.mark.parametrize("name", CAPTURES)
def test_every_record_is_one_that_the_log_takes(name):
    _, reading = reading_of(name)
    persons = Persons(lambda _: None)
    ids = []
    for record in reading.records:
        prepared = prepare(
            record,
            submitter="token:a",
            persons=persons,
            origin="o/t",
            agent_key=lambda _: None,
            reserved_ids=True,
        )
        ids.append(prepared.id)
        assert b"alice@example.com" not in prepared.record
        assert b"/data/q3" not in prepared.record or name == "agt", "AGT names the resource itself"
        assert b"Please" not in prepared.record
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", CAPTURES)
def test_a_span_gives_the_same_records_alone_and_among_others_in_any_order(name):
    spans, logs = spans_and_logs(name)
    together = Counter(records_of(spans, logs, "token:a").records)
    assert Counter(records_of(spans[::-1], logs[::-1], "token:a").records) == together
    alone = [records_of([span], [], "token:a").records for span in spans]
    alone += [records_of([], [log], "token:a").records for log in logs]
    assert Counter(record for records in alone for record in records) == together


@pytest.mark.parametrize("name", CAPTURES)
def test_no_text_that_a_capture_holds_is_lost(name):
    spans, logs = spans_and_logs(name)
    for one in [*spans, *logs]:
        records = records_of([one], [], "a") if one in spans else records_of([], [one], "a")
        if records.dropped:
            continue
        held = texts([json.loads(record) for record in records.records])
        sent = texts([one.attributes, getattr(one, "name", ""), getattr(one, "body", None)])
        assert {text for text in sent - held if not within(text, held)} <= ALLOWED_AWAY, one


# Words that name a shape and no thing: the record says the same by its own shape.
ALLOWED_AWAY = {"function", "constructor", "ChatGeneration", "human", "ai", "user", "message", "text", "None"}
ALLOWED_AWAY |= {"1.0", "application/json"}  # of the envelope that AGT puts around its events


def texts(value):
    """Every text in a value, also within texts that are JSON."""
    found = set()
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            try:
                inner = json.loads(one)
            except ValueError:
                inner = None
            if isinstance(inner, dict | list):
                pending.append(inner)
            else:
                found.add(one)
        elif isinstance(one, dict):
            pending += one.values()
        elif isinstance(one, list | tuple):
            pending += one
    return {text.strip() for text in found} - {""}


def within(text, held):
    """Class names of LangChain's serialisation, which become roles."""
    return text in {"langchain", "schema", "messages"} or (
        text.endswith("Message") and text[:-7] in {"Human", "AI", "System", "Tool"}
    )
