"""The audit exports of Microsoft's Agent Governance Toolkit (AGT) 5.0, in each of its shapes:

    GovernanceEvent.to_dict()       agent_os.event_sink         event_id, occurred_at, kind, decision, attributes
    AuditEntry, SignedAuditEntry    agentmesh.governance.audit  entry_id, timestamp, event_type, policy_decision, data
    AuditLog.export()               the same                    {"entries": [AuditEntry, …]}
    AuditEntry.to_dict()            agent_os.audit_logger       timestamp, event_type, decision, metadata; no id
    to_cloudevent(), export_cloudevents()   of the first two    CloudEvents of types ai.agentos.* and ai.agentmesh.*

Format: https://github.com/microsoft/agent-governance-toolkit (the modules named above).

What it decided about an action is an `action.decision`; an invocation is an `action.outcome`; what is about no action is `agt.<kind>`. That a
decision's own outcome is "success" does not say that the tool ran. Its hashes and signatures stay in the content: they are over values
that can be erased, and without a salt; and an HMAC can be checked by nobody but its maker.
"""

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import msgspec

from ledger.ingest.draft import Draft, record_id
from ledger.ingest.given import Given, items_of, missing, parsed, read_each, unix_ns
from ledger.ingest.native import JSON
from ledger.ingest.reading import Reading

SOURCE: Final = "agt"
CLOUDEVENT_TYPES: Final = ("ai.agentos.", "ai.agentmesh.")

_SAME_KIND: Final = {
    "tool_invoked": "tool_invocation",
    "mcp_tool_call": "tool_invocation",
    "tool_call_blocked": "tool_blocked",
}
_INVOKED, _BLOCKED, _APPROVED = "tool_invocation", "tool_blocked", "approval_decision"
_EFFECTS: Final = {
    **dict.fromkeys(("allow", "allowed", "permit", "pass", "approved", "warn", "log", "audit"), "allow"),
    **dict.fromkeys(("deny", "denied", "block", "blocked", "reject", "rejected"), "deny"),
    **dict.fromkeys(("require_approval", "escalate", "approval_required"), "require_approval"),
    "error": "error",
}
_MONITORED: Final = frozenset({"warn", "log", "audit"})
_STATUSES: Final = {
    "success": "success",
    "failure": "failure",
    "error": "failure",
    "denied": "denied",
    "timeout": "timeout",
}
_ARGUMENTS: Final = ("args", "arguments", "tool_args", "parameters", "params")
_CODE: Final = re.compile(
    r"[\w.:/-]{1,64}", re.ASCII
)  # a policy's reason is a fact where it is a code, and no sentence
_NO_KIND: Final = re.compile(r"[^a-z0-9_-]+")
_KIND_CHARACTERS: Final = 64


class _Export(msgspec.Struct):
    entries: msgspec.Raw


_export = msgspec.json.Decoder(_Export).decode


def read(body: bytes, *, media_type: str = JSON, submitter: str) -> Reading:
    """The records of an export: one event, an array of them, one a line, or `{"entries": […]}`.

    Args:
        body: decompressed.
        media_type: of the body: JSON or NDJSON.
        submitter: who authenticated to send it.

    Raises:
        LedgerError: the body is no export. An event that cannot be read is in `refused`, by its path.
    """
    make = partial(drafts_of, submitter=submitter)
    if media_type != JSON or body.lstrip()[:1] == b"[":
        return Reading() if body.strip() == b"[]" else read_each(items_of(body, media_type), make, "[{}]")
    try:
        entries = bytes(_export(body).entries)
    except (msgspec.MsgspecError, RecursionError):  # no export, or one with something odd in it
        found = parsed(body)[0].get("entries")
        if not isinstance(found, list):
            return read_each([body], make)
        entries = json.dumps(found).encode()
    return Reading() if entries == b"[]" else read_each(items_of(entries), make, "entries[{}]")


def drafts_of(event: dict[str, Any], *, submitter: str) -> Iterator[Draft]:
    """The record of one event, in any of the shapes. CloudEvents come this way too, whichever route they took.

    Raises:
        LedgerError: without a kind and a time nothing can be said.
    """
    head = Given(event)
    enveloped = "specversion" in event
    said = head.inner("data") if enveloped else head
    free = (
        said
        if enveloped
        else head.inner(next((n for n in ("attributes", "data", "metadata") if n in event), ""))
    )
    kind = _kind(head)
    time_ns = next((t for n in ("occurred_at", "timestamp", "time") if (t := unix_ns(head.get(n)))), None)
    if time_ns is None:
        raise missing(
            "timestamp", "an RFC 3339 time (occurred_at and time are the same in AGT's other shapes)"
        )
    effect = _EFFECTS.get((said.text("decision") or said.text("policy_decision") or "").lower())
    draft = Draft(_type(kind, effect), time_ns, _id(head, kind, submitter))
    _identity(draft, head, said)
    if enveloped:
        head.put(draft, "source.id", "source")
    if not draft.has("source.id"):
        draft.set("source.id", SOURCE)
    _tool(draft, said, free)
    _policy(draft, said, effect)
    _outcome(draft, said, kind)
    for path, names in (
        ("request.conversation_id", ("session_id", "sessionid")),
        ("resource.id", ("resource",)),
    ):
        for name in names:
            (said if name == "resource" else head).put(draft, path, name)
    for path in ("trace.trace_id", "trace.span_id", "trace.parent_span_id"):
        name = path.removeprefix("trace.")
        head.span(draft, path, name.replace("_", "") if enveloped else name)
    draft.ext("agt.kind", kind)
    said.ext(draft, "agt.severity", "severity")
    for name in ("event_id", "entry_id", "id"):
        head.ext(draft, "agt.event_id", name)
    for name in ("specversion", "datacontenttype") if enveloped else ():
        head.pop(name)
    yield head.original(draft)


def _kind(head: Given) -> str:
    """`tool_call_blocked`, `tool_blocked` and `ai.agentos.tool.blocked` are one kind."""
    kind = head.text("kind") or head.text("event_type")
    if kind is None:
        kind = head.text("type")
        prefix = next((p for p in CLOUDEVENT_TYPES if kind and kind.startswith(p)), None)
        if kind is None or prefix is None:
            raise missing(
                "kind",
                "a GovernanceEvent has a kind, an AuditEntry an event_type, their CloudEvents a type ai.agentos.*",
            )
        kind = kind.removeprefix(prefix).removeprefix("governance.").replace(".", "_")
    kind = _NO_KIND.sub("_", kind.lower())[:_KIND_CHARACTERS]
    return _SAME_KIND.get(kind, kind)


def _type(kind: str, effect: str | None) -> str:
    if kind == _INVOKED:
        return "action.outcome"
    if kind == _APPROVED:
        return "action.approval"
    if kind == "agent_registered":
        return "agent.registered"
    return "action.decision" if effect is not None or kind == _BLOCKED else f"agt.{kind}"


def _id(head: Given, kind: str, submitter: str) -> str:
    """By the event's own id, within whoever made it. The logger of agent_os gives none: then by what its line says before its contents."""
    event_id = head.text("event_id") or head.text("entry_id") or head.text("id")
    if event_id is not None:
        maker = head.text("source") or head.text("agent_did") or head.text("agent_id") or ""
        return record_id(SOURCE, submitter, maker, event_id)
    line = (head.text(name) or "" for name in ("timestamp", "agent_id", "action"))
    return record_id(SOURCE, submitter, kind, *line)


def _identity(draft: Draft, head: Given, said: Given) -> None:
    said.put(draft, "identity.agent_id", "agent_did")
    said.put(
        draft, "identity.agent_name" if draft.has("identity.agent_id") else "identity.agent_id", "agent_id"
    )
    source = head.text("source") or ""
    if source.startswith("did:") and not draft.has("identity.agent_id"):
        draft.put(
            "identity.agent_id", source
        )  # the mesh's CloudEvents name the agent as their source, and nowhere else
    head.put(draft, "identity.agent_instance_id", "sandbox_id")


def _tool(draft: Draft, said: Given, free: Given) -> None:
    """What was to be done. Adapters that guard messages write the verdict itself where the action's name stands."""
    action = said.text("action")
    if action is not None and action.lower() not in _EFFECTS:
        said.put(draft, "tool.name", "action")
    for name in _ARGUMENTS:
        if not draft.has("tool.arguments") and isinstance(free.get(name), dict | list | str):
            free.content(draft, "tool.arguments", name)


def _policy(draft: Draft, said: Given, effect: str | None) -> None:
    if effect is None:
        return
    draft.set("policy.effect", effect).set("policy.engine", SOURCE)
    word = said.pop("decision") if said.text("decision") else said.pop("policy_decision")
    if word.lower() in _MONITORED:
        draft.set("policy.mode", "monitor").ext("agt.decision", word)
    said.put(draft, "policy.id", "policy_name")
    said.put(draft, "policy.rule", "matched_rule")
    said.put(draft, "policy.version", "policy_version")
    if _CODE.fullmatch(said.text("reason") or ""):
        said.put(draft, "policy.reason", "reason")


def _outcome(draft: Draft, said: Given, kind: str) -> None:
    status = _STATUSES.get((said.text("outcome") or "").lower())
    if kind == _INVOKED:
        draft.set("outcome.status", status)
    elif kind == _BLOCKED or status == "denied":
        draft.set("outcome.status", "denied")
    elif kind == _APPROVED:
        approved = {"allow": "approved", "deny": "rejected"}.get(
            draft.record.get("policy", {}).get("effect", "")
        )
        draft.set("approval.outcome", approved)
    if said.person(draft, "approval.approver", "approver_did") and not draft.has("approval.outcome"):
        draft.set(
            "approval.outcome", "approved"
        )  # "DID of the principal whose approval authorized this action"
