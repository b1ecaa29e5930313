"""What policy denied, watched or never saw; and what left the house."""

import pytest

from tests.queries.told import Case, Story, case, names, of, told


def pay(identifier: str, clock: str, **members):
    facts = {
        "tool_name": "pay", "tool_effect": "pay", "resource_id": "IBAN-1", "tool_arguments": {"to": "IBAN-1"}, "outcome_status": "success",
        "identity_agent_id": "clerk", "request_conversation_id": "c1", "policy_effect": "allow",
    }  # fmt: skip
    return told(identifier, clock, **{**facts, **members})


DENY = {
    "policy_effect": "deny",
    "policy_rule": "limits",
    "policy_engine": "opa",
    "policy_id": "pay",
    "policy_version": "1",
}
POLICY = [
    pay("0", "09:00", outcome_status="denied", **DENY),
    pay("1", "09:01", tool_name="wire", policy_engine="opa", policy_id="pay", policy_version="1"),
    pay("2", "09:02", resource_id="IBAN-2", tool_arguments={"to": "IBAN-2"}, **DENY, policy_mode="monitor"),
    pay("3", "09:03", resource_id="IBAN-3", tool_arguments={"to": "IBAN-3"}, policy_effect="error", policy_engine="opa", policy_reason="timeout"),
    pay("4", "09:04", resource_id="IBAN-4", policy_effect="error", outcome_status="denied", tool_arguments={"to": "IBAN-4"}),
    pay("5", "09:05", tool_name="delete", tool_effect="delete", resource_id="f-1", policy_effect="not_evaluated"),
    {k: v for k, v in pay("6", "09:06", tool_name="delete", tool_effect="delete", resource_id="f-2").items() if k != "policy"},
    {k: v for k, v in pay("7", "09:07", tool_name="look", tool_effect="read").items() if k != "policy"},
    pay("8", "09:08", tool_name="delete", tool_effect="delete", resource_id="f-3", policy_engine="opa", policy_id="pay", policy_version="2"),
    pay("9", "09:09", tool_name="delete", tool_effect="delete", resource_id="f-4", policy_engine="opa", policy_id="pay", policy_version="1"),
    pay("10", "09:10", resource_id="IBAN-5", approval_outcome="rejected", outcome_status="denied", tool_arguments={"to": "IBAN-5"}),
]  # fmt: skip

POLICY_CASES = [
    case("denied-then-done", "seq denied_by done_seq done_tool done_how done_where seconds", [[0, ["policy", "outcome"], 1, "wire", "tool", "session", 60]]),
    case("denied-then-done", "seq", [], since="2026-11-21T09:00:30Z"),
    case("denials-by-rule", "policy_engine policy_rule denied executed done_another_way", [["opa", "limits", 2, 1, 1], [None, None, 2, 0, 0]]),
    case("denials-by-rule", "denied", [[1]], since="2026-11-21T09:05:00Z"),
    case("denied-only-on-paper", "seq policy_mode policy_rule", [[2, "monitor", "limits"]]),
    case("denied-only-on-paper", "seq", [], since="2026-11-21T09:03:00Z"),
    case("consequences-without-policy", "agent tool_name actions of not_evaluated first_seq", [["clerk", "delete", 2, 4, 1, 5]]),
    case("consequences-without-policy", "tool_name", [], since="2026-11-21T09:07:00Z"),
    case("policy-failed-open", "seq policy_reason", [[3, "timeout"]]),
    case("policy-failed-open", "seq", [], since="2026-11-21T09:04:00Z"),
    case("policy-versions", "policy_engine policy_version decisions allowed denied errors overlaps", [
        ["opa", "1", 4, 2, 2, 0, False], ["opa", "2", 1, 1, 0, 0, True], ["opa", None, 1, 0, 0, 1, False], [None, None, 2, 1, 0, 1, False]]),
]  # fmt: skip

SECRET = {
    "resource_classification": "confidential",
    "tool_name": "read",
    "tool_effect": "read",
    "resource_id": "plan",
}


def send(identifier: str, clock: str, to: str, **members):
    facts = {
        "tool_name": "mail",
        "tool_effect": "send",
        "resource_id": "box",
        "resource_destination": to,
        "tool_arguments": {"to": to},
    }
    return pay(identifier, clock, **{**facts, **members})


OUT = [
    send("0", "09:00", "early@x.example"),
    pay("1", "09:01", **SECRET),
    send("2", "09:02", "out@x.example", outcome_bytes_out=5_000),
    send("3", "09:03", "in@home.example", outcome_bytes_out=200),
    {**send("4", "09:04", "x@other.example", outcome_bytes_out=100), "by": "token:other"},
    send("5", "09:05", "y@x.example", request_conversation_id="c2", outcome_bytes_out=100),
    pay("6", "09:06", **{**SECRET, "request_conversation_id": "c3", "outcome_status": "denied"}),
    send("7", "09:07", "z@x.example", request_conversation_id="c3", outcome_bytes_out=120),
    send("8", "09:08", "out@x.example", request_conversation_id="c4", outcome_bytes_out=100, outcome_status="denied"),
    *[send(f"m{n}", f"10:0{n}", "list@x.example", request_conversation_id="c5", outcome_bytes_out=100 + n) for n in range(3)],
    send("big", "10:10", "list@x.example", request_conversation_id="c5", tool_arguments={"body": "x" * 3_000}),
]  # fmt: skip

OUT_CASES = [
    case("sensitive-read-then-sent", "seq destination read_resource read_seq", [[2, "out@x.example", "plan", 1], [3, "in@home.example", "plan", 1]]),
    case("sensitive-read-then-sent", "seq", [[2]], internal="@home.example"),
    case("sensitive-read-then-sent", "seq", [], since="2026-11-21T10:00:00Z"),
    case("data-sent-by-destination", "destination sent bytes_out largest_bytes sessions", [
        ["out@x.example", 1, 5_000, 5_000, 1], ["list@x.example", 4, 303, 102, 1], ["in@home.example", 1, 200, 200, 1],
        ["z@x.example", 1, 120, 120, 1], ["x@other.example", 1, 100, 100, 1], ["y@x.example", 1, 100, 100, 1], ["early@x.example", 1, None, None, 1]]),
    case("data-sent-by-destination", "destination", [["list@x.example"]], since="2026-11-21T10:00:00Z"),
    case("unusually-large-sends", "destination carried", [["out@x.example", 5_000], ["list@x.example", 3_012]]),
    case("unusually-large-sends", "carried", [], factor=100),
    case("unusually-large-sends", "carried", [[5_000]], at_least=4_000),
]  # fmt: skip


@pytest.fixture(scope="module")
def policy() -> Story:
    return Story(*POLICY)


@pytest.fixture(scope="module")
def out() -> Story:
    return Story(*OUT)


@pytest.mark.parametrize("told", POLICY_CASES, ids=names(POLICY_CASES))
def test_the_answer_about_policy_is_these_rows_and_no_others(policy: Story, told: Case):
    assert of(policy.ask(told.query, **told.given), *told.columns) == told.rows


@pytest.mark.parametrize("told", OUT_CASES, ids=names(OUT_CASES))
def test_the_answer_about_what_left_is_these_rows_and_no_others(out: Story, told: Case):
    assert of(out.ask(told.query, **told.given), *told.columns) == told.rows
