"""Spans and log records from OTLP's JSON encoding: ids in hex, whole numbers as numbers or text, enumerations as numbers.

Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding. Members with other names are ignored, as it wants.
"""

import re
from collections.abc import Iterator
from typing import Final

from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from ledger.core.errors import Code, FormatError, LedgerError
from ledger.ingest.otlp.item import Item, cut
from ledger.ingest.otlp.json_members import Object, hex_id, member, members, number, pairs, text, value, whole
from ledger.ingest.otlp.said import (
    UNREADABLE,
    Place,
    Resource,
    SaidEvent,
    SaidLink,
    SaidLog,
    SaidSpan,
    Scope,
    log_of,
    place_of,
    span_of,
)
from ledger.ingest.otlp.spans import LogRecord, Span
from ledger.records.strict import strict

MAX_JSON_VALUES: Final = 2_000_000  # of a body: as Python's objects they take 200 MB at most

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_LAST_TIME: Final = (1 << 64) - 1
_LAST_COUNT: Final = (1 << 32) - 1


def parsed(body: bytes) -> Object:
    """A request's JSON.

    Raises:
        LedgerError: `malformed-json`, `duplicate-key`, `invalid-text`, `too-deep`; `body-too-large`: more values than are kept in memory.
    """
    if _structure(body) > MAX_JSON_VALUES and _structure(_STRING.sub(b"", body)) > MAX_JSON_VALUES:
        raise LedgerError(
            Code.BODY_TOO_LARGE,
            f"the body holds more than {MAX_JSON_VALUES} values; send it in several requests",
            limit=MAX_JSON_VALUES,
        )
    value = strict(body)
    if type(value) is not dict:
        raise FormatError(Code.MALFORMED_JSON, "an OTLP request is a JSON object")
    return value


def _structure(body: bytes) -> int:
    """No fewer than the values of JSON are: each follows one of these."""
    return sum(map(body.count, (b",", b"[", b"{", b":")))


def groups(
    request: Object, group: str, inner: str, items: str
) -> Iterator[tuple[Object, Object, list[Object]]]:
    """Each resource group, scope group, and its items.

    Args:
        request: what `parsed` made.
        group: "resourceSpans" or "resourceLogs".
        inner: "scopeSpans" or "scopeLogs".
        items: "spans" or "logRecords".

    Raises:
        FormatError: `malformed-json`: they are not lists of objects.
    """
    for of_resource in members(request, group):
        for of_scope in members(of_resource, inner):
            yield of_resource, of_scope, members(of_scope, items)


def resource(group: Object) -> Resource:
    """A resource. One that cannot be read costs none of its spans."""
    item = Item()
    try:
        return Resource(cut(item, pairs(item, member(group, "resource"))), frozenset(item.flags))
    except LedgerError:
        return UNREADABLE


def place(group: Object, of: Resource) -> Place:
    """What the spans of a scope have in common. A scope that cannot be read costs none of its spans."""
    item = Item()
    scope = Scope()
    try:
        sent = member(group, "scope")
        about = cut(item, pairs(item, sent))
        scope = Scope(text(sent, "name"), text(sent, "version"), about, text(group, "schemaUrl"))
    except LedgerError:
        item.flags |= UNREADABLE.flags
    return place_of(item, of, scope)


def span(item: Item, sent: Object, where: Place) -> Span:
    """A span.

    Raises:
        LedgerError: `malformed-json` (a member of another type), `invalid-member` (its ids), `record-too-large`.
    """
    status = member(sent, "status")
    said = SaidSpan(
        hex_id(sent, "traceId"),
        hex_id(sent, "spanId"),
        hex_id(sent, "parentSpanId"),
        text(sent, "traceState"),
        text(sent, "name"),
        number(sent, "kind", SpanMessage.SpanKind),
        whole(sent, "startTimeUnixNano", _LAST_TIME),
        whole(sent, "endTimeUnixNano", _LAST_TIME),
        pairs(item, sent),
        whole(sent, "droppedAttributesCount", _LAST_COUNT),
        [_event(item, event) for event in members(sent, "events")],
        whole(sent, "droppedEventsCount", _LAST_COUNT),
        [_link(item, link) for link in members(sent, "links")],
        whole(sent, "droppedLinksCount", _LAST_COUNT),
        number(status, "code", Status.StatusCode),
        text(status, "message"),
    )
    return span_of(item, said, where)


def log(item: Item, sent: Object, where: Place) -> LogRecord:
    """A log record.

    Raises:
        LedgerError: as for a span.
    """
    said = SaidLog(
        whole(sent, "timeUnixNano", _LAST_TIME),
        whole(sent, "observedTimeUnixNano", _LAST_TIME),
        number(sent, "severityNumber", SeverityNumber),
        text(sent, "severityText"),
        value(item, sent.get("body")),
        pairs(item, sent),
        whole(sent, "droppedAttributesCount", _LAST_COUNT),
        hex_id(sent, "traceId"),
        hex_id(sent, "spanId"),
        text(sent, "eventName"),
    )
    return log_of(item, said, where)


def _event(item: Item, event: Object) -> SaidEvent:
    item.count()
    dropped = whole(event, "droppedAttributesCount", _LAST_COUNT)
    return SaidEvent(
        text(event, "name"), whole(event, "timeUnixNano", _LAST_TIME), pairs(item, event), dropped
    )


def _link(item: Item, link: Object) -> SaidLink:
    item.count()
    return SaidLink(
        hex_id(link, "traceId"), hex_id(link, "spanId"), text(link, "traceState"), pairs(item, link)
    )
