"""What was never seen before, too much, at the wrong time, or not what it was."""

import pytest

from tests.queries.told import Case, Story, case, names, of, told


def call(identifier: str, clock: str, tool: str, **members):
    facts = {
        "tool_name": tool,
        "outcome_status": "success",
        "identity_agent_id": "clerk",
        "request_conversation_id": "c1",
    }
    return told(identifier, clock, **{**facts, **members})


# 20 and 21 November 2026 are a Friday and a Saturday.
STORY = [
    call("0", "20T09:00", "read", tool_effect="read", tool_server="s", tool_definition_digest="sha256:old"),
    call("1", "20T10:00", "read", tool_effect="read", tool_server="s", tool_definition_digest="sha256:old"),
    call("2", "20T10:30", "write", tool_effect="update"),
    call("3", "20T11:00", "read", tool_effect="read", tool_server="s", tool_definition_digest="sha256:new", identity_agent_id="intern"),
    call("4", "20T18:59", "write", tool_effect="update"),
    call("5", "20T19:00", "write", tool_effect="update"),
    call("6", "20T06:59", "write", tool_effect="update", request_origin="schedule"),
    call("7", "20T23:00", "read", tool_effect="read", tool_server="other", tool_definition_digest="sha256:new"),
    call("8", "20T23:30", "write", tool_effect="update", outcome_status="denied"),
    call("9", "21T12:00", "write", tool_effect="update", identity_agent_id="intern", policy_effect="deny", outcome_status="denied"),
    call("10", "21T12:00:30", "wipe", tool_effect="delete"),
    call("11", "21T12:01", "wipe", tool_effect="delete", identity_agent_id="stranger"),
    *[call(f"s{n}", f"21T14:{n:02d}", "read", tool_effect="read", tool_server="s", tool_definition_digest="sha256:new") for n in range(12)],
    call("f0", "21T15:00", "parse", outcome_status="failure", outcome_error_type="ValueError"),
    call("f1", "21T15:01", "parse", outcome_status="failure", outcome_error_type="ValueError"),
    call("f2", "21T15:02", "parse", outcome_status="failure", outcome_error_type="_OTHER", outcome_result="no such thing"),
    call("f3", "21T15:03", "parse"),
    call("f4", "21T15:04", "fetch", outcome_status="timeout"),
]  # fmt: skip

CASES = [
    case("first-seen-tools", "agent tool_name calls denied new_agent new_tool", [
        ["intern", "write", 1, 1, False, False], ["clerk", "wipe", 1, 0, False, True], ["stranger", "wipe", 1, 0, True, True],
        ["clerk", "parse", 4, 0, False, True], ["clerk", "fetch", 1, 0, False, True]], baseline_until="2026-11-21"),
    case("first-seen-tools", "agent", [], baseline_until="2026-11-22"),
    case("spikes", "agent hour actions median tools", [["clerk", "2026-11-21T14:00:00Z", 12, 1.0, ["read"]]], at_least=10),
    case("spikes", "agent", []),
    case("spikes", "agent", [], at_least=10, factor=13),
    case("off-hours-actions", "seq local", [[5, "2026-11-20T19:00:00"], [10, "2026-11-21T12:00:30"], [11, "2026-11-21T12:01:00"]]),
    case("off-hours-actions", "seq", [[6], [5], [10], [11]], scheduled=True),
    case("off-hours-actions", "seq local", [[4, "2026-11-20T19:59:00"], [5, "2026-11-20T20:00:00"], [10, "2026-11-21T13:00:30"], [11, "2026-11-21T13:01:00"]], zone="Europe/Berlin"),
    case("tool-definitions-changed", "tool_server tool_name before digest calls_before calls first_seq", [["s", "read", "sha256:old", "sha256:new", 2, 13, 3]]),
    case("tool-definitions-changed", "tool_name", [], since="2026-11-21"),
    case("failures-by-tool", "tool_name error failures percent", [
        ["parse", "ValueError", 2, 50.0], ["fetch", "timeout", 1, 100.0], ["parse", "no such thing", 1, 25.0]]),
    case("failures-by-tool", "tool_name", [["fetch"]], since="2026-11-21T15:03:00Z"),
]  # fmt: skip


@pytest.fixture(scope="module")
def story() -> Story:
    return Story(*STORY)


@pytest.mark.parametrize("told", CASES, ids=names(CASES))
def test_the_answer_is_these_rows_and_no_others(story: Story, told: Case):
    assert of(story.ask(told.query, **told.given), *told.columns) == told.rows
