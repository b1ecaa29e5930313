"""Who, what, when; and how far what somebody held or did reached."""

import pytest

from tests.queries.told import Case, Story, case, names, of, told

KEY = {"id": "key-1", "type": "api_key", "thumbprint": "SHA256:abc"}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def mail(identifier: str, clock: str, **members):
    facts = {
        "tool_name": "send_mail", "tool_effect": "send", "tool_server": "mcp.mail", "resource_id": "box-1", "outcome_status": "success",
        "identity_agent_id": "clerk", "identity_principal": "alice", "request_user": "alice", "request_conversation_id": "c1",
    }  # fmt: skip
    return told(identifier, clock, **{**facts, **members})


STORY = [
    mail("0", "09:00", identity_credential=KEY),
    mail("1", "09:10", resource_id="box-2", policy_effect="deny", outcome_status="denied"),
    mail("2", "09:20", tool_name="read_mail", tool_effect="read", resource_trust="external", outcome_result="hi", request_user="bob"),
    mail("3", "09:30", identity_agent_id="intern", identity_principal="carol", request_user="bob", identity_credential={"thumbprint": "SHA256:abc"}),
    mail("4", "10:00", identity_agent_id="helper", identity_actors=[{"sub": "clerk"}, {"sub": "helper"}], request_conversation_id="c2",
         tool_server="mcp.files", tool_name="read_file", tool_effect="read", resource_id="plan.txt", request_user="dora", identity_principal="dora"),
    {**mail("5", "10:30", request_conversation_id="c2", identity_agent_id="other", identity_principal="erin", request_user="erin"), "by": "token:other"},
    told("6", "11:00", tool_name="clock", trace_trace_id=TRACE, identity_agent_name="clerk"),
]  # fmt: skip

REACH = "resource_id tool_name actions done denied agents"
BOX_1 = ["box-1", "send_mail"]
CASES = [
    case("what-an-agent-did", "seq tool_name resource_id", [[0, *BOX_1[::-1]], [1, "send_mail", "box-2"], [2, "read_mail", "box-1"], [6, "clock", None]], agent="clerk"),
    case("what-an-agent-did", "seq", [[1], [2]], agent="clerk", since="2026-11-21T09:05:00Z", until="2026-11-21T11:00:00Z"),
    case("what-an-agent-did", "seq", [], agent="nobody"),
    case("what-was-done-for-a-person", "seq as", [[0, "both"], [1, "both"], [2, "principal"]], person="alice"),
    case("what-was-done-for-a-person", "seq as agent", [[2, "requested", "clerk"], [3, "requested", "intern"]], person="bob"),
    case("what-was-done-for-a-person", "seq", [], person="zoe"),
    case("timeline-of-a-session", "seq seconds untrusted_before", [[0, None, 0], [1, 600, 0], [2, 600, 0], [3, 600, 1]], session_id="c1"),
    case("timeline-of-a-session", "seq submitter untrusted_before", [[4, "token:test", 0], [5, "token:other", 0]], session_id="c2"),
    case("timeline-of-a-session", "seq", [[6]], session_id=TRACE),
    case("what-happened-around", "seq seconds", [[2, -600], [3, 0]], at="2026-11-21T09:30:00Z", minutes=15),
    case("what-happened-around", "seq", [], at="2026-11-21T08:00:00Z"),
    case("blast-radius-of-a-credential", REACH, [[*BOX_1, 1, 1, 0, ["clerk"]]], credential="key-1"),
    case("blast-radius-of-a-credential", REACH, [[*BOX_1, 2, 2, 0, ["clerk", "intern"]]], credential="SHA256:abc"),
    case("blast-radius-of-a-credential", "actions", [[1]], credential="SHA256:abc", since="2026-11-21T09:05:00Z"),
    case("blast-radius-of-an-agent", REACH, [
        [*BOX_1, 1, 1, 0, ["clerk"]], ["box-2", "send_mail", 1, 0, 1, ["clerk"]], ["box-1", "read_mail", 1, 1, 0, ["clerk"]],
        ["plan.txt", "read_file", 1, 1, 0, ["helper"]], [None, "clock", 1, 1, 0, ["clerk"]]], agent="clerk"),
    case("blast-radius-of-a-credential", REACH, [], credential="key-2"),
    case("blast-radius-of-an-agent", REACH, [], agent="nobody"),
    case("blast-radius-of-a-tool", REACH, [], tool="write_file"),
    case("blast-radius-of-a-tool", REACH, [["plan.txt", "read_file", 1, 1, 0, ["helper"]]], tool="read_file"),
    case("blast-radius-of-a-server", "resource_id actions sessions", [["plan.txt", 1, 1]], server="mcp.files"),
    case("blast-radius-of-a-server", "resource_id tool_name actions", [[*BOX_1, 3], ["box-2", "send_mail", 1], ["box-1", "read_mail", 1]], server="mcp.mail"),
    case("blast-radius-of-a-user", "resource_id tool_name persons", [["box-1", "read_mail", 1], [*BOX_1, 1]], person="bob"),
    case("blast-radius-of-a-user", "resource_id", [], person="zoe"),
]  # fmt: skip


@pytest.fixture(scope="module")
def story() -> Story:
    return Story(*STORY)


@pytest.mark.parametrize("told", CASES, ids=names(CASES))
def test_the_answer_is_these_rows_and_no_others(story: Story, told: Case):
    assert of(story.ask(told.query, **told.given), *told.columns) == told.rows


def test_a_person_is_found_by_commitment_too(story: Story):
    [commitment] = {
        row["request_user_commitment"] for row in story.sql("SELECT * FROM actions WHERE seq = 0")
    }
    rows = story.ask("what-was-done-for-a-person", person=commitment)
    assert of(rows, "seq") == [[0], [1], [2]]
