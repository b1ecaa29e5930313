"""AutoGen: agents, handoffs, agents as tools, code that is run, a Magentic-One team."""

import asyncio
import json
import logging
from typing import Any

import pytest
from autogen_agentchat.agents import ApprovalResponse, AssistantAgent, CodeExecutorAgent
from autogen_agentchat.conditions import TextMentionTermination
from autogen_agentchat.messages import ModelClientStreamingChunkEvent, TextMessage
from autogen_agentchat.teams import MagenticOneGroupChat, Swarm
from autogen_agentchat.tools import AgentTool
from autogen_core import EVENT_LOGGER_NAME
from autogen_core.tools import FunctionTool, StaticWorkbench, ToolResult, Workbench
from autogen_ext.code_executors.local import LocalCommandLineCodeExecutor
from autogen_ext.models.openai import OpenAIChatCompletionClient

from ledger.client.adapters.autogen import LedgerRecorder
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

INFO = {
    "vision": False,
    "function_calling": True,
    "json_output": True,
    "family": "unknown",
    "structured_output": False,
}


def client(url: str) -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(
        model=MODEL, base_url=url, api_key="none", model_info=INFO, max_retries=0
    )


def clerk(ask: Ask, name: str = AGENT, **options: Any) -> AssistantAgent:
    given = {"tools": ask.desk.tools, **options}
    model = client(ask.model_url)
    return AssistantAgent(
        name,
        model,
        system_message=f"You are {name}.",
        max_tool_iterations=5,
        model_client_stream=ask.stream,
        **given,
    )


def watched(ask: Ask, target: Any) -> Any:
    return LedgerRecorder(ask.ledger, describe=described).watch(target)


def said(ask: Ask) -> TextMessage:
    metadata = {"user_id": ask.user, "conversation_id": ask.conversation}
    return TextMessage(content=ask.text, source="user", metadata=metadata)


class TestAgents(Claims):
    principal_source = "metadata.user_id"
    denies = False
    untold_when_streamed = {"decision_response_id", "decision_response_model"}

    def drive(self, ask: Ask) -> str:
        return asyncio.run(self.run(watched(ask, clerk(ask)), ask))

    async def run(self, agent: AssistantAgent, ask: Ask) -> str:
        if not ask.stream:
            return (await agent.run(task=said(ask))).messages[-1].to_text()
        pieces = [piece async for piece in agent.run_stream(task=said(ask))]
        return "".join(piece.content for piece in pieces if isinstance(piece, ModelClientStreamingChunkEvent))


class Around(Workbench):
    """Stands around another one, as an app's guard would."""

    def __init__(self, inner: Workbench) -> None:
        self.inner = inner

    async def list_tools(self) -> Any:
        return await self.inner.list_tools()

    async def call_tool(self, name: str, *args: Any, **options: Any) -> ToolResult:
        return await self.inner.call_tool(name, *args, **options)

    async def nothing(self, *_: Any) -> Any:
        return {}

    start = stop = reset = save_state = load_state = nothing


@pytest.mark.parametrize(
    ("tool", "status"), [("send_summary", "success"), ("fail_loudly", "failure"), ("no_tool", "failure")]
)
def test_a_workbench_of_the_apps_own_is_recorded(ledger, model, rows, tool, status):
    model.script([Call(tool, to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    tools = [FunctionTool(each, each.__doc__ or "") for each in ask.desk.tools]
    tools.append(FunctionTool(Desk().send_summary, "Not there.", name="no_tool"))
    bench = Around(StaticWorkbench(tools[:3]))
    agent = watched(ask, clerk(ask, tools=None, workbench=bench))
    if tool == "no_tool":
        bench.list_tools = StaticWorkbench(tools).list_tools
    asyncio.run(agent.run(task=said(ask)))
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"]) == (tool, status)


def test_a_handoff_is_a_success_of_the_agent_that_hands_over(ledger, model, rows):
    model.script([Call("transfer_to_sender")], system="You are triage.")
    model.script([Call("send_summary", to="bob")], "TERMINATE", system="You are sender.", in_order=True)
    ask = Ask(ledger, model.url, Desk())
    triage = clerk(ask, "triage", tools=[], handoffs=["sender"])
    team = watched(
        ask, Swarm([triage, clerk(ask, "sender")], termination_condition=TextMentionTermination("TERMINATE"))
    )
    asyncio.run(team.run(task=said(ask)))
    handoff, sent = rows(ACTIONS)
    assert (handoff["tool_name"], handoff["tool_effect"], handoff["outcome_status"]) == (
        "transfer_to_sender",
        "delegate",
        "success",
    )
    assert (sent["tool_name"], sent["outcome_status"]) == ("send_summary", "success")
    assert (handoff["identity_agent_name"], sent["identity_agent_name"]) == ("triage", "sender")
    assert plain(sent["identity_principal"]) == USER
    assert sent["trace_trace_id"] == handoff["trace_trace_id"]


def test_what_an_agent_does_as_a_tool_has_that_call_for_a_parent(ledger, model, rows):
    model.script([Call("sender", task="send it to bob")], ANSWER, user=QUESTION)
    model.script([Call("send_summary", to="bob")], "sent", user="send it to bob")
    ask = Ask(ledger, model.url, Desk())
    sender = watched(ask, clerk(ask, "sender"))
    asyncio.run(watched(ask, clerk(ask, tools=[AgentTool(sender)])).run(task=said(ask)))
    outer, inner = rows(ACTIONS)
    assert (outer["tool_name"], inner["tool_name"]) == ("sender", "send_summary")
    assert inner["trace_parent_action_id"] == outer["action_id"]
    assert inner["request_origin"] == "agent"


@pytest.mark.parametrize("approved", [True, False])
def test_code_is_recorded_with_what_was_said_to_it(ledger, model, rows, tmp_path, approved):
    async def approve(request: Any) -> ApprovalResponse:
        return ApprovalResponse(approved=approved, reason="so it was decided")

    ask = Ask(ledger, model.url, Desk(), text="```sh\necho ran > here.txt\n```")
    executor = LocalCommandLineCodeExecutor(work_dir=tmp_path)
    terminal = CodeExecutorAgent("terminal", executor, approval_func=approve)
    asyncio.run(watched(ask, terminal).run(task=said(ask)))
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["tool_effect"]) == ("execute_code_block", "execute")
    assert (row["outcome_status"], row["approval_outcome"]) == (
        ("success", "approved") if approved else ("denied", "rejected")
    )
    assert (tmp_path / "here.txt").exists() == approved


def progress(done: bool) -> str:
    answers = {
        "is_request_satisfied": done,
        "is_in_loop": False,
        "is_progress_being_made": True,
        "next_speaker": AGENT,
        "instruction_or_question": "Send it now.",
    }
    return json.dumps({name: {"reason": "so it is", "answer": answer} for name, answer in answers.items()})


def test_a_magentic_one_team_works_for_who_asked_it(ledger, model, rows):
    model.script(
        "facts", "plan", progress(done=False), [Call("send_summary", to="bob")], "sent", progress(done=True), ANSWER,
        in_order=True,
    )  # fmt: skip
    ask = Ask(ledger, model.url, Desk())
    team = watched(ask, MagenticOneGroupChat([clerk(ask)], model_client=client(model.url)))
    result = asyncio.run(team.run(task=said(ask)))
    assert ANSWER in result.messages[-1].to_text()
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"], row["identity_agent_name"]) == (
        "send_summary",
        "success",
        AGENT,
    )
    assert (plain(row["identity_principal"]), plain(row["request_text"])) == (USER, QUESTION)
    (decided,) = rows("SELECT count(*) AS n FROM records WHERE type = 'decision'")
    assert decided["n"] == len(model.answers)


def test_hearing_the_models_shows_nobody_more_of_the_log_than_before(ledger, model, caplog):
    model.script(ANSWER)
    ask = Ask(ledger, model.url, Desk())
    asyncio.run(watched(ask, clerk(ask)).run(task=said(ask)))
    assert [record for record in caplog.records if record.name == EVENT_LOGGER_NAME] == []
    with caplog.at_level(logging.INFO):
        asyncio.run(watched(ask, clerk(ask)).run(task=said(ask)))
    assert [record for record in caplog.records if record.name == EVENT_LOGGER_NAME] != []


def test_the_lines_of_the_page_record_an_action(page, model, rows):
    model.script([Call("send_summary", to="bob")], ANSWER, user=QUESTION)
    page("autogen")
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"]) == ("send_summary", "success")
    assert (row["identity_agent_name"], plain(row["identity_principal"])) == (AGENT, USER)
    assert (plain(row["request_text"]), row["decision_request_model"]) == (QUESTION, "gpt-4.1")
