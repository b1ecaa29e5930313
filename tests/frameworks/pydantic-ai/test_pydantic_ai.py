"""Pydantic AI: both of OpenAI's model APIs, refusals by hooks and toolsets, approvals, agents that call agents."""

import asyncio
from typing import Any

import pytest
from pydantic_ai import (
    Agent,
    ApprovalRequired,
    DeferredToolRequests,
    DeferredToolResults,
    FunctionToolset,
    ModelRetry,
    RunContext,
    Tool,
)
from pydantic_ai.capabilities import Hooks
from pydantic_ai.exceptions import SkipToolExecution, ToolFailed
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.toolsets import WrapperToolset

from ledger.client.adapters.pydantic_ai import LedgerCapability
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


def refusing(names: Any) -> Hooks:
    """A capability that refuses some tools."""
    hooks = Hooks()

    @hooks.on.before_tool_execute
    async def refuse(ctx: Any, *, call: Any, tool_def: Any, args: Any) -> Any:
        if call.tool_name in names:
            raise SkipToolExecution("not allowed")
        return args

    return hooks


class PydanticAIClaims(Claims):
    principal_source = "deps.user_id"
    model: Any

    def agent(self, ask: Ask) -> Agent:
        model = self.model(MODEL, provider=OpenAIProvider(base_url=ask.model_url, api_key="none"))
        capabilities = [refusing(ask.deny), LedgerCapability(ask.ledger, describe=described)]
        return Agent(
            model,
            name=AGENT,
            instructions="You are a clerk.",
            tools=ask.desk.tools,
            capabilities=capabilities,
        )

    def drive(self, ask: Ask) -> str:
        given = {"deps": {"user_id": ask.user}, "conversation_id": ask.conversation}
        if not ask.stream:
            return self.agent(ask).run_sync(ask.text, **given).output
        return asyncio.run(self.streamed(ask, given))

    async def streamed(self, ask: Ask, given: dict[str, Any]) -> str:
        async with self.agent(ask).run_stream(ask.text, **given) as result:
            return "".join([piece async for piece in result.stream_text(delta=True)])


class TestChatCompletions(PydanticAIClaims):
    model = OpenAIChatModel


class TestResponses(PydanticAIClaims):
    model = OpenAIResponsesModel


def clerk(ask: Ask, *tools: Any, **options: Any) -> Agent:
    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=ask.model_url, api_key="none"))
    given = {"name": AGENT, "tools": tools, "capabilities": [LedgerCapability(ask.ledger)], **options}
    return Agent(model, **given)


def test_a_toolset_that_refuses_is_a_denial(ledger, model, rows):
    model.script([Call("send_summary", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())

    class Guarded(WrapperToolset):
        async def call_tool(self, name: str, tool_args: Any, ctx: Any, tool: Any) -> Any:
            raise ToolFailed("not allowed")

    agent = clerk(ask, toolsets=[Guarded(FunctionToolset([ask.desk.send_summary]))])
    assert agent.run_sync(QUESTION).output == ANSWER
    (row,) = rows(ACTIONS)
    assert (row["outcome_status"], row["policy_reason"]) == ("denied", "ToolFailed")
    assert ask.desk.ran == []


@pytest.mark.parametrize("approved", [True, False])
def test_an_approval_is_recorded_with_its_call(ledger, model, rows, approved):
    model.script([Call("send_summary", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    tool = Tool(ask.desk.send_summary, requires_approval=True)
    agent = clerk(ask, tool, output_type=[str, DeferredToolRequests])
    first = agent.run_sync(QUESTION)
    answers = DeferredToolResults(approvals={first.output.approvals[0].tool_call_id: approved})
    agent.run_sync(message_history=first.all_messages(), deferred_tool_results=answers)
    (row,) = rows(ACTIONS)
    assert plain(row["tool_arguments"]) == {"to": "bob"}
    assert (row["outcome_status"], row["approval_outcome"]) == (
        ("success", "approved") if approved else ("denied", "rejected")
    )
    assert row["decision_response_id"] == model.deciding(row["tool_call_id"]).response_id
    assert len(ask.desk.ran) == approved


def test_a_tool_that_asks_for_approval_itself_is_one_action_over_both_runs(ledger, model, rows):
    model.script([Call("send", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())

    def send(ctx: RunContext, to: str) -> str:
        if not ctx.tool_call_approved:
            raise ApprovalRequired
        return ask.desk.send_summary(to)

    agent = clerk(ask, Tool(send), output_type=[str, DeferredToolRequests])
    first = agent.run_sync(QUESTION)
    (row,) = rows(ACTIONS)
    assert row["outcome_status"] is None
    answers = DeferredToolResults(approvals={first.output.approvals[0].tool_call_id: True})
    agent.run_sync(message_history=first.all_messages(), deferred_tool_results=answers)
    (row,) = rows(ACTIONS)
    assert (row["outcome_status"], row["approval_outcome"]) == ("success", "approved")


def test_arguments_that_do_not_validate_are_a_failure(ledger, model, rows):
    model.script([Call("send_summary", whom="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    assert clerk(ask, ask.desk.send_summary).run_sync(QUESTION).output == ANSWER
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"]) == ("send_summary", "failure")
    assert plain(row["tool_arguments"]) == {"whom": "bob"}
    assert ask.desk.ran == []


def test_a_tool_that_asks_the_model_to_try_again_is_a_failure_and_the_next_call_another_action(
    ledger, model, rows
):
    model.script([Call("send", to="bbo")], [Call("send", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())

    def send(to: str) -> str:
        if to != "bob":
            raise ModelRetry("nobody of that name")
        return ask.desk.send_summary(to)

    clerk(ask, send).run_sync(QUESTION)
    first, second = rows(ACTIONS)
    assert (first["outcome_status"], second["outcome_status"]) == ("failure", "success")
    assert first["outcome_error_type"].endswith("ModelRetry")


def test_what_an_agent_does_inside_a_tool_has_that_call_for_a_parent(ledger, model, rows):
    model.script([Call("delegate", task="send it to bob")], ANSWER, user=QUESTION)
    model.script([Call("send_summary", to="bob")], "sent", user="send it to bob")
    ask = Ask(ledger, model.url, Desk())
    sender = clerk(ask, ask.desk.send_summary, name="sender")

    async def delegate(task: str) -> str:
        return (await sender.run(task)).output

    clerk(ask, delegate).run_sync(QUESTION)
    outer, inner = rows(ACTIONS)
    assert (outer["tool_name"], inner["tool_name"]) == ("delegate", "send_summary")
    assert inner["trace_parent_action_id"] == outer["action_id"]
    assert (outer["identity_agent_name"], inner["identity_agent_name"]) == (AGENT, "sender")


def test_users_at_once_of_one_agent_are_not_mixed_up(ledger, model, rows):
    script_pairs(model)
    ask = Ask(ledger, model.url, Desk())
    agent = clerk(ask, ask.desk.send_summary)

    async def together() -> None:
        await asyncio.gather(
            *(
                agent.run(f"Send the summary to {to}.", deps={"user_id": user}, conversation_id=f"of {user}")
                for user, to in PAIRS.items()
            )
        )

    asyncio.run(together())
    check_pairs(rows, model)


def test_the_lines_of_the_page_record_an_action(page, model, rows):
    model.script([Call("send_summary", to="bob")], ANSWER, user=QUESTION)
    page("pydantic-ai")
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"]) == ("send_summary", "success")
    assert (row["identity_agent_name"], plain(row["identity_principal"])) == (AGENT, USER)
    assert (plain(row["request_text"]), row["decision_request_model"]) == (QUESTION, "gpt-5")
