"""What the captures of `shared/otlp` hold, by hand: from each one's meta.json, and design/framework-telemetry.md for what telemetry lacks.

An action that meta.json does not list is named with its reason. None: the telemetry does not say it, so a row that does made it up.
"""

from collections.abc import Iterable
from typing import NamedTuple

ALICE = "alice@example.com"
AGENT = "FinanceAgent"
REQUESTS = {
    "read_file": "Please read_file /data/q3/report.csv and summarise it for the CFO.",
    "transfer_funds": "Please transfer_funds 5000 from ACC-1 to ACC-9.",
    "delete_file": "Please delete_file /data/q3/report.csv.",
}
ARGUMENTS = {
    "read_file": {"path": "/data/q3/report.csv"},
    "transfer_funds": {"from_account": "ACC-1", "to_account": "ACC-9", "amount": 5000},
    "delete_file": {"path": "/data/q3/report.csv"},
}
RESOURCES = {
    "read_file": "/data/q3/report.csv",
    "transfer_funds": "ACC-9",
    "delete_file": "/data/q3/report.csv",
}
FACETS = ("request", "decision", "arguments", "agent", "principal", "resource", "policy", "outcome")


class Action(NamedTuple):
    """One tool call as the view should tell it.

    Attributes:
        tool: its name, without the plugin before it.
        request: the user's words.
        decision: provider/model.
        policy: its effect.
        outcome: the status of an observed execution; of one that was not observed None, and "denied" where somebody said so.
    """

    tool: str
    request: str | None
    decision: str | None
    arguments: object
    agent: str | None
    principal: str | None
    resource: str | None
    policy: str | None
    outcome: str | None


def calls(
    tools: Iterable[str],
    outcomes: Iterable[str | None],
    decision: str | None,
    agent: str | None = None,
    principal: str | None = None,
) -> list[Action]:
    """Calls that a model made, of which the telemetry has the request, the arguments and, in them, the resource."""
    return [
        Action(
            tool, REQUESTS[tool], decision, ARGUMENTS[tool], agent, principal, RESOURCES[tool], None, outcome
        )
        for tool, outcome in zip(tools, outcomes, strict=True)
    ]


def on_the_wire(outcomes: Iterable[str], *, agent: str | None, resource: str | None) -> list[Action]:
    """MCP alone: no words, no model, no arguments."""
    tools = ("read_file", "transfer_funds", "no_such_tool")
    return [
        Action(tool, None, None, None, agent, None, resource, None, outcome)
        for tool, outcome in zip(tools, outcomes, strict=True)
    ]


ALL = ("read_file", "transfer_funds", "delete_file")
GPT = "openai/fake-gpt-2026-01-01"
ONCE = ("read_file",)
OK, FAILED, UNKNOWN = "success", "failure", "unknown"

AGENT_FRAMEWORK = [  # the denial ends the run before the tool's span: it is in no status
    *calls(ALL, (OK, None, FAILED), GPT, AGENT),
    *calls(ONCE, (OK,), GPT, "FinanceAgentChat"),
]
TRUTH: dict[str, list[Action]] = {
    "a2a-client": [],
    "a2a-server": [],
    "ag2": calls(ALL, (OK, FAILED, FAILED), GPT, AGENT, ALICE),
    "agent-framework": AGENT_FRAMEWORK,
    "agent-framework-json": AGENT_FRAMEWORK,
    "agt": [  # governance events: an action, an agent and a verdict
        Action(
            "transfer_funds", None, None, {"amount": 5000}, AGENT, None, "account:ACC-9", "deny", "denied"
        ),
        Action("read_file", None, None, None, AGENT, None, "/data/q3/report.csv", "allow", None),
    ],
    "autogen-agentchat": [  # no model is named anywhere; the fourth run's agent is called without messages: a bare tool span
        *calls(ALL, (OK, OK, FAILED), None, AGENT),
        Action("read_file", None, None, None, "FinanceAgentDirect", None, None, None, OK),
    ],
    "azure-ai-projects": [
        *calls(ONCE, (OK,), "microsoft.foundry/fake-gpt-2026-01-01"),
        *calls(
            ONCE, (None,), "microsoft.foundry/fake-gpt-2026-01-01", AGENT
        ),  # the third call, by agent reference
    ],
    "crewai-openinference": calls(ALL, (OK, None, FAILED), None, AGENT, ALICE),
    "e2e-maf-fastmcp": calls(ALL[:2], (OK, FAILED), GPT, AGENT, ALICE),
    # A client's span without a status says that it was answered, not how. The mcp client's spans meet the server's, two senders' (below).
    "fastmcp-client": on_the_wire((UNKNOWN, FAILED, FAILED), agent=AGENT, resource=None),
    "langgraph-langsmith": calls(ALL, (OK, None, FAILED), GPT, AGENT, ALICE),
    "langgraph-openinference": calls(ALL, (OK, None, FAILED), GPT, AGENT, ALICE),
    "mcp-client": on_the_wire((OK, FAILED, FAILED), agent=AGENT, resource="mcp-server-demo"),
    "mcp-server": on_the_wire((OK, FAILED, FAILED), agent=AGENT, resource="mcp-server-demo"),
    "openai-agents-traceloop": [
        *calls(ALL, (OK, OK, FAILED), GPT, AGENT),
        *calls(
            ONCE, (OK,), "openai/fake-gpt", "FinanceAgentChat"
        ),  # streamed: the model that answered is not told
    ],
    "provider-bedrock-traceloop": calls(ONCE, (None,), "aws.bedrock/claude-fake"),
    "provider-botocore": calls(ONCE, (None,), "aws.bedrock/anthropic.claude-fake"),
    "provider-genai": calls(ONCE, (OK,), "gemini/gemini-fake-1"),
    "provider-ollama": calls(ONCE, (None,), "Ollama/llama-fake"),
    # The same call once more, streamed, which meta.json does not list.
    "provider-openai-traceloop": calls(ONCE * 2, (None, None), GPT, None, ALICE),
    "provider-openai-v2": calls(ONCE * 2, (None, None), GPT),
    "pydantic-ai": calls(ALL, (OK, FAILED, FAILED), GPT, AGENT, ALICE),
    "pydantic-ai-json": calls(ALL, (OK, FAILED, FAILED), GPT, AGENT, ALICE),
    "ray-serve": [],
    "semantic-kernel": calls(ALL, (OK, OK, FAILED), "openai/fake-gpt", AGENT),
}
