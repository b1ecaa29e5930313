"""OpenAI Agents SDK: both of its model APIs, guardrails, approvals, handoffs."""

import asyncio
from typing import Any

import openai
from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    SQLiteSession,
    ToolGuardrailFunctionOutput,
    function_tool,
    set_trace_processors,
    tool_input_guardrail,
)

from ledger.client.adapters.openai_agents import LedgerRunner
from tests.frameworks.claims import AGENT, MODEL, Ask, Claims

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
        runner = LedgerRunner(ask.ledger)
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
