"""The view `actions` over telemetry: a call that a model asked for, its execution, MCP below it and what fills it in are one row."""

import json
from typing import Any

import pytest

from ledger.forensics.catalog import load_queries
from tests.forensics.joining import Joined
from tests.forensics.spans import EPOCH, Spans, span, trace

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


def test_two_libraries_that_saw_the_same_answer_in_two_traces_give_one_call():
    app = Spans()
    app.chat(1, 0, None, READ, response="resp_1", lib="a")
    app.tool(2, 5, None, READ)
    app.chat(1, 1, None, READ, response="resp_1", lib="b", trace_id=2)
    assert rows(app, columns="len(stages), execution, joined_by.outcome") == [[3, "observed", "call_id"]]


def test_two_libraries_of_which_one_knows_no_answers_id_give_one_call():
    app = Spans()
    app.chat(1, 0, None, READ, lib="a")
    app.tool(2, 5, None, READ)
    app.chat(1, 1, None, READ, response="resp_1", lib="b", trace_id=2)
    assert rows(app, columns="len(stages), decision_response_id, joined_by.outcome") == [
        [3, "resp_1", "call_id"]
    ]


def test_a_call_id_that_a_model_uses_again_in_another_trace_or_with_other_arguments_is_another_call():
    app = Spans()
    other = {**READ, "arguments": {"path": "/etc/passwd"}}
    app.chat(1, 0, None, READ, response="r1")
    app.tool(2, 1, None, READ)
    app.chat(3, 2, None, other, response="r2")
    app.tool(4, 3, None, other, status="failure")
    app.chat(1, 4, None, READ, response="r3", trace_id=2)
    assert rows(app, columns="decision_response_id, resource_id, outcome_status") == [
        ["r1", "/data/q3/report.csv", "success"],
        ["r2", "/etc/passwd", "failure"],
        ["r3", "/data/q3/report.csv", None],
    ]


def test_what_was_not_executed_does_not_get_the_execution_of_a_later_call_with_its_id():
    app = Spans()
    later = {**READ, "arguments": {"path": "/data/other"}}
    app.chat(1, 0, None, READ, response="r1")
    app.chat(2, 2, None, later, response="r2")
    app.tool(3, 3, None, later)
    assert rows(app, columns="decision_response_id, execution") == [
        ["r1", "not_observed"],
        ["r2", "observed"],
    ]


@pytest.mark.parametrize(
    ("asked", "ran"),
    [
        ({"path": "/x"}, "/x"),
        ({"a": 1, "b": {"c": [1]}}, {"b": {"c": [1]}, "a": 1}),
        ({"amount": 5000, "to": "x"}, {"to": "x", "amount": "5000"}),
        ({}, ""),
    ],
)
def test_without_a_call_id_the_same_tool_and_arguments_in_the_trace_are_the_call(asked: Any, ran: Any):
    app = Spans()
    app.chat(1, 0, None, {"id": "c", "name": "read_file", "arguments": asked}, response="r1")
    app.tool(2, 5, None, {"name": "read_file", "arguments": ran})
    assert rows(app, columns="execution, joined_by.outcome, conflicts") == [["observed", "arguments", []]]


def test_the_same_call_made_twice_is_two_rows_each_with_its_own_execution():
    app = Spans()
    bare = {key: value for key, value in READ.items() if key != "id"}
    app.tool(1, 0, None, bare, result="before any model was asked")
    app.chat(2, 1, None, READ, response="r1")
    app.tool(3, 2, None, bare, result="first")
    app.chat(4, 3, None, {**READ, "id": "call_9"}, response="r2")
    app.tool(5, 4, None, bare, result="second")
    assert rows(app, columns="decision_response_id, outcome_result") == [
        [None, '"before any model was asked"'], ["r1", '"first"'], ["r2", '"second"'],
    ]  # fmt: skip


def test_a_plugins_tool_is_also_known_without_the_plugin():
    app = Spans()
    app.chat(1, 0, None, {**READ, "name": "Files-read_file"})
    app.tool(2, 5, None, {"name": "read_file", "arguments": READ["arguments"]})
    app.chat(3, 6, None, {"id": "c3", "name": "get-weather", "arguments": {"city": "Rome"}})
    app.tool(4, 7, None, {"name": "set-weather", "arguments": {"city": "Rome"}})
    assert rows(app, columns="tool_name, execution") == [
        ["Files-read_file", "observed"], ["get-weather", "not_observed"], ["set-weather", "observed"],
    ]  # fmt: skip


def test_where_each_call_is_a_trace_of_its_own_the_process_tells_which_execution_is_which():
    app = Spans()
    bare = {key: value for key, value in READ.items() if key != "id"}
    app.chat(1, 0, None, READ, response="r1")
    app.tool(2, 5, None, bare, trace_id=2)
    app.tool(3, 6, None, bare, trace_id=3, instance="another process")
    app.chat(4, 9, None, told=[READ], results=["revenue"], response="r2", trace_id=4)
    assert rows(app, columns="decision_response_id, execution, joined_by.outcome, outcome_result") == [
        ["r1", "observed", "instance", '"revenue"'], [None, "observed", "record", None],
    ]  # fmt: skip


def test_a_call_that_only_a_later_history_tells_was_decided_by_the_silent_model_call_before_it():
    app = Spans()
    app.agent(1, 0, text="read it", identity={"agent_name": "Finance"})
    app.chat(2, 1, 1, silent=True, response="r1")
    app.tool(3, 5, 1, {"name": "read_file", "arguments": READ["arguments"]})
    app.chat(4, 9, 1, told=[READ], results=["revenue"], silent=True, response="r2")
    app.chat(5, 12, 1, told=[READ], results=["revenue"], text="and now?", response="r3")
    app.chat(6, 15, None, told=[READ], results=["revenue"], text="a turn later", response="r4", trace_id=2)
    assert rows(
        app,
        columns="decision_response_id, execution, request_text, identity_agent_name, tool_call_id, len(stages)",
    ) == [["r1", "observed", '"read it"', "Finance", "call_1", 4]]


def test_returned_text_is_a_result_and_no_execution():
    app = Spans()
    app.chat(1, 0, None, READ)
    app.chat(2, 9, None, told=[READ], results=["DENIED by policy"])
    assert rows(app, columns="execution, outcome_status, outcome_result, policy_effect") == [
        ["not_observed", None, '"DENIED by policy"', None]
    ]


def test_mcp_without_a_tool_above_it_is_one_row_per_topmost_call():
    app = Spans()
    app.agent(1, 0, identity={"agent_name": "Finance"})
    for number, tool in ((10, "read_file"), (20, "transfer_funds")):
        app.mcp(number, number, 1, "client", name=tool, status="unknown")
        app.mcp(number + 1, number + 1, number, "client", status="unknown")
        app.mcp(
            number + 2, number + 2, number + 1, "server", name=tool, status="failure", instance="process-2"
        )
    assert rows(app, columns="tool_name, len(stages), outcome_status, identity_agent_name, execution") == [
        ["read_file", 3, "failure", "Finance", "observed"], ["transfer_funds", 3, "failure", "Finance", "observed"],
    ]  # fmt: skip


def test_mcp_belongs_to_the_tool_above_it_through_other_spans_but_not_through_an_agent_or_to_another_tool():
    app = Spans()
    app.tool(1, 0, None, {"name": "files__read_file", "arguments": {"path": "/x"}})
    app.other(2, 1, 1)
    app.mcp(3, 2, 2, "client", name="read_file")
    app.mcp(4, 3, 1, "client", name="delete_file")
    app.agent(5, 4, 1)
    app.mcp(6, 5, 5, "client", name="read_file")
    assert rows(app, columns="tool_name, len(stages)") == [
        ["files__read_file", 2], ["delete_file", 1], ["read_file", 1],
    ]  # fmt: skip


def test_a_span_is_one_row_however_frameworks_wrap_it_and_a_tool_within_a_tool_is_its_own():
    app = Spans()
    app.tool(1, 0, None, READ, lib="framework")
    app.other(2, 1, 1)
    app.tool(
        3, 2, 2, {"name": "read_file", "arguments": READ["arguments"]}, lib="inner library", status="failure"
    )
    app.tool(4, 3, 3, {"name": "open", "arguments": "/data"})
    assert rows(app, columns="tool_name, len(stages), conflicts") == [["read_file", 2, []], ["open", 1, []]]


def test_the_agent_is_the_one_above_the_model_call_and_not_the_one_that_runs_the_tool():
    app = Spans()
    app.other(1, 0)
    app.agent(2, 1, 1, text="read it", identity={"agent_name": "Finance"})
    app.chat(3, 2, 2, silent=True, response="r1")
    app.summary(2, 1, READ)
    app.agent(4, 5, 1, identity={"agent_name": "user"})
    app.tool(5, 6, 4, READ)
    assert rows(app, columns="identity_agent_name, decision_response_id, request_text, execution") == [
        ["Finance", "r1", '"read it"', "observed"]
    ]


def test_an_instance_alone_is_no_identity_and_agent_and_person_may_be_told_by_two():
    app = Spans()
    app.tool(1, 0, None, READ)
    app.other(2, 10, None, identity={"principal": "alice", "principal_source": "metadata.user_id"})
    app.agent(3, 11, 2, identity={"agent_name": "Finance"})
    app.tool(4, 12, 3, PAY)
    assert rows(app, columns="identity_agent_name, identity_principal, identity_principal_source, list_contains(facets_missing, 'identity')") == [
        [None, None, None, True], ["Finance", "alice", "metadata.user_id", False],
    ]  # fmt: skip


def judged(app: Spans, at: int, tool: str, effect: str) -> None:
    policy = {"effect": effect, "engine": "agt", "id": "P-17"}
    app.put("action.decision", "policy", f"governance.{at}", at, tool={"name": tool}, policy=policy)


def test_policy_events_go_with_the_calls_in_their_order_where_there_are_as_many():
    app = Spans()
    app.chat(1, 0, None, READ, PAY)
    judged(app, 1, "read_file", "allow")
    judged(app, 2, "transfer_funds", "deny")
    app.tool(2, 3, None, READ)
    assert rows(app, columns="tool_name, policy_effect, execution, joined_by.policy") == [
        ["read_file", "allow", "observed", "name"], ["transfer_funds", "deny", "not_observed", "name"],
    ]  # fmt: skip


def test_a_policy_event_of_which_nothing_says_which_call_it_is_about_denies_none():
    app = Spans()
    app.chat(1, 0, None, PAY)
    app.chat(2, 5, None, {**PAY, "id": "call_3"})
    app.tool(3, 8, None, {**PAY, "id": "call_3"})
    judged(app, 6, "transfer_funds", "deny")
    assert rows(app, columns="stages[1], policy_effect") == [
        ["action.intent", None], ["action.intent", None], ["action.decision", "deny"],
    ]  # fmt: skip


def sdk(app: Spans, record_type: str, at: int, trace_id: int | None = 1, **members: Any) -> None:
    number = len(app.records)
    place = {"trace": {"trace_id": trace(trace_id), **members.pop("trace", {})}} if trace_id else {}
    record = {
        "id": f"sdk-{app.submitter}-{number}",
        "type": record_type,
        "time": f"{EPOCH}.{at:06d}Z",
        **place,
        **members,
    }
    app.records.append((app.submitter, json.dumps(record).encode()))


def test_what_an_sdk_wrote_and_what_telemetry_says_of_one_call_are_one_row():
    app = Spans()
    app.agent(1, 0, text="pay", identity={"agent_name": "Finance"})
    app.chat(2, 1, 1, PAY, response="r1")
    app.tool(3, 5, 1, PAY, status="failure")
    inside = {"parent_span_id": span(3)}
    sdk(
        app,
        "action.intent",
        6,
        action_id="a1",
        tool={"name": "transfer_funds"},
        resource={"id": "ACC-9"},
        trace=inside,
    )
    sdk(app, "action.outcome", 7, action_id="a1", outcome={"status": "denied"}, policy={"effect": "deny"})
    assert rows(
        app,
        columns="action_id, decision_response_id, identity_agent_name, resource_id, outcome_status, policy_effect, execution, conflicts",
    ) == [["a1", "r1", "Finance", "ACC-9", "denied", "deny", "not_observed", []]]


@pytest.mark.parametrize("known", [{"call_id": "call_2"}, {"arguments": PAY["arguments"]}])
def test_an_sdks_record_outside_the_span_is_found_by_call_id_or_arguments(known: dict[str, Any]):
    app = Spans()
    app.chat(2, 1, None, PAY, response="r1")
    app.tool(3, 5, None, PAY)
    sdk(
        app,
        "action",
        6,
        tool={"name": "transfer_funds", **known},
        outcome={"status": "success", "result": "paid"},
    )
    assert rows(app, columns="decision_response_id, outcome_result, len(stages)") == [["r1", '"paid"', 3]]


def test_a_failure_behind_a_success_is_a_conflict():
    app = Spans()
    app.tool(1, 0, None, READ)
    app.mcp(2, 1, 1, "client", name="read_file", status="unknown")
    app.mcp(3, 2, 2, "server", name="read_file", status="failure")
    assert rows(app, columns="outcome_status, conflicts") == [["success", ["outcome.status"]]]


def test_contradicting_copies_of_one_span_are_one_row_that_says_so():
    app = Spans()
    app.tool(1, 0, None, READ, result="revenue,10")
    [(submitter, first)] = app.records
    other = json.loads(first)
    other["id"] += "~2"
    other["tool"]["arguments"] = {"path": "/etc/shadow"}
    app.records.append((submitter, json.dumps(other).encode()))
    assert rows(app, columns="len(stages), conflicts") == [[2, ["tool.arguments", "id"]]]


def test_withheld_arguments_name_no_resource():
    app = Spans()
    app.tool(1, 0, None, {"name": "read_file", "arguments": {"commitment": "ab" * 32}})
    assert rows(app, columns="resource_id, list_contains(facets_missing, 'resource')") == [[None, True]]


def test_an_app_that_names_another_person_than_its_server_checked_is_a_conflict():
    for said, conflicts in (("bob", ["identity.principal"]), ("alice", [])):
        app = Spans()
        app.chat(1, 0, None, READ, identity={"principal": said, "principal_source": "gen_ai.user"})
        app.tool(2, 1, None, READ)
        app.mcp(
            3,
            2,
            2,
            "server",
            name="read_file",
            identity={"principal": "alice", "principal_source": "MCP server"},
        )
        assert rows(app, columns="identity_principal, identity_principal_source, conflicts") == [
            ["alice", "MCP server", conflicts]
        ]


def test_by_its_name_alone_only_an_execution_of_which_no_more_is_known_is_the_call():
    app = Spans()
    app.chat(1, 0, None, READ, text="read it")
    app.tool(2, 5, None, {"name": "read_file", "arguments": {"path": "/data/other"}})
    app.chat(3, 1, None, READ, trace_id=2)
    app.tool(4, 5, None, {"name": "read_file"}, trace_id=2, instance="process-2")
    assert rows(app, columns="trace_trace_id[-1:], resource_id, execution, joined_by.outcome") == [
        ["1", "/data/q3/report.csv", "not_observed", None],
        ["2", "/data/q3/report.csv", "observed", "name"],
        ["1", "/data/other", "observed", "record"],
    ]


def test_a_denial_goes_with_no_earlier_call_of_the_same_arguments_that_was_judged_by_nobody():
    app = Spans()
    app.chat(1, 0, None, PAY)
    app.tool(2, 1, None, PAY)
    app.chat(3, 5, None, {**PAY, "id": "call_3"})
    policy = {"effect": "deny", "engine": "agt"}
    tool = {"name": "transfer_funds", "arguments": PAY["arguments"]}
    app.put("action.decision", "policy", "governance.1", 6, tool=tool, policy=policy)
    assert rows(app, columns="stages[1], policy_effect, execution") == [
        ["action.intent", None, "observed"],
        ["action.intent", None, "not_observed"],
        ["action.decision", "deny", "not_observed"],
    ]


def test_a_call_that_was_cut_off_is_named_also_where_telemetry_tells_of_its_model():
    app = Spans()
    app.chat(1, 0, None, PAY, READ, response="r1")
    sdk(app, "action.intent", 1, action_id="a1", tool={"name": "transfer_funds", "call_id": "call_2"})
    question = load_queries()["intents-without-outcomes"].sql.replace("$older_than_s", "0")
    joined = Joined(app.records)
    assert joined.ask(f"SELECT tool_name, action_id FROM ({question})") == [["transfer_funds", "a1"]]
    assert joined.ask("SELECT count(*), count(decision_response_id) FROM actions") == [[2, 2]]
