"""Cuts a protobuf request into its spans or log records before anything is built of it.

A parsed message takes some 60 bytes of memory for each nested one, and a nested one takes two on the wire: 32 MB of nothing would become
1 GB. So the two outer levels are walked here, counted, and each span is parsed for itself, by the published messages.

Source: https://protobuf.dev/programming-guides/encoding/. Requests of traces and of logs number their outer fields alike.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from ledger.core.errors import Code, FormatError, LedgerError
from ledger.records.limits import BODY_RECORDS

MAX_ITEMS: Final = BODY_RECORDS  # spans of one request; exporters send 512, collectors 8,192
MAX_FIELDS: Final = 8 * MAX_ITEMS  # of the outer levels: also resources and scopes without spans
MAX_ITEM_FIELDS: Final = 100_000  # of one span, counted where it is large
UNCOUNTED_BYTES: Final = 64 * 1024  # not even the densest span of this size takes 3 MB

_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5
_SKIPPED: Final = {_I64: 8, _I32: 4}
_GROUPS: Final = ExportTraceServiceRequest.RESOURCE_SPANS_FIELD_NUMBER
_RESOURCE: Final = ResourceSpans.RESOURCE_FIELD_NUMBER
_SCOPES: Final = ResourceSpans.SCOPE_SPANS_FIELD_NUMBER
_SCOPE: Final = ScopeSpans.SCOPE_FIELD_NUMBER
_ITEMS: Final = ScopeSpans.SPANS_FIELD_NUMBER
_SCHEMA_URL: Final = ScopeSpans.SCHEMA_URL_FIELD_NUMBER

Range = tuple[int, int]


class Frame(NamedTuple):
    """One scope of one resource, still encoded.

    Attributes:
        resource: the same object in all frames of one resource.
        items: where in the body each span or log record is.
    """

    resource: bytes
    scope: bytes
    schema_url: bytes
    items: list[Range]


def frames(body: bytes) -> list[Frame]:
    """The scopes of a request.

    Raises:
        LedgerError: `malformed-protobuf`, `too-many-records`.
    """
    count = _Count(MAX_FIELDS)
    found = []
    total = 0
    for number, *group in _fields(body, (0, len(body)), count):
        if number != _GROUPS:
            continue
        parts, scopes = [], []
        for inner, start, end in _fields(body, (group[0], group[1]), count):
            if inner == _RESOURCE:
                parts.append(body[start:end])
            elif inner == _SCOPES:
                scopes.append((start, end))
        resource = b"".join(parts)  # one that comes in parts is merged: so protobuf wants it
        for place in scopes:
            frame = _frame(body, place, resource, count, MAX_ITEMS - total)
            total += len(frame.items)
            found.append(frame)
    return found


def _frame(body: bytes, place: Range, resource: bytes, count: "_Count", most: int) -> Frame:
    parts, schema_url = [], b""
    items: list[Range] = []
    for number, start, end in _fields(body, place, count):
        if number == _ITEMS:
            items.append((start, end))
            if len(items) > most:
                raise too_many_items()
        elif number == _SCOPE:
            parts.append(body[start:end])
        elif number == _SCHEMA_URL:
            schema_url = body[start:end]
    return Frame(resource, b"".join(parts), schema_url, items)


def refuse_dense(data: bytes, message: Descriptor) -> None:
    """See that a large message is large because of its texts and not of what it nests.

    Raises:
        LedgerError: `malformed-protobuf`, `record-too-large`.
    """
    count = _Count(MAX_ITEM_FIELDS)
    waiting: list[tuple[int, int, Descriptor]] = [(0, len(data), message)]
    while waiting:
        start, end, descriptor = waiting.pop()
        for number, inner_start, inner_end in _fields(data, (start, end), count):
            field: FieldDescriptor | None = descriptor.fields_by_number.get(number)
            if field is not None and field.message_type is not None:
                waiting.append((inner_start, inner_end, field.message_type))


class _Count:
    """How many fields may still come."""

    __slots__ = ("left", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = self.left = limit


def _fields(data: bytes, place: Range, count: _Count) -> Iterator[tuple[int, int, int]]:
    """The number, start and end of each length-delimited field; the others are stepped over."""
    position, end = place
    while position < end:
        count.left -= 1
        if count.left < 0:
            raise LedgerError(
                Code.TOO_MANY_RECORDS,
                f"more than {count.limit} protobuf fields where a few are expected: send it in several requests",
                limit=count.limit,
            )
        tag, position = _varint(data, position, end)
        if not 8 <= tag < 1 << 32:  # noqa: PLR2004 - field numbers are 1 to 2^29-1, above three bits of wire type
            raise _malformed(f"there is no field {tag >> 3}, which stands before byte {position}")
        wire = tag & 7
        if wire == _LEN:
            length, position = _varint(data, position, end)
            if length > end - position:
                raise _malformed(f"a field at byte {position} is longer than what holds it")
            yield tag >> 3, position, position + length
            position += length
        elif wire == _VARINT:
            _, position = _varint(data, position, end)
        elif wire in _SKIPPED:
            position += _SKIPPED[wire]
        else:
            raise _malformed(f"a field before byte {position} is of the wire type {wire}")
    if position > end:
        raise _malformed(f"it ends within a field, at byte {end}")


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 70:  # noqa: PLR2004 - ten bytes of seven bits
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the bit that says: another byte follows
            return value, position
        shift += 7
    raise _malformed(f"the number before byte {position} does not end")


def _malformed(what: str) -> FormatError:
    return FormatError(Code.MALFORMED_PROTOBUF, f"not an OTLP request in protobuf: {what}")


def too_many_items() -> LedgerError:
    """A request of more spans than are taken at once."""
    return LedgerError(
        Code.TOO_MANY_RECORDS,
        f"more than {MAX_ITEMS} spans or log records in one request: send them in several "
        "(OTEL_BSP_MAX_EXPORT_BATCH_SIZE; a collector's send_batch_max_size)",
        limit=MAX_ITEMS,
    )
