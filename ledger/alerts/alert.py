"""An alert: which rule, which entry, why. What the entry says is read from the log when it is delivered, so what was erased or retired since is not told."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from ledger.core.canonical import MAX_INTEGER
from ledger.core.entry import format_time, parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.log.log import Log
from ledger.records.selection import member
from ledger.storage.schema import StoredEntry

ID_PREFIX: Final = "alert_"
TYPE: Final = "alert.raised"
MAX_CONTENT_CHARACTERS: Final = 10_000  # of one content in what is delivered
FACTS: Final = (
    "type",
    "time",
    "action_id",
    "identity.agent_id",
    "identity.agent_name",
    "request.conversation_id",
    "tool.name",
    "tool.operation",
    "tool.effect",
    "tool.server",
    "resource.type",
    "resource.id",
    "resource.destination",
    "policy.effect",
    "policy.rule",
    "outcome.status",
    "decision.provider",
    "decision.request_model",
    "trace.trace_id",
)


class Found(NamedTuple):
    """What a rule found.

    Attributes:
        seq: the entry it is about.
        key: what tells it from another find of the same rule at the same entry.
        because: why, in a few members; never a content.
    """

    seq: int
    key: str
    because: Mapping[str, Any]


class Alert(NamedTuple):
    """A find as it is kept until everybody has heard of it.

    Attributes:
        number: its place among all alerts of this server.
        id: the same for the same find, however often it is delivered.
        rule: the rule's name.
        kind: its kind.
        severity: how bad.
        seq: the entry.
        leaf_hash: of that entry, hex.
        at: when it was raised, RFC 3339.
        because: why.
        recorded_in: the entry of the log that says so, None where there is none.
    """

    number: int
    id: str
    rule: str
    kind: str
    severity: str
    seq: int
    leaf_hash: str
    at: str
    because: dict[str, Any]
    recorded_in: int | None


def alert_id(origin: str, rule: str, digest: str, found: Found) -> str:
    """The id of a find: made of the log, the rule and what was found, so that the same find has the same id in whatever life of the server."""
    told = "\0".join((origin, rule, digest, str(found.seq), found.key))
    return ID_PREFIX + sha256(told.encode()).hexdigest()[:32]


def describe(log: Log, alert: Alert, include: tuple[str, ...] = ()) -> dict[str, Any]:
    """An alert as it is delivered: with a few facts of its entry, and the contents that the rule includes.

    Raises:
        LedgerError: the log cannot be read now.
    """
    body: dict[str, Any] = {
        "id": alert.id,
        "rule": alert.rule,
        "kind": alert.kind,
        "severity": alert.severity,
        "raised_at": alert.at,
        "log": log.origin,
        "seq": alert.seq,
        "leaf_hash": alert.leaf_hash,
        "because": alert.because,
        "recorded_in": alert.recorded_in,
    }
    stored = _stored(log, alert.seq)
    if stored is None:
        return body | {"retired": True}
    entry = parse_entry(stored.entry)
    facts = {path: value for path in FACTS if (value := member(entry.members, path)) is not None}
    body |= {
        "record_id": stored.id,
        "recorded_at": entry.recorded_at,
        "submitter": entry.submitter,
        "facts": facts,
    }
    if include:
        body["contents"] = {c.member: _shown(c.value) for c in stored.contents if c.member in include}
    return body


def _stored(log: Log, seq: int) -> StoredEntry | None:
    try:
        return log.stored(seq)
    except LedgerError as error:
        if error.code != Code.RETIRED:
            raise
        return None


def _shown(value: bytes) -> Any:
    text = value.decode()
    if len(text) > MAX_CONTENT_CHARACTERS:
        return {"truncated_at": MAX_CONTENT_CHARACTERS, "text": text[:MAX_CONTENT_CHARACTERS]}
    return msgspec.json.decode(value)


def us_text(unix_us: int) -> str:
    """RFC 3339 for microseconds since 1970."""
    return format_time(min(max(unix_us, 0), MAX_INTEGER))
