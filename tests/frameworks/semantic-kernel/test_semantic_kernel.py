"""Semantic Kernel: agents, bare kernels, filters that refuse, agents as plugins, handoffs."""

import asyncio
import contextlib
from typing import Any

import pytest
from openai import AsyncOpenAI
from semantic_kernel import Kernel
from semantic_kernel.agents import ChatCompletionAgent, HandoffOrchestration, OrchestrationHandoffs
from semantic_kernel.agents.runtime import InProcessRuntime
from semantic_kernel.connectors.ai import FunctionChoiceBehavior
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion, OpenAIChatPromptExecutionSettings
from semantic_kernel.filters import FilterTypes
from semantic_kernel.functions import KernelArguments, KernelPlugin, kernel_function

from ledger.client.adapters.semantic_kernel import LedgerRecorder
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


def desk_plugin(desk: Desk) -> KernelPlugin:
    return KernelPlugin(name="desk", functions=functions(desk))


def functions(desk: Desk) -> list[Any]:
    def send_summary(to: str) -> str:
        """Send the summary to somebody."""
        return desk.send_summary(to)

    def read_file(path: str) -> str:
        """Read a file."""
        return desk.read_file(path)

    def fail_loudly(to: str) -> str:
        """Fail."""
        return desk.fail_loudly(to)

    return [kernel_function(tool) for tool in (send_summary, read_file, fail_loudly)]


def service(model_url: str) -> OpenAIChatCompletion:
    client = AsyncOpenAI(base_url=model_url, api_key="none", max_retries=0)
    return OpenAIChatCompletion(ai_model_id=MODEL, async_client=client)


def refusing(kernel: Kernel, names: Any) -> Kernel:
    async def refuse(context: Any, next: Any) -> None:  # noqa: A002 - it is called by this name
        if context.function.name in names:
            context.function_result.value = "not allowed"
        else:
            await next(context)

    kernel.add_filter(FilterTypes.AUTO_FUNCTION_INVOCATION, refuse)
    return kernel


def clerk(ask: Ask, name: str = AGENT, **options: Any) -> ChatCompletionAgent:
    given = {"plugins": [desk_plugin(ask.desk)], "kernel": refusing(Kernel(), ask.deny), **options}
    agent = ChatCompletionAgent(
        service=service(ask.model_url), name=name, instructions="You are a clerk.", **given
    )
    return LedgerRecorder(ask.ledger, describe=described).watch(agent)


def arguments(ask: Ask) -> KernelArguments:
    return KernelArguments(user_id=ask.user, conversation_id=ask.conversation)


async def run(agent: ChatCompletionAgent, ask: Ask) -> str:
    if ask.stream:
        pieces = agent.invoke_stream(messages=ask.text, arguments=arguments(ask))
        return "".join([str(piece.message) async for piece in pieces])
    return str(await agent.get_response(messages=ask.text, arguments=arguments(ask)))


class TestAgents(Claims):
    principal_source = "arguments.user_id"

    def drive(self, ask: Ask) -> str:
        return asyncio.run(run(clerk(ask), ask))


class TestBareKernels(Claims):
    principal_source = "arguments.user_id"
    untold = {"identity_agent_name"}

    def drive(self, ask: Ask) -> str:
        return asyncio.run(self.run(ask))

    async def run(self, ask: Ask) -> str:
        kernel = refusing(Kernel(), ask.deny)
        kernel.add_service(service(ask.model_url))
        kernel.add_plugin(desk_plugin(ask.desk))
        LedgerRecorder(ask.ledger, describe=described).watch(kernel)
        auto = OpenAIChatPromptExecutionSettings(function_choice_behavior=FunctionChoiceBehavior.Auto())
        given = KernelArguments(auto, user_id=ask.user, conversation_id=ask.conversation)
        if ask.stream:
            pieces = kernel.invoke_prompt_stream(ask.text, arguments=given)
            return "".join([str(piece[0]) async for piece in pieces])
        return str(await kernel.invoke_prompt(ask.text, arguments=given))


async def deny_by_raising(context: Any, next: Any) -> None:  # noqa: A002 - it is called by this name
    raise PermissionError("not allowed")


@pytest.mark.parametrize("kind", [FilterTypes.AUTO_FUNCTION_INVOCATION, FilterTypes.FUNCTION_INVOCATION])
def test_a_filter_that_raises_is_recorded_as_a_denial(ledger, model, rows, kind):
    model.script([Call("desk-send_summary", to="bob")], ANSWER)
    ask, kernel = Ask(ledger, model.url, Desk()), Kernel()
    kernel.add_filter(kind, deny_by_raising)
    agent = clerk(ask, kernel=kernel)
    with contextlib.suppress(PermissionError):
        asyncio.run(run(agent, ask))
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"]) == ("desk-send_summary", "denied")
    assert (row["policy_effect"], row["policy_reason"]) == ("deny", "PermissionError")
    assert ask.desk.ran == []


@pytest.mark.parametrize("allowed", [True, False])
def test_what_a_filter_and_a_function_call_themselves_is_not_taken_for_the_call(ledger, model, rows, allowed):
    @kernel_function
    def judge() -> str:
        """Fail."""
        raise ValueError("no verdict")

    async def consult(context: Any, next: Any) -> None:  # noqa: A002 - it is called by this name
        if context.function.name == "send_summary":
            with contextlib.suppress(Exception):
                await context.kernel.invoke(plugin_name="desk", function_name="judge")
            context.arguments = KernelArguments(**context.arguments)
            if not allowed:
                return
        await next(context)

    model.script([Call("desk-send_summary", to="bob")], ANSWER)
    ask, kernel = Ask(ledger, model.url, Desk()), Kernel()
    kernel.add_filter(FilterTypes.FUNCTION_INVOCATION, consult)
    kernel.add_plugin(KernelPlugin(name="desk", functions=[*functions(ask.desk), judge]))
    asyncio.run(run(clerk(ask, kernel=kernel, plugins=[]), ask))
    (row,) = rows(ACTIONS)
    assert row["outcome_status"] == ("success" if allowed else "denied")
    assert len(ask.desk.ran) == allowed


def test_a_filter_that_is_added_later_stands_inside(ledger, model, rows):
    model.script([Call("desk-send_summary", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    agent = clerk(ask)
    refusing(agent.kernel, ["send_summary"])
    asyncio.run(run(agent, ask))
    (row,) = rows(ACTIONS)
    assert (row["outcome_status"], row["policy_reason"]) == ("denied", "answered_by_filter")


def test_a_user_that_the_model_names_is_an_argument_and_nobody(ledger, model, rows):
    @kernel_function
    def look_up(user_id: str) -> str:
        """Look somebody up."""
        return "found"

    model.script([Call("desk-look_up", user_id="mallory")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    agent = clerk(ask, plugins=[KernelPlugin(name="desk", functions=[look_up])])
    asyncio.run(agent.get_response(messages=QUESTION))
    (row,) = rows(ACTIONS)
    assert plain(row["tool_arguments"]) == {"user_id": "mallory"}
    assert row["identity_principal"] is None


def test_agents_that_share_a_kernel_keep_their_names(ledger, model, rows):
    model.script([Call("desk-read_file", path="a.txt")], ANSWER, user="first")
    model.script([Call("desk-read_file", path="b.txt")], ANSWER, user="second")
    ask, kernel = Ask(ledger, model.url, Desk()), Kernel()
    one, other = clerk(ask, "one", kernel=kernel), clerk(ask, "other", kernel=kernel)

    async def both() -> None:
        await asyncio.gather(one.get_response(messages="first"), other.get_response(messages="second"))

    asyncio.run(both())
    found = {plain(row["tool_arguments"])["path"]: row["identity_agent_name"] for row in rows(ACTIONS)}
    assert found == {"a.txt": "one", "b.txt": "other"}


def test_what_an_agent_does_as_a_plugin_has_that_call_for_a_parent(ledger, model, rows):
    model.script([Call("sender-sender", messages="send it to bob")], ANSWER, user=QUESTION)
    model.script([Call("desk-send_summary", to="bob")], "sent", user="send it to bob")
    ask = Ask(ledger, model.url, Desk())
    sender = clerk(ask, "sender")
    asyncio.run(run(clerk(ask, plugins=[sender]), ask))
    outer, inner = rows(ACTIONS)
    assert (outer["tool_name"], inner["tool_name"]) == ("sender-sender", "desk-send_summary")
    assert inner["trace_parent_action_id"] == outer["action_id"]
    assert (inner["identity_agent_name"], inner["request_origin"]) == ("sender", "agent")


def test_a_handoff_is_a_success_of_the_agent_that_hands_over(ledger, model, rows):
    model.script([Call("Handoff-transfer_to_sender")], system="You are triage.")
    model.script(
        [Call("desk-send_summary", to="bob")],
        [Call("Handoff-complete_task", task_summary="sent")],
        in_order=True,
    )
    ask = Ask(ledger, model.url, Desk())
    triage = ChatCompletionAgent(service=service(model.url), name="triage", instructions="You are triage.")
    LedgerRecorder(ledger).watch(triage)
    sender = clerk(ask, "sender", description="sends")

    async def hand_over() -> None:
        handoffs = OrchestrationHandoffs().add(source_agent=triage, target_agent=sender)
        runtime = InProcessRuntime()
        runtime.start()
        result = await HandoffOrchestration(members=[triage, sender], handoffs=handoffs).invoke(
            QUESTION, runtime
        )
        await result.get(timeout=20)
        await runtime.stop_when_idle()

    asyncio.run(hand_over())
    handoff, sent, done = rows(ACTIONS)
    assert (handoff["tool_name"], handoff["tool_effect"], handoff["outcome_status"]) == (
        "Handoff-transfer_to_sender",
        "delegate",
        "success",
    )
    assert (sent["tool_name"], sent["outcome_status"]) == ("desk-send_summary", "success")
    assert (handoff["identity_agent_name"], sent["identity_agent_name"]) == ("triage", "sender")
    assert done["tool_name"] == "Handoff-complete_task"


def test_the_lines_of_the_page_record_an_action(page, model, rows):
    model.script([Call("desk-send_summary", to="bob")], ANSWER, user=QUESTION)
    page("semantic-kernel")
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"]) == ("desk-send_summary", "success")
    assert (row["identity_agent_name"], plain(row["identity_principal"])) == (AGENT, USER)
    assert (plain(row["request_text"]), row["decision_request_model"]) == (QUESTION, "gpt-5")
