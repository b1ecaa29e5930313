"""Microsoft Agent Framework: chat completions and responses, approvals, handoffs."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from agent_framework import (
    Agent,
    AgentSession,
    FunctionInvocationContext,
    FunctionMiddleware,
    Message,
    MiddlewareTermination,
    tool,
)
from agent_framework.openai import OpenAIChatClient, OpenAIChatCompletionClient
from agent_framework.orchestrations import HandoffBuilder

from ledger.client.adapters.agent_framework import LedgerMiddleware
from tests.frameworks.claims import (
    ACTIONS,
    AGENT,
    ANSWER,
    MODEL,
    PAIRS,
    QUESTION,
    USER,
    Ask,
    Claims,
    Desk,
    check_pairs,
    described,
    plain,
    script_pairs,
)
from tests.frameworks.model_server import Call


class Deny(FunctionMiddleware):
    """Refuses some tools, as governance middleware does."""

    def __init__(self, names: Any) -> None:
        self.names = names

    async def process(self, context: FunctionInvocationContext, call_next: Any) -> None:
        if context.function.name in self.names:
            context.result = "not allowed"
            raise MiddlewareTermination("not allowed")
        await call_next()


async def run(agent: Agent, ask: Ask) -> str:
    given = {
        "session": AgentSession(session_id=ask.conversation),
        "function_invocation_kwargs": {"user_id": ask.user},
    }
    if not ask.stream:
        return (await agent.run(ask.text, **given)).text
    stream = agent.run(ask.text, stream=True, **given)
    return "".join([update.text async for update in stream])


class AgentFrameworkClaims(Claims):
    principal_source = "function_invocation_kwargs.user_id"
    client: Any

    def agent(self, ask: Ask) -> Agent:
        client = self.client(model=MODEL, base_url=ask.model_url, api_key="none")
        middleware = [LedgerMiddleware(ask.ledger, describe=described), Deny(ask.deny)]
        return Agent(client, "You are a clerk.", name=AGENT, tools=ask.desk.tools, middleware=middleware)

    def drive(self, ask: Ask) -> str:
        return asyncio.run(run(self.agent(ask), ask))


class TestChatCompletions(AgentFrameworkClaims):
    client = OpenAIChatCompletionClient


class TestResponses(AgentFrameworkClaims):
    client = OpenAIChatClient


class Answer(FunctionMiddleware):
    """Answers in the tool's place."""

    async def process(self, context: FunctionInvocationContext, call_next: Any) -> None:
        context.result = "from the cache"


def clerk(ask: Ask, **options: Any) -> Agent:
    client = OpenAIChatCompletionClient(model=MODEL, base_url=ask.model_url, api_key="none")
    given = {"name": AGENT, "tools": ask.desk.tools, "middleware": [LedgerMiddleware(ask.ledger)], **options}
    return Agent(client, "You are a clerk.", **given)


def test_an_answer_in_the_tools_place_is_a_denial_that_says_how(ledger, model, rows):
    model.script([Call("send_summary", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    asyncio.run(run(clerk(ask, middleware=[LedgerMiddleware(ledger), Answer()]), ask))
    (row,) = rows(ACTIONS)
    assert (row["outcome_status"], row["policy_effect"], row["policy_reason"]) == (
        "denied",
        "deny",
        "answered_by_middleware",
    )
    assert ask.desk.ran == []


@pytest.mark.parametrize("approved", [True, False])
def test_an_approval_is_recorded_with_its_call(ledger, model, rows, approved):
    model.script([Call("send_summary", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    agent = clerk(ask, tools=[tool(ask.desk.send_summary, approval_mode="always_require")])
    session = AgentSession(session_id="conversation-1")

    async def ask_and_answer() -> None:
        (request,) = (await agent.run(QUESTION, session=session)).user_input_requests
        answer = request.to_function_approval_response(approved)
        await agent.run(Message("user", [answer]), session=session)

    asyncio.run(ask_and_answer())
    (row,) = rows(ACTIONS)
    decided = model.deciding(row["tool_call_id"])
    assert row["decision_response_id"] == decided.response_id
    assert (row["outcome_status"], row["approval_outcome"]) == (
        ("success", "approved") if approved else ("denied", "rejected")
    )
    assert len(ask.desk.ran) == approved


def test_a_handoff_is_a_success_of_the_agent_that_hands_over(ledger, model, rows):
    model.script([Call("handoff_to_sender")], [Call("send_summary", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    history = {"require_per_service_call_history_persistence": True}
    triage, sender = clerk(ask, name="triage", tools=[], **history), clerk(ask, name="sender", **history)
    builder = (
        HandoffBuilder(participants=[triage, sender]).with_start_agent(triage).add_handoff(triage, [sender])
    )
    asyncio.run(builder.build().run(QUESTION, function_invocation_kwargs={"user_id": USER}))
    handoff, sent = rows(ACTIONS)
    assert (handoff["tool_name"], handoff["tool_effect"], handoff["outcome_status"]) == (
        "handoff_to_sender",
        "delegate",
        "success",
    )
    assert (sent["tool_name"], sent["outcome_status"]) == ("send_summary", "success")
    assert (handoff["identity_agent_name"], sent["identity_agent_name"]) == ("triage", "sender")
    assert {plain(row["identity_principal"]) for row in (handoff, sent)} == {USER}


def test_what_an_agent_does_as_a_tool_has_that_call_for_a_parent(ledger, model, rows):
    model.script([Call("sender", task="send it to bob")], ANSWER, user=QUESTION)
    model.script([Call("send_summary", to="bob")], "sent", user="send it to bob")
    ask = Ask(ledger, model.url, Desk())
    sender = clerk(ask, name="sender")
    asyncio.run(run(clerk(ask, tools=[sender.as_tool()]), ask))
    outer, inner = rows(ACTIONS)
    assert (outer["tool_name"], inner["tool_name"]) == ("sender", "send_summary")
    assert inner["trace_parent_action_id"] == outer["action_id"]
    assert inner["trace_trace_id"] == outer["trace_trace_id"]
    assert inner["request_origin"] == "agent"


def test_users_at_once_of_one_agent_are_not_mixed_up(ledger, model, rows):
    script_pairs(model)
    ask = Ask(ledger, model.url, Desk())
    agent = clerk(ask)

    async def together() -> None:
        await asyncio.gather(
            *(
                run(
                    agent,
                    replace(ask, text=f"Send the summary to {to}.", user=user, conversation=f"of {user}"),
                )
                for user, to in PAIRS.items()
            )
        )

    asyncio.run(together())
    check_pairs(rows, model)


def test_the_lines_of_the_page_record_an_action(page, model, rows):
    model.script([Call("send_summary", to="bob")], ANSWER, user=QUESTION)
    page("agent-framework")
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"]) == ("send_summary", "success")
    assert (row["identity_agent_name"], plain(row["identity_principal"])) == (AGENT, USER)
    assert (plain(row["request_text"]), row["decision_request_model"]) == (QUESTION, "gpt-5")
