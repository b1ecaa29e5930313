"""The tool calls in a chat's messages, each with what was returned for it."""

from collections import defaultdict, deque
from typing import Any, Final, NamedTuple

from ledger.ingest.otlp.messages import Message, text_of

_NOT_THE_MODEL: Final = frozenset({"user", "system", "tool"})


class Call(NamedTuple):
    """A tool call that a model asked for.

    Attributes:
        call_id: None where the library leaves it out.
        result: what was returned for it in the same messages, if `answered`.
    """

    call_id: object
    name: object
    arguments: Any
    answered: bool = False
    result: Any = None


def calls(messages: list[Message]) -> list[Call]:
    """The tool calls that a model asked for, each with what was returned for it.

    A response whose id no call has belongs to the call in its place: OpenAI's responses name a call by two ids.
    """
    asked: list[dict[str, Any]] = []
    returned: list[dict[str, Any]] = []
    for message in messages:
        for item in message["parts"]:
            kind = item.get("type")
            if kind == "tool_call" and message["role"] not in _NOT_THE_MODEL:
                asked.append(item)
            elif kind == "tool_call_response":
                returned.append(item)
    return _paired(asked, returned)


def told(messages: list[Message]) -> list[Call]:
    """The tool calls in one message of a history, and the results in it whose calls stand in another."""
    found = calls(messages)
    if found:
        return found
    return [
        Call(item.get("id"), item.get("name"), None, True, item.get("response"))
        for message in messages
        for item in message["parts"]
        if item.get("type") == "tool_call_response" and item.get("id")
    ]


def last_group(messages: list[Message]) -> list[Message]:
    """The last message in which the model asked for tools, and what follows it; [] if there is none.

    Calls that nothing names are left alone once the user has spoken again: they would be found anew in each later turn.
    """
    spoken = False
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        asked = [item for item in message["parts"] if item.get("type") == "tool_call"]
        if asked and message["role"] not in _NOT_THE_MODEL:
            return [] if spoken and not all(item.get("id") for item in asked) else messages[index:]
        spoken = spoken or (message["role"] == "user" and bool(text_of(message)))
    return []


def this_turn(messages: list[Message]) -> list[Message]:
    """What follows the user's last words."""
    for index in range(len(messages) - 1, -1, -1):
        if messages[index]["role"] == "user" and text_of(messages[index]):
            return messages[index + 1 :]
    return messages


def _paired(asked: list[dict[str, Any]], returned: list[dict[str, Any]]) -> list[Call]:
    waiting: defaultdict[str, deque[int]] = defaultdict(deque)
    for index, call in enumerate(asked):
        if isinstance(call.get("id"), str):
            waiting[call["id"]].append(index)
    answers: dict[int, dict[str, Any]] = {}
    strays = []
    for response in returned:
        named = response.get("id")
        if isinstance(named, str) and waiting.get(named):
            answers[waiting[named].popleft()] = response
        else:
            strays.append(response)
    unanswered = [index for index in range(len(asked)) if index not in answers]
    if len(unanswered) == len(strays):
        answers.update(zip(unanswered, strays, strict=True))
    return [_call(call, answers.get(index)) for index, call in enumerate(asked)]


def _call(call: dict[str, Any], answer: dict[str, Any] | None) -> Call:
    if answer is None:
        return Call(call.get("id"), call.get("name"), call.get("arguments"))
    return Call(
        answer.get("id") or call.get("id"),
        call.get("name"),
        call.get("arguments"),
        True,
        answer.get("response"),
    )
