"""One recorded request, from its intent to what came of it, in the record's terms."""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from ledger.client.action import Action
from ledger.gateway.message import Answer, Message

TOOL_ERROR: Final = "tool_error"  # as OpenTelemetry's conventions for MCP name a result with isError
SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31}):")
READING: Final = frozenset({"resources/read", "prompts/get"})

Facet = dict[str, Any]


class Call:
    """Wraps the SDK's action with what MCP says of its end."""

    def __init__(self, action: Action, message: Message) -> None:
        self.action = action
        self.message = message

    def answered(self, answer: Answer) -> None:
        """The server answered."""
        if not answer.plain:
            said = answer.error if answer.error is not None else answer.result
            self.action.end("unknown", said, error_type="mcp.ambiguous_answer")
        elif answer.error is not None:
            self.action.end("failure", answer.error, error_type=_code(answer.error))
        else:
            status, error_type = _ending(answer.result)
            self.action.end(status, answer.result, error_type=error_type)

    def end(
        self, status: Literal["failure", "denied", "timeout", "cancelled", "unknown"], error_type: str
    ) -> None:
        """It ended without an answer."""
        self.action.end(status, error_type=error_type)


def _code(error: object) -> str:
    code = error.get("code") if isinstance(error, Mapping) else None
    return str(code) if isinstance(code, int | str) else "error"


def _ending(result: object) -> tuple[Literal["success", "failure", "unknown"], str | None]:
    if not isinstance(result, Mapping):
        return "success", None
    if result.get("isError") is True:
        return "failure", TOOL_ERROR
    kind = result.get("resultType")  # 2026-07-28
    if kind == "input_required":  # the server asks something first; the client calls again with the answer
        return "unknown", "mcp.input_required"
    if kind == "task" or isinstance(
        result.get("task"), Mapping
    ):  # it runs on; tasks/… will say what came of it
        return "unknown", "mcp.task"
    return "success", None


def tool_of(message: Message) -> Facet:
    """The record's `tool` for a request, without the arguments."""
    method = message.method or ""
    # A resource's URI is an argument like any other and may name a person: it is not a fact.
    name = message.params.get("name") if method in {"tools/call", "prompts/get"} else method
    made: Facet = {"name": name, "operation": method, "protocol": "mcp"}
    return made | {"effect": "read"} if method in READING else made


def arguments_of(message: Message) -> Any:
    """What the request passes to the server: the arguments of a call; of any other method its parameters, `_meta` apart."""
    if message.method == "tools/call":
        return message.params.get("arguments")
    return {name: value for name, value in message.params.items() if name != "_meta"} or None


def resource_of(message: Message) -> Facet | None:
    """What kind of resource is read, by the scheme of its URI."""
    match = SCHEME.match(str(message.params.get("uri", ""))) if message.method == "resources/read" else None
    return {"type": match[1].lower()} if match else None
