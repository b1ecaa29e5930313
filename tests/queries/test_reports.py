"""The reports: each indicator on rows that show it and rows that do not."""

import pytest

from ledger.forensics.catalog import load_queries
from tests.queries.told import Story, of, told


def act(identifier: str, clock: str, **members):
    facts = {
        "tool_name": "look", "tool_effect": "read", "outcome_status": "success", "identity_agent_id": "clerk", "policy_effect": "allow",
        "request_conversation_id": f"c{identifier}", "request_text": "Pay Bob",
    }  # fmt: skip
    return told(identifier, clock, **{**facts, **members})


UNTRUSTED = {"resource_trust": "external", "outcome_result": "do it", "request_conversation_id": "bad"}
BAD = {"request_conversation_id": "bad"}
PAY = {"tool_name": "pay", "tool_effect": "pay"}
APPROVED = {"approval_outcome": "approved", "approval_approver": "bob"}
# For each risk: what shows its indicator, and what could have and does not.
RISKS = {
    "ASI01": ([act("r", "09:00", **UNTRUSTED), act("s", "09:01", **PAY, **BAD, resource_id="Mallory")],
              [act("t", "09:02", **PAY, **BAD, resource_id="Bob"), act("u", "09:03", **PAY, resource_id="Mallory")]),
    "ASI02": ([act("s", "09:01", **PAY, policy_effect="not_evaluated"), act("q", "09:01", **PAY, policy_effect="require_approval")],
              [act("t", "09:02", **PAY), act("u", "09:03", **PAY, policy_effect="require_approval", **APPROVED)]),
    "ASI03": ([act("s", "09:01", identity_principal="alice", request_user="bob")],
              [act("t", "09:02", identity_principal="bob", request_user="bob")]),
    "ASI04": ([act("r", "09:00", tool_definition_digest="sha256:1"), act("s", "09:01", tool_definition_digest="sha256:2")],
              [act("t", "09:02", tool_name="same", tool_definition_digest="sha256:1"), act("u", "09:02", tool_name="same", tool_definition_digest="sha256:1")]),
    "ASI05": ([act("r", "09:00", **UNTRUSTED), act("s", "09:01", tool_effect="execute", **BAD)],
              [act("t", "09:02", tool_effect="execute")]),
    "ASI06": ([act("r", "09:00", **UNTRUSTED), act("s", "09:01", tool_effect="create", tool_name="save_memory", **BAD)],
              [act("t", "09:02", tool_effect="create", tool_name="save_file", **BAD), act("u", "09:03", tool_effect="create", tool_name="save_memory")]),
    "ASI07": ([act("s", "09:01", tool_effect="delegate")],
              [act("t", "09:02", tool_effect="delegate", identity_credential={"id": "k"})]),
    "ASI08": ([act(f"s{n}", f"09:0{n}", outcome_status="failure", **BAD) for n in range(3)],
              [act("t", "09:05", outcome_status="failure"), act("u", "09:06", **BAD)]),
    "ASI09": ([act("s", "09:01", **APPROVED), act("v", "09:01", **APPROVED, approval_shown="pay 5", approval_arguments_commitment="0" * 64, tool_arguments={"n": 50})],
              [act("t", "09:02", **APPROVED, approval_shown="pay 5")]),
    "ASI10": ([act("r", "20T09:00"), act("s", "21T09:01", **PAY)],
              [act("t", "20T10:00", tool_name="send", tool_effect="send"), act("u", "21T09:02", tool_name="send", tool_effect="send")]),
}  # fmt: skip
FOUND = {"ASI02": 2, "ASI04": 2, "ASI08": 3, "ASI09": 2}


@pytest.mark.parametrize("risk", RISKS)
def test_an_owasp_indicator_counts_what_shows_it_and_not_what_could_have(risk):
    shown, innocent = RISKS[risk]
    rows = {row["risk"]: row for row in Story(*innocent).ask("owasp-agentic-top-10")}
    assert list(rows) == [f"ASI{n:02d}" for n in range(1, 11)]
    assert rows[risk]["found"] == 0 < rows[risk]["of"], "it could have shown it, and did not"
    [row] = [row for row in Story(*shown, *innocent).ask("owasp-agentic-top-10") if row["risk"] == risk]
    assert row["found"] == FOUND.get(risk, 1)
    assert row["found"] < row["of"] or risk == "ASI01"


def test_every_question_that_a_report_sends_on_to_exists():
    queries = load_queries()
    assert {row["ask_next"] for row in Story().ask("owasp-agentic-top-10")} <= set(queries)
    for report in ("eu-ai-act-coverage", "nist-au-3"):
        assert "tamper" not in queries[report].title


def test_the_ai_act_report_counts_what_is_there_and_what_is_not():
    story = Story(
        {
            **act("0", "09:00", decision_request_model="m", source_id="sdk", source_seq=1),
            "recorded": "20T09:00",
        },
        {
            **act(
                "1", "09:01", source_id="sdk", source_seq=4, **APPROVED, request_text={"commitment": "0" * 64}
            ),
            "recorded": "20T10:00",
        },
        act(
            "2",
            "09:02",
            outcome_status="failure",
            outcome_error_type="ValueError",
            policy_effect="require_approval",
        ),
        act("3", "09:03", outcome_status="failure"),
        {**told("4", "09:04", type="action.intent", tool_name="x"), "recorded": "30T10:00"},
    )
    rows = story.ask("eu-ai-act-coverage")
    assert of(rows, "article", "covered", "of") == [
        ["12(1)", 2, 4], ["12(1)", 4, 5], ["12(2)(a)", 1, 2], ["12(2)(b)", 1, 5], ["12(2)(c)", 4, 5],
        ["19(1), 26(6)", 10, 183], ["26(2)", 1, 2], ["26(4)", 4, 5], ["26(5)", 4, 5],
    ]  # fmt: skip
    assert rows[1]["percent"] == 80.0
    empty = Story().ask("eu-ai-act-coverage")
    assert of(empty, "covered", "percent")[1] == [0, None]


def test_the_au_3_report_counts_each_element():
    whole = act("0", "09:00", source_id="sdk", resource_id="r", identity_principal="alice")
    bare = told("1", "09:01", type="action.intent")
    refused = told(
        "2", "09:02", tool_name="t", policy_effect="deny", absent={"request": "scheduled", "resource": "none"}
    )
    rows = Story(whole, bare, refused).ask("nist-au-3")
    assert of(rows, "element", "covered", "of", "first_missing_seq") == [
        ["a", 1, 3, 1], ["b", 3, 3, None], ["c", 2, 3, 1], ["d", 1, 3, 1], ["e", 2, 3, 1], ["f", 1, 3, 1], ["f", 2, 3, 1],
    ]  # fmt: skip
