"""Spans and log records as every OTLP encoding says them.

Source: https://opentelemetry.io/docs/specs/otlp/ and opentelemetry-proto. An attribute's value is a text, bool, int, float, bytes,
list or dict; a trace id is 32, a span id 16 lower-case hex digits; times are nanoseconds since 1970.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

Attributes = Mapping[str, Any]
NOTHING: Final[Attributes] = MappingProxyType({})


class Event(NamedTuple):
    """Something that happened within a span."""

    name: str
    time_ns: int
    attributes: Attributes


class Span(NamedTuple):
    """One span.

    Attributes:
        kind: internal, server, client, producer, consumer, or "" where it was not said.
        status: unset, ok or error.
        links: trace id and span id of each.
        flags: what was odd about it as it was sent, for example "duplicate-keys".
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: str
    start_ns: int
    end_ns: int
    attributes: Attributes
    status: str = "unset"
    status_message: str = ""
    events: tuple[Event, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    scope: str = ""
    scope_version: str = ""
    resource: Attributes = NOTHING
    flags: tuple[str, ...] = ()


class LogRecord(NamedTuple):
    """One log record; `trace_id` and `span_id` are None where it stands in no span."""

    trace_id: str | None
    span_id: str | None
    time_ns: int
    event_name: str
    severity: str
    body: Any
    attributes: Attributes
    scope: str = ""
    scope_version: str = ""
    resource: Attributes = NOTHING
    flags: tuple[str, ...] = ()
