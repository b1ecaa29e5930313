"""What OpenAI's two chat APIs send over the wire: objects and server-sent events, made of one answer of a model.

Source of the formats: OpenAI's API reference (chat completions, responses), as the `openai` package reads them.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CREATED = 1_767_225_600  # a fixed clock: what a server says twice is the same bytes


@dataclass(frozen=True)
class ToolCall:
    """One call in an answer: its id, the tool, and its arguments as JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Answer:
    """What the model answers to one request."""

    response_id: str
    model: str
    text: str
    calls: tuple[ToolCall, ...]

    @property
    def finish_reason(self) -> str:
        return "tool_calls" if self.calls else "stop"


def _pieces(text: str) -> list[str]:
    """A text in two parts, as a stream would bring it."""
    middle = (len(text) + 1) // 2
    return [piece for piece in (text[:middle], text[middle:]) if piece]


# Chat completions ------------------------------------------------------------------------------------------------------


def chat_completion(answer: Answer) -> dict[str, Any]:
    """The body of an answer that is not streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in answer.calls
        ]
    choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason, "logprobs": None}
    return {**_chat_head(answer, "chat.completion"), "choices": [choice], "usage": _chat_usage()}


def chat_chunks(answer: Answer, *, usage: bool) -> Iterator[dict[str, Any]]:
    """The events of a streamed answer. `usage`: whether the request asked for `stream_options.include_usage`."""
    yield _chat_chunk(answer, {"role": "assistant", "content": ""})
    for piece in _pieces(answer.text):
        yield _chat_chunk(answer, {"content": piece})
    for index, call in enumerate(answer.calls):
        function = {"name": call.name, "arguments": ""}
        start = {"index": index, "id": call.id, "type": "function", "function": function}
        yield _chat_chunk(answer, {"tool_calls": [start]})
        for piece in _pieces(call.arguments):
            yield _chat_chunk(answer, {"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield _chat_chunk(answer, {}, answer.finish_reason)
    if usage:
        yield {**_chat_head(answer, "chat.completion.chunk"), "choices": [], "usage": _chat_usage()}


def _chat_head(answer: Answer, kind: str) -> dict[str, Any]:
    return {"id": answer.response_id, "object": kind, "created": CREATED, "model": answer.model}


def _chat_chunk(answer: Answer, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
    return {**_chat_head(answer, "chat.completion.chunk"), "choices": [choice]}


def _chat_usage() -> dict[str, Any]:
    return {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


# Responses -------------------------------------------------------------------------------------------------------------


def response_items(answer: Answer) -> list[dict[str, Any]]:
    """The items of a response's output, which a client sends back as history."""
    items: list[dict[str, Any]] = []
    if answer.text:
        part = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
        items.append(
            {
                "type": "message",
                "id": f"msg_{answer.response_id}",
                "status": "completed",
                "role": "assistant",
                "content": [part],
            }
        )
    return items + [
        {
            "type": "function_call",
            "id": f"fc_{call.id}",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
            "status": "completed",
        }
        for call in answer.calls
    ]


def response(answer: Answer, asked: dict[str, Any], *, status: str = "completed") -> dict[str, Any]:
    """The response object. `asked`: the request's body, parts of which a response repeats."""
    done = status == "completed"
    return {
        "id": answer.response_id,
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "metadata": asked.get("metadata") or {},
        "model": answer.model,
        "output": response_items(answer) if done else [],
        "parallel_tool_calls": True,
        "previous_response_id": asked.get("previous_response_id"),
        "temperature": 1.0,
        "tool_choice": asked.get("tool_choice") or "auto",
        "tools": asked.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": _response_usage() if done else None,
    }


def response_events(answer: Answer, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The events of a streamed response, numbered."""
    for number, event in enumerate(_response_events(answer, asked)):
        yield {**event, "sequence_number": number}


def _response_events(answer: Answer, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    begun = response(answer, asked, status="in_progress")
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(response_items(answer)):
        yield from _message_events(index, item) if item["type"] == "message" else _call_events(index, item)
    yield {"type": "response.completed", "response": response(answer, asked)}


def _message_events(index: int, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    at = {"output_index": index, "item_id": item["id"], "content_index": 0}
    part = item["content"][0]
    yield {
        "type": "response.output_item.added",
        "output_index": index,
        "item": {**item, "status": "in_progress", "content": []},
    }
    yield {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}
    for piece in _pieces(part["text"]):
        yield {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **at, "part": part}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _call_events(index: int, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    at = {"output_index": index, "item_id": item["id"]}
    yield {
        "type": "response.output_item.added",
        "output_index": index,
        "item": {**item, "status": "in_progress", "arguments": ""},
    }
    for piece in _pieces(item["arguments"]):
        yield {"type": "response.function_call_arguments.delta", **at, "delta": piece}
    yield {
        "type": "response.function_call_arguments.done",
        **at,
        "name": item["name"],
        "arguments": item["arguments"],
    }
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _response_usage() -> dict[str, Any]:
    return {
        "input_tokens": 11,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 18,
    }


def event(value: dict[str, Any], *, named: bool) -> bytes:
    """One server-sent event. Those of the responses API carry their type as their name, too."""
    name = f"event: {value['type']}\n" if named else ""
    return f"{name}data: {json.dumps(value)}\n\n".encode()
