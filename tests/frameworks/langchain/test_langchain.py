"""LangChain agents and graphs of LangGraph: both of OpenAI's model APIs, sync and async, refusals, interrupts, handoffs."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain.tools import ToolRuntime
from langchain_core.messages import AIMessageChunk, ToolMessage
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from ledger.client.adapters.langchain import LedgerMiddleware
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


@dataclass
class Context:
    user_id: str


class Deny(AgentMiddleware):
    """Refuses some tools, by answering in their place."""

    def __init__(self, names: Any) -> None:
        super().__init__()
        self.names = names

    def refusal(self, request: Any) -> ToolMessage | None:
        call = request.tool_call
        return ToolMessage("not allowed", tool_call_id=call["id"]) if call["name"] in self.names else None

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        return self.refusal(request) or handler(request)

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        return self.refusal(request) or await handler(request)


class LangChainClaims(Claims):
    principal_source = "context.user_id"
    responses = False

    def agent(self, ask: Ask) -> Any:
        model = ChatOpenAI(
            model=MODEL,
            base_url=ask.model_url,
            api_key="none",
            use_responses_api=self.responses,
            max_retries=0,
        )
        return create_agent(
            model,
            ask.desk.tools,
            system_prompt="You are a clerk.",
            middleware=[LedgerMiddleware(ask.ledger, describe=described), Deny(ask.deny)],
            name=AGENT,
            context_schema=Context,
            checkpointer=InMemorySaver(),
        )

    def given(self, ask: Ask) -> dict[str, Any]:
        return {
            "input": {"messages": [{"role": "user", "content": ask.text}]},
            "config": {"configurable": {"thread_id": ask.conversation}},
            "context": Context(ask.user),
        }

    def drive(self, ask: Ask) -> str:
        if ask.stream:
            pieces = self.agent(ask).stream(**self.given(ask), stream_mode="messages")
            return "".join(piece.text for piece, _ in pieces if isinstance(piece, AIMessageChunk))
        return self.agent(ask).invoke(**self.given(ask))["messages"][-1].text


class TestChatCompletions(LangChainClaims):
    untold_when_streamed = {"decision_response_id"}


class TestResponses(LangChainClaims):
    responses = True


class TestAsync(LangChainClaims):
    untold_when_streamed = {"decision_response_id"}

    def drive(self, ask: Ask) -> str:
        return asyncio.run(self.adrive(ask))

    async def adrive(self, ask: Ask) -> str:
        if ask.stream:
            pieces = self.agent(ask).astream(**self.given(ask), stream_mode="messages")
            return "".join([piece.text async for piece, _ in pieces if isinstance(piece, AIMessageChunk)])
        return (await self.agent(ask).ainvoke(**self.given(ask)))["messages"][-1].text


def model_of(ask: Ask) -> ChatOpenAI:
    return ChatOpenAI(model=MODEL, base_url=ask.model_url, api_key="none", max_retries=0)


def clerk(ask: Ask, tools: Any, *middleware: AgentMiddleware, **options: Any) -> Any:
    return create_agent(
        model_of(ask), tools, middleware=[LedgerMiddleware(ask.ledger), *middleware], name=AGENT, **options
    )


ASKED = {"messages": [{"role": "user", "content": QUESTION}]}
THREAD = {"configurable": {"thread_id": "conversation-1", "user_id": USER}}


@pytest.mark.parametrize("answer", ["approve", "reject"])
def test_a_persons_answer_before_the_tool_is_its_outcome(ledger, model, rows, answer):
    model.script([Call("send_summary", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    ask_first = HumanInTheLoopMiddleware(interrupt_on={"send_summary": True})
    agent = clerk(ask, [ask.desk.send_summary], ask_first, checkpointer=InMemorySaver())
    agent.invoke(ASKED, THREAD)
    agent.invoke(Command(resume={"decisions": [{"type": answer}]}), THREAD)
    (row,) = rows(ACTIONS)
    expected = ("success", None) if answer == "approve" else ("denied", "answered_by_middleware")
    assert (row["outcome_status"], row["policy_reason"]) == expected
    assert plain(row["tool_arguments"]) == {"to": "bob"}
    assert row["decision_response_id"] == model.deciding(row["tool_call_id"]).response_id
    assert len(ask.desk.ran) == (answer == "approve")


def test_a_tool_that_interrupts_is_one_action_that_goes_on_when_it_is_answered(ledger, model, rows):
    model.script([Call("send", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())

    def send(to: str) -> str:
        """Send."""
        return ask.desk.send_summary(interrupt("may I?"))

    agent = clerk(ask, [send], checkpointer=InMemorySaver())
    agent.invoke(ASKED, THREAD)
    (row,) = rows(ACTIONS)
    assert row["outcome_status"] is None
    agent.invoke(Command(resume="carol"), THREAD)
    (row,) = rows(ACTIONS)
    assert (row["outcome_status"], ask.desk.ran) == ("success", [("send_summary", "carol")])


def test_an_error_that_the_graph_words_for_the_model_is_a_failure_with_its_class(ledger, model, rows):
    model.script([Call("fail_loudly", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    graph(ask, LedgerMiddleware(ledger)).invoke(ASKED, THREAD)
    (row,) = rows(ACTIONS)
    assert row["outcome_status"] == "failure"
    assert row["outcome_error_type"].endswith("Refused")


def graph(ask: Ask, recorder: LedgerMiddleware) -> Any:
    """A graph of one's own: a model, a ToolNode, and nothing else."""
    node = ToolNode(
        ask.desk.tools,
        wrap_tool_call=recorder.wrap_tool_call,
        awrap_tool_call=recorder.awrap_tool_call,
        handle_tool_errors=True,
    )
    return around(ask, node).with_config({"callbacks": [recorder.listener]})


def around(ask: Ask, tools: ToolNode) -> Any:
    """The model that uses them."""
    model = model_of(ask).bind_tools([*tools.tools_by_name.values()])
    built = StateGraph(MessagesState)
    built.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    built.add_node("tools", tools)
    built.add_edge(START, "model")
    built.add_conditional_edges("model", tools_condition)
    built.add_edge("tools", "model")
    return built.compile()


def test_a_graph_of_ones_own_tells_request_decision_and_user_too(ledger, model, rows):
    model.script([Call("send_summary", to="bob"), Call("read_file", path="a.txt")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    graph(ask, LedgerMiddleware(ledger)).invoke(ASKED, THREAD)
    found = rows(ACTIONS)
    assert {row["tool_name"] for row in found} == {"send_summary", "read_file"}
    for row in found:
        assert plain(row["request_text"]) == QUESTION
        assert row["decision_response_id"] == model.answers[0].response_id
        assert (plain(row["identity_principal"]), row["identity_principal_source"]) == (
            USER,
            "configurable.user_id",
        )
    (count,) = rows(
        "SELECT count(*) FILTER (type = 'request') AS asked, count(*) FILTER (type = 'decision') AS decided FROM records"
    )
    assert count == {"asked": 1, "decided": 2}


def test_a_call_of_a_tool_that_does_not_exist_is_a_failure(ledger, model, rows):
    model.script([Call("send_money", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    clerk(ask, ask.desk.tools).invoke(ASKED, THREAD)
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"], row["outcome_error_type"]) == (
        "send_money",
        "failure",
        "tool_not_found",
    )


def test_a_handoff_is_a_success_of_the_agent_that_hands_over(ledger, model, rows):
    model.script([Call("hand_over")], ANSWER)
    ask = Ask(ledger, model.url, Desk())

    def hand_over(runtime: ToolRuntime) -> Command:
        """Hand over to the sender."""
        told = ToolMessage("handed over", tool_call_id=runtime.tool_call_id)
        return Command(
            goto="sender", graph=Command.PARENT, update={"messages": [*runtime.state["messages"], told]}
        )

    built = StateGraph(MessagesState)
    recorder = LedgerMiddleware(ledger)
    built.add_node("triage", create_agent(model_of(ask), [hand_over], middleware=[recorder], name="triage"))
    built.add_node("sender", create_agent(model_of(ask), [], middleware=[recorder], name="sender"))
    built.add_edge(START, "triage")
    assert built.compile().invoke(ASKED, THREAD)["messages"][-1].text == ANSWER
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"], row["identity_agent_name"]) == (
        "hand_over",
        "success",
        "triage",
    )
    assert plain(row["outcome_result"])["goto"] == "sender"


def test_what_an_agent_does_inside_a_tool_has_that_call_for_a_parent(ledger, model, rows):
    model.script([Call("delegate", task="send it to bob")], ANSWER, user=QUESTION)
    model.script([Call("send_summary", to="bob")], "sent", user="send it to bob")
    ask = Ask(ledger, model.url, Desk())
    sender = create_agent(
        model_of(ask), [ask.desk.send_summary], middleware=[LedgerMiddleware(ledger)], name="sender"
    )

    def delegate(task: str) -> str:
        """Have the sender do something."""
        return sender.invoke({"messages": [{"role": "user", "content": task}]})["messages"][-1].text

    clerk(ask, [delegate]).invoke(ASKED, THREAD)
    outer, inner = rows(ACTIONS)
    assert (outer["tool_name"], inner["tool_name"]) == ("delegate", "send_summary")
    assert inner["trace_parent_action_id"] == outer["action_id"]
    assert (outer["identity_agent_name"], inner["identity_agent_name"]) == (AGENT, "sender")


def test_the_shape_of_an_answer_is_no_action(ledger, model, rows):
    model.script([Call("Verdict", sent=True)], user=QUESTION)

    class Verdict(BaseModel):
        sent: bool

    agent = clerk(Ask(ledger, model.url, Desk()), [], response_format=ToolStrategy(Verdict))
    assert agent.invoke(ASKED, THREAD)["structured_response"] == Verdict(sent=True)
    assert rows(ACTIONS) == []


def test_users_at_once_of_one_agent_are_not_mixed_up(ledger, model, rows):
    script_pairs(model)
    ask = Ask(ledger, model.url, Desk())
    agent = clerk(ask, ask.desk.tools)

    def invoke(pair: tuple[str, str]) -> None:
        user, to = pair
        asked = {"messages": [{"role": "user", "content": f"Send the summary to {to}."}]}
        agent.invoke(asked, {"configurable": {"thread_id": f"of {user}", "user_id": user}})

    with ThreadPoolExecutor() as pool:
        list(pool.map(invoke, PAIRS.items()))
    check_pairs(rows, model)


def test_the_lines_of_the_page_record_an_action(page, model, rows):
    model.script([Call("send_summary", to="bob")], ANSWER, user=QUESTION)
    page("langchain")
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"]) == ("send_summary", "success")
    assert (row["identity_agent_name"], plain(row["identity_principal"])) == (AGENT, USER)
    assert (plain(row["request_text"]), row["decision_request_model"]) == (QUESTION, "gpt-5")


def test_the_lines_for_a_graph_of_ones_own_record_an_action(page, ledger, model, rows):
    model.script([Call("send_summary", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    page(
        "langchain",
        1,
        LedgerMiddleware=LedgerMiddleware,
        ToolNode=ToolNode,
        ledger=ledger,
        send_summary=ask.desk.send_summary,
        your_graph=lambda tools: around(ask, tools),
        asked=ASKED,
    )
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"]) == ("send_summary", "success")
    assert (plain(row["identity_principal"]), row["request_conversation_id"]) == (USER, "1")
    assert (plain(row["request_text"]), row["decision_request_model"]) == (QUESTION, MODEL)


def test_the_lines_that_describe_a_tool_complete_its_facets(page, ledger, model, rows):
    model.script([Call("send_summary", to="bob")], ANSWER)
    ask = Ask(ledger, model.url, Desk())
    told = page("README", LedgerMiddleware=LedgerMiddleware, ledger=ledger)
    recorder = LedgerMiddleware(ledger, describe=told["describe"])
    create_agent(model_of(ask), ask.desk.tools, middleware=[recorder], name=AGENT).invoke(ASKED, THREAD)
    (row,) = rows(ACTIONS)
    assert (row["facets_missing"], row["tool_effect"], row["resource_id"]) == ([], "send", "bob")
