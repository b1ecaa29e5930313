"""Microsoft Agent Framework: chat completions and responses, approvals, handoffs."""

import asyncio
from typing import Any

from agent_framework import (
    Agent,
    AgentSession,
    FunctionInvocationContext,
    FunctionMiddleware,
    MiddlewareTermination,
)
from agent_framework.openai import OpenAIChatClient, OpenAIChatCompletionClient

from ledger.client.adapters.agent_framework import LedgerMiddleware
from tests.frameworks.claims import AGENT, MODEL, Ask, Claims


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
        middleware = [LedgerMiddleware(ask.ledger), Deny(ask.deny)]
        return Agent(client, "You are a clerk.", name=AGENT, tools=ask.desk.tools, middleware=middleware)

    def drive(self, ask: Ask) -> str:
        return asyncio.run(run(self.agent(ask), ask))


class TestChatCompletions(AgentFrameworkClaims):
    client = OpenAIChatCompletionClient


class TestResponses(AgentFrameworkClaims):
    client = OpenAIChatClient
