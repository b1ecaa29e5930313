"""AG2 1.x: both of OpenAI's model APIs, middleware and approvals that refuse, agents as tools."""

import asyncio
from typing import Any

import pytest
from ag2 import Agent, tool
from ag2.config import OpenAIConfig, OpenAIResponsesConfig
from ag2.events import ToolResultEvent
from ag2.middleware import BaseMiddleware, Middleware
from ag2.middleware.builtin import approval_required

from ledger.client.adapters.ag2 import LedgerRecorder
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


class Deny(BaseMiddleware):
    """Refuses some tools, by answering in their place."""

    def __init__(self, event: Any, context: Any, names: Any) -> None:
        super().__init__(event, context)
        self.names = names

    async def on_tool_execution(self, call_next: Any, event: Any, context: Any) -> Any:
        if event.name in self.names:
            return ToolResultEvent.from_call(event, result="not allowed")
        return await call_next(event, context)


def clerk(ask: Ask, name: str = AGENT, config: Any = OpenAIConfig, **options: Any) -> Agent:
    model = config(MODEL, api_key="none", base_url=ask.model_url, streaming=ask.stream, max_retries=0)
    given = {"tools": ask.desk.tools, "middleware": [Middleware(Deny, names=ask.deny)], **options}
    agent = Agent(name, "You are a clerk.", config=model, **given)
    return LedgerRecorder(ask.ledger, describe=described).watch(agent)


def drive(agent: Agent, ask: Ask) -> str:
    variables = {"user_id": ask.user, "conversation_id": ask.conversation}
    return str(asyncio.run(agent.ask(ask.text, variables=variables)).body)


class AG2Claims(Claims):
    principal_source = "variables.user_id"
    config: Any

    def drive(self, ask: Ask) -> str:
        return drive(clerk(ask, config=self.config), ask)


class TestChatCompletions(AG2Claims):
    config = OpenAIConfig


class TestResponses(AG2Claims):
    config = OpenAIResponsesConfig


@pytest.mark.parametrize("approved", [True, False])
def test_an_approval_is_recorded_with_its_call(ledger, model, rows, approved):
    model.script([Call("send_summary", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    guarded = tool(ask.desk.send_summary, middleware=[approval_required()])
    agent = clerk(ask, tools=[guarded], hitl_hook=lambda _: "y" if approved else "n")
    drive(agent, ask)
    (row,) = rows(ACTIONS)
    assert (row["outcome_status"], row["approval_outcome"]) == (
        ("success", "approved") if approved else ("denied", "rejected")
    )
    assert len(ask.desk.ran) == approved


class Raise(BaseMiddleware):
    """Refuses by raising."""

    async def on_tool_execution(self, call_next: Any, event: Any, context: Any) -> Any:
        raise PermissionError("not allowed")


def test_a_middleware_that_raises_is_recorded_as_a_denial(ledger, model, rows):
    model.script([Call("send_summary", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    drive(clerk(ask, middleware=[Middleware(Raise)]), ask)
    (row,) = rows(ACTIONS)
    assert (row["outcome_status"], row["policy_reason"]) == ("denied", "PermissionError")
    assert ask.desk.ran == []


def test_tools_and_middleware_of_one_call_are_seen(ledger, model, rows):
    model.script([Call("send_summary", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    asyncio.run(clerk(ask, tools=[]).ask(QUESTION, tools=[tool(ask.desk.send_summary)]))
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"]) == ("send_summary", "success")


def test_what_an_agent_does_as_a_tool_has_that_call_for_a_parent(ledger, model, rows):
    model.script([Call("task_sender", objective="send it to bob")], ANSWER, user=QUESTION)
    model.script([Call("send_summary", to="bob")], "sent", user="send it to bob")
    ask = Ask(ledger, model.url, Desk())
    sender = clerk(ask, "sender")
    drive(clerk(ask, tools=[sender.as_tool(description="sends")]), ask)
    outer, inner = rows(ACTIONS)
    assert (outer["tool_name"], inner["tool_name"]) == ("task_sender", "send_summary")
    assert inner["trace_parent_action_id"] == outer["action_id"]
    assert (inner["identity_agent_name"], inner["request_origin"]) == ("sender", "agent")


def test_the_lines_of_the_page_record_an_action(page, model, rows):
    model.script([Call("send_summary", to="bob")], ANSWER, user=QUESTION)
    page("ag2")
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"]) == ("send_summary", "success")
    assert (row["identity_agent_name"], plain(row["identity_principal"])) == (AGENT, USER)
    assert (plain(row["request_text"]), row["decision_request_model"]) == (QUESTION, "gpt-5")
