"""What is known around a tool call: who asked, what the model decided, in whose name, within which trace.

It is kept in a context variable: asyncio tasks inherit it; threads and executors get it by `carry`; other processes by `inject` and
`extract`, as W3C Trace Context and Baggage (https://www.w3.org/TR/trace-context/, https://www.w3.org/TR/baggage/).
"""

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from ledger.client.members import Facet

NO_MEMBERS: Final[Facet] = {}


class Span(NamedTuple):
    """A span by its ids, lower-case hex of 32 and 16 digits."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every action inside is given.

    Attributes:
        request, decision, identity, trace: members of these facets.
        action_id: the action around this code, or None.
        span: the span of that action, or the one that a caller in another process told.
        otel: the OpenTelemetry span that was current where `span` began: a newer one is nearer than `span`.
    """

    request: Facet = field(default_factory=dict)
    decision: Facet = field(default_factory=dict)
    identity: Facet = field(default_factory=dict)
    trace: Facet = field(default_factory=dict)
    action_id: str | None = None
    span: Span | None = None
    otel: Span | None = None


_current: ContextVar[Surroundings] = ContextVar("agent_ledger_surroundings")
_NOTHING: Final = Surroundings()


def current() -> Surroundings:
    """What is known around the caller."""
    return _current.get(_NOTHING)


def merged(around: Facet | None, own: Facet | None, same: str | None = None) -> dict[str, Any]:
    """Members from around with an action's own over them. Where both have a member `same` and differ in it, nothing from around is
    taken: half of one decision and half of another would be a decision that nobody made.
    """
    around, own = around or NO_MEMBERS, own or NO_MEMBERS
    if same is not None and own.get(same) is not None and around.get(same, own[same]) != own[same]:
        return dict(own)
    return {**around, **{name: value for name, value in own.items() if value is not None}}


@contextmanager
def within(
    request: Facet | None = None,
    decision: Facet | None = None,
    identity: Facet | None = None,
    trace: Facet | None = None,
) -> Iterator[None]:
    """Give every action inside these members, over those from further out."""
    around = current()
    inner = replace(
        around,
        request=merged(around.request, request),
        decision=merged(around.decision, decision, "response_id"),
        identity=merged(around.identity, identity),
        trace=merged(around.trace, trace, "trace_id"),
    )
    token = _current.set(inner)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def inside(action_id: str, span: Span) -> Iterator[None]:
    """Code that runs as part of an action: what it does has that action for a parent."""
    token = _current.set(replace(current(), action_id=action_id, span=span, otel=otel_span()))
    try:
        yield
    finally:
        _current.reset(token)


def trace_members(own: Facet | None) -> tuple[dict[str, Any], Span]:
    """The trace facet of a new action, and its own span."""
    around = current()
    given = merged(around.trace, own, "trace_id")
    own = own or NO_MEMBERS
    parent = _parent(around)
    trace_id = given.get("trace_id") or (parent.trace_id if parent else secrets.token_hex(16))
    span = Span(trace_id, own.get("span_id") or secrets.token_hex(8))
    made: dict[str, Any] = {"trace_id": trace_id, "span_id": span.span_id}
    if around.trace.get("span_id") and around.trace.get("trace_id") == trace_id:
        made["parent_span_id"] = around.trace["span_id"]
    if parent is not None and parent.trace_id == trace_id:
        made["parent_span_id"] = parent.span_id
    if around.action_id is not None:
        made["parent_action_id"] = around.action_id
    return {
        **made,
        **{name: value for name, value in given.items() if name not in {"trace_id", "span_id"}},
    }, span


def _parent(around: Surroundings) -> Span | None:
    """The nearest span: OpenTelemetry's current one where it began within the action around, else that action's."""
    otel = otel_span()
    return around.span if otel is None or otel == around.otel else otel


def otel_span() -> Span | None:
    """OpenTelemetry's current span, where the process uses OpenTelemetry: it is never imported for this."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    try:
        found = trace.get_current_span().get_span_context()
        return Span(f"{found.trace_id:032x}", f"{found.span_id:016x}") if found.is_valid else None
    except Exception:  # noqa: BLE001 - a half-imported or foreign module: an action is recorded without its span
        return None
