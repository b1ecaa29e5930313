"""From what a request said of a span to the struct: one way for both encodings, so that both give the same.

What a struct has no member for stands among the attributes, under the names that the OpenTelemetry specification gives it for formats other
than OTLP (`otel.dropped_attributes_count`). Sources: opentelemetry-proto, `trace.proto` and `logs.proto`; W3C Trace Context (ids).
"""

from typing import Any, Final, NamedTuple

from ledger.core.errors import Code, FormatError
from ledger.ingest.otlp.item import Item, Pairs
from ledger.ingest.otlp.spans import NOTHING, Attributes, Event, LogRecord, Span

TRACE_ID_DIGITS, SPAN_ID_DIGITS = 32, 16
KINDS: Final = ("", "internal", "server", "client", "producer", "consumer")
STATUSES: Final = ("unset", "ok", "error")
SEVERITIES: Final = ("", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
LAST_SEVERITY: Final = 24


class Place(NamedTuple):
    """What the spans of one scope have in common."""

    scope: str = ""
    scope_version: str = ""
    resource: Attributes = NOTHING
    extra: tuple[tuple[str, Any], ...] = ()
    flags: frozenset[str] = frozenset()


class Resource(NamedTuple):
    """What a telemetry's source says of itself."""

    attributes: Attributes = NOTHING
    flags: frozenset[str] = frozenset()


UNREADABLE: Final = Resource(NOTHING, frozenset({"resource-unreadable"}))


class Scope(NamedTuple):
    """The library that made the telemetry."""

    name: str = ""
    version: str = ""
    attributes: Attributes = NOTHING
    schema_url: str = ""


class SaidEvent(NamedTuple):
    """An event of a span."""

    name: str
    time_ns: int
    attributes: Pairs
    dropped_attributes: int


class SaidLink(NamedTuple):
    """A link to another span; ids in hex, lower case."""

    trace_id: str
    span_id: str
    trace_state: str
    attributes: Pairs


class SaidSpan(NamedTuple):
    """A span; ids in hex, lower case, as long as they were."""

    trace_id: str
    span_id: str
    parent_span_id: str
    trace_state: str
    name: str
    kind: int
    start_ns: int
    end_ns: int
    attributes: Pairs
    dropped_attributes: int
    events: list[SaidEvent]
    dropped_events: int
    links: list[SaidLink]
    dropped_links: int
    status: int
    status_message: str


class SaidLog(NamedTuple):
    """A log record; ids in hex, lower case, as long as they were."""

    time_ns: int
    observed_ns: int
    severity_number: int
    severity_text: str
    body: Any
    attributes: Pairs
    dropped_attributes: int
    trace_id: str
    span_id: str
    event_name: str


def span_of(item: Item, said: SaidSpan, place: Place) -> Span:
    """The span.

    Raises:
        FormatError: `invalid-member`: it has no ids, and so is nobody's.
    """
    for path, text, digits in (
        ("traceId", said.trace_id, TRACE_ID_DIGITS),
        ("spanId", said.span_id, SPAN_ID_DIGITS),
    ):
        if not _is_id(text, digits):
            raise FormatError(
                Code.INVALID_MEMBER,
                f"{path}: a span has {digits // 2} bytes there, in JSON as hex, that are not all zero",
                path=path,
            )
    extra = _said(
        trace_state=said.trace_state,
        dropped_attributes_count=said.dropped_attributes,
        dropped_events_count=said.dropped_events,
        dropped_links_count=said.dropped_links,
        links=_links_that_say_more(item, said.links),
    )
    attributes = item.mapping([*said.attributes, *extra, *place.extra])
    events = tuple(
        Event(
            event.name,
            event.time_ns,
            item.mapping([*event.attributes, *_said(dropped_attributes_count=event.dropped_attributes)]),
        )
        for event in said.events
    )
    return Span(
        said.trace_id,
        said.span_id,
        _id_or_none(item, said.parent_span_id, SPAN_ID_DIGITS),
        said.name,
        _named(said.kind, KINDS),
        said.start_ns,
        said.end_ns,
        attributes,
        _named(said.status, STATUSES),
        said.status_message,
        events,
        _links(item, said.links),
        place.scope,
        place.scope_version,
        place.resource,
        tuple(sorted(item.flags)),
    )


def log_of(item: Item, said: SaidLog, place: Place) -> LogRecord:
    """The log record. One that stands in no span, or says no time, is one too."""
    if not said.time_ns:
        item.flags.add("observed-time" if said.observed_ns else "no-time")
    extra = _said(dropped_attributes_count=said.dropped_attributes)
    severity = (said.severity_number + 3) // 4 if 0 < said.severity_number <= LAST_SEVERITY else 0
    return LogRecord(
        _id_or_none(item, said.trace_id, TRACE_ID_DIGITS),
        _id_or_none(item, said.span_id, SPAN_ID_DIGITS),
        said.time_ns or said.observed_ns,
        said.event_name,
        said.severity_text or SEVERITIES[severity],
        said.body,
        item.mapping([*said.attributes, *extra, *place.extra]),
        place.scope,
        place.scope_version,
        place.resource,
        tuple(sorted(item.flags)),
    )


def place_of(item: Item, resource: Resource, scope: Scope) -> Place:
    """What the spans of a scope have in common."""
    extra = _said(**{"scope.attributes": scope.attributes, "scope.schema_url": scope.schema_url})
    return Place(scope.name, scope.version, resource.attributes, tuple(extra), resource.flags | item.flags)


def _is_id(text: str, digits: int) -> bool:
    return len(text) == digits and text.count("0") != digits


def _id_or_none(item: Item, text: str, digits: int) -> str | None:
    """None where it is not said (empty, or all zero), and where it cannot be."""
    if _is_id(text, digits):
        return text
    if text.strip("0"):
        item.flags.add("invalid-ids")
    return None


def _links(item: Item, said: list[SaidLink]) -> tuple[tuple[str, str], ...]:
    links = tuple(
        (link.trace_id, link.span_id)
        for link in said
        if _is_id(link.trace_id, TRACE_ID_DIGITS) and _is_id(link.span_id, SPAN_ID_DIGITS)
    )
    if len(links) < len(said):
        item.flags.add("invalid-ids")
    return links


def _links_that_say_more(item: Item, said: list[SaidLink]) -> list[dict[str, Any]]:
    return [
        {
            "trace_id": link.trace_id,
            "span_id": link.span_id,
            "trace_state": link.trace_state,
            "attributes": item.mapping(link.attributes),
        }
        for link in said
        if link.attributes or link.trace_state
    ]


def _named(number: int, names: tuple[str, ...]) -> str:
    """The name of an enumerated value; one that is not known says nothing, like the first."""
    return names[number] if 0 <= number < len(names) else names[0]


def _said(**members: Any) -> Pairs:
    """What a struct has no member for, as attributes, where it says anything."""
    return [(f"otel.{name}", value) for name, value in members.items() if value]
