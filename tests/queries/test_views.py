"""The views over `actions`: rows that must be there, numbers worked out by hand, and what must not be counted."""

import duckdb
import pytest

from ledger.core.errors import Code, LedgerError
from ledger.forensics.description import tables
from ledger.forensics.gate import gated
from ledger.forensics.views import load_views, parse_view
from tests.queries.told import Story, of, told

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def pay(identifier: str, clock: str, to: str = "IBAN-1", **members):
    facts = {
        "tool_name": "send_money", "tool_effect": "pay", "tool_arguments": {"to": to}, "resource_type": "account", "resource_id": to,
        "identity_agent_id": "clerk", "request_conversation_id": "c1",
    }  # fmt: skip
    return told(identifier, clock, **{**facts, **members})


def read(identifier: str, clock: str, **members):
    facts = {
        "tool_name": "read_mail", "tool_effect": "read", "resource_id": "mail-7", "resource_trust": "external_content",
        "outcome_status": "success", "outcome_result": "pay!", "identity_agent_id": "clerk", "request_conversation_id": "c1",
    }  # fmt: skip
    return told(identifier, clock, **{**facts, **members})


@pytest.mark.parametrize("name", tables())
def test_a_view_has_the_columns_that_are_described_with_their_types(name):
    described = [[column.name, column.type] for column in tables()[name].columns]
    found = Story().sql(f"SELECT column_name, column_type FROM (DESCRIBE {name})")
    found = [
        {**row, "column_type": row["column_type"].replace(chr(34), "")} for row in found
    ]  # words like identity come quoted
    assert sorted(of(found, "column_name", "column_type")) == sorted(described)
    if name in load_views():
        assert of(found, "column_name", "column_type") == described


@pytest.mark.parametrize("name", tables())
def test_what_a_reader_may_not_see_has_a_commitment_beside_it(name):
    kinds = {column.name: column.kind for column in tables()[name].columns}
    secret = {column for column, kind in kinds.items() if kind in {"person", "content", "argument"}}
    assert {f"{column}_commitment" for column in secret} == {c for c, k in kinds.items() if k == "commitment"}


def test_every_column_says_what_it_means():
    columns = [column for table in tables().values() for column in table.columns]
    assert all(len(column.about) > 2 for column in columns)
    assert len(columns) > 250


def test_a_session_is_a_conversation_and_a_trace_that_names_one_belongs_to_it():
    story = Story(
        {"id": "q", "type": "request", "time": "2026-11-21T08:59:00Z", "request": {"user": "alice", "conversation_id": "c1", "text": "my mail?"}},
        read("r", "09:00", trace_trace_id=TRACE),
        pay("early", "08:59:30", outcome_status="success"),
        pay("late", "09:02", outcome_status="success"),
        pay("no", "09:03", policy_effect="deny"),
        told("span", "09:04", tool_name="clock", trace_trace_id=TRACE, outcome_status="failure"),
        told("alone", "09:05", tool_name="clock", trace_trace_id="5" * 32),
        told("nowhere", "09:06", tool_name="clock"),
    )  # fmt: skip
    rows = story.sql("SELECT * FROM sessions ORDER BY first_time")
    names = "session_id", "kind", "records", "actions", "users", "request_text", "agents", "tools"
    assert of(rows, *names) == [
        [
            "c1",
            "conversation",
            6,
            5,
            ["alice"],
            '"my mail?"',
            ["clerk"],
            ["clock", "read_mail", "send_money"],
        ],
        ["5" * 32, "trace", 1, 1, [], None, [], ["clock"]],
    ]
    numbers = (
        "denied",
        "failed",
        "not_observed",
        "untrusted_reads",
        "consequences",
        "consequences_after_untrusted",
    )
    assert of(rows, *numbers) == [[1, 1, 1, 1, 2, 1], [0, 0, 0, 0, 0, 0]]
    assert of(rows, "first_time", "last_time", "first_untrusted_time")[0] == [
        "2026-11-21T08:59:00Z", "2026-11-21T09:04:00Z", "2026-11-21T09:00:00Z",
    ]  # fmt: skip


def test_one_conversation_id_of_two_submitters_is_two_sessions():
    story = Story(pay("a", "09:00"), {**pay("b", "09:01"), "by": "token:other"})
    assert of(story.sql("SELECT * FROM sessions ORDER BY submitter"), "submitter", "actions") == [
        ["token:other", 1],
        ["token:test", 1],
    ]


def test_identities_are_counted_by_agent_workload_client_credential_and_person():
    key = {"id": "key-1", "type": "api_key"}
    story = Story(
        pay("a", "09:00", identity_principal="alice", identity_credential=key, identity_workload="spiffe://w"),
        pay("b", "09:01", "IBAN-2", identity_principal="alice", identity_agent_id="intern", identity_credential=key, policy_effect="deny"),
        pay("c", "09:02", identity_client_id="app", identity_agent_name="The Clerk", request_conversation_id="c2", outcome_status="failure"),
        {"id": "note", "type": "note", "time": "2026-11-21T09:03:00Z", "identity": {"agent_id": "no action"}},
    )  # fmt: skip
    rows = {(row["kind"], row["person"] or row["id"]): row for row in story.sql("SELECT * FROM identities")}
    numbers = "actions", "denied", "failed", "consequences", "resources", "sessions"
    assert {key: of([row], *numbers)[0] for key, row in rows.items()} == {
        ("agent", "clerk"): [2, 0, 1, 2, 1, 2],
        ("agent", "intern"): [1, 1, 0, 0, 1, 1],
        ("workload", "spiffe://w"): [1, 0, 0, 1, 1, 1],
        ("client", "app"): [1, 0, 1, 1, 1, 1],
        ("credential", "key-1"): [2, 1, 0, 1, 2, 1],
        ("principal", "alice"): [2, 1, 0, 1, 2, 1],
    }
    assert rows["credential", "key-1"]["agents"] == ["clerk", "intern"]
    assert rows["agent", "clerk"]["name"] == "The Clerk"
    assert rows["principal", "alice"]["id"] == rows["principal", "alice"]["person_commitment"]


def test_resources_tell_who_did_what_to_them():
    story = Story(
        pay("a", "09:00", resource_classification="internal", outcome_status="success"),
        pay("b", "09:01", resource_classification="restricted", policy_effect="deny"),
        pay("c", "09:02", tool_name="balance", tool_effect="read", identity_agent_id="intern", outcome_status="success"),
        told("mail", "09:03", tool_name="send", tool_effect="send", resource_destination="x@y.example", outcome_status="timeout"),
        told("none", "09:04", tool_name="clock"),
    )  # fmt: skip
    rows = story.sql("SELECT * FROM resources ORDER BY resource_id")
    names = "resource_id", "classification", "actions", "reads", "changes", "denied", "failed", "agents"
    assert of(rows, *names) == [
        ["IBAN-1", "restricted", 3, 1, 1, 1, 0, ["clerk", "intern"]],
        ["x@y.example", None, 1, 0, 1, 0, 1, []],
    ]


def test_a_tools_definitions_are_listed_in_order_and_a_change_is_marked():
    def call(number: int, digest: str | None, name: str = "lookup", server: str = "mcp.example"):
        definition = {"tool_definition_digest": digest} if digest else {}
        return told(f"t{number}", f"09:0{number}", tool_name=name, tool_server=server, **definition)

    story = Story(
        call(0, "sha256:old"), call(1, "sha256:old"), call(2, None), call(3, "sha256:new"),
        call(4, "sha256:one", "steady"), call(5, "sha256:one", "steady"), call(6, "sha256:two", "steady", "other.example"),
    )  # fmt: skip
    rows = story.sql("SELECT * FROM tools ORDER BY tool_name, tool_server")
    names = "tool_name", "tool_server", "changed", "changed_at", "without_definition"
    assert of(rows, *names) == [
        ["lookup", "mcp.example", True, "2026-11-21T09:03:00Z", 1],
        ["steady", "mcp.example", False, None, 0],
        ["steady", "other.example", False, None, 0],
    ]
    assert of(rows[0]["definitions"], "digest", "actions", "first_seq") == [
        ["sha256:old", 2, 0],
        ["sha256:new", 1, 3],
    ]


DENIED = {"policy_effect": "deny", "policy_rule": "limits", "policy_mode": "enforce"}
AGAIN = [
    ("the same call", [pay("b", "09:01", outcome_status="success")], ["repeated", "session"]),
    ("other arguments", [pay("b", "09:01", tool_arguments={"to": "IBAN-1", "n": 1})], ["arguments", "session"]),
    ("another tool on the same resource", [pay("b", "09:01", tool_name="wire")], ["tool", "session"]),
    ("another tool with the same arguments", [pay("b", "09:01", tool_name="wire", resource_id="other")], ["tool", "session"]),
    ("the agent in another conversation", [pay("b", "09:01", request_conversation_id="c2")], ["repeated", "agent"]),
    ("another agent for the same person", [pay("b", "09:01", request_conversation_id="c2", identity_agent_id="x")], ["repeated", "principal"]),
    ("nearest scope first", [pay("b", "09:01", request_conversation_id="c2"), pay("c", "09:02")], ["repeated", "session"]),
    ("nothing", [], [None, None]),
    ("another resource", [pay("b", "09:01", "IBAN-2")], [None, None]),
    ("something before", [pay("b", "08:59")], [None, None]),
    ("only looking", [pay("b", "09:01", tool_name="balance", tool_effect="read")], [None, None]),
    ("a failure", [pay("b", "09:01", outcome_status="failure")], [None, None]),
    ("another submitter", [{**pay("b", "09:01"), "by": "token:other"}], [None, None]),
    ("another person's agent", [pay("b", "09:01", request_conversation_id="c2", identity_agent_id="x", identity_principal="bob")], [None, None]),
]  # fmt: skip


@pytest.mark.parametrize(("later", "done"), [case[1:] for case in AGAIN], ids=[case[0] for case in AGAIN])
def test_a_denial_says_whether_the_same_was_done_another_way(later, done):
    person = {"identity": {"principal": "alice", "agent_id": "clerk"}}
    people = [
        record
        if "principal" in record["identity"]
        else {**record, "identity": person["identity"] | record["identity"]}
        for record in later
    ]
    story = Story({**pay("a", "09:00", **DENIED), **person}, *people)
    [row] = story.sql("SELECT * FROM denials")
    assert of([row], "seq", "denied_by", "policy_rule", "executed", "principal") == [
        [0, ["policy"], "limits", False, "alice"]
    ]
    assert of([row], "done_how", "done_where") == [done]
    assert (row["done_seq"] is None) == (done[0] is None)


def test_a_denial_is_by_policy_by_a_person_or_by_what_it_was_done_to_and_nothing_else_is_one():
    story = Story(
        pay("policy", "09:00", **DENIED),
        pay("watched", "09:01", policy_effect="deny", policy_mode="monitor", outcome_status="success"),
        pay("person", "09:02", approval_outcome="rejected", approval_approver="bob"),
        pay("server", "09:03", outcome_status="denied", approval_outcome="approved", approval_approver="bob"),
        pay("failed", "09:04", outcome_status="failure"),
        pay("expired", "09:05", approval_outcome="expired"),
        {**pay("unseen", "09:06"), "type": "action.intent"},
    )
    rows = story.sql("SELECT * FROM denials ORDER BY seq")
    assert of(rows, "seq", "denied_by", "executed", "approver") == [
        [0, ["policy"], False, None],
        [1, ["policy"], True, None],
        [2, ["approval"], True, "bob"],
        [3, ["outcome"], False, None],
    ]


def test_a_view_has_seen_what_came_after_it_was_last_asked():
    story = Story(pay("a", "09:00"))
    assert story.sql("SELECT actions FROM tools") == [{"actions": 1}]
    story.post(pay("b", "09:01"))
    assert story.sql("SELECT actions FROM tools") == [{"actions": 2}]


def test_only_views_that_a_query_names_are_made():
    db = duckdb.connect(config={"storage_compatibility_version": "latest"})
    for sql, named in {
        "select * from TOOLS, Sessions": {"sessions", "tools"},
        "SELECT resource_id, 'flows' FROM main.actions -- denials": {"actions"},
        "WITH tools AS (SELECT 1), x AS (FROM (SUMMARIZE flows)) FROM tools, x": {"flows"},
    }.items():
        assert gated(db, sql, 1, 0).tables == named


@pytest.mark.parametrize(
    "text",
    [
        "-- view: other\n-- answers: x\n-- column a: VARCHAR. It\nSELECT 1",
        "-- view: v\n-- column a: VARCHAR. It\nSELECT 1",
        "-- view: v\n-- answers: x\nSELECT 1",
        "-- view: v\n-- answers: x\n-- column a: VARCHAR. It\n",
        "-- view: v\n-- answers: x\n-- column a: It\nSELECT 1",
        "-- view: v\n-- answers: x\n-- columns: a\nSELECT 1",
        "-- view: v\n-- answers: x\n-- column a: VARCHAR. It\n-- column a: VARCHAR. It\nSELECT 1",
    ],
    ids=["name", "answers", "columns", "select", "type", "line", "twice"],
)
def test_a_view_whose_header_does_not_follow_the_rules_is_refused(text):
    with pytest.raises(LedgerError) as refusal:
        parse_view("v", text)
    assert (refusal.value.code, "schemas/views/v.sql" in refusal.value.detail) == (
        Code.INVALID_QUERY_FILE,
        True,
    )
