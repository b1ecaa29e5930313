"""What every library calls it: the attributes that hold one and the same thing, the surest first.

Sources: OpenTelemetry GenAI semantic conventions 1.27 to 1.40 (`gen_ai.*`), OpenInference (`llm.*`, `session.id`, …), Traceloop's OpenLLMetry
(`traceloop.*`, `llm.*`), LangSmith's OTel export (`langsmith.*`), pydantic-ai, and what their captures show.
"""

from typing import Final

Names = tuple[str, ...]

PROVIDER: Final[Names] = (
    "gen_ai.provider.name",
    "gen_ai.system",
    "llm.provider",
    "llm.system",
    "langsmith.metadata.ls_provider",
)
REQUEST_MODEL: Final[Names] = (
    "gen_ai.request.model",
    "llm.request.model",
    "langsmith.metadata.ls_model_name",
)
RESPONSE_MODEL: Final[Names] = ("gen_ai.response.model", "llm.response.model")
MODEL: Final[Names] = ("llm.model_name",)
RESPONSE_ID: Final[Names] = ("gen_ai.response.id",)
FINISH_REASON: Final[Names] = (
    "gen_ai.response.finish_reason",
    "llm.finish_reason",
    "llm.response.finish_reason",
    "gen_ai.completion.0.finish_reason",
)
INPUT_TOKENS: Final[Names] = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.token_count.prompt",
    "llm.usage.prompt_tokens",
)
OUTPUT_TOKENS: Final[Names] = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "llm.usage.completion_tokens",
)
CONVERSATION: Final[Names] = (
    "gen_ai.conversation.id",
    "langsmith.metadata.thread_id",
    "traceloop.association.properties.thread_id",
    "session.id",
    "langsmith.metadata.session_id",
    "traceloop.association.properties.session_id",
)
AGENT_ID: Final[Names] = ("gen_ai.agent.id", "crewai.agent.id")
AGENT_NAME: Final[Names] = (
    "gen_ai.agent.name",
    "agent.name",
    "agent_name",
    "crewai.agent.role",
    "langsmith.metadata.lc_agent_name",
)
AGENT_VERSION: Final[Names] = ("gen_ai.agent.version",)
TOOL_NAME: Final[Names] = ("gen_ai.tool.name", "tool.name", "traceloop.entity.name")
CALL_ID: Final[Names] = ("gen_ai.tool.call.id", "tool_call.id")
TOOL_TYPE: Final[Names] = ("gen_ai.tool.type",)
ARGUMENTS: Final[Names] = (
    "gen_ai.tool.call.arguments",
    "tool_arguments",
    "input.value",
    "gen_ai.prompt",
    "traceloop.entity.input",
)
RESULT: Final[Names] = (
    "gen_ai.tool.call.result",
    "tool_response",
    "output.value",
    "gen_ai.completion",
    "traceloop.entity.output",
    "code.function.return.value",
)
# A person, as an app says of itself.
PRINCIPAL: Final[Names] = (
    "enduser.id",
    "user.id",
    "gen_ai.user",
    "traceloop.association.properties.user_id",
    "langsmith.metadata.user_id",
)
# JSON objects in which an app may name the person, and under what.
WITHIN: Final[Names] = ("metadata", "crew_inputs")
PRINCIPAL_WITHIN: Final = (("metadata", "user_id"), ("metadata", "user"), ("crew_inputs", "user_id"))
