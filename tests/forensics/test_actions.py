"""The view `actions`: one row per action, joined by the rules of docs/record.md, told apart by `joined_by`."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.log.log import Log
from tests.forensics.conftest import Desk

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Case:
    """One small log, and `actions` over it."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.count = 0

    def post(self, kind: str, second: int = 0, submitter: str = "token:test", **members: Any) -> None:
        self.count += 1
        record = {"id": f"r{self.count}", "type": kind, "time": f"2026-11-21T09:30:{second:02d}Z", **members}
        self.desk.post(record, submitter=submitter)

    def rows(self, *columns: str) -> list[list[Any]]:
        return self.desk.ask(f"SELECT {', '.join(columns)} FROM actions ORDER BY first_seq")


@pytest.fixture
def case(new_log: Callable[[], Path]) -> Iterator[Case]:
    log = Log.open(new_log())
    desk = Desk(log)
    yield Case(desk)
    desk.close()
    log.close()


def span(own: int, parent: int | None = None) -> dict[str, Any]:
    above = {} if parent is None else {"parent_span_id": f"{parent:016x}"}
    return {"trace_id": TRACE, "span_id": f"{own:016x}", **above}


def test_a_whole_action_is_one_row_that_says_so(case: Case):
    case.post("action", tool={"name": "send"}, outcome={"status": "success"}, resource={"id": "r"})
    [[stages, joined, missing, execution, first, last]] = case.rows(
        "stages", "joined_by", "facets_missing", "execution", "first_seq", "last_seq"
    )
    assert (stages, execution, first, last) == (["action"], "observed", 1, 1)
    assert joined == {
        "request": None, "decision": None, "tool": "record", "identity": None, "resource": "record",
        "policy": None, "approval": None, "outcome": "record",
    }  # fmt: skip
    assert missing == ["request", "decision", "identity"]


def test_the_stages_of_one_action_id_are_one_row(case: Case):
    case.post(
        "action.intent",
        action_id="a",
        tool={"name": "pay", "arguments": {"to": "bob"}},
        request={"user": "alice", "text": "pay bob"},
    )
    case.post("action.decision", action_id="a", policy={"effect": "require_approval", "reason": "over_limit"})
    case.post("action.approval", action_id="a", approval={"outcome": "approved", "approver": "carol"})
    case.post("action.decision", action_id="a", policy={"effect": "allow"})
    case.post("action.outcome", action_id="a", outcome={"status": "success", "result": "paid"})
    [row] = case.rows(
        "id", "request_user", "tool_name", "tool_arguments", "policy_effect", "policy_reason", "approval_approver", "outcome_result", "execution",
        "first_seq", "last_seq", "joined_by.request", "joined_by.policy", "joined_by.outcome", "len(stages)",
    )  # fmt: skip
    assert row == [
        "r1", "alice", "pay", '{"to": "bob"}', "allow", None, "carol", '"paid"', "observed", 1, 5, "record", "action_id", "action_id", 5,
    ]  # fmt: skip


def test_a_denied_action_was_not_executed_and_says_who_denied_it(case: Case):
    case.post("action.intent", action_id="a", tool={"name": "pay"})
    case.post("action.decision", action_id="a", policy={"effect": "deny", "rule": "no-payments"})
    assert case.rows("policy_effect", "policy_rule", "outcome_status", "execution") == [
        ["deny", "no-payments", None, "not_observed"]
    ]


def test_what_was_not_executed_is_not_denied_unless_a_record_says_so(case: Case):
    case.post("action.intent", action_id="a", tool={"name": "pay"})
    case.post("decision", decision={"provider": "openai"}, tool={"name": "pay", "call_id": "c9"})
    assert case.rows("stages", "policy_effect", "outcome_status", "execution") == [
        [["action.intent"], None, None, "not_observed"],
        [["decision"], None, None, "not_observed"],
    ]


@pytest.mark.parametrize(
    ("outcome", "execution"),
    [("success", "observed"), ("failure", "observed"), ("timeout", "observed"), ("unknown", "observed"),
     ("denied", "not_observed"), ("cancelled", "not_observed")],
)  # fmt: skip
def test_execution_follows_the_outcome(case: Case, outcome: str, execution: str):
    case.post("action", outcome={"status": outcome})
    assert case.rows("execution") == [[execution]]


def test_a_call_id_joins_within_a_trace_and_within_a_conversation(case: Case):
    case.post(
        "decision",
        decision={"provider": "p"},
        tool={"call_id": "c"},
        trace=span(1),
        request={"conversation_id": "k"},
    )
    case.post("action", 1, tool={"name": "t", "call_id": "c"}, trace=span(2))
    case.post(
        "action.outcome",
        2,
        tool={"call_id": "c"},
        request={"conversation_id": "k"},
        outcome={"status": "success"},
    )
    assert case.rows(
        "stages", "decision_provider", "tool_name", "outcome_status", "joined_by.tool", "joined_by.outcome"
    ) == [[["decision", "action", "action.outcome"], "p", "t", "success", "call_id", "call_id"]]


def test_a_call_id_does_not_join_outside_its_trace_or_conversation(case: Case):
    case.post("action", tool={"call_id": "c"}, request={"conversation_id": "k1"})
    case.post(
        "action.outcome",
        tool={"call_id": "c"},
        request={"conversation_id": "k2"},
        outcome={"status": "success"},
    )
    case.post("action.outcome", tool={"call_id": "c"}, outcome={"status": "success"})
    assert case.rows("len(stages)") == [[1], [1], [1]]


def test_a_call_id_finds_the_action_id_of_its_call(case: Case):
    case.post("action.intent", action_id="a", tool={"name": "t", "call_id": "c"}, trace=span(1))
    case.post("action", 1, tool={"name": "t", "call_id": "c"}, trace=span(2), outcome={"status": "success"})
    assert case.rows("action_id", "stages", "joined_by.outcome") == [
        ["a", ["action.intent", "action"], "call_id"]
    ]


def test_a_call_id_of_two_action_ids_joins_neither(case: Case):
    case.post("action.intent", action_id="a", tool={"call_id": "c"}, trace=span(1))
    case.post("action.intent", action_id="b", tool={"call_id": "c"}, trace=span(2))
    case.post("action.outcome", tool={"call_id": "c"}, trace=span(3), outcome={"status": "success"})
    assert case.rows("action_id", "outcome_status") == [["a", None], ["b", None], [None, "success"]]


def test_a_call_id_used_twice_hides_no_action(case: Case):
    for second in range(3):
        case.post(
            "action",
            second,
            tool={"name": f"t{second}", "call_id": "call_1"},
            request={"conversation_id": "k"},
        )
    assert case.rows("tool_name") == [["t0"], ["t1"], ["t2"]]


def test_the_decision_whose_output_names_the_call_fills_it_in(case: Case):
    case.post(
        "decision",
        1,
        decision={"provider": "right", "output": [{"type": "tool_call", "id": "call-7", "name": "t"}]},
        trace=span(1),
    )
    case.post("decision", 2, decision={"provider": "later", "output": "nothing to call"}, trace=span(2))
    case.post("action", 3, tool={"name": "t", "call_id": "call-7"}, trace=span(3))
    assert case.rows("decision_provider", "joined_by.decision") == [["right", "named_by_decision"]]


def test_the_parent_span_fills_in_before_a_sibling_does(case: Case):
    case.post(
        "request", 1, request={"user": "alice", "text": "hi"}, identity={"agent_id": "bot"}, trace=span(1)
    )
    case.post("decision", 2, decision={"provider": "first"}, trace=span(2, 1))
    case.post(
        "decision", 3, decision={"provider": "second"}, identity={"agent_id": "wrong"}, trace=span(3, 1)
    )
    case.post("action", 4, tool={"name": "t"}, trace=span(4, 1))
    case.post("decision", 5, decision={"provider": "third"}, trace=span(5, 1))
    assert case.rows(
        "request_user",
        "identity_agent_id",
        "decision_provider",
        "joined_by.request",
        "joined_by.identity",
        "joined_by.decision",
    ) == [["alice", "bot", "second", "spans", "spans", "spans"]]


def test_the_conversation_fills_in_what_was_said_before_in_the_same_turn(case: Case):
    case.post(
        "request", 1, request={"user": "alice", "text": "first", "conversation_id": "k", "turn_id": "1"}
    )
    case.post("action", 2, tool={"name": "one"}, request={"conversation_id": "k", "turn_id": "1"})
    case.post("action", 3, tool={"name": "two"}, request={"conversation_id": "k", "turn_id": "2"})
    case.post("request", 4, request={"user": "alice", "text": "later", "conversation_id": "k"})
    assert case.rows("tool_name", "request_text", "joined_by.request") == [
        ["one", '"first"', "conversation"],
        ["two", None, None],
    ]


def test_one_facet_is_never_mixed_from_two_places(case: Case):
    case.post(
        "request",
        1,
        request={"user": "alice", "text": "hi", "conversation_id": "k"},
        identity={"agent_id": "bot", "client_id": "x"},
    )
    case.post("action", 2, tool={"name": "t"}, identity={"agent_id": "own"}, request={"conversation_id": "k"})
    assert case.rows("request_user", "identity_agent_id", "identity_client_id", "joined_by.identity") == [
        ["alice", "own", None, "record"]
    ]


def test_nothing_is_joined_across_submitters(case: Case):
    case.post(
        "action.intent",
        1,
        "token:a",
        action_id="x",
        tool={"name": "t", "call_id": "c"},
        trace=span(2, 1),
        request={"conversation_id": "k"},
    )
    case.post("action.decision", 2, "token:b", action_id="x", policy={"effect": "deny"})
    case.post(
        "action.outcome", 2, "token:b", tool={"call_id": "c"}, trace=span(3, 1), outcome={"status": "success"}
    )
    case.post(
        "request",
        0,
        "token:b",
        request={"user": "mallory", "text": "do it", "conversation_id": "k"},
        trace=span(1),
    )
    case.post("decision", 0, "token:b", decision={"output": [{"id": "c"}], "provider": "p"}, trace=span(4, 1))
    assert case.rows("submitter", "request_user", "decision_provider", "policy_effect", "outcome_status") == [
        ["token:a", None, None, None, None],
        ["token:b", None, None, "deny", None],
        ["token:b", "mallory", "p", None, "success"],
    ]


def test_an_explained_absence_is_neither_missing_nor_filled_in(case: Case):
    case.post("request", 1, request={"user": "alice", "text": "hi", "conversation_id": "k"})
    case.post(
        "action",
        2,
        tool={"name": "t"},
        request={"conversation_id": "k"},
        absent={"decision": "scheduled", "resource": "none"},
    )
    case.post("action", 3, tool={"name": "u"}, absent={"request": "scheduled"})
    assert case.rows("tool_name", "request_user", "facets_missing") == [
        ["t", "alice", ["identity"]],
        ["u", None, ["decision", "identity", "resource"]],
    ]


def test_the_order_of_arrival_makes_no_difference(case: Case):
    parts = [
        ("request", 1, {"request": {"user": "alice", "text": "hi"}, "trace": span(1)}),
        ("decision", 2, {"decision": {"provider": "p", "output": [{"id": "c"}]}, "trace": span(2, 1)}),
        ("action", 3, {"tool": {"name": "t", "call_id": "c"}, "trace": span(3, 1)}),
        (
            "action.outcome",
            4,
            {"tool": {"call_id": "c"}, "trace": span(4, 3), "outcome": {"status": "success"}},
        ),
    ]
    for number, order in enumerate(itertools.permutations(parts)):
        for kind, second, members in order:
            trace = {**members["trace"], "trace_id": f"{number + 1:032x}"}
            case.post(kind, second, **{**members, "trace": trace})
    rows = case.desk.ask(
        "SELECT DISTINCT list_sort(stages), request_user, decision_provider, tool_name, outcome_status, joined_by.request, joined_by.decision FROM actions"
    )
    assert rows == [
        [["action", "action.outcome"], "alice", "p", "t", "success", "spans", "named_by_decision"]
    ]
    assert len(case.rows("id")) == 24


def test_every_own_record_is_in_exactly_one_row_and_every_column_of_records_is_there(case: Case):
    for number in range(30):
        case.post(
            ["action", "action.intent", "action.outcome", "decision", "request", "note"][number % 6],
            number,
            tool={"name": "t", "call_id": f"c{number % 4}"},
            request={"conversation_id": f"k{number % 3}"},
            **({"action_id": f"a{number % 5}"} if number % 7 < 3 else {}),
        )
    own = case.desk.ask("SELECT count(*) FROM records WHERE type LIKE 'action%' OR type = 'decision'")
    assert case.desk.ask("SELECT sum(len(stages)) FROM actions") == own == [[20]]
    columns = [name for [name] in case.desk.ask("SELECT column_name FROM (DESCRIBE records)")]
    both = [name for [name] in case.desk.ask("SELECT column_name FROM (DESCRIBE actions)")]
    assert [name for name in both if name in columns and name != "facets_missing"] == [
        c for c in columns if c != "facets_missing"
    ]
    assert set(both) - set(columns) == {
        "first_seq", "last_seq", "stages", "joined_by", "execution", "submitters", "conflicts", "session_id",
    }  # fmt: skip
    assert case.desk.ask("SELECT count(*) FROM actions WHERE seq <> first_seq OR leaf_hash IS NULL") == [[0]]


def test_the_view_and_its_table_agree(case: Case):
    case.post("action", tool={"name": "t"})
    assert case.rows("tool_name") == [["t"]]
    assert case.desk.ask("SELECT tool_name FROM actions") == [["t"]]


def test_many_records_that_are_all_alike_are_joined_in_no_time(case: Case):
    """Else one writer with some ten thousand small records would leave every question about actions without an answer."""
    conversation = {"conversation_id": "c"}
    named = {"provider": "p", "output": [{"id": "x"}]}
    for low in range(0, 12_000, 2_000):
        case.desk.post(
            *(
                {"id": f"a{low}-{n}", "type": "action", "time": "2026-11-21T09:30:01Z", "request": conversation,
                 "tool": {"name": "t", "call_id": "x"}, "trace": span(n + low + 100, parent=7)}
                for n in range(1_000)
            ),
            *(
                {"id": f"d{low}-{n}", "type": "decision", "time": "2026-11-21T09:30:00Z", "request": conversation,
                 "decision": named, "trace": span(7)}
                for n in range(1_000)
            ),
        )  # fmt: skip
    case.desk.ask("SELECT count(*) FROM records")
    answer = case.desk.run("SELECT count(*), count(decision_provider) FROM actions")
    assert json.loads(answer.body)["rows"] == [[6_000, 6_000]]
    assert answer.seconds < 2


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM actions",
        'SELECT count(*) FROM "ACTIONS"',
    ],
)
def test_actions_are_as_new_as_the_answer_says_however_they_are_named(case: Case, sql: str):
    for count in (1, 2):
        case.post("action", tool={"name": "send"})
        assert case.desk.ask(sql) == [[count]]
