"""What is known around a tool call: who asked, what the model decided, in whose name, within which trace.

It is kept in a context variable: asyncio tasks inherit it; threads and executors get it by `carry`; other processes by `inject` and
`extract`, as W3C Trace Context and Baggage (https://www.w3.org/TR/trace-context/, https://www.w3.org/TR/baggage/).
"""

import functools
import inspect
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Final, ParamSpec, TypeVar, overload

from ledger.client.headers import (
    BAGGAGE,
    TRACEPARENT,
    Headers,
    Span,
    format_baggage,
    format_traceparent,
    header,
    parse_baggage,
    parse_traceparent,
)
from ledger.client.members import Facet

NO_MEMBERS: Final[Facet] = {}
FROM_BAGGAGE: Final = "baggage"
# What others may be told of what is known here: by the members' paths. Contents never: a header has many readers.
SHARED: Final = (
    "request.conversation_id",
    "request.turn_id",
    "request.origin",
    "request.channel",
    "decision.provider",
    "decision.request_model",
    "decision.response_model",
    "decision.response_id",
)
PERSONS: Final = ("request.user", "identity.principal")
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


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
_before: ContextVar[tuple[Surroundings, ...]] = ContextVar("agent_ledger_before", default=())


def current() -> Surroundings:
    """What is known around the caller."""
    return _current.get(None) or _from_environment()


@functools.cache
def _from_environment() -> Surroundings:
    """What the process that started this one said in $TRACEPARENT and $BAGGAGE."""
    told = {TRACEPARENT: os.environ.get("TRACEPARENT", ""), BAGGAGE: os.environ.get("BAGGAGE", "")}
    return _read(told, Surroundings(), persons=True)


def merged(around: Facet | None, own: Facet | None, same: str | None = None) -> dict[str, Any]:
    """Members from around with an action's own over them. Where both have a member `same` and differ in it, nothing from around is
    taken: half of one decision and half of another would be a decision that nobody made.
    """
    around, own = around or NO_MEMBERS, own or NO_MEMBERS
    if same is not None and own.get(same) is not None and around.get(same, own[same]) != own[same]:
        return dict(own)
    kept = dict(around)
    if own.get("principal") is not None:
        kept.pop("principal_source", None)  # it says where that other one was read
    return {**kept, **{name: value for name, value in own.items() if value is not None}}


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
        _reset(token)


@contextmanager
def inside(action_id: str, span: Span) -> Iterator[None]:
    """Code that runs as part of an action: what it does has that action for a parent."""
    token = _current.set(replace(current(), action_id=action_id, span=span, otel=otel_span()))
    try:
        yield
    finally:
        _reset(token)


def _reset(token: Token[Surroundings]) -> None:
    with suppress(ValueError):  # a generator that is closed elsewhere: what was set is set there no more
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


# ---- to other threads, executors, processes


class Carried:
    """What was known somewhere, to be known elsewhere: `with carried:`, or `carried(function)`."""

    def __init__(self, surroundings: Surroundings) -> None:
        """Hold what is to be known."""
        self.surroundings = surroundings

    def __enter__(self) -> None:
        _before.set((*_before.get(), current()))
        _current.set(self.surroundings)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        *before, last = _before.get()
        _before.set(tuple(before))
        _current.set(last)

    def __call__(self, function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        """The function, which knows it wherever it runs."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def arun(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return arun  # type: ignore[return-value]

        @functools.wraps(function)
        def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            with self:
                return function(*args, **kwargs)

        return run


@overload
def carry(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]: ...
@overload
def carry(function: None = None) -> Carried: ...
def carry(function: Callable[..., Any] | None = None) -> Any:
    """Take along what is known here, to a thread or an executor.

    `executor.submit(carry(work), …)`; or `carried = carry()` here, and there `with carried:`.
    """
    carried = Carried(current())
    return carried if function is None else carried(function)


def inject(
    headers: MutableMapping[str, str] | None = None, *, persons: bool = False
) -> MutableMapping[str, str]:
    """Put `traceparent` and `baggage` into headers, or into what else takes text by name (MCP's `_meta`).

    Args:
        headers: added to; a new dict when None.
        persons: tell also who asked and who is acted for: only within what you run yourself.

    Returns:
        The headers.
    """
    headers = {} if headers is None else headers
    around = current()
    span = _parent(around) or _given(around)
    ours = {path: _member(around, path) for path in (*SHARED, *(PERSONS if persons else ()))}
    ours["action_id"] = around.action_id
    baggage = format_baggage(
        header(headers, BAGGAGE), {name: str(value) for name, value in ours.items() if value}
    )
    for name in [name for name in headers if name.lower() in {TRACEPARENT if span else BAGGAGE, BAGGAGE}]:
        del headers[name]
    if span is not None:
        headers[TRACEPARENT] = format_traceparent(span)
    if baggage:
        headers[BAGGAGE] = baggage
    return headers


def extract(headers: Headers, *, persons: bool = False) -> Carried:
    """Read what a caller said in its headers, for a `with`.

    Whatever is wrong in them is left out: they come from anybody.

    Args:
        headers: a mapping, or pairs of text or bytes.
        persons: believe also who asked and who is acted for, which is then said (`identity.principal_source` is "baggage").
    """
    return Carried(_read(headers, current(), persons=persons))


def for_child(environment: MutableMapping[str, str] | None = None) -> MutableMapping[str, str]:
    """The environment of a child process that is to know what is known here: `Popen(…, env=for_child())`.

    Args:
        environment: added to; a copy of this process's own when None.
    """
    environment = dict(os.environ) if environment is None else environment
    told = inject({BAGGAGE: environment.get("BAGGAGE", "")}, persons=True)
    for name in (TRACEPARENT, BAGGAGE):
        if value := told.get(name):
            environment[name.upper()] = value
    return environment


def _read(headers: Headers, around: Surroundings, *, persons: bool) -> Surroundings:
    pairs = headers if isinstance(headers, Mapping) else list(headers)
    span = parse_traceparent(header(pairs, TRACEPARENT))
    here = otel_span()  # of the caller's trace it is nearer than the caller, of another it is a stranger's
    told = parse_baggage(header(pairs, BAGGAGE))
    facets: dict[str, dict[str, Any]] = {"request": {}, "decision": {}, "identity": {}}
    for path in (*SHARED, *(PERSONS if persons else ())):
        facet, _, name = path.partition(".")
        if path in told:
            facets[facet][name] = told[path]
    if facets["identity"]:
        facets["identity"]["principal_source"] = FROM_BAGGAGE
    if facets["request"].get("origin") not in {None, "human", "schedule", "event", "agent", "system"}:
        del facets["request"]["origin"]
    return replace(
        around,
        request=merged(around.request, facets["request"]),
        decision=merged(around.decision, facets["decision"], "response_id"),
        identity=merged(around.identity, facets["identity"]),
        action_id=told.get("action_id", around.action_id),
        span=span or around.span,
        otel=here if span and here and here.trace_id != span.trace_id else around.otel,
    )


def _member(around: Surroundings, path: str) -> Any:
    facet, _, name = path.partition(".")
    value = getattr(around, facet).get(name)
    return value if isinstance(value, str) else None


def _given(around: Surroundings) -> Span | None:
    trace_id, span_id = around.trace.get("trace_id"), around.trace.get("span_id")
    return Span(trace_id, span_id or secrets.token_hex(8)) if trace_id else None
