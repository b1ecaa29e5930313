"""Every shape of a chat's messages → one: `{"role", "parts": [{"type": "text", "content"} | {"type": "tool_call", "id", "name",
"arguments"} | {"type": "tool_call_response", "id", "response"} | as it was sent]}`, the shape of the OpenTelemetry GenAI conventions.

Read: GenAI conventions in their versions, OpenAI's chat and responses, Anthropic, Bedrock Converse, Gemini, LangChain. What a message or a
part says beyond that stays in it under its own name; nothing is dropped but what is empty.
"""

from typing import Any, Final

from ledger.ingest.otlp.embedded import arguments, structure

Message = dict[str, Any]

_ROLES: Final = {
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "function": "tool",
    "AIMessageChunk": "assistant",
}
_LANGCHAIN: Final = {
    "HumanMessage": "user",
    "AIMessage": "assistant",
    "AIMessageChunk": "assistant",
    "SystemMessage": "system",
    "ToolMessage": "tool",
    "FunctionMessage": "tool",
}
_CONVENTIONAL: Final = frozenset({"role", "parts", "finish_reason", "name"})
# OpenInference puts one level between a list and its items.
_WRAPPED: Final = ("message", "tool_call", "message_content")
_EMPTY: Final[tuple[object, ...]] = (None, "", [], {})
_TEXTS: Final = frozenset({"text", "input_text", "output_text"})
_CALLS: Final = frozenset({"tool_call", "function", "tool_use", "function_call"})
_RESPONSES: Final = frozenset({"tool_call_response", "tool_result", "function_call_output"})
# Bedrock and Gemini name a part by its only key.
_KEYED_CALLS: Final = ("toolUse", "tool_use", "functionCall", "function_call")
_KEYED_RESPONSES: Final = ("toolResult", "tool_result", "functionResponse", "function_response")


def read(value: object, role: str) -> list[Message] | None:
    """Messages of any shape, or None where it cannot be told what they are.

    Args:
        value: a list, an object, or the text of one.
        role: whose message it is, where it does not say: "user" or "assistant".
    """
    value = structure(value)
    if isinstance(value, str):
        return None if not value or value.lstrip()[:1] in {"[", "{"} else [_text_message(value, role)]
    if isinstance(value, dict):
        value = value.get("messages", [value])
    if not isinstance(value, list):
        return None
    if value and all(isinstance(item, list) for item in value):  # LangChain's batch of conversations
        value = [message for batch in value for message in batch]
    found = [message(item, role) for item in value]
    return found or None


def message(value: object, role: str) -> Message:
    """One message in the one shape."""
    if not isinstance(value, dict):
        return (
            _text_message(value, role) if isinstance(value, str) else {"role": role, "parts": [part(value)]}
        )
    if type(value.get("parts")) is list and value.keys() <= _CONVENTIONAL and type(value.get("role")) is str:
        fields = {name: member for name, member in value.items() if member not in _EMPTY}
        return {
            **fields,
            "role": _ROLES.get(value["role"], value["role"]),
            "parts": [part(item) for item in value["parts"]],
        }
    kind = _word(value.get("type"))
    if kind in _CALLS or kind in _RESPONSES:  # an item of OpenAI's responses
        return {"role": "tool" if kind in _RESPONSES else "assistant", "parts": [part(value)]}
    fields = dict(_langchain(value))
    role = _role(fields, role)
    call_id = fields.pop("tool_call_id", None)
    if call_id is None and role == "tool" and "parts" not in fields:
        call_id = fields.pop("id", None)
    said = [
        *_parts(fields.pop("parts", None)),
        *_parts(fields.pop("contents", None)),
        *_parts(fields.pop("content", None)),
    ]
    calls = _calls(fields)
    if calls:
        said = [item for item in said if item.get("type") != "tool_call"] + calls
    if (role == "tool" or call_id is not None) and not any(
        item.get("type") == "tool_call_response" for item in said
    ):
        said = [{"type": "tool_call_response", "id": call_id, "response": _joined(said)}]
    rest = {name: member for name, member in fields.items() if member not in _EMPTY}
    return {**rest, "role": role, "parts": said}


def part(value: object) -> dict[str, Any]:
    """One part of a message in the one shape; one that is not known stays as it was sent."""
    if not isinstance(value, dict):
        return {"type": "text", "content": value}
    fields = next((value[name] for name in _WRAPPED if isinstance(value.get(name), dict)), value)
    kind = _word(fields.get("type"))
    call = next((fields[name] for name in _KEYED_CALLS if isinstance(fields.get(name), dict)), None)
    if call is not None or kind in _CALLS or isinstance(fields.get("function"), dict):
        return _call(call or fields)
    response = next((fields[name] for name in _KEYED_RESPONSES if isinstance(fields.get(name), dict)), None)
    if response is not None or kind in _RESPONSES:
        return _response(response or fields)
    if (kind in _TEXTS or "type" not in fields) and ("text" in fields or "content" in fields):
        place = "content" if "content" in fields else "text"
        rest = {name: member for name, member in fields.items() if name not in {"type", place}}
        return {**rest, "type": "text", "content": fields[place]}
    return dict(fields)


def user_text(messages: list[Message]) -> str | None:
    """The user's last words."""
    for message in reversed(messages):
        if message["role"] == "user":
            text = text_of(message)
            if text:
                return text
    return None


def core(messages: list[Message]) -> list[tuple[str, list[Any]]]:
    """What two libraries' accounts of the same messages have in common: who says what, without what each adds."""
    return [
        (message["role"], [item for item in message["parts"] if item != {"type": "text", "content": ""}])
        for message in messages
    ]


def _langchain(value: dict[str, Any]) -> dict[str, Any]:
    """The fields of a message as LangChain serialises it: by constructor, by data, or plain."""
    for wrapper in _WRAPPED:
        inner = value.get(wrapper)
        if isinstance(inner, dict) and "role" not in value:
            return {
                **{name: member for name, member in value.items() if name != wrapper},
                **_langchain_fields(inner),
            }
    return _langchain_fields(value)


def _langchain_fields(value: dict[str, Any]) -> dict[str, Any]:
    inner = value.get("kwargs")
    if value.get("lc") == 1 and isinstance(inner, dict):
        names = value.get("id")
        name = names[-1] if isinstance(names, list) and names else None
        role = _LANGCHAIN.get(name) if isinstance(name, str) else None
        return {**inner, "role": role} if role else inner
    inner = value.get("data")
    if isinstance(inner, dict) and isinstance(value.get("type"), str):
        return {**inner, "type": value["type"]}
    return value


def _role(fields: dict[str, Any], role: str) -> str:
    said, kind = fields.pop("role", None), fields.get("type")
    if isinstance(kind, str) and (
        said is None or kind in {*_ROLES, said if isinstance(said, str) else "", "message"}
    ):
        del fields["type"]
        said = kind if said is None and kind != "message" else said
    if isinstance(said, str) and said:
        return _ROLES.get(said, said)
    if said is not None:
        fields["role.sent"] = said
    return role


def _parts(value: object) -> list[dict[str, Any]]:
    if value is None or value == "":
        return []
    if isinstance(value, str) and value[:2] == "[{":
        found = structure(value)  # Traceloop writes the list of an answer's blocks as text
        value = found if isinstance(found, list) else value
    if isinstance(value, list):
        return [part(item) for item in value]
    return [part(value)]


def _calls(fields: dict[str, Any]) -> list[dict[str, Any]]:
    value = structure(fields.get("tool_calls"))
    if not isinstance(value, list):
        return []
    del fields["tool_calls"]
    return [_call(item) for item in value]


def _call(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {"type": "tool_call", "id": None, "name": None, "arguments": value}
    fields = dict(value)
    inner = fields.get("tool_call")
    if isinstance(inner, dict):
        fields = dict(inner)
    function = fields.pop("function", None)
    if isinstance(function, dict):
        fields |= function
    fields.pop("type", None)
    call_id = _first(fields, ("call_id", "toolUseId", "id"))
    given = _first(fields, ("arguments", "args", "input"))
    name = fields.pop("name", None)
    return {**_rest(fields), "type": "tool_call", "id": call_id, "name": name, "arguments": arguments(given)}


def _response(value: dict[str, Any]) -> dict[str, Any]:
    fields = dict(value)
    fields.pop("type", None)
    call_id = _first(fields, ("call_id", "toolUseId", "tool_use_id", "id"))
    response = _first(fields, ("response", "result", "output", "content"))
    if isinstance(response, list):
        response = _joined([part(item) for item in response])
    return {**_rest(fields), "type": "tool_call_response", "id": call_id, "response": response}


def _rest(fields: dict[str, Any]) -> dict[str, Any]:
    """What an item says besides; OpenAI's responses have an id of the item beside that of the call."""
    return {
        "item_id" if name == "id" else name: member for name, member in fields.items() if member not in _EMPTY
    }


def _first(fields: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((fields.pop(name) for name in names if fields.get(name) is not None), None)


def _joined(parts: list[dict[str, Any]]) -> Any:
    """What a tool returned: its text, or its parts where it is not only text."""
    texts = [item.get("content") for item in parts if item.get("type") == "text" and len(item) == 2]  # noqa: PLR2004 - type, content
    if len(texts) != len(parts) or not all(isinstance(text, str) for text in texts):
        return texts[0] if len(parts) == 1 == len(texts) else parts
    return "\n".join(text for text in texts if isinstance(text, str)) if texts else None


def text_of(message: Message) -> str:
    """The text of a message, without its calls, responses and pictures."""
    texts = [
        item.get("content")
        for item in message["parts"]
        if isinstance(item, dict) and item.get("type") == "text"
    ]
    return "\n".join(text for text in texts if isinstance(text, str))


def _text_message(text: str, role: str) -> Message:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def _word(value: object) -> str | None:
    return value if isinstance(value, str) else None
