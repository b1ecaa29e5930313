"""Federation messages of the Open Gateway Protocol (OGP) 0.2 to 0.7: the body of a POST to `/federation/…`, byte for byte as it was sent.

Format: https://github.com/dp-pcs/ogp, its PROTOCOL.md, src/daemon/message-handler.ts, src/shared/signing.ts:

    /federation/message         {"message": {intent, from, to, nonce, timestamp, payload, …}, "messageStr"?, "signature"}
    /federation/reply/<nonce>   {"reply": {nonce, success, data | error, timestamp, from, to}, "replyStr"?, "signature"}
    /federation/request, /approve    {"payloadStr", "signature"}
    /federation/removed         {"peerId", "timestamp", "signature"}
    /federation/update-identity {"identity", "signature"}

A signature is Ed25519 over the text of `JSON.stringify`, in the sender's own order of keys: over `messageStr` where it is there. So the
body is kept as it came, and nothing here says that a signature holds: that needs the peer's key. A gateway that is given `messageStr` checks the
signature over it, and acts on `message`; where the two say different things, the record does (`ogp.signed_differs`).
"""

import base64
import json
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from ledger.core.errors import Code, LedgerError
from ledger.ingest.draft import Draft, record_id
from ledger.ingest.given import Given, invalid, missing, read_each, unix_ns
from ledger.ingest.reading import Reading

SOURCE: Final = "ogp"
MAX_BODY_BYTES: Final = 256 * 1024  # a gateway itself takes 100 kB (express.json)
HANDSHAKES: Final = ("request", "approve", "removed", "identity")

_DENIED: Final = {401: "signature", 403: "scope", 429: "rate-limit"}
_ACCEPTED, _FAILED = range(200, 300), range(400, 600)


def read(body: bytes, *, submitter: str, received_ns: int, status: int | None = None) -> Reading:
    """The records of one federation body.

    Args:
        body: as it was sent to the gateway.
        submitter: who authenticated to send it here: a gateway or the proxy before it.
        received_ns: the time of a body that has none.
        status: the HTTP status with which the gateway answered it, where that is known: its verdict.

    Raises:
        LedgerError: it is no federation body, or too large to be kept whole.
    """
    if len(body) > MAX_BODY_BYTES:
        raise LedgerError(
            Code.CONTENT_TOO_LARGE,
            f"the body is {len(body)} bytes: it is kept whole, and at most {MAX_BODY_BYTES} are",
            size=len(body),
            limit=MAX_BODY_BYTES,
        )
    make = partial(_drafts, body=body, submitter=submitter, received_ns=received_ns, status=status)
    return read_each([body], make)


def _drafts(
    value: dict[str, Any], *, body: bytes, submitter: str, received_ns: int, status: int | None
) -> Iterator[Draft]:
    kind = _kind(value)
    told, signed = _told(value, kind)
    given = Given(told)
    stated = unix_ns(given.get("timestamp"))
    time_ns = received_ns if stated is None else stated
    draft = _DRAFTED.get(kind, _handshake)(given, kind, time_ns, submitter)
    if stated is None:
        draft.ext("ogp.time", "of receipt: the message has none")
    draft.set("source.id", SOURCE).ext("ogp.kind", kind)
    draft.ext("ogp.signature", "not verified" if isinstance(value.get("signature"), str) else "missing")
    draft.ext("ogp.signed_differs", True if _differs(told, signed) else None)
    yield draft.content("source.original", _kept(body))
    if kind == "message" and status is not None:
        yield _verdict(draft, given, time_ns, submitter, status)


def _kind(value: dict[str, Any]) -> str:
    for kind in ("message", "reply", "identity"):
        if isinstance(value.get(kind), dict):
            return kind
    if isinstance(value.get("payloadStr"), str):
        return "approve"
    if isinstance(value.get("peerId"), str):
        return "removed"
    raise missing(
        "message", "or reply, payloadStr, peerId or identity: what a body of OGP's /federation/… holds"
    )


def _told(value: dict[str, Any], kind: str) -> tuple[dict[str, Any], object]:
    """What a body says, and the text that its signature is over where that is sent beside it."""
    if kind == "approve":
        said = _parsed(value["payloadStr"])
        if not isinstance(said, dict):
            raise invalid("payloadStr", "JSON of an object")
        return said, None
    told = value if kind == "removed" else value[kind]
    return told, value.get(f"{kind}Str")


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _differs(told: dict[str, Any], signed: object) -> bool:
    try:
        return isinstance(signed, str) and _parsed(signed) != told
    except RecursionError:
        return True  # too deep to be compared: not shown to be the same


def _kept(body: bytes) -> dict[str, str]:
    """The body, every byte of it, and how to get them back."""
    try:
        return {"encoding": "utf-8", "body": body.decode()}
    except UnicodeDecodeError:
        return {"encoding": "base64", "body": base64.b64encode(body).decode()}


def _message(given: Given, kind: str, time_ns: int, submitter: str) -> Draft:
    """A peer's agent asks this one's for something. Known by who sent it and its nonce, which no gateway remembers."""
    sender, nonce = given.text("from"), given.text("nonce")
    if sender is None or nonce is None:
        raise missing("message.from" if sender is None else "message.nonce", "together they name a message")
    draft = Draft("action.intent", time_ns, record_id(SOURCE, submitter, kind, sender, nonce))
    draft.put("action_id", _action(sender, nonce))
    draft.set("tool.protocol", SOURCE).set("tool.effect", "send").set("request.origin", "agent")
    given.put(draft, "tool.name", "intent")
    given.content(draft, "tool.arguments", "payload")
    given.put(draft, "request.conversation_id", "conversationId")
    draft.put("identity.agent_id", sender)
    if given.text("to") is not None:
        draft.set("resource.type", "agent").put("resource.id", given.get("to"))
    given.put(draft, "resource.name", "toAgent")
    given.ext(draft, "ogp.project_id", "projectId")
    return draft.ext("ogp.nonce", nonce)


def _action(sender: str, nonce: str) -> str:
    return f"ogp:{sender}:{nonce}"


def _reply(given: Given, kind: str, time_ns: int, submitter: str) -> Draft:
    """The answer to a message, named by that message's sender and nonce."""
    nonce = given.text("nonce")
    if nonce is None:
        raise missing("reply.nonce", "it names the message that this answers")
    replier, asker = given.text("from") or "", given.text("to") or ""
    draft = Draft("action.outcome", time_ns, record_id(SOURCE, submitter, kind, replier, asker, nonce))
    draft.put("action_id", _action(asker, nonce))
    success = given.get("success")
    draft.set(
        "outcome.status", ("success" if success else "failure") if isinstance(success, bool) else "unknown"
    )
    given.content(draft, "outcome.result", "data" if given.get("data") is not None else "error")
    return draft.ext("ogp.nonce", nonce).ext("ogp.from", replier)


def _handshake(given: Given, kind: str, time_ns: int, submitter: str) -> Draft:
    """What makes, changes or ends a federation. Names and addresses in it are somebody's: they stay in the body."""
    peer = given.inner("peer")
    if kind == "approve" and given.get("peer") is not None:
        kind = "request"
    key = peer.text("publicKey") or given.text("publicKey") or given.text("fromPublicKey")
    who = key or given.text("peerId") or given.text("fromGatewayId") or ""
    identity = record_id(SOURCE, submitter, kind, who, str(time_ns))
    draft = Draft(f"ogp.federation_{kind}", time_ns, identity)
    draft.ext("ogp.public_key", key)
    return draft.ext("ogp.peer_id", given.text("peerId") or given.text("fromGatewayId"))


def _verdict(sent: Draft, given: Given, time_ns: int, submitter: str, status: int) -> Draft:
    """What the gateway answered: that it lets a message in does not say what came of it."""
    identity = record_id(
        SOURCE, submitter, "verdict", str(given.get("from")), str(given.get("nonce")), str(status)
    )
    draft = Draft("action.decision", time_ns, identity)
    draft.set("source.id", SOURCE).set("action_id", sent.record["action_id"]).ext("ogp.status", status)
    if status in _DENIED:
        draft.set("policy.effect", "deny").set("policy.engine", SOURCE).set("policy.rule", _DENIED[status])
        return draft.set("outcome.status", "denied")
    if status in _ACCEPTED:
        return draft.set("policy.effect", "allow").set("policy.engine", SOURCE)
    return draft.set("outcome.status", "failure" if status in _FAILED else "unknown").set(
        "outcome.error_type", str(status)
    )


_DRAFTED: Final = {"message": _message, "reply": _reply}
