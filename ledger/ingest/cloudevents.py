"""CloudEvents 1.0 over HTTP: structured, batched and binary mode.

Format: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md and
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md

Whoever sends an event says by (source, id) which one it is: the same again is the same record. An event of type `ledger.record` carries a
record of ours as its data, plain or sealed; those of the Agent Governance Toolkit are read as `agt` reads them; the data of any other
event is a content of a record with that event's type.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import msgspec

from ledger.core.entry import OWN_PREFIX
from ledger.core.errors import Code, FormatError, LedgerError
from ledger.ingest import agt
from ledger.ingest.draft import Draft, record_id
from ledger.ingest.given import (
    ODD,
    Given,
    check_size,
    invalid,
    items_of,
    missing,
    parsed,
    placed,
    traceparent,
    unix_ns,
)
from ledger.ingest.native import JSON
from ledger.ingest.reading import Reading
from ledger.records.limits import MAX_NAME_CHARACTERS
from ledger.records.model import TYPES
from ledger.records.strict import strict

STRUCTURED: Final = "application/cloudevents+json"
BATCHED: Final = "application/cloudevents-batch+json"
HEADER: Final = "ce-"
RECORD: Final = "ledger.record"  # the type of an event whose data is a record of ours
OTHER: Final = "cloudevents.event"  # the record's type where the event's own cannot be one

_SOURCE: Final = "cloudevents"
_TYPE: Final = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+", re.ASCII)
_OURS: Final = frozenset(name.partition(".")[0] for name in TYPES) | {OWN_PREFIX.rstrip("."), "agt", "otel"}
_TEXT: Final = re.compile(r"text/.*|application/(.*\+)?xml")
_JSON: Final = re.compile(r"application/(.*\+)?json|text/json")


class Events(NamedTuple):
    """What was read.

    Attributes:
        own: records that the sender wrote itself: their ids are the sender's, and their bytes unchanged.
        foreign: records made here of other events: their ids are the dialect's.
    """

    own: Reading
    foreign: Reading


class _Data(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw()
    data_base64: str = ""


_data = msgspec.json.Decoder(_Data).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read(
    body: bytes, *, media_type: str, headers: Mapping[str, str], submitter: str, received_ns: int
) -> Events:
    """The records of one request.

    Args:
        body: decompressed.
        media_type: lower case, without parameters.
        headers: the request's `ce-` headers, names in lower case without the prefix: binary mode where there are any.
        submitter: who authenticated to send it.
        received_ns: the time of an event that has none.

    Raises:
        LedgerError: the body is no event, and no batch of them. One of a batch that cannot be read is in `refused`, by its path.
    """
    reader = _Reader(Events(Reading(), Reading()), submitter, received_ns)
    if "specversion" in headers:
        check_size(body)
        event = {name: unquote(value) for name, value in headers.items()}
        reader.add({**event, **_binary(body, media_type)}, body, None)
    elif body.lstrip()[:1] != b"[":
        reader.structured(body)
    elif body.strip() != b"[]":
        for index, item in enumerate(items_of(body)):
            try:
                reader.structured(item)
            except LedgerError as error:
                reader.events.foreign.refused.append(placed(error, f"[{index}]"))
    return reader.events


class _Reader(NamedTuple):
    events: Events
    submitter: str
    received_ns: int

    def structured(self, item: bytes) -> None:
        event, odd = parsed(item)
        self.add(event, _own_data(item) if event.get("type") == RECORD else b"", odd)

    def add(self, event: dict[str, Any], raw: bytes, odd: str | None) -> None:
        """The records of one event; `raw` is its data as it was sent."""
        _check(event)
        if event["type"] == RECORD:
            self.own(event, raw)
            return
        if event["type"].startswith(agt.CLOUDEVENT_TYPES):
            drafts = list(agt.drafts_of(event, submitter=self.submitter))
        else:
            drafts = [_draft(event, self.submitter, self.received_ns)]
        self.events.foreign.records.extend([draft.ext(ODD, odd).bytes() for draft in drafts])

    def own(self, event: dict[str, Any], raw: bytes) -> None:
        """A record that the sender wrote. One without an id is known by its event's."""
        try:
            if type(strict(raw)) is not dict:
                raise FormatError(Code.INVALID_MEMBER, "a record is a JSON object")
            members = _members(raw)
        except LedgerError as error:
            raise placed(error, "data") from None
        if "record" in members or "id" in members:
            self.events.own.records.append(raw)
            return
        event_id = record_id(_SOURCE, self.submitter, event["source"], event["id"])
        members["id"] = msgspec.Raw(b'"%b"' % event_id.encode())
        self.events.foreign.records.append(msgspec.json.encode(members))


def _own_data(item: bytes) -> bytes:
    """The data of an event, byte for byte as it was sent: a seal is over bytes."""
    try:
        found = _data(item)
        return bytes(found.data) or base64.b64decode(found.data_base64, validate=True)
    except (msgspec.MsgspecError, RecursionError, binascii.Error, ValueError):
        raise invalid(
            "data", f"an event of type {RECORD} carries a record, as JSON in data or in base64 in data_base64"
        ) from None


def _binary(body: bytes, media_type: str) -> dict[str, Any]:
    """The data of binary mode, as structured mode would have it."""
    attributes: dict[str, Any] = {"datacontenttype": media_type or JSON}
    if not body:
        return attributes
    try:
        if _JSON.fullmatch(media_type or JSON):
            return {**attributes, "data": json.loads(body.decode())}
        if _TEXT.fullmatch(media_type):
            return {**attributes, "data": body.decode()}
    except (ValueError, RecursionError):
        pass  # it is not what its type says: it is kept as the bytes it is
    return {**attributes, "data_base64": base64.b64encode(body).decode()}


def _check(event: dict[str, Any]) -> None:
    if event.get("specversion") != "1.0":
        raise invalid("specversion", "CloudEvents 1.0 is understood")
    for name in ("id", "source", "type"):
        if not isinstance(event.get(name), str) or not event[name]:
            raise missing(name, "CloudEvents has it as a text that is not empty")


def _draft(event: dict[str, Any], submitter: str, received_ns: int) -> Draft:
    given = Given(event)
    time_ns = unix_ns(given.get("time"))
    if time_ns is None and given.get("time") is not None:
        raise invalid("time", "an RFC 3339 time")
    draft = Draft(
        _record_type(event["type"]),
        received_ns if time_ns is None else time_ns,
        record_id(_SOURCE, submitter, event["source"], event["id"]),
    )
    if time_ns is None:
        draft.ext("cloudevents.time", "of receipt: the event has none")
    given.put(draft, "source.id", "source")
    if not draft.has("source.id"):  # nothing but spaces and controls
        draft.set("source.id", _SOURCE)
    given.ext(draft, "cloudevents.id", "id")
    given.ext(draft, "cloudevents.type", "type")
    given.put(draft, "resource.id", "subject")
    if span := traceparent(given.get("traceparent")):
        draft.set("trace.trace_id", span[0]).set("trace.parent_span_id", span[1])
        given.pop("traceparent")
    for name in ("specversion", "time"):
        given.pop(name)
    return given.original(draft)


def _record_type(event_type: str) -> str:
    """The event's type where it can be a record's, and does not look like one of ours: a foreign event does not become an action."""
    if len(event_type) > MAX_NAME_CHARACTERS or not _TYPE.fullmatch(event_type):
        return OTHER
    return OTHER if event_type.partition(".")[0] in _OURS else event_type
