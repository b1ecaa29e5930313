"""OpenClaw's plugin hooks, as a plugin forwards them: `{"hook", "time", "event", "ctx"}`, the two arguments of a handler and when it ran.

Format: https://docs.openclaw.ai/plugins/hooks and `src/plugins/hook-types.ts` of https://github.com/openclaw/openclaw. The hooks run inside
the gateway and send nothing by themselves: docs/dialects.md has the plugin.

A call is (runId, toolCallId). A session key holds telephone numbers and names of chats, so it is a content, as is where a message went.
"""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from ledger.ingest.draft import Draft, person, record_id
from ledger.ingest.given import Given, items_of, missing, read_each, unix_ns
from ledger.ingest.messages import assistant
from ledger.ingest.native import JSON
from ledger.ingest.reading import Reading

SOURCE: Final = "openclaw"
APPROVAL: Final = "approval_resolved"  # no hook of its own: what `requireApproval.onResolution` was told
TYPES: Final = {
    "message_received": "request",
    "before_agent_run": "request",
    "llm_input": "decision.requested",
    "llm_output": "decision",
    "before_tool_call": "action.intent",
    APPROVAL: "action.approval",
    "after_tool_call": "action.outcome",
    "agent_end": "agent.run",
}
_RESOLUTIONS: Final = {
    "allow-once": "approved",
    "allow-always": "approved",
    "deny": "rejected",
    "timeout": "expired",
}
_ORIGINS: Final = {"user": "human", "cron": "schedule", "heartbeat": "schedule"}
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}", re.ASCII)
_MS: Final = 1_000_000


def read(body: bytes, *, media_type: str = JSON, submitter: str, received_ns: int) -> Reading:
    """The records of one forwarded hook, an array of them, or one a line.

    Args:
        body: decompressed.
        media_type: of the body: JSON or NDJSON.
        submitter: who authenticated to send it.
        received_ns: the time of a hook that has none.

    Raises:
        LedgerError: the body is no hook. One of several that cannot be read is in `refused`, by its path.
    """
    items = items_of(body, media_type)
    batch = media_type != JSON or body.lstrip()[:1] == b"["
    return read_each(
        items, partial(_drafts, submitter=submitter, received_ns=received_ns), "[{}]" if batch else ""
    )


def _drafts(payload: dict[str, Any], *, submitter: str, received_ns: int) -> Iterator[Draft]:
    given = Given(payload)
    hook = given.text("hook")
    if hook is None or not _NAME.fullmatch(hook):
        raise missing("hook", "the name of the hook, like before_tool_call")
    event, ctx = given.inner("event"), given.inner("ctx")
    stated = unix_ns(given.get("time"))
    if stated is None:
        stated = unix_ns(event.get("timestamp"))
    draft = Draft(
        TYPES.get(hook, f"openclaw.{hook}"),
        received_ns if stated is None else stated,
        _id(hook, event, ctx, submitter, received_ns if stated is None else stated),
    )
    if stated is None:
        draft.ext("openclaw.time", "of receipt: the hook has none")
    draft.set("source.id", SOURCE).ext("openclaw.hook", hook)
    _call(draft, event, ctx)
    for where in (ctx, event):
        where.put(draft, "request.conversation_id", "sessionId")
        where.put(draft, "request.turn_id", "runId")
        where.put(draft, "identity.agent_id", "agentId")
        _trace(draft, where.inner("trace"))
    _SAYS.get(hook, _nothing_more)(draft, event)
    _sender(draft, event, ctx)
    _channel(draft, hook, ctx)
    for name in ("hook", "time"):
        given.pop(name)
    yield given.original(draft)


def _id(hook: str, event: Given, ctx: Given, submitter: str, time_ns: int) -> str:
    """By what names the firing. Only a tool's hooks fire once for what they name; any other is known by its time too."""
    run, call = (event.text(name) or ctx.text(name) or "" for name in ("runId", "toolCallId"))
    message = event.text("messageId") or event.text("callId") or ""
    once = call or message
    return record_id(SOURCE, submitter, hook, run, call, message, "" if once else str(time_ns))


def _call(draft: Draft, event: Given, ctx: Given) -> None:
    run, call = (event.text(name) or ctx.text(name) for name in ("runId", "toolCallId"))
    if call is not None:
        draft.put("action_id", f"openclaw:{run or ctx.text('sessionId') or ''}:{call}")
    for where in (event, ctx):
        where.put(draft, "tool.name", "toolName")
        where.put(draft, "tool.call_id", "toolCallId")
    event.content(draft, "tool.arguments", "params")


def _trace(draft: Draft, trace: Given) -> None:
    if not draft.has("trace"):
        trace.span(draft, "trace.trace_id", "traceId")
        trace.span(draft, "trace.span_id", "spanId")
        trace.span(draft, "trace.parent_span_id", "parentSpanId")


def _sender(draft: Draft, event: Given, ctx: Given) -> None:
    """For whom it is done. Only a request says who asked."""
    asks = draft.record["type"] == "request"
    sender = event.text("senderId") or ctx.text("senderId") or (event.text("from") if asks else None)
    if sender is None or person(sender) is None:
        return
    draft.person("identity.principal", sender)
    draft.set("identity.principal_source", "senderId of OpenClaw: the channel's name for who wrote")
    if asks:
        draft.person("request.user", sender).set("request.origin", "human")
    for where, name in ((event, "senderId"), (ctx, "senderId"), (event, "from")):
        if where.text(name) == sender:
            where.pop(name)


def _channel(draft: Draft, hook: str, ctx: Given) -> None:
    """The messenger. To an agent's hooks `channelId` is the chat itself, to a message's hooks it is the messenger."""
    for name in (
        "messageProvider",
        "turnSourceChannel",
        *(("channelId",) if hook.startswith("message_") else ()),
    ):
        ctx.put(draft, "request.channel", name)
    trigger = ctx.get("trigger")
    if draft.record["type"] == "request" and not draft.has("request.origin") and isinstance(trigger, str):
        draft.set("request.origin", _ORIGINS.get(trigger))


def _received(draft: Draft, event: Given) -> None:
    event.content(draft, "request.text", "content")


def _run_began(draft: Draft, event: Given) -> None:
    event.content(draft, "request.text", "prompt")


def _model_asked(draft: Draft, event: Given) -> None:
    event.put(draft, "decision.provider", "provider")
    event.put(draft, "decision.request_model", "model")
    draft.content("request.text", event.get("prompt"))
    prompt = {name: event.pop(name) for name in ("systemPrompt", "historyMessages", "prompt")}
    draft.content(
        "decision.prompt", {name: value for name, value in prompt.items() if value is not None} or None
    )


def _model_answered(draft: Draft, event: Given) -> None:
    event.put(draft, "decision.provider", "provider")
    event.put(draft, "decision.request_model", "model")
    usage, last = event.inner("usage"), event.inner("lastAssistant")
    usage.count(draft, "decision.input_tokens", "input")
    usage.count(draft, "decision.output_tokens", "output")
    last.put(draft, "decision.response_model", "model")
    last.put(draft, "decision.response_id", "responseId")
    last.put(draft, "decision.finish_reason", "stopReason")
    output = assistant(event.get("lastAssistant"))
    if output is not None:
        draft.content("decision.output", output)
        last.pop("content")
    else:
        event.content(draft, "decision.output", "assistantTexts")


def _ran(draft: Draft, event: Given) -> None:
    """after_tool_call. In most versions a failure and a block look the same, a text in `error`; some say `blocked`."""
    failed = event.get("error") not in (None, "")
    if event.get("blocked") is True:
        draft.set("outcome.status", "denied").set("policy.effect", "deny").set("policy.engine", SOURCE)
    else:
        draft.set("outcome.status", "failure" if failed else "success")
    draft.set("outcome.error_type", "tool_error" if failed else None)
    event.count(draft, "outcome.duration_ns", "durationMs", _MS)
    event.content(draft, "outcome.result", "result")


def _ended(draft: Draft, event: Given) -> None:
    success = event.get("success")
    draft.set(
        "outcome.status", {True: "success", False: "failure"}[success] if isinstance(success, bool) else None
    )
    event.count(draft, "outcome.duration_ns", "durationMs", _MS)


def _resolved(draft: Draft, event: Given) -> None:
    decision = event.get("decision")
    draft.set("approval.outcome", _RESOLUTIONS.get(decision if isinstance(decision, str) else ""))
    event.ext(draft, "openclaw.decision", "decision")
    shown = {name: event.pop(name) for name in ("title", "description")}
    draft.content(
        "approval.shown", {name: value for name, value in shown.items() if value is not None} or None
    )


def _nothing_more(draft: Draft, event: Given) -> None:
    """Any other hook: what it says is in `source.original`."""


_SAYS: Final = {
    "message_received": _received,
    "before_agent_run": _run_began,
    "llm_input": _model_asked,
    "llm_output": _model_answered,
    "after_tool_call": _ran,
    "agent_end": _ended,
    APPROVAL: _resolved,
}
