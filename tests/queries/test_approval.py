"""Who acted for whom, and who allowed it."""

import pytest

from tests.queries.told import Case, Story, case, names, of, told


def pay(identifier: str, clock: str, **members):
    facts = {
        "tool_name": "pay", "tool_effect": "pay", "outcome_status": "success", "identity_agent_id": "clerk", "identity_principal": "alice",
        "request_user": "alice", "request_conversation_id": f"c{identifier}", "tool_arguments": {"n": identifier}, "action_id": f"a{identifier}",
    }  # fmt: skip
    return told(identifier, clock, **{**facts, **members})


def stage(identifier: str, clock: str, kind: str, action: str, **members):
    return told(identifier, clock, type=f"action.{kind}", action_id=action, **members)


ASKED = {"policy_effect": "require_approval", "policy_rule": "big"}
STORY = [
    pay("0", "09:00"),
    pay("1", "09:01", **ASKED),
    pay("2", "09:02", **ASKED, approval_outcome="approved", approval_approver="bob"),
    pay("3", "09:03", **ASKED, approval_outcome="expired"),
    pay("4", "09:04", **ASKED, outcome_status="denied", approval_outcome="rejected", approval_approver="bob"),
    pay("5", "09:05", **ASKED, approval_outcome="approved", approval_approver="alice"),
    pay("6", "09:06", approval_outcome="approved", approval_approver="carol", request_user="carol"),
    pay("7", "09:07", approval_outcome="approved", approval_approver="clerk"),
    pay("8", "09:08", approval_outcome="rejected", approval_approver="alice", outcome_status="denied"),
    pay("9", "09:09", approval_outcome="approved", approval_approver="bob", approval_arguments_commitment="0" * 64),
    pay("10", "09:10", identity_actors=[{"sub": "clerk"}, {"sub": "helper"}]),
    pay("11", "09:11", identity_actors=[{"sub": "clerk"}]),
    pay("12", "09:12", identity_principal="erin", request_user="erin", request_conversation_id="c0"),
    pay("13", "09:13", identity_principal="erin", request_user="erin", request_conversation_id="c0"),
    stage("late-i", "10:00", "intent", "late", tool_name="pay", resource_id="IBAN-1", identity_agent_id="clerk"),
    stage("late-o", "10:01", "outcome", "late", outcome_status="success"),
    stage("late-a", "10:02", "approval", "late", approval_outcome="approved", approval_approver="bob"),
    stage("good-i", "10:10", "intent", "good", tool_name="pay", identity_agent_id="clerk"),
    stage("good-a", "10:11", "approval", "good", approval_outcome="approved", approval_approver="bob"),
    stage("good-o", "10:12", "outcome", "good", outcome_status="success"),
]  # fmt: skip

CASES = [
    case("approval-missing", "seq approval_outcome policy_rule", [[1, None, "big"], [3, "expired", "big"]]),
    case("approval-missing", "seq", [[3]], since="2026-11-21T09:02:00Z"),
    case("approval-late", "action_id seconds recorded_late approver resource_id done_seq approval_seq", [["late", 60, True, "bob", "IBAN-1", 15, 16]]),
    case("approval-late", "action_id", [], since="2026-11-21T10:05:00Z"),
    case("self-approved", "seq approver as", [[5, "alice", "principal"], [6, "carol", "user"], [7, "clerk", "agent"]]),
    case("self-approved", "seq", [[7]], since="2026-11-21T09:06:30Z"),
    case("approved-something-else", "seq approved_commitment approver", [[9, "0" * 64, "bob"]]),
    case("approved-something-else", "seq", [], since="2026-11-21T09:10:00Z"),
    case("delegation-chains", "chain depth agent tool_name actions first_seq", [[["clerk", "helper"], 2, "clerk", "pay", 1, 10]]),
    case("delegation-chains", "first_seq", [[10], [11]], depth=1),
    case("delegation-chains", "first_seq", [], depth=3),
    case("principal-switched", "seq principal before requested_by how", [[6, "alice", None, "carol", "asked"], [12, "erin", "alice", "erin", "before"]]),
    case("principal-switched", "seq", [[12]], since="2026-11-21T09:07:00Z"),
]  # fmt: skip


def decisions(approver: str, outcomes: str, seconds: int):
    """One decision for each letter: a approved, r rejected, so many seconds after the policy asked."""
    for n, letter in enumerate(outcomes):
        action = f"{approver}-{n}"
        yield stage(f"{action}-i", f"09:{n:02d}:00", "decision", action, tool_name="pay", **ASKED)
        yield stage(
            f"{action}-a", f"09:{n:02d}:{seconds:02d}", "approval", action,
            approval_outcome={"a": "approved", "r": "rejected"}[letter], approval_approver=approver,
        )  # fmt: skip


STAMPS = [
    *decisions("hasty", "aaaaaa", 2), *decisions("careful", "aaaaaa", 50), *decisions("strict", "aarara", 2), *decisions("seldom", "aaa", 2),
]  # fmt: skip
STAMP_CASES = [
    case("rubber-stamps", "approver decisions approved percent median_seconds tools", [["hasty", 6, 6, 100.0, 2, ["pay"]]]),
    case("rubber-stamps", "approver", [["hasty"], ["careful"]], seconds=60),
    case("rubber-stamps", "approver percent", [["hasty", 100.0], ["strict", 66.7]], percent=50),
    case("rubber-stamps", "approver", [["hasty"], ["seldom"]], decisions=3),
    case("rubber-stamps", "approver", [], decisions=7),
]  # fmt: skip


@pytest.fixture(scope="module")
def story() -> Story:
    return Story(*STORY)


@pytest.fixture(scope="module")
def stamps() -> Story:
    return Story(*STAMPS)


@pytest.mark.parametrize("told", CASES, ids=names(CASES))
def test_the_answer_is_these_rows_and_no_others(story: Story, told: Case):
    assert of(story.ask(told.query, **told.given), *told.columns) == told.rows


@pytest.mark.parametrize("told", STAMP_CASES, ids=names(STAMP_CASES))
def test_who_approves_everything_at_once_is_named_and_who_reads_or_rejects_is_not(stamps: Story, told: Case):
    assert of(stamps.ask(told.query, **told.given), *told.columns) == told.rows


def test_arguments_that_are_the_approved_ones_are_not_something_else(story: Story):
    [commitment] = {
        row["tool_arguments_commitment"] for row in story.sql("SELECT * FROM actions WHERE seq = 0")
    }
    same = Story(
        pay(
            "0",
            "09:00",
            approval_outcome="approved",
            tool_arguments={"commitment": commitment},
            approval_arguments_commitment=commitment,
        )
    )
    assert same.sql("SELECT tool_arguments_commitment AS c FROM actions") == [{"c": commitment}]
    assert same.ask("approved-something-else") == []
