"""Spans and log records from OTLP's JSON encoding: ids in hex, whole numbers as numbers or text, enumerations as numbers.

Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding. Members with other names are ignored, as it wants.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from ledger.core.errors import Code, FormatError, LedgerError
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
from ledger.records.strict import strict

MAX_JSON_VALUES: Final = 2_000_000  # of a body: as Python's objects they take 200 MB at most

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_DECIMAL: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_HEX: Final = re.compile(r"[0-9a-f]*", re.ASCII)
_WHOLE: Final = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_LAST_TIME: Final = (1 << 64) - 1
_LAST_COUNT: Final = (1 << 32) - 1
_INT64: Final = 1 << 63
_NO_ID: Final = "?"  # what is not hex is no id

Object = Mapping[str, Any]


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
    for of_resource in _objects(request, group):
        for of_scope in _objects(of_resource, inner):
            yield of_resource, of_scope, _objects(of_scope, items)


def resource(group: Object) -> Resource:
    """A resource. One that cannot be read costs none of its spans."""
    item = Item()
    try:
        return Resource(cut(item, _pairs(item, _object(group, "resource"))), frozenset(item.flags))
    except LedgerError:
        return UNREADABLE


def place(group: Object, of: Resource) -> Place:
    """What the spans of a scope have in common. A scope that cannot be read costs none of its spans."""
    item = Item()
    scope = Scope()
    try:
        sent = _object(group, "scope")
        about = cut(item, _pairs(item, sent))
        scope = Scope(_text(sent, "name"), _text(sent, "version"), about, _text(group, "schemaUrl"))
    except LedgerError:
        item.flags |= UNREADABLE.flags
    return place_of(item, of, scope)


def span(item: Item, sent: Object, where: Place) -> Span:
    """A span.

    Raises:
        LedgerError: `malformed-json` (a member of another type), `invalid-member` (its ids), `record-too-large`.
    """
    status = _object(sent, "status")
    said = SaidSpan(
        _id(sent, "traceId"),
        _id(sent, "spanId"),
        _id(sent, "parentSpanId"),
        _text(sent, "traceState"),
        _text(sent, "name"),
        _number(sent, "kind", SpanMessage.SpanKind),
        _whole(sent, "startTimeUnixNano", _LAST_TIME),
        _whole(sent, "endTimeUnixNano", _LAST_TIME),
        _pairs(item, sent),
        _whole(sent, "droppedAttributesCount", _LAST_COUNT),
        [_event(item, event) for event in _objects(sent, "events")],
        _whole(sent, "droppedEventsCount", _LAST_COUNT),
        [_link(item, link) for link in _objects(sent, "links")],
        _whole(sent, "droppedLinksCount", _LAST_COUNT),
        _number(status, "code", Status.StatusCode),
        _text(status, "message"),
    )
    return span_of(item, said, where)


def log(item: Item, sent: Object, where: Place) -> LogRecord:
    """A log record.

    Raises:
        LedgerError: as for a span.
    """
    said = SaidLog(
        _whole(sent, "timeUnixNano", _LAST_TIME),
        _whole(sent, "observedTimeUnixNano", _LAST_TIME),
        _number(sent, "severityNumber", SeverityNumber),
        _text(sent, "severityText"),
        _value(item, sent.get("body")),
        _pairs(item, sent),
        _whole(sent, "droppedAttributesCount", _LAST_COUNT),
        _id(sent, "traceId"),
        _id(sent, "spanId"),
        _text(sent, "eventName"),
    )
    return log_of(item, said, where)


def _event(item: Item, event: Object) -> SaidEvent:
    item.count()
    dropped = _whole(event, "droppedAttributesCount", _LAST_COUNT)
    return SaidEvent(
        _text(event, "name"), _whole(event, "timeUnixNano", _LAST_TIME), _pairs(item, event), dropped
    )


def _link(item: Item, link: Object) -> SaidLink:
    item.count()
    return SaidLink(_id(link, "traceId"), _id(link, "spanId"), _text(link, "traceState"), _pairs(item, link))


def _pairs(item: Item, holder: Object, name: str = "attributes") -> Pairs:
    return [(_text(pair, "key"), _value(item, pair.get("value"))) for pair in _objects(holder, name)]


def _value(item: Item, sent: Any) -> Any:
    item.count()
    if sent is None:
        return None
    if type(sent) is not dict:
        return _as_sent(item, sent)
    said = [name for name in sent if name in _READERS and sent[name] is not None]
    if len(said) > 1:
        raise _wrong("value", f"one value, and not {' and '.join(said)}")
    return _READERS[said[0]](item, sent[said[0]]) if said else None


def _as_sent(item: Item, sent: Any) -> Any:
    """What JSON can say and protobuf cannot: somebody's words all the same, so they are kept, and flagged."""
    item.flags.add("invalid-values")
    if isinstance(sent, str | bool | float) or (type(sent) is int and -_INT64 <= sent < _INT64):
        return sent
    return json.dumps(sent)


def _string(item: Item, sent: Any) -> Any:
    return sent if type(sent) is str else _as_sent(item, sent)


def _bool(item: Item, sent: Any) -> Any:
    return sent if type(sent) is bool else _as_sent(item, sent)


def _int(item: Item, sent: Any) -> Any:
    number = _integer(sent)
    return number if number is not None and -_INT64 <= number < _INT64 else _as_sent(item, sent)


def _double(item: Item, sent: Any) -> Any:
    if type(sent) is str:
        if sent in _NOT_FINITE:
            return _NOT_FINITE[sent]
        return float(sent) if _DECIMAL.fullmatch(sent) else _as_sent(item, sent)
    try:
        return float(sent) if type(sent) in {int, float} else _as_sent(item, sent)
    except OverflowError:
        return _as_sent(item, sent)


def _bytes(item: Item, sent: Any) -> Any:
    try:
        if type(sent) is str:
            padded = sent.replace("-", "+").replace("_", "/") + "=" * (-len(sent) % 4)
            return base64.b64decode(padded, validate=True)
    except binascii.Error:
        pass
    return _as_sent(item, sent)


def _array(item: Item, sent: Any) -> Any:
    values = sent.get("values") or [] if type(sent) is dict else None
    return [_value(item, one) for one in values] if type(values) is list else _as_sent(item, sent)


def _mapping(item: Item, sent: Any) -> Any:
    return item.mapping(_pairs(item, sent, "values")) if type(sent) is dict else _as_sent(item, sent)


_READERS: Final[Mapping[str, Callable[[Item, Any], Any]]] = {
    "stringValue": _string,
    "boolValue": _bool,
    "intValue": _int,
    "doubleValue": _double,
    "bytesValue": _bytes,
    "arrayValue": _array,
    "kvlistValue": _mapping,
}


def _integer(sent: Any) -> int | None:
    """A whole number: as one, as text, or as a fraction that is none. None where it is neither."""
    if type(sent) is str and _WHOLE.fullmatch(sent):
        return int(sent)
    if type(sent) is float and sent.is_integer():
        return int(sent)
    return sent if type(sent) is int else None


def _whole(holder: Object, name: str, limit: int) -> int:
    sent = holder.get(name)
    if sent is None:
        return 0
    number = _integer(sent)
    if number is None or not 0 <= number <= limit:
        raise _wrong(name, f"a whole number from 0 to {limit}")
    return number


def _number(holder: Object, name: str, names: EnumTypeWrapper) -> int:
    """An enumeration's number. Its name, which OTLP forbids and some write, is understood: an error would be lost with it."""
    sent = holder.get(name)
    if type(sent) is str and sent in names.keys():  # noqa: SIM118 - the wrapper is no mapping
        return int(names.Value(sent))
    return _integer(sent) or 0


def _id(holder: Object, name: str) -> str:
    sent = holder.get(name)
    if sent is None:
        return ""
    text = sent.lower() if type(sent) is str else _NO_ID
    return text if _HEX.fullmatch(text) else _NO_ID


def _text(holder: Object, name: str) -> str:
    sent = holder.get(name)
    if sent is None:
        return ""
    if type(sent) is not str:
        raise _wrong(name, "text")
    return sent


def _object(holder: Object, name: str) -> Object:
    sent = holder.get(name)
    if sent is None:
        return {}
    if type(sent) is not dict:
        raise _wrong(name, "an object")
    return sent


def _objects(holder: Object, name: str) -> list[Object]:
    sent = holder.get(name)
    if sent is None:
        return []
    if type(sent) is not list or not all(type(one) is dict for one in sent):
        raise _wrong(name, "a list of objects")
    return sent


def _wrong(name: str, wanted: str) -> FormatError:
    return FormatError(Code.MALFORMED_JSON, f"{name}: OTLP's JSON has {wanted} there", path=name)
