"""OpenAI Agents SDK: both of its model APIs, guardrails, approvals, handoffs."""

import asyncio
from typing import Any

import openai
import pytest
from agents import (
    Agent,
    ModelBehaviorError,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    RunHooks,
    SQLiteSession,
    ToolGuardrailFunctionOutput,
    ToolInputGuardrailTripwireTriggered,
    UserError,
    function_tool,
    set_trace_processors,
    tool_input_guardrail,
)

from ledger.client.adapters.openai_agents import LedgerRunner
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

set_trace_processors([])  # the SDK's own would call home


@tool_input_guardrail
def refuse(data: Any) -> ToolGuardrailFunctionOutput:
    """Refuse the call, and let the model go on."""
    return ToolGuardrailFunctionOutput.reject_content("not allowed")


class OpenAIAgentsClaims(Claims):
    principal_source = "context.user_id"
    model: Any

    def agent(self, ask: Ask) -> Agent:
        client = openai.AsyncOpenAI(base_url=ask.model_url, api_key="none")
        tools = [
            function_tool(tool, tool_input_guardrails=[refuse] if tool.__name__ in ask.deny else [])
            for tool in ask.desk.tools
        ]
        model = self.model(model=MODEL, openai_client=client)
        return Agent(name=AGENT, instructions="You are a clerk.", model=model, tools=tools)

    def drive(self, ask: Ask) -> str:
        return asyncio.run(self.run(ask))

    async def run(self, ask: Ask) -> str:
        runner = LedgerRunner(ask.ledger, describe=described)
        given = {"context": {"user_id": ask.user}, "session": SQLiteSession(ask.conversation)}
        if not ask.stream:
            return (await runner.run(self.agent(ask), ask.text, **given)).final_output
        result = runner.run_streamed(self.agent(ask), ask.text, **given)
        async for _ in result.stream_events():
            pass
        return result.final_output


class TestResponses(OpenAIAgentsClaims):
    model = OpenAIResponsesModel
    untold = {"decision_response_model"}


class TestChatCompletions(OpenAIAgentsClaims):
    model = OpenAIChatCompletionsModel
    untold = {"decision_response_model", "decision_response_id"}


@tool_input_guardrail
def trip(data: Any) -> ToolGuardrailFunctionOutput:
    """Refuse the call, and stop the run."""
    return ToolGuardrailFunctionOutput.raise_exception()


def clerk(ask: Ask, *tools: Any, **options: Any) -> Agent:
    client = openai.AsyncOpenAI(base_url=ask.model_url, api_key="none")
    model = OpenAIResponsesModel(model=MODEL, openai_client=client)
    return Agent(**{"name": AGENT, "model": model, "tools": [*tools], **options})


@pytest.mark.parametrize("stream", [False, True])
def test_a_tripwire_is_a_denial_that_names_its_guardrail(ledger, model, rows, stream):
    ask = Ask(ledger, model.url, Desk())
    send = function_tool(ask.desk.send_summary, tool_input_guardrails=[trip])

    async def run() -> None:
        runner = LedgerRunner(ledger)
        if not stream:
            await runner.run(clerk(ask, send), QUESTION)
        else:
            async for _ in runner.run_streamed(clerk(ask, send), QUESTION).stream_events():
                pass

    model.script([Call("send_summary", to="bob")])
    with pytest.raises(ToolInputGuardrailTripwireTriggered):
        asyncio.run(run())
    (row,) = rows(ACTIONS)
    assert (row["outcome_status"], row["policy_effect"], row["policy_rule"]) == ("denied", "deny", "trip")
    assert ask.desk.ran == []


@pytest.mark.parametrize("approved", [True, False])
def test_an_approval_is_recorded_with_its_call(ledger, model, rows, approved):
    model.script([Call("send_summary", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    agent = clerk(ask, function_tool(ask.desk.send_summary, needs_approval=True))

    async def ask_and_answer() -> None:
        runner = LedgerRunner(ledger)
        result = await runner.run(agent, QUESTION)
        state = result.to_state()
        (state.approve if approved else state.reject)(result.interruptions[0])
        await runner.run(agent, state)

    asyncio.run(ask_and_answer())
    (row,) = rows(ACTIONS)
    assert (row["outcome_status"], row["approval_outcome"]) == (
        ("success", "approved") if approved else ("denied", "rejected")
    )
    assert len(ask.desk.ran) == approved


def test_a_handoff_is_a_success_of_the_agent_that_hands_over(ledger, model, rows):
    model.script([Call("transfer_to_sender")], [Call("send_summary", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    sender = clerk(ask, function_tool(ask.desk.send_summary), name="sender")
    result = LedgerRunner(ledger).run_sync(clerk(ask, name="triage", handoffs=[sender]), QUESTION)
    assert result.final_output == ANSWER
    handoff, sent = rows(ACTIONS)
    assert (handoff["tool_name"], handoff["tool_effect"], handoff["outcome_status"]) == (
        "transfer_to_sender",
        "delegate",
        "success",
    )
    assert (sent["tool_name"], sent["outcome_status"]) == ("send_summary", "success")
    assert (handoff["identity_agent_name"], sent["identity_agent_name"]) == ("triage", "sender")
    assert handoff["trace_trace_id"] == sent["trace_trace_id"]


def test_an_error_that_breaks_the_run_is_the_tools(ledger, model, rows):
    model.script([Call("fail_loudly", to="bob")])
    ask = Ask(ledger, model.url, Desk())
    with pytest.raises(UserError):
        LedgerRunner(ledger).run_sync(
            clerk(ask, function_tool(ask.desk.fail_loudly, failure_error_function=None)), QUESTION
        )
    (row,) = rows(ACTIONS)
    assert row["outcome_status"] == "failure"
    assert row["outcome_error_type"].endswith("Refused")


def test_a_call_that_ends_the_run_before_it_could_run_is_cancelled(ledger, model, rows):
    model.script([Call("send_money", to="bob")])
    with pytest.raises(ModelBehaviorError):
        LedgerRunner(ledger).run_sync(clerk(Ask(ledger, model.url, Desk())), QUESTION)
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"]) == ("send_money", "cancelled")


def test_the_apps_own_hooks_and_error_words_go_on_working(ledger, model, rows):
    model.script([Call("fail_loudly", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    seen: list[str] = []

    class Own(RunHooks):
        async def on_tool_start(self, context: Any, agent: Any, tool: Any) -> None:
            seen.append(tool.name)

    async def words(args: Any) -> str:
        return f"{args.tool_name} is out of order"

    LedgerRunner(ledger).run_sync(
        clerk(ask, function_tool(ask.desk.fail_loudly)),
        QUESTION,
        hooks=Own(),
        run_config=RunConfig(tool_error_formatter=words, group_id="conversation-2"),
    )
    (row,) = rows(ACTIONS)
    assert seen == ["fail_loudly"]
    assert row["outcome_error_type"].endswith("Refused")
    assert row["request_conversation_id"] == "conversation-2"
    assert "fail_loudly is out of order" in str(model.requests[-1])


def test_users_at_once_of_one_runner_are_not_mixed_up(ledger, model, rows):
    script_pairs(model)
    ask = Ask(ledger, model.url, Desk())
    agent, runner = clerk(ask, function_tool(ask.desk.send_summary)), LedgerRunner(ledger)

    async def together() -> None:
        await asyncio.gather(
            *(
                runner.run(
                    agent,
                    f"Send the summary to {to}.",
                    context={"user_id": user},
                    session=SQLiteSession(f"of {user}"),
                )
                for user, to in PAIRS.items()
            )
        )

    asyncio.run(together())
    check_pairs(rows, model)


def test_the_lines_of_the_page_record_an_action(page, model, rows):
    model.script([Call("send_summary", to="bob")], ANSWER, user=QUESTION)
    page("openai-agents")
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"]) == ("send_summary", "success")
    assert (row["identity_agent_name"], plain(row["identity_principal"])) == (AGENT, USER)
    assert (plain(row["request_text"]), row["decision_request_model"]) == (QUESTION, "gpt-5")
