"""LangChain agents and graphs of LangGraph: both of OpenAI's model APIs, sync and async, refusals, interrupts, handoffs."""

import asyncio
from dataclasses import dataclass
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessageChunk, ToolMessage
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver

from ledger.client.adapters.langchain import LedgerMiddleware
from tests.frameworks.claims import ACTIONS, AGENT, ANSWER, MODEL, QUESTION, USER, Ask, Claims, plain
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
            middleware=[LedgerMiddleware(ask.ledger), Deny(ask.deny)],
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


def test_the_lines_of_the_page_record_an_action(page, model, rows):
    model.script([Call("send_summary", to="bob")], ANSWER, user=QUESTION)
    page("langchain")
    (row,) = rows(ACTIONS)
    assert (row["tool_name"], row["outcome_status"]) == ("send_summary", "success")
    assert (row["identity_agent_name"], plain(row["identity_principal"])) == (AGENT, USER)
    assert (plain(row["request_text"]), row["decision_request_model"]) == (QUESTION, "gpt-5")
