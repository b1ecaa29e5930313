"""Which kind of span it is: the first question to every span, and the only one that decides what records it gives."""

from typing import Final, Literal

from ledger.ingest.otlp.spans import Span

Kind = Literal["transport", "mcp", "tool", "chat", "agent", "hop", "other"]

# What a server does for a client on request, as opposed to introducing itself: the methods that touch something.
MCP_ACTIONS: Final = frozenset({"tools/call", "resources/read", "prompts/get"})

_CHAT_OPERATIONS: Final = frozenset({"chat", "generate_content", "text_completion"})
_AGENT_OPERATIONS: Final = frozenset({"invoke_agent", "conversation"})
_OPENINFERENCE: Final[dict[object, Kind]] = {"TOOL": "tool", "LLM": "chat", "AGENT": "agent"}
_TRACELOOP: Final[dict[object, Kind]] = {"tool": "tool", "agent": "agent"}
_LANGSMITH: Final[dict[object, Kind]] = {"tool": "tool", "llm": "chat"}
_REQUEST_TYPES: Final = frozenset({"chat", "completion"})


def transport_of(scope: str) -> str | None:
    """The library whose spans say only that bytes travelled: "a2a", "ray", or None."""
    if scope == "a2a-python-sdk":
        return "a2a"
    return "ray" if scope.startswith("ray.") else None


def kind_of(span: Span) -> Kind:
    """A span's kind. What a transport's library says of an action is an action: nobody hides one behind the name of a scope."""
    kind = _said(span)
    return "transport" if kind == "other" and transport_of(span.scope) else kind


def _said(span: Span) -> Kind:  # noqa: PLR0911 - one rule a line, in order
    """What its attributes say. MCP comes before tools: the MCP SDK's server says both of its spans."""
    attributes = span.attributes
    if _word(attributes.get("mcp.method.name")) in MCP_ACTIONS:
        return "mcp"
    operation = _word(attributes.get("gen_ai.operation.name"))
    openinference = _OPENINFERENCE.get(_word(attributes.get("openinference.span.kind")))
    if operation == "execute_tool" or openinference == "tool" or _traced_function(span):
        return "tool"
    if operation in _CHAT_OPERATIONS or openinference == "chat" or span.name == "ollama.chat":
        return "chat"
    if operation in _AGENT_OPERATIONS or openinference == "agent":
        return "agent"
    if span.scope.startswith("autogen ") and "message" in attributes:
        return "hop"
    if operation is None or operation == "chain":
        if _word(attributes.get("llm.request.type")) in _REQUEST_TYPES:
            return "chat"
        return (
            _TRACELOOP.get(_word(attributes.get("traceloop.span.kind")))
            or _LANGSMITH.get(_word(attributes.get("langsmith.span.kind")))
            or "other"
        )
    return "other"


def _word(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _traced_function(span: Span) -> bool:
    """Azure's `@trace_function`: no word of GenAI, only the function's parameters and the name the app gave the span."""
    return span.name.startswith("execute_tool ") and any(
        isinstance(name, str) and name.startswith("code.function.") for name in span.attributes
    )
