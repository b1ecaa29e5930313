"""A model's answer in the shapes that agents' own hooks show, as the messages of OpenTelemetry's GenAI conventions.

Format: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ (gen_ai.output.messages)
"""

import json
from typing import Any


def assistant(message: object) -> list[dict[str, Any]] | None:
    """One assistant message as `[{"role", "parts"}]`, None where it is none.

    Args:
        message: OpenAI's shape (`content`, `tool_calls`), or a list of typed blocks as `content` (`text`, `toolCall`, `tool_use`).
    """
    if not isinstance(message, dict):
        return None
    content, calls = message.get("content"), message.get("tool_calls")
    parts = [_block(block) for block in content] if isinstance(content, list) else _text(content)
    parts += [_call(call) for call in calls] if isinstance(calls, list) else []
    return [{"role": message.get("role", "assistant"), "parts": parts}] if parts else None


def _text(content: object) -> list[dict[str, Any]]:
    return [{"type": "text", "content": content}] if isinstance(content, str) and content else []


def _block(block: object) -> dict[str, Any]:
    if not isinstance(block, dict):
        return {"type": "text", "content": block}
    kind = block.get("type")
    if kind == "text":
        return {"type": "text", "content": block.get("text")}
    if kind in ("toolCall", "tool_use"):
        arguments = block.get("arguments", block.get("input"))
        return {
            "type": "tool_call",
            "id": block.get("id"),
            "name": block.get("name"),
            "arguments": value_of(arguments),
        }
    return block


def _call(call: object) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict):
        return {"type": "tool_call", "call": call}
    return {
        "type": "tool_call",
        "id": call.get("id"),
        "name": function.get("name"),
        "arguments": value_of(function.get("arguments")),
    }


def value_of(arguments: object) -> object:
    """Arguments as one JSON value: providers write them as a text that holds JSON."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
