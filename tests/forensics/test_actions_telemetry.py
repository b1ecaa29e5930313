"""The view `actions` over telemetry: a call that a model asked for, its execution, MCP below it and what fills it in are one row."""

from typing import Any

from tests.forensics.joining import Joined
from tests.forensics.spans import Spans

READ = {"id": "call_1", "name": "read_file", "arguments": {"path": "/data/q3/report.csv"}}
PAY = {"id": "call_2", "name": "transfer_funds", "arguments": {"from": "ACC-1", "amount": 5000}}


def rows(*senders: Spans, columns: str) -> list[list[Any]]:
    joined = Joined([record for sender in senders for record in sender.records])
    return joined.ask(f"SELECT {columns} FROM actions ORDER BY time, tool_name, id")


def test_an_agents_call_over_mcp_is_one_row_with_five_facets_from_two_processes():
    app = Spans()
    app.agent(1, 0, text="read the report", identity={"agent_id": "agent-7", "agent_name": "Finance"})
    app.chat(2, 1, 1, READ, text="read the report", response="resp_1")
    app.tool(3, 5, 1, READ, result="revenue")
    app.mcp(4, 6, 3, "client", name="read_file")
    app.mcp(5, 7, 4, "client", name="read_file")
    principal = {"principal": "alice@example.com", "principal_source": "enduser.id (MCP server)"}
    app.mcp(
        6,
        8,
        5,
        "server",
        name="read_file",
        tool={"server": "files"},
        identity=principal,
        instance="process-2",
    )
    app.chat(7, 9, 1, response="resp_2", told=[READ], results=["revenue"])
    app.summary(1, 0, READ)
    [row] = rows(
        app,
        columns="request_text, decision_response_model, decision_response_id, tool_name, tool_call_id, tool_server, identity_agent_id, identity_principal, "
        "identity_principal_source, resource_type, resource_id, outcome_status, outcome_result, execution, facets_missing, conflicts, submitters, joined_by",
    )
    assert row[:-1] == [
        '"read the report"', "gpt-1", "resp_1", "read_file", "call_1", "files", "agent-7", "alice@example.com", "enduser.id (MCP server)", "file",
        "/data/q3/report.csv", "success", '"revenue"', "observed", [], [], ["token:app"],
    ]  # fmt: skip
    assert row[-1] == {
        "request": "spans", "decision": "record", "tool": "record", "identity": "spans", "resource": "arguments",
        "policy": None, "approval": None, "outcome": "call_id",
    }  # fmt: skip
