"""What the gateway answers itself, as the protocol has it: so that a client, and the model behind it, understands why."""

import json
from collections.abc import Callable
from typing import Any, Final

from ledger.gateway.message import Message, Refused

# -32000 to -32019 are an implementation's own (MCP 2026-07-28).
DENIED: Final = -32010
NOT_RECORDED: Final = -32011
UPSTREAM: Final = -32012
CANCELLED: Final = -32800  # as the official SDK's servers answer a request that was cancelled (and LSP)
MODERN: Final = "io.modelcontextprotocol/protocolVersion"

Reply = dict[str, Any]
Replier = Callable[[Message], Reply]


def denied(rule: str, reason: str) -> Replier:
    """A call that policy does not allow: for a tool a result with `isError`, which the model reads; otherwise an error."""
    text = f"denied by policy, rule {rule}" + (f": {reason}" if reason else "")

    def reply(message: Message) -> Reply:
        if message.method != "tools/call":
            return error(message.id, DENIED, text)
        result: dict[str, Any] = {"content": [{"type": "text", "text": text}], "isError": True}
        if MODERN in message.meta:
            result["resultType"] = "complete"
        return {"jsonrpc": "2.0", "id": message.id, "result": result}

    return reply


def not_recorded(why: str) -> Replier:
    """A call that was not passed on because its intent is not durable."""
    text = f"not passed to the server: the ledger could not record it ({why})"
    return lambda message: error(message.id, NOT_RECORDED, text)


def error(identifier: object, code: int, text: str) -> Reply:
    """A JSON-RPC error."""
    return {"jsonrpc": "2.0", "id": identifier, "error": {"code": code, "message": text}}


def refusals(refused: Refused) -> list[Reply]:
    """What to answer to a message that was refused."""
    return [error(identifier, refused.code, refused.detail) for identifier in refused.ids or (None,)]


def encoded(reply: Reply | list[Reply]) -> bytes:
    """As bytes of one line."""
    return json.dumps(reply, ensure_ascii=False, separators=(",", ":")).encode()
