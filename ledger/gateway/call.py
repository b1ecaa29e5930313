"""One recorded request, from its intent to what came of it, in the record's terms."""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from ledger.client import Action
from ledger.gateway import raw
from ledger.gateway.message import NAMED_BY, Answer, Message
from ledger.gateway.policy import Verdict

TOOL_ERROR: Final = "tool_error"  # as OpenTelemetry's conventions for MCP name a result with isError
SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31}):")
READING: Final = frozenset({"resources/read", "prompts/get"})

Facet = dict[str, Any]
Unanswered = Literal["failure", "denied", "timeout", "cancelled", "unknown"]


class Call:
    """The SDK's action, with what MCP says of its end.

    Attributes:
        action: the action.
        message: the request.
        verdict: what the policy says of it.
        agent: the record's `identity`.
    """

    def __init__(self, action: Action, message: Message, verdict: Verdict, agent: Facet) -> None:
        self.action = action
        self.message = message
        self.verdict = verdict
        self.agent = agent

    def answered(self, answer: Answer) -> None:
        """The server answered."""
        if not answer.plain:
            self.action.end("unknown", raw.unreadable(answer.data), error_type="mcp.ambiguous_answer")
        elif answer.error is not None:
            said = raw.kept(raw.member(answer.data, "error"))
            self.action.end("failure", said, error_type=_code(answer.error))
        else:
            status, error_type = _ending(answer.result)
            self.action.end(status, raw.kept(raw.member(answer.data, "result")), error_type=error_type)

    def end(self, status: Unanswered, error_type: str) -> None:
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
    # It runs on; tasks/… will say what came of it.
    if kind == "task" or isinstance(result.get("task"), Mapping):
        return "unknown", "mcp.task"
    return "success", None


def tool_of(message: Message) -> Facet:
    """The record's `tool` for a request, without the arguments."""
    method = message.method or ""
    # A resource's URI is an argument like any other and may name a person: it is not a fact.
    name = message.params.get("name") if method in {"tools/call", "prompts/get"} else method
    made: Facet = {"name": name, "operation": method, "protocol": "mcp"}
    return made | {"effect": "read"} if method in READING else made


def arguments_of(message: Message) -> msgspec.Raw | None:
    """What the request passes to the server, as sent: a call's arguments; any other method's parameters, `_meta` apart."""
    params = raw.member(message.data, "params")
    if message.method == "tools/call":
        return raw.member(params, "arguments")
    return raw.without(params, ["_meta"])


def judged(message: Message) -> Mapping[str, Any]:
    """The same, as rules read it."""
    if message.method != "tools/call":
        return message.params
    arguments = message.params.get("arguments")
    return arguments if isinstance(arguments, dict) else {}


def judged_name(message: Message) -> str:
    """What rules call `tools`: what the server goes by. A `name` beside a resource's URI means nothing to it, and hides none."""
    method, params = message.method or "", message.params
    if method in NAMED_BY:
        return str(params.get(NAMED_BY[method]))
    return str(params.get("name") or params.get("uri") or method)


def resource_of(message: Message) -> Facet | None:
    """What kind of resource is read, by the scheme of its URI."""
    match = SCHEME.match(str(message.params.get("uri", ""))) if message.method == "resources/read" else None
    return {"type": match[1].lower()} if match else None
