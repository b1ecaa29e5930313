"""CrewAI: crews, agents without one, hooks that refuse, caches, delegation."""

import os

os.environ.update(OTEL_SDK_DISABLED="true", CREWAI_DISABLE_TELEMETRY="true", CREWAI_TRACING_ENABLED="false")
os.environ.update(CREWAI_DISABLE_VERSION_CHECK="true", CREWAI_TESTING="true")

from typing import Any

import pytest
from crewai import LLM, Agent, Crew, Task
from crewai.hooks import clear_all_global_hooks, register_before_tool_call_hook
from crewai.tools import tool

from ledger.client.adapters.crewai import LedgerHooks
from tests.frameworks.claims import (
    ACTIONS,
    AGENT,
    ANSWER,
    MODEL,
    QUESTION,
    USER,
    Ask,
    Claims,
    Desk,
    described,
    plain,
)
from tests.frameworks.model_server import Call


@pytest.fixture(autouse=True)
def _no_hooks_left() -> Any:
    yield
    clear_all_global_hooks()


def tools(desk: Desk) -> list[Any]:
    @tool("send_summary")
    def send_summary(to: str) -> str:
        """Send the summary to somebody."""
        return desk.send_summary(to)

    @tool("read_file")
    def read_file(path: str) -> str:
        """Read a file."""
        return desk.read_file(path)

    @tool("fail_loudly")
    def fail_loudly(to: str) -> str:
        """Fail."""
        return desk.fail_loudly(to)

    return [send_summary, read_file, fail_loudly]


def clerk(ask: Ask, role: str = AGENT, **options: Any) -> Agent:
    llm = LLM(model=MODEL, provider="openai", base_url=ask.model_url, api_key="none", stream=ask.stream)
    given = {"tools": tools(ask.desk), **options}
    return Agent(
        role=role, goal="Do what is asked.", backstory="You are a clerk.", llm=llm, max_retry_limit=0, **given
    )


def kick_off(ask: Ask, *agents: Agent, **options: Any) -> str:
    task = Task(description=ask.text, expected_output="What was done.", agent=agents[0])
    crew = Crew(agents=list(agents), tasks=[task], cache=options.pop("cache", False), **options)
    return str(crew.kickoff(inputs={"user_id": ask.user, "conversation_id": ask.conversation}))


class TestCrews(Claims):
    principal_source = "inputs.user_id"
    untold = {"decision_response_model"}

    def drive(self, ask: Ask) -> str:
        with LedgerHooks(ask.ledger, describe=described):
            register_before_tool_call_hook(lambda context: False if context.tool_name in ask.deny else None)
            return kick_off(ask, clerk(ask))


BLOCKED = "Tool execution blocked by hook. Tool: send_summary"


def block(context: Any) -> bool:
    return False


def test_a_hook_that_is_registered_before_ours_and_refuses_is_recorded(ledger, model, rows):
    model.script([Call("send_summary", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    register_before_tool_call_hook(block)
    with LedgerHooks(ledger):
        kick_off(ask, clerk(ask))
    (row,) = rows(ACTIONS)
    assert (row["outcome_status"], row["policy_effect"], row["policy_reason"]) == (
        "denied",
        "deny",
        "blocked_by_hook",
    )
    assert ask.desk.ran == []


def test_a_tool_that_says_it_was_blocked_ran_all_the_same(ledger, model, rows):
    @tool("send_summary")
    def send_summary(to: str) -> str:
        """Send the summary to somebody."""
        return BLOCKED

    model.script([Call("send_summary", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    with LedgerHooks(ledger):
        kick_off(ask, clerk(ask, tools=[send_summary]))
    (row,) = rows(ACTIONS)
    assert (row["outcome_status"], plain(row["outcome_result"])) == ("success", BLOCKED)


def test_what_the_cache_answers_was_not_done_again(ledger, model, rows):
    model.script([Call("read_file", path="a.txt")], [Call("read_file", path="a.txt")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    with LedgerHooks(ledger):
        kick_off(ask, clerk(ask), cache=True)
    first, again = rows(ACTIONS)
    assert ask.desk.ran == [("read_file", "a.txt")]
    assert (first["outcome_status"], again["outcome_status"]) == ("success", "cancelled")
    assert again["outcome_error_type"] == "answered_from_cache"
    assert first["tool_call_id"] != again["tool_call_id"]


def test_a_coworker_works_within_the_call_that_delegates(ledger, model, rows):
    given = {"task": "send it to bob", "context": "a summary", "coworker": "sender"}
    model.script([Call("send_summary", to="bob")], "sent", user="send it to bob")
    model.script([Call("delegate_work_to_coworker", **given)], ANSWER, user=QUESTION)
    ask = Ask(ledger, model.url, Desk())
    with LedgerHooks(ledger):
        kick_off(ask, clerk(ask, tools=[], allow_delegation=True), clerk(ask, "sender"))
    outer, inner = rows(ACTIONS)
    assert (outer["tool_name"], outer["tool_effect"]) == ("delegate_work_to_coworker", "delegate")
    assert (inner["tool_name"], inner["identity_agent_name"]) == ("send_summary", "sender")
    assert inner["trace_parent_action_id"] == outer["action_id"]
    assert (outer["outcome_status"], inner["request_origin"]) == ("success", "agent")


def test_an_agent_without_a_crew_is_recorded(ledger, model, rows):
    model.script([Call("send_summary", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    with LedgerHooks(ledger):
        clerk(ask).kickoff(QUESTION)
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"]) == ("send_summary", "success")
    assert (plain(row["request_text"]), row["identity_agent_name"]) == (QUESTION, AGENT)
    assert row["decision_response_id"] == model.deciding(row["tool_call_id"]).response_id


def test_a_second_kickoff_of_a_crew_is_a_request_of_its_own(ledger, model, rows):
    model.script(
        [Call("read_file", path="a.txt")], "done", [Call("read_file", path="b.txt")], "done", in_order=True
    )
    ask = Ask(ledger, model.url, Desk())
    task = Task(description="{asked}", expected_output="What was done.", agent=clerk(ask))
    crew = Crew(agents=[task.agent], tasks=[task], cache=False)
    with LedgerHooks(ledger):
        crew.kickoff(inputs={"asked": "first", "user_id": USER})
        crew.kickoff(inputs={"asked": "second", "user_id": "bob@example.com"})
    found = [(plain(row["request_text"]), plain(row["identity_principal"])) for row in rows(ACTIONS)]
    assert found == [("first", USER), ("second", "bob@example.com")]


def test_the_lines_of_the_page_record_an_action(page, model, rows):
    model.script([Call("send_summary", to="bob")], ANSWER, user=QUESTION)
    page("crewai")
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"]) == ("send_summary", "success")
    assert (row["identity_agent_name"], plain(row["identity_principal"])) == (AGENT, USER)
    assert (plain(row["request_text"]), row["decision_request_model"]) == (QUESTION, "gpt-5")
