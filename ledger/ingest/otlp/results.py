"""Whole results that a library serialises into one attribute: LangChain's of a model call and of a tool (OpenInference, LangSmith and
Traceloop pass them on as text), OpenAI's of a model call.
"""

from typing import Any, Final, NamedTuple

from ledger.ingest.otlp.embedded import structure
from ledger.ingest.otlp.messages import Message, message, read

_TOLD: Final = frozenset({"content", "tool_call_id", "status", "type"})


class Generation(NamedTuple):
    """A model's answer. `rest` is what the result says besides the messages."""

    messages: list[Message]
    response_id: object
    model: object
    finish_reason: object
    rest: dict[str, Any]


class ToolMessage(NamedTuple):
    """What a tool returned. `rest` is what the message says besides it."""

    content: Any
    call_id: object
    status: object
    rest: dict[str, Any]


def generation(value: object) -> Generation | None:
    """A model call's result; None if it is none.

    LangChain: `{"generations": [[{"message": …}]], "llm_output": …}`. OpenAI: `{"id", "choices": [{"message": …}]}`, `{"id", "output": […]}`.
    """
    found = structure(value)
    if not isinstance(found, dict):
        return None
    if isinstance(found.get("generations"), list):
        return _langchain(found, found["generations"])
    for name in ("choices", "output"):
        if isinstance(found.get("id"), str) and isinstance(found.get(name), list):
            messages = read(found[name], "assistant") or []
            reason = messages[0].get("finish_reason") if messages else None
            rest = {key: member for key, member in found.items() if key != name}
            return Generation(messages, found["id"], found.get("model"), reason, rest)
    return None


def tool_message(value: object) -> ToolMessage | None:
    """A ToolMessage in any of its forms, also as the `output` of a run, or text beside the `kwargs` of a callback; None if it is none."""
    outer = structure(value)
    if not isinstance(outer, dict):
        return None
    beside = {name: member for name, member in outer.items() if name != "output"} if "output" in outer else {}
    message = structure(outer["output"]) if "output" in outer else outer
    fields = _fields(message) if isinstance(message, dict) else {}
    if fields.get("type") == "tool" and "tool_call_id" in fields:
        rest = {name: member for name, member in fields.items() if name not in _TOLD and member}
        return ToolMessage(
            fields.get("content"), fields["tool_call_id"], fields.get("status"), {**beside, **rest}
        )
    call_id = _object(beside.get("kwargs")).get("tool_call_id")
    return None if call_id is None else ToolMessage(outer["output"], call_id, None, beside)


def _fields(message: dict[str, Any]) -> dict[str, Any]:
    """A message's own fields, also of one that LangChain serialised with its constructor."""
    for inner, outer in (("kwargs", {"kwargs", "type"}), ("data", {"data"})):
        if isinstance(message.get(inner), dict):
            return {
                **{name: member for name, member in message.items() if name not in outer},
                **message[inner],
            }
    return message


def _langchain(found: dict[str, Any], batches: list[Any]) -> Generation | None:
    answers = [answer for batch in batches if isinstance(batch, list) for answer in batch]
    if not answers or len(batches) != sum(isinstance(batch, list) for batch in batches):
        return None
    if not all(isinstance(answer, dict) for answer in answers):
        return None
    messages = [_message(answer) for answer in answers]
    metadata, info = (_object(messages[0].get(name)) for name in ("response_metadata", "generation_info"))
    reason = metadata.get("finish_reason") or info.get("finish_reason")
    rest = {name: member for name, member in found.items() if name != "generations"}
    return Generation(messages, metadata.get("id"), metadata.get("model_name"), reason, rest)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _message(answer: dict[str, Any]) -> Message:
    said = answer.get("message")
    if not isinstance(said, dict):
        return (
            message(answer.get("text"), "assistant")
            if isinstance(answer.get("text"), str)
            else message(answer, "assistant")
        )
    rest = {
        name: member for name, member in answer.items() if name not in {"message", "text", "type"} and member
    }
    return {**rest, **message(said, "assistant")}
