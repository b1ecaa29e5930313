"""Pydantic AI: both of OpenAI's model APIs, refusals by hooks and toolsets, approvals, agents that call agents."""

import asyncio
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.capabilities import Hooks
from pydantic_ai.exceptions import SkipToolExecution
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from ledger.client.adapters.pydantic_ai import LedgerCapability
from tests.frameworks.claims import AGENT, MODEL, Ask, Claims


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
        capabilities = [refusing(ask.deny), LedgerCapability(ask.ledger)]
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
