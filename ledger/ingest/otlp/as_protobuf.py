"""Spans and log records from OTLP's protobuf encoding, by the published messages."""

from collections.abc import Iterable
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
from opentelemetry.proto.trace.v1 import trace_pb2

from ledger.core.errors import Code, FormatError, LedgerError
from ledger.ingest.otlp.frames import UNCOUNTED_BYTES, Frame, refuse_dense
from ledger.ingest.otlp.item import Item, Pairs, cut
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

_PLAIN: Final = frozenset({"string_value", "bool_value", "int_value", "double_value", "bytes_value"})
_M = TypeVar("_M", bound=Message)


def resource(data: bytes) -> Resource:
    """A resource. One that cannot be read costs none of its spans."""
    item = Item()
    try:
        return Resource(
            cut(item, _pairs(item, _parsed(ResourceMessage, data).attributes)), frozenset(item.flags)
        )
    except LedgerError:
        return UNREADABLE


def place(frame: Frame, of: Resource) -> Place:
    """What the spans of a scope have in common. A scope that cannot be read costs none of its spans."""
    item = Item()
    scope = Scope()
    try:
        sent = _parsed(InstrumentationScope, frame.scope)
        schema_url = frame.schema_url.decode("utf-8", "replace")
        scope = Scope(sent.name, sent.version, cut(item, _pairs(item, sent.attributes)), schema_url)
    except LedgerError:
        item.flags |= UNREADABLE.flags
    return place_of(item, of, scope)


def span(item: Item, data: bytes, where: Place) -> Span:
    """A span.

    Raises:
        LedgerError: `malformed-protobuf` (also text that is not UTF-8, and what is nested deeper than protobuf's 100), `invalid-member`
            (its ids), `record-too-large`.
    """
    sent = _parsed(trace_pb2.Span, data)
    said = SaidSpan(
        sent.trace_id.hex(),
        sent.span_id.hex(),
        sent.parent_span_id.hex(),
        sent.trace_state,
        sent.name,
        sent.kind,
        sent.start_time_unix_nano,
        sent.end_time_unix_nano,
        _pairs(item, sent.attributes),
        sent.dropped_attributes_count,
        [_event(item, event) for event in sent.events],
        sent.dropped_events_count,
        [_link(item, link) for link in sent.links],
        sent.dropped_links_count,
        sent.status.code,
        sent.status.message,
    )
    return span_of(item, said, where)


def log(item: Item, data: bytes, where: Place) -> LogRecord:
    """A log record.

    Raises:
        LedgerError: as for a span.
    """
    sent = _parsed(logs_pb2.LogRecord, data)
    said = SaidLog(
        sent.time_unix_nano,
        sent.observed_time_unix_nano,
        sent.severity_number,
        sent.severity_text,
        _value(item, sent.body),
        _pairs(item, sent.attributes),
        sent.dropped_attributes_count,
        sent.trace_id.hex(),
        sent.span_id.hex(),
        sent.event_name,
    )
    return log_of(item, said, where)


def _parsed(message: type[_M], data: bytes) -> _M:
    if len(data) > UNCOUNTED_BYTES:
        refuse_dense(data, message.DESCRIPTOR)
    try:
        parsed: _M = message.FromString(data)
    except DecodeError as error:
        raise FormatError(
            Code.MALFORMED_PROTOBUF, f"not a {message.DESCRIPTOR.name} in protobuf: {error}"
        ) from None
    return parsed


def _event(item: Item, event: trace_pb2.Span.Event) -> SaidEvent:
    item.count()
    return SaidEvent(
        event.name, event.time_unix_nano, _pairs(item, event.attributes), event.dropped_attributes_count
    )


def _link(item: Item, link: trace_pb2.Span.Link) -> SaidLink:
    item.count()
    return SaidLink(link.trace_id.hex(), link.span_id.hex(), link.trace_state, _pairs(item, link.attributes))


def _pairs(item: Item, attributes: Iterable[KeyValue]) -> Pairs:
    return [(pair.key, _value(item, pair.value)) for pair in attributes]


def _value(item: Item, value: AnyValue) -> Any:
    item.count()
    kind = value.WhichOneof("value")
    if kind in _PLAIN:
        return getattr(value, kind)
    if kind == "array_value":
        return [_value(item, one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return item.mapping(_pairs(item, value.kvlist_value.values))
    return None
