"""Hermes Agent's hooks, as its shell-hook bridge writes them to a script's standard input: one JSON object per firing.

Format: `agent/shell_hooks.py` ("Wire protocol") and `hermes_cli/plugins.py` (VALID_HOOKS) of
https://github.com/NousResearch/hermes-agent, read at 0.19.0:

    {"hook_event_name", "tool_name", "tool_input", "session_id", "cwd", "extra": {every other argument of the hook}}

It has no time: whoever forwards it adds `"time"` (RFC 3339, or milliseconds since 1970), or it is the time of receipt and a retry is another
record. `turn_id` and `tool_call_id` name a call, and join what the hooks say of it: the user's words (pre_llm_call), the model's answer
(post_api_request), the intent, the approval, the outcome.
"""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from ledger.ingest.draft import Draft, record_id
from ledger.ingest.given import Given, items_of, missing, read_each, unix_ns
from ledger.ingest.messages import assistant
from ledger.ingest.native import JSON
from ledger.ingest.reading import Reading

SOURCE: Final = "hermes"
TYPES: Final = {
    "pre_llm_call": "request",
    "post_llm_call": "agent.run",
    "pre_api_request": "decision.requested",
    "post_api_request": "decision",
    "pre_tool_call": "action.intent",
    "post_tool_call": "action.outcome",
    "pre_approval_request": "action.decision",
    "post_approval_response": "action.approval",
}
_STATUSES: Final = {
    "ok": "success",
    "error": "failure",
    "blocked": "denied",
    "cancelled": "cancelled",
    "timeout": "timeout",
}
_CHOICES: Final = {
    **dict.fromkeys(("once", "session", "always", "smart_approve"), "approved"),
    **dict.fromkeys(("deny", "smart_deny"), "rejected"),
    "timeout": "expired",
}
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}", re.ASCII)
_KEYS: Final = ("turn_id", "api_request_id", "tool_call_id", "surface")
_MS: Final = 1_000_000


def read(body: bytes, *, media_type: str = JSON, submitter: str, received_ns: int) -> Reading:
    """The records of one hook's payload, an array of them, or one a line.

    Args:
        body: decompressed.
        media_type: of the body: JSON or NDJSON.
        submitter: who authenticated to send it.
        received_ns: the time of a payload that has none.

    Raises:
        LedgerError: the body is no payload. One of several that cannot be read is in `refused`, by its path.
    """
    items = items_of(body, media_type)
    batch = media_type != JSON or body.lstrip()[:1] == b"["
    return read_each(
        items, partial(_drafts, submitter=submitter, received_ns=received_ns), "[{}]" if batch else ""
    )


def _drafts(payload: dict[str, Any], *, submitter: str, received_ns: int) -> Iterator[Draft]:
    given = Given(payload)
    event = given.text("hook_event_name")
    if event is None or not _NAME.fullmatch(event):
        raise missing("hook_event_name", "the name of the hook, like pre_tool_call")
    extra = given.inner("extra")
    stated = unix_ns(given.get("time"))
    draft = Draft(
        TYPES.get(event, f"hermes.{event}"),
        received_ns if stated is None else stated,
        _id(given, extra, event, submitter, received_ns),
    )
    if stated is None:
        draft.ext("hermes.time", "of receipt: the payload has none")
    draft.set("source.id", SOURCE).ext("hermes.hook", event)
    _call(draft, given, extra, event)
    given.put(draft, "request.conversation_id", "session_id")
    extra.put(draft, "request.turn_id", "turn_id")
    extra.put(draft, "request.channel", "platform")
    extra.put(draft, "trace.task_id", "task_id")
    _SAYS.get(event, _nothing_more)(draft, extra)
    for name in ("api_request_id", "child_session_id", "surface"):
        extra.ext(draft, f"hermes.{name}", name)
    for name in ("hook_event_name", "time"):
        given.pop(name)
    yield given.original(draft)


def _id(given: Given, extra: Given, event: str, submitter: str, received_ns: int) -> str:
    """By what names the firing. A hook that names neither a turn nor a call is known by its time."""
    parts = [extra.text(name) or "" for name in _KEYS]
    if not any(parts[:3]):
        parts.append(str(given.get("time") or received_ns))
    return record_id(SOURCE, submitter, event, given.text("session_id") or "", *parts)


def _call(draft: Draft, given: Given, extra: Given, event: str) -> None:
    """The call a hook is about. A model may use a call's id again in another turn."""
    call_id = extra.text("tool_call_id")
    if call_id is not None and TYPES.get(event, "").startswith("action"):
        draft.put("action_id", f"hermes:{extra.text('turn_id') or given.text('session_id') or ''}:{call_id}")
    extra.put(draft, "tool.call_id", "tool_call_id")
    given.put(draft, "tool.name", "tool_name")
    given.content(draft, "tool.arguments", "tool_input")


def _asked(draft: Draft, extra: Given) -> None:
    """pre_llm_call: a turn begins with somebody's words. `sender_id` is what the chat platform calls them."""
    extra.content(draft, "request.text", "user_message")
    if sender := extra.text("sender_id"):
        draft.person("request.user", sender).set("request.origin", "human")
        if extra.person(draft, "identity.principal", "sender_id"):
            draft.set(
                "identity.principal_source", "sender_id of Hermes: the chat platform's name for who wrote"
            )


def _turn_ended(draft: Draft, extra: Given) -> None:
    extra.content(draft, "request.text", "user_message")
    extra.content(draft, "outcome.result", "assistant_response")


def _model_asked(draft: Draft, extra: Given) -> None:
    extra.put(draft, "decision.provider", "provider")
    extra.put(draft, "decision.request_model", "model")
    extra.content(draft, "decision.prompt", "request_messages")


def _model_answered(draft: Draft, extra: Given) -> None:
    _model_asked(draft, extra)
    extra.put(draft, "decision.response_model", "response_model")
    extra.put(draft, "decision.finish_reason", "finish_reason")
    response, usage = extra.inner("response"), extra.inner("usage")
    usage.count(draft, "decision.input_tokens", "input_tokens")
    usage.count(draft, "decision.output_tokens", "output_tokens")
    output = assistant(response.get("assistant_message"))
    if output is not None:
        draft.content("decision.output", output)
        response.pop("assistant_message")
        extra.pop("assistant_message")  # the same once more, as text


def _ran(draft: Draft, extra: Given) -> None:
    status = extra.get("status")
    draft.set("outcome.status", _STATUSES.get(status if isinstance(status, str) else "", "unknown"))
    if status == "blocked":
        draft.set("policy.effect", "deny").set("policy.engine", SOURCE)
        draft.put("policy.reason", extra.get("error_type"))
    extra.put(draft, "outcome.error_type", "error_type")
    extra.count(draft, "outcome.duration_ns", "duration_ms", _MS)
    extra.content(draft, "outcome.result", "result")


def _approval_asked(draft: Draft, extra: Given) -> None:
    draft.set("policy.effect", "require_approval").set("policy.engine", SOURCE)
    extra.put(draft, "policy.rule", "pattern_key")
    _shown(draft, extra)


def _approval_given(draft: Draft, extra: Given) -> None:
    """post_approval_response. Nothing in it says who chose: a person at the prompt, or (`decided_by`) a model."""
    choice = extra.get("choice")
    draft.set("approval.outcome", _CHOICES.get(choice if isinstance(choice, str) else ""))
    extra.ext(draft, "hermes.choice", "choice")
    extra.ext(draft, "hermes.decided_by", "decided_by")
    _shown(draft, extra)


def _shown(draft: Draft, extra: Given) -> None:
    shown = {name: extra.pop(name) for name in ("command", "description")}
    draft.content(
        "approval.shown", {name: value for name, value in shown.items() if value is not None} or None
    )


def _nothing_more(draft: Draft, extra: Given) -> None:
    """Any other hook: what it says is in `source.original`."""


_SAYS: Final = {
    "pre_llm_call": _asked,
    "post_llm_call": _turn_ended,
    "pre_api_request": _model_asked,
    "post_api_request": _model_answered,
    "post_tool_call": _ran,
    "pre_approval_request": _approval_asked,
    "post_approval_response": _approval_given,
}
