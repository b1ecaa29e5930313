"""What docs/telemetry.md claims."""

import re
from pathlib import Path
from typing import get_args

from ledger.ingest.otlp import chat, kinds, names
from ledger.ingest.otlp.kinds import kind_of
from ledger.ingest.otlp.mapping import records_of
from ledger.ingest.otlp.spans import LogRecord
from tests.ingest.otlp.test_mapping import CALL, records, span

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "telemetry.md").read_text(encoding="utf-8")


def rows(heading):
    """The cells of the table below a first cell."""
    table = PAGE.split(f"| {heading} |")[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n")[2:]]


SPANS = {
    "a model call": (span({"gen_ai.operation.name": "chat"}), {"decision"}),
    "a tool that ran": (span({"gen_ai.operation.name": "execute_tool"}), {"action"}),
    "MCP": (span({"mcp.method.name": "tools/call"}), {"action"}),
    "an agent's run": (
        span({"gen_ai.operation.name": "invoke_agent", "gen_ai.output.messages": [{"role": "assistant", "parts": [CALL]}]}),
        {"agent.run", "action.intent"},
    ),
    "a message of AutoGen's runtime": (
        span({"message": '{"message": {"source": "user", "content": "x"}}'}, scope="autogen x"),
        {"request", "otel.span"},
    ),
    "transport": (span({}, scope="ray.serve"), set()),
    "any other": (span({}), {"otel.span"}),
}  # fmt: skip
LOGS = {
    "`gen_ai.user.message`": ({"content": "x"}, {"request"}),
    "`gen_ai.choice`, `gen_ai.client.inference.operation.details`": (
        {"message": {"role": "assistant", "parts": [CALL]}},
        {"decision", "action.intent"},
    ),
    "`gen_ai.assistant.message`, `gen_ai.tool.message`": (
        {"role": "assistant", "parts": [CALL]},
        {"action.intent", "otel.log"},
    ),
    "any other": ("x", {"otel.log"}),
}


def test_each_kind_of_span_gives_the_records_that_the_page_says():
    table = {cells[0]: cells[2] for cells in rows("the span is")}
    assert set(table) == set(SPANS)
    assert {kind_of(one) for one, _ in SPANS.values()} == set(get_args(kinds.Kind))
    for kind, (one, types) in SPANS.items():
        made = {record["type"] for record in records(one)}
        assert made == types
        assert {name for name in made if f"`{name}`" not in table[kind]} == set()
    assert records_of([SPANS["transport"][0]], [], "a").dropped == {"transport: ray": 1}


def test_each_kind_of_log_record_gives_the_records_that_the_page_says():
    table = {cells[0]: cells[1] for cells in rows("the log record is")}
    assert set(table) == {*LOGS, "AGT's governance event"}
    for kind, (body, types) in LOGS.items():
        name = kind.split("`")[1] if "`" in kind else ""
        made = {record["type"] for record in records(LogRecord("a" * 32, "b" * 16, 1, name, "", body, {}))}
        assert made == types
        assert {one for one in made if f"`{one}`" not in table[kind]} == set()


def test_the_places_where_a_person_is_named_are_all_on_the_page_in_their_order():
    shown = [name for cells in rows("source") for name in re.findall(r"`([^`]+)`", cells[0])]
    within = [f"{place}.{key}" for place, key in names.PRINCIPAL_WITHIN]
    assert shown == ["enduser.id (MCP server)", *names.PRINCIPAL, *within]


def test_the_limit_of_calls_is_the_one_on_the_page():
    assert f"**At most {chat.MAX_CALLS} tool calls of one span**" in PAGE


def test_a_tool_call_is_none_the_less_one_for_the_name_of_its_scope():
    said = span({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "pay"}, scope="ray.serve")
    reading = records_of([said], [], "a")
    assert (len(reading.records), reading.dropped) == (1, {})
