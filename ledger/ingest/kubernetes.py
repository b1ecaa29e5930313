"""The Kubernetes API server's audit webhook: an `EventList` of `audit.k8s.io/v1`, or one `Event`.

Format: https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/ · how it is sent: https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/

An event is one stage of one request, so it is known by (auditID, stage), and the auditID is the action: RequestReceived becomes
`action.intent`, ResponseStarted (a watch, an exec: it was let in) `action.decision`, ResponseComplete and Panic `action.outcome`. Names of
objects are facts. What a client wrote (the URI with its query, the objects) is content, and so are annotations: the authorizer's
reason names the user.
"""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import msgspec

from ledger.core.errors import Code, FormatError
from ledger.ingest.draft import Draft, fact, record_id
from ledger.ingest.given import Given, invalid, items_of, missing, read_each, unix_ns
from ledger.ingest.native import JSON
from ledger.ingest.reading import Reading

API_VERSION: Final = "audit.k8s.io/v1"
SOURCE: Final = "kubernetes"
TYPES: Final = {
    "RequestReceived": "action.intent",
    "ResponseStarted": "action.decision",
    "ResponseComplete": "action.outcome",
    "Panic": "action.outcome",
}
MAX_GROUPS: Final = 32

_EFFECTS: Final = {
    **dict.fromkeys(("get", "list", "watch", "head", "options"), "read"),
    **dict.fromkeys(("create", "post"), "create"),
    **dict.fromkeys(("update", "patch", "put"), "update"),
    **dict.fromkeys(("delete", "deletecollection"), "delete"),
}
_EXECUTED: Final = frozenset(
    {"exec", "attach", "portforward", "proxy"}
)  # subresources that run something, whatever the verb
_ASKED: Final = re.compile(
    r"(?:self|local)?subject(?:access|rules)?reviews|tokenreviews"
)  # created to ask a question; nothing is stored
_RBAC: Final = re.compile(
    r'RBAC: allowed by (ClusterRoleBinding|RoleBinding) "([^"]+)" of (ClusterRole|Role) "([^"]+)" to '
)
_DENIED, _TIMED_OUT, _FAILED = frozenset({401, 403}), frozenset({408, 504}), 400
_CREDENTIAL: Final = "authentication.kubernetes.io/credential-id"
_POD: Final = "authentication.kubernetes.io/pod-name"
_NODE: Final = "authentication.kubernetes.io/node-name"


class _List(msgspec.Struct):
    items: msgspec.Raw
    kind: str = ""
    apiVersion: str = ""  # noqa: N815 - the format's name


_outer = msgspec.json.Decoder(_List).decode


def read(body: bytes, *, media_type: str = JSON, submitter: str) -> Reading:
    """The records of one webhook request.

    Args:
        body: decompressed.
        media_type: of the body: JSON, or NDJSON, as the API server's own audit log file is.
        submitter: who authenticated to send it: the API server, by its token.

    Raises:
        LedgerError: the body is no audit event and no list of them. An event that cannot be read is in `refused`, by its path.
    """
    make = partial(_drafts, submitter=submitter)
    if media_type != JSON:
        return read_each(items_of(body, media_type), make, "[{}]")
    try:
        events = _outer(body)
    except msgspec.ValidationError:  # no items: a single event
        return read_each([body], make)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(Code.MALFORMED_JSON, f"not an EventList of {API_VERSION}: {error}") from None
    if events.apiVersion != API_VERSION:
        raise invalid("apiVersion", f"{events.apiVersion[:64]!a}, where {API_VERSION} is understood")
    if bytes(events.items).strip() in {b"[]", b"null"}:
        return Reading()
    return read_each(items_of(bytes(events.items)), make, "items[{}]")


def _drafts(event: dict[str, Any], *, submitter: str) -> Iterator[Draft]:
    given = Given(event)
    if given.get("kind") not in (None, "Event"):
        raise invalid("kind", f"an EventList or an Event of {API_VERSION} is understood")
    audit_id, stage = given.text("auditID"), given.text("stage")
    if audit_id is None:
        raise missing("auditID", "it names the request")
    if stage not in TYPES:
        raise invalid("stage", f"one of {', '.join(TYPES)}")
    received = unix_ns(given.get("requestReceivedTimestamp"))
    time_ns = unix_ns(given.get("stageTimestamp")) or received
    if time_ns is None:
        raise missing("stageTimestamp", "an RFC 3339 time")
    draft = Draft(TYPES[stage], time_ns, record_id(SOURCE, submitter, audit_id, stage))
    draft.set("source.id", SOURCE)
    given.put(draft, "action_id", "auditID")
    _identity(draft, given)
    _tool(draft, given)
    _policy(draft, given.inner("annotations"))
    if TYPES[stage] == "action.outcome":
        _outcome(draft, given, stage)
        if received is not None and time_ns >= received:
            draft.count("outcome.duration_ns", time_ns - received)
    for name in ("kind", "apiVersion", "stageTimestamp"):
        given.pop(name)
    given.ext(draft, "kubernetes.stage", "stage")
    given.ext(draft, "kubernetes.level", "level")
    yield given.original(draft)


def _identity(draft: Draft, given: Given) -> None:
    """Who acted, and for whom. The API server authenticated `user`; `impersonatedUser` is whom that user chose to act as, which it was
    allowed to. A name of the system's (a service account, a node) is a workload, any other may be a person's.
    """
    user, acted_for = given.inner("user"), given.inner("impersonatedUser")
    agent = _workload(user) or _workload(acted_for)
    draft.put("identity.agent_id", agent).put("identity.workload", agent)
    if acted_for.text("username") is None:
        _principal(draft, user, "user: authenticated by the Kubernetes API server")
    else:
        if workload := fact(_workload(user)):
            draft.set("identity.actors", [{"sub": workload}])
        else:
            user.person(draft, "request.user", "username")
        _principal(
            draft, acted_for, "impersonatedUser: named by the caller, whom Kubernetes allows to impersonate"
        )
    extra = user.inner("extra")
    draft.put("identity.agent_instance_id", _first(extra, _POD) or _first(extra, _NODE))
    if credential := fact(_first(extra, _CREDENTIAL)):
        draft.set("identity.credential", {"id": credential})
    groups = user.get("groups")
    if isinstance(groups, list):  # the system's own, which give power; a company's may name people
        own = [group for group in groups if isinstance(group, str) and group.startswith("system:")]
        draft.ext("kubernetes.groups", ",".join(own[:MAX_GROUPS]))


def _principal(draft: Draft, who: Given, source: str) -> None:
    if _workload(who) is None and who.person(draft, "identity.principal", "username"):
        draft.set("identity.principal_source", source)


def _workload(who: Given) -> str | None:
    name = who.text("username")
    return name if name is not None and name.startswith("system:") else None


def _first(extra: Given, name: str) -> object:
    values = extra.get(name)
    return values[0] if isinstance(values, list) and values else None


def _tool(draft: Draft, given: Given) -> None:
    verb, target = given.text("verb") or "", given.inner("objectRef")
    kind, part = target.text("resource") or "", target.text("subresource") or ""
    draft.set("tool.name", "kubernetes").set("tool.protocol", "http")
    draft.set("tool.effect", _effect(verb.lower(), kind, part))
    given.put(draft, "tool.operation", "verb")
    arguments = {name: given.pop(name) for name in ("requestURI", "requestObject")}
    draft.content(
        "tool.arguments", {name: value for name, value in arguments.items() if value is not None} or None
    )
    name, namespace = fact(target.get("name")), fact(target.get("namespace"))
    group = target.text("apiGroup")
    draft.put("resource.type", ".".join(filter(None, ("/".join(filter(None, (kind, part))), group))))
    draft.put("resource.id", "/".join(filter(None, (namespace, name))))
    target.put(draft, "resource.name", "name")
    target.put(draft, "resource.tenant", "namespace")


def _effect(verb: str, kind: str, part: str) -> str | None:
    if part in _EXECUTED:
        return "execute"
    if _ASKED.fullmatch(kind):
        return "read"
    if part == "eviction":
        return "delete"
    return _EFFECTS.get(verb)


def _policy(draft: Draft, annotations: Given) -> None:
    """The authorizer's verdict. Its reason is a sentence that names the user: only the names of the binding and the role are facts."""
    effect = {"allow": "allow", "forbid": "deny"}.get(str(annotations.get("authorization.k8s.io/decision")))
    if effect is None:
        return
    draft.set("policy.effect", effect).set("policy.engine", "kubernetes").set("policy.mode", "enforce")
    match = _RBAC.match(annotations.text("authorization.k8s.io/reason") or "")
    if match:
        draft.set("policy.engine", "kubernetes/rbac")
        draft.put("policy.rule", f"{match[1]}/{match[2]}").put("policy.id", f"{match[3]}/{match[4]}")


def _outcome(draft: Draft, given: Given, stage: str) -> None:
    status = given.inner("responseStatus")
    code = status.get("code")
    if stage == "Panic":
        draft.set("outcome.status", "failure").set("outcome.error_type", "panic")
    elif type(code) is int:
        draft.set("outcome.status", _status(code))
        if code >= _FAILED:
            status.put(draft, "outcome.error_type", "reason")
            draft.put("outcome.error_type", None if draft.has("outcome.error_type") else code)
    else:
        said = {"Success": "success", "Failure": "failure"}.get(str(status.get("status")), "unknown")
        draft.set("outcome.status", said)
    given.content(draft, "outcome.result", "responseObject")


def _status(code: int) -> str:
    if code in _DENIED:
        return "denied"
    if code in _TIMED_OUT:
        return "timeout"
    return "failure" if code >= _FAILED else "success"
