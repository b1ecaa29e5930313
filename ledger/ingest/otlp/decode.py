"""An OTLP/HTTP request body, in either encoding, as slices of spans or log records.

A slice is what is worked on at a time: whatever the body holds, no more than a slice of it is in memory as spans and records.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple

from ledger.core.errors import Code, LedgerError
from ledger.ingest.otlp import as_json, as_protobuf
from ledger.ingest.otlp.frames import MAX_ITEMS, Frame, frames, too_many_items
from ledger.ingest.otlp.item import Item
from ledger.ingest.otlp.said import Place
from ledger.ingest.otlp.spans import LogRecord, Span

JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"
MEDIA_TYPES: Final = (PROTOBUF, JSON)

SLICE_ITEMS: Final = 500
SLICE_BYTES: Final = 1024 * 1024  # of protobuf, or about as many characters of JSON
SLICE_VALUES: Final = 50_000
MAX_BODY_VALUES: Final = 1_000_000  # attributes, list items and members of one request


class Signal(StrEnum):
    """What a request carries."""

    TRACES = "traces"
    LOGS = "logs"


@dataclass(slots=True)
class Slice:
    """Some of a request's spans or log records, in their order, and those that cannot be read."""

    spans: list[Span] = field(default_factory=list)
    logs: list[LogRecord] = field(default_factory=list)
    refused: list[LedgerError] = field(default_factory=list)


class Request(NamedTuple):
    """A request that can be read, as far as its outside goes.

    Attributes:
        items: how many spans or log records it says it has.
        slices: to be gone through once. Goes on when some span cannot be read: that span is refused, alone.
    """

    items: int
    slices: Iterator[Slice]


class _Names(NamedTuple):
    group: str
    inner: str
    items: str


_NAMES: Final = {
    Signal.TRACES: _Names("resourceSpans", "scopeSpans", "spans"),
    Signal.LOGS: _Names("resourceLogs", "scopeLogs", "logRecords"),
}
_Read = Callable[[Item, Any, Place], Span | LogRecord]
_Groups = Iterator[tuple[Place, Iterable[tuple[Any, int]]]]  # a scope's spans, each with its size in bytes


def decode(body: bytes, media_type: str, signal: Signal) -> Request:
    """Look at a request from outside; its spans are read slice by slice.

    Args:
        body: decompressed.
        media_type: lower case, without parameters.
        signal: what its path says that it carries.

    Raises:
        LedgerError: `unsupported-media-type`, `malformed-protobuf`, `malformed-json`, `duplicate-key`, `invalid-text`, `too-deep`,
            `too-many-records`, `body-too-large`.
    """
    if media_type == PROTOBUF:
        return _decode_protobuf(body, as_protobuf.span if signal is Signal.TRACES else as_protobuf.log)
    if media_type == JSON:
        return _decode_json(body, _NAMES[signal], as_json.span if signal is Signal.TRACES else as_json.log)
    raise LedgerError(
        Code.UNSUPPORTED_MEDIA_TYPE,
        f"OTLP/HTTP is sent as {PROTOBUF} or {JSON}, not as {media_type!a}"[:400],
    )


def _decode_protobuf(body: bytes, read: _Read) -> Request:
    found = [frame for frame in frames(body) if frame.items]
    return Request(sum(len(frame.items) for frame in found), _slices(_protobuf(body, found), read))


def _protobuf(body: bytes, found: list[Frame]) -> _Groups:
    last: bytes | None = None
    for frame in found:
        if frame.resource is not last:
            resource, last = as_protobuf.resource(frame.resource), frame.resource
        items = ((body[start:end], end - start) for start, end in frame.items)
        yield as_protobuf.place(frame, resource), items


def _decode_json(body: bytes, names: _Names, read: _Read) -> Request:
    found = [group for group in as_json.groups(as_json.parsed(body), *names) if group[2]]
    items = sum(len(group[2]) for group in found)
    if items > MAX_ITEMS:
        raise too_many_items()
    return Request(items, _slices(_json(found, len(body) // max(items, 1)), read))


def _json(found: list[tuple[Any, Any, list[Any]]], size_bytes: int) -> _Groups:
    last: object = None
    for of_resource, of_scope, items in found:
        if of_resource is not last:
            resource, last = as_json.resource(of_resource), of_resource
        yield as_json.place(of_scope, resource), ((item, size_bytes) for item in items)


def _slices(groups: _Groups, read: _Read) -> Iterator[Slice]:
    piece, items, size, values, left = Slice(), 0, 0, 0, MAX_BODY_VALUES
    for place, ones in groups:
        for sent, size_bytes in ones:
            full = items == SLICE_ITEMS or values > SLICE_VALUES or size + size_bytes > SLICE_BYTES
            if items and full:
                yield piece
                piece, items, size, values = Slice(), 0, 0, 0
            items += 1
            size += size_bytes
            item = Item(place.flags)
            try:
                if left <= 0:
                    raise _too_many_values()
                one = read(item, sent, place)
            except LedgerError as error:
                piece.refused.append(error.without_frames())
            else:
                if isinstance(one, Span):
                    piece.spans.append(one)
                else:
                    piece.logs.append(one)
            values += item.values
            left -= item.values
    if items:
        yield piece


def _too_many_values() -> LedgerError:
    return LedgerError(
        Code.BODY_TOO_LARGE,
        f"the spans before this one in the request hold {MAX_BODY_VALUES} values already: send it in several requests",
        limit=MAX_BODY_VALUES,
    )
