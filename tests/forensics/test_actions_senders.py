"""Ids in telemetry are the sender's own words: what another sender can do with them, which is nothing, and the one join that needs two."""

import json
import time
from typing import Any

from tests.forensics.joining import Joined
from tests.forensics.spans import Spans

READ = {"id": "call_1", "name": "read_file", "arguments": {"path": "/data/q3/report.csv"}}
OTHER_SIDE = {"name": "read_file", "tool": {"server": "files"}, "instance": "process-2"}


def rows(*senders: Spans, columns: str) -> list[list[Any]]:
    joined = Joined([record for sender in senders for record in sender.records])
    return joined.ask(f"SELECT {columns} FROM actions ORDER BY submitter, time, tool_name")


def app() -> Spans:
    """An agent that asked for a call, ran it and called an MCP server."""
    sender = Spans("token:app")
    sender.agent(1, 0, text="read the report", identity={"agent_name": "Finance"})
    sender.chat(2, 1, 1, READ, response="resp_1")
    sender.tool(3, 5, 1, READ, result="revenue")
    sender.mcp(4, 6, 3, "client", name="read_file", status="unknown")
    return sender


def server(submitter: str = "token:server", **members: Any) -> Spans:
    """The other end of that call."""
    sender = Spans(submitter)
    sender.mcp(5, 7, 4, "server", **OTHER_SIDE, **members)
    return sender


COLUMNS = "submitter, submitters, request_text, decision_response_id, identity_agent_name, outcome_result, policy_effect, resource_id, conflicts"
ALONE = ["token:app", ["token:app"], None, "resp_1", "Finance", '"revenue"', None, "/data/q3/report.csv", []]
ALONE[2] = '"read the report"'


def test_a_sender_who_knows_every_id_of_anothers_trace_changes_nothing_of_its_rows():
    mallory = Spans("token:mallory")
    mallory.agent(1, 0, text="transfer it all to me", identity={"agent_name": "Evil", "principal": "mallory"})
    mallory.chat(2, 0, 1, READ, response="resp_1")
    mallory.tool(3, 6, 1, READ, status="failure", result="forged")
    mallory.mcp(4, 6, 3, "client", name="read_file")
    mallory.other(7, 0, None, identity={"principal": "mallory"}, request={"text": "forged"})
    mallory.chat(8, 9, 1, told=[READ], results=["forged"], response="resp_2")
    denial = {"policy": {"effect": "deny"}, "tool": {"name": "read_file"}}
    mallory.put("action.decision", "policy", "governance.1", 2, own=2, **denial)
    assert rows(app(), mallory, columns=COLUMNS)[0] == ALONE
    [mine] = [row for row in rows(app(), mallory, columns=COLUMNS) if row[0] == "token:app"]
    assert mine == ALONE


def test_a_sender_who_takes_anothers_action_id_or_call_id_changes_nothing_of_its_rows():
    mallory = Spans("token:mallory")
    forged = {
        "type": "action.outcome",
        "time": "2026-11-21T09:30:01Z",
        "outcome": {"status": "denied"},
        "policy": {"effect": "deny"},
    }
    trace = {"trace_id": f"{1:032x}", "parent_span_id": f"{3:016x}"}
    for number, name in enumerate(
        ({"action_id": "a1"}, {"tool": {"call_id": "call_1", "name": "read_file"}})
    ):
        record = {"id": f"forged-{number}", **forged, **name, "trace": trace}
        mallory.records.append(("token:mallory", json.dumps(record).encode()))
    sender = app()
    mine = {
        "id": "mine",
        "type": "action.intent",
        "time": "2026-11-21T09:30:00.000006Z",
        "action_id": "a1",
        "trace": trace,
    }
    sender.records.append(
        ("token:app", json.dumps({**mine, "tool": {"name": "read_file", "call_id": "call_1"}}).encode())
    )
    assert rows(sender, mallory, columns=COLUMNS)[0] == ALONE


def test_both_ends_of_one_mcp_call_are_one_row_that_names_both_senders():
    principal = {"principal": "alice", "principal_source": "enduser.id (MCP server)"}
    [row] = rows(app(), server(identity=principal), columns=f"{COLUMNS}, identity_principal, tool_server")
    assert row == [ALONE[0], ["token:app", "token:server"], *ALONE[2:], "alice", "files"]


def test_the_servers_end_tells_how_it_ended_only_where_the_clients_does_not():
    client = Spans("token:app")
    client.mcp(4, 6, None, "client", name="read_file", status="unknown")
    assert rows(client, server(status="failure"), columns="outcome_status, joined_by.outcome, execution") == [
        ["failure", "both_sides", "observed"]
    ]
    assert rows(app(), server(status="failure"), columns="outcome_status, conflicts") == [
        ["success", ["outcome.status"]]
    ]


def test_who_claims_to_be_the_client_of_a_call_neither_denies_it_nor_changes_its_arguments_unseen():
    def record(submitter: str, at: int, to: str, status: str, **trace: str) -> tuple[str, bytes]:
        told = {
            "id": submitter,
            "type": "action",
            "time": f"2026-11-21T09:30:0{at}Z",
            "tool": {"name": "pay", "protocol": "mcp", "arguments": {"amount": 1, "to": to}},
            "outcome": {"status": status},
            "trace": {"trace_id": f"{1:032x}", **trace},
        }
        return submitter, json.dumps(told).encode()

    bank = record("token:bank", 5, "mallory", "success", span_id=f"{7:016x}", parent_span_id=f"{4:016x}")
    claim = record("token:claim", 4, "ann", "denied", span_id=f"{4:016x}")
    columns = "submitters, outcome_status, execution, conflicts"
    assert Joined([bank, claim]).ask(f"SELECT {columns} FROM actions") == [
        [["token:bank", "token:claim"], "denied", "observed", ["tool.arguments", "outcome.status"]]
    ]


def test_two_who_claim_to_be_the_server_are_both_kept_apart_and_the_client_says_so():
    found = rows(app(), server(), server("token:third"), columns="submitter, submitters, conflicts")
    assert found == [
        ["token:app", ["token:app"], ["trace.parent_span_id"]],
        ["token:server", ["token:server"], []],
        ["token:third", ["token:third"], []],
    ]


def test_two_who_claim_to_be_the_client_are_both_kept_apart_from_the_server():
    third = Spans("token:third")
    third.mcp(4, 6, None, "client", name="read_file", identity={"principal": "mallory"})
    found = rows(app(), server(), third, columns="submitter, submitters, identity_principal, conflicts")
    assert found == [
        ["token:app", ["token:app"], None, ["trace.parent_span_id"]],
        ["token:server", ["token:server"], None, []],
        ["token:third", ["token:third"], "mallory", ["trace.parent_span_id"]],
    ]


def test_a_claim_to_a_call_whose_own_sender_has_its_server_is_a_conflict():
    both = app()
    both.mcp(5, 7, 4, "server", **OTHER_SIDE)
    assert rows(both, server("token:third"), columns="submitter, len(stages), conflicts") == [
        ["token:app", 4, ["trace.parent_span_id"]], ["token:third", 1, []],
    ]  # fmt: skip


def test_ends_that_name_another_tool_another_span_or_no_client_are_not_joined():
    another_tool = Spans("token:server")
    another_tool.mcp(5, 7, 4, "server", name="delete_file")
    another_span = Spans("token:server")
    another_span.mcp(5, 7, 99, "server", name="read_file")
    below_a_tool = Spans("token:server")
    below_a_tool.mcp(5, 7, 3, "server", name="read_file")
    for claim in (another_tool, another_span, below_a_tool):
        assert rows(app(), claim, columns="submitters, conflicts") == [
            [["token:app"], []],
            [["token:server"], []],
        ]


def test_what_hangs_below_the_servers_end_comes_with_it():
    other_side = server()
    other_side.other(6, 8, 5)
    other_side.tool(7, 9, 6, {"name": "read_file", "arguments": READ["arguments"]}, instance="process-2")
    other_side.tool(8, 10, 7, {"name": "open", "arguments": "/data"}, instance="process-2")
    assert rows(app(), other_side, columns="submitters, tool_name, len(stages)") == [
        [["token:app", "token:server"], "read_file", 5], [["token:server"], "open", 1],
    ]  # fmt: skip


def written(submitter: str, number: int, name: str = "read_file", **members: Any) -> tuple[str, bytes]:
    """What an SDK or a gateway writes of the call, with `protocol` mcp."""
    tool = {"name": name, "protocol": "mcp", "operation": "tools/call"}
    record = {
        "id": f"{submitter}-{number}",
        "type": "action",
        "time": "2026-11-21T09:30:00.000007Z",
        "tool": tool,
        **members,
    }
    return submitter, json.dumps(record).encode()


def test_a_gateways_record_of_a_call_is_the_other_side_of_it_and_tells_who_denied_it():
    gateway = Spans("token:gateway")
    arrives = {"trace_id": f"{1:032x}", "parent_span_id": f"{4:016x}"}
    denied = {
        "policy": {"effect": "deny", "rule": "no-reading"},
        "outcome": {"status": "denied"},
        "identity": {"principal": "alice"},
    }
    gateway.records.append(written("token:gateway", 1, trace=arrives, **denied))
    assert rows(
        app(), gateway, columns="submitters, policy_rule, joined_by.policy, identity_principal, conflicts"
    ) == [[["token:app", "token:gateway"], "no-reading", "both_sides", "alice", ["outcome.status"]]]


def test_two_sdks_that_saw_both_ends_of_a_call_are_one_row_and_an_action_within_another_is_not():
    leaves, arrives = (
        {"trace_id": f"{1:032x}", "span_id": f"{1:016x}"},
        {"trace_id": f"{1:032x}", "parent_span_id": f"{1:016x}"},
    )
    for other in ("token:server", "token:app"):
        ends = Spans()
        ends.records = [
            written("token:app", 1, trace=leaves),
            written(other, 2, trace=arrives, outcome={"status": "success"}),
            written(other, 3, "delete_file", trace=arrives),
        ]
        found = rows(ends, columns="submitters, tool_name, len(stages), joined_by.outcome")
        assert sorted(found) == sorted([
            [sorted({"token:app", other}), "read_file", 2, "both_sides" if other == "token:server" else "mcp"],
            [[other], "delete_file", 1, None],
        ])  # fmt: skip


def quick(records: list[tuple[str, bytes]], sql: str, most_s: float = 5) -> list[Any]:
    """The only row, of an answer that took no more than that: the deadline kills a query after 30 s."""
    joined = Joined(records)
    started = time.process_time()
    [row] = joined.ask(sql)
    assert time.process_time() - started < most_s
    return row


def test_spans_that_are_their_own_ancestors_are_joined_in_no_time():
    ring = Spans()
    for number in range(1, 2_001):
        ring.other(number, number, number % 2_000 + 1)
    ring.tool(5_000, 1, 1, READ)
    ring.tool(5_001, 1, 5_001, {**READ, "id": "call_2"})
    assert quick(ring.records, "SELECT count(*) FROM actions") == [2]


def test_a_trace_that_is_one_long_chain_is_joined_in_no_time():
    chain = Spans()
    for number in range(1, 10_001):
        chain.mcp(number, number, number - 1 or None, "client", name="read_file")
    assert quick(chain.records, "SELECT sum(len(stages)) FROM actions") == [10_000]


def test_many_calls_that_are_all_alike_are_joined_in_no_time():
    """Else one sender with some ten thousand small spans would leave every question about actions without an answer."""
    alike = Spans()
    for number in range(2_000):
        alike.chat(number + 10, 1, 1, READ, told=[READ], results=["x"])
        alike.tool(number + 10_000, 2, 1, READ)
        alike.mcp(number + 20_000, 3, 1, "client", name="read_file")
        alike.mcp(number + 30_000, 4, 7, "server", name="read_file")
    other = Spans("token:other")
    other.mcp(7, 3, None, "client", name="read_file")
    for number in range(2_000):
        other.mcp(number + 40_000, 4, 7, "server", name="read_file")
    records = alike.records + other.records
    assert quick(records, "SELECT sum(len(stages))::INT FROM actions") == [2_000 * 5 + 2_001]
