"""AutoGen: what happens stands in the messages that its runtime passes from agent to agent, and each hop is a trace of its own.

Seen in autogen-agentchat 0.7.5: a hop's `message` is `{"messages": […]}`, `{"message": …}` or `{"response": {"inner_messages": […],
"chat_message": …}}`, each message with `type`, `source`, `content` and `models_usage`. The model's name is nowhere.
"""

import copy
import re
from collections.abc import Iterator
from typing import Any, Final

from ledger.ingest.given import unix_ns
from ledger.ingest.otlp.calls import calls
from ledger.ingest.otlp.chat import MAX_CALLS, intents
from ledger.ingest.otlp.embedded import structure
from ledger.ingest.otlp.messages import message
from ledger.ingest.otlp.sheet import Sheet
from ledger.ingest.otlp.spans import Span

_RUN: Final = re.compile(r"[(/]([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\)?(?:-[AT])?")


def run_of(span: Span) -> str | None:
    """The run's id, which its agents and topics are named by: all that holds its traces together."""
    if not span.scope.startswith("autogen"):
        return None
    for name in ("gen_ai.agent.id", "messaging.destination"):
        found = span.attributes.get(name)
        if isinstance(found, str) and (match := _RUN.search(found)):
            return match[1]
    return None


def hop(sheet: Sheet) -> int:
    """Records of one hop, besides its own: the user's words, the model's answers, what the tools returned.

    Returns:
        How many tool calls were too many for records of their own.
    """
    sent = sheet.bag.left["message"]
    passed = structure(sent)
    if passed is sent:
        passed = copy.deepcopy(sent)  # what is taken out of it is the span's
    if not isinstance(passed, dict):
        return 0
    events = list(_events(passed))
    beyond = max(len(events) - MAX_CALLS, 0)
    for index, event in enumerate(events[:MAX_CALLS]):
        beyond += _event(sheet, event, str(index))
    sheet.bag.left["message"] = passed
    return beyond


def _events(passed: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The messages of a hop, as objects that `passed` holds: what is taken out of them is not in the hop's own record again."""
    response = _object(passed.get("response") or passed.get("agent_response"))
    result = _object(passed.get("result"))
    places = (
        (passed, "messages"),
        (passed, "message"),
        (response, "inner_messages"),
        (response, "chat_message"),
    )
    for holder, name in (*places, (result, "messages")):
        found = holder.get(name)
        for event in found if isinstance(found, list) else [found]:
            if isinstance(event, dict):
                yield event


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _event(sheet: Sheet, event: dict[str, Any], place: str) -> int:
    content, kind = event.get("content"), event.get("type")
    if kind == "ToolCallExecutionEvent" and isinstance(content, list):
        _executed(sheet, event, place)
        return 0
    if event.get("source") == "user" and isinstance(content, str):
        draft = sheet.own(sheet.draft("request", f"request.{place}", _time(event)))
        draft.content("request.text", event.pop("content")).set("request.conversation_id", run_of(sheet.span))
        sheet.done(draft)
        return 0
    if kind == "ToolCallRequestEvent" and isinstance(content, list):
        return _answered(sheet, event, place, {"role": "assistant", "tool_calls": event.pop("content")})
    if isinstance(event.get("models_usage"), dict) and isinstance(content, str):
        return _answered(sheet, event, place, {"role": "assistant", "content": event.pop("content")})
    return 0


def _answered(sheet: Sheet, event: dict[str, Any], place: str, said: dict[str, Any]) -> int:
    answer = message(said, "assistant")
    usage = event.get("models_usage")
    draft = sheet.own(sheet.draft("decision", f"decision.{place}", _time(event)))
    if isinstance(usage, dict):
        draft.count("decision.input_tokens", usage.get("prompt_tokens"))
        draft.count("decision.output_tokens", usage.get("completion_tokens"))
    draft.content("decision.output", [answer])
    draft.put("identity.agent_name", event.get("source")).set("request.conversation_id", run_of(sheet.span))
    sheet.done(draft)
    run = run_of(sheet.span)
    return intents(
        sheet, calls([answer]), f"call.{place}", {"request.conversation_id": run} if run else {}, _time(event)
    )


def _executed(sheet: Sheet, event: dict[str, Any], place: str) -> None:
    for index, result in enumerate(event["content"][:MAX_CALLS]):
        if not isinstance(result, dict):
            continue
        draft = sheet.below(sheet.draft("action.outcome", f"result.{place}.{index}", _time(event)))
        draft.put("tool.name", result.get("name")).put("tool.call_id", result.get("call_id"))
        draft.content("outcome.result", result.pop("content", None))
        if isinstance(result.get("is_error"), bool):
            draft.set("outcome.status", "failure" if result["is_error"] else "success")
        draft.put("identity.agent_name", event.get("source")).set(
            "request.conversation_id", run_of(sheet.span)
        )
        sheet.done(draft)


def _time(event: dict[str, Any]) -> int | None:
    """When the message was made: the same in each hop that passes it on."""
    return unix_ns(event.get("created_at"))
