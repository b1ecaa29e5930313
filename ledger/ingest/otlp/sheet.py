"""One span, or one log record, on its way to records: what all of its records share."""

import re
from functools import lru_cache
from typing import Any, Final

from ledger.ingest.draft import Draft, fact, record_id
from ledger.ingest.otlp import names
from ledger.ingest.otlp.attributes import Bag, original
from ledger.ingest.otlp.embedded import structure
from ledger.ingest.otlp.kinds import Kind
from ledger.ingest.otlp.spans import Span
from ledger.records.limits import MAX_COUNT

_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")
_SPAN_ID: Final = re.compile(r"[0-9a-f]{16}")
_MAPPED: Final = ("service.name", "service.instance.id")
KEPT_CHARACTERS: Final = 256  # of a name that is remembered
_STATUSES: Final = {"error": "failure", "ok": "success"}


@lru_cache(maxsize=512, typed=True)
def _cached(text: str | int) -> str | None:
    return fact(text)


def _known(text: str | int | None) -> str | None:
    """A fact that stands in each span of a sender: its service, its instance, its scope."""
    if text is None or (isinstance(text, str) and len(text) > KEPT_CHARACTERS):
        return fact(text)
    return _cached(text)


class Sheet:
    """A span's attributes, taken one by one into its records.

    Attributes:
        bag: attributes that no member holds yet.
        extra: what `source.original` says besides them.
        events_taken: which of the span's events are in members: of these only name and time are kept.
    """

    __slots__ = (
        "bag",
        "events_taken",
        "extra",
        "ids",
        "kind",
        "made",
        "place",
        "shared",
        "span",
        "submitter",
    )

    def __init__(self, span: Span, kind: Kind, submitter: str, place: str = "") -> None:
        """Start with a span; `place` tells one log record of a span from another."""
        self.span = span
        self.kind = kind
        self.submitter = submitter
        self.place = place
        self.bag = Bag(span.attributes)
        self.extra: dict[str, Any] = {}
        self.events_taken: set[int] = set()
        self.made: list[bytes] = []
        service, instance = (
            name if isinstance(name := span.resource.get(key), str | int) else None for key in _MAPPED
        )
        self.shared = (_known(f"otlp:{service}") if service else "otlp", _known(instance), _known(span.scope))
        self.ids = tuple(
            text if text and shape.fullmatch(text) else None
            for shape, text in (
                (_TRACE_ID, span.trace_id),
                (_SPAN_ID, span.span_id),
                (_SPAN_ID, span.parent_span_id),
            )
        )

    def draft(self, record_type: str, part: str, time_ns: int | None = None) -> Draft:
        """A record of this span: where it was taken from, and the trace it stands in."""
        span = self.span
        draft = Draft(
            record_type,
            span.start_ns if time_ns is None else time_ns,
            record_id("otlp", self.submitter, span.trace_id, span.span_id, f"{self.place}{part}"),
        )
        source, instance, scope = self.shared
        draft.set("source.id", source).set("identity.agent_instance_id", instance).set(
            "trace.trace_id", self.ids[0]
        )
        told = {"otel.scope": scope, "otel.span_kind": span.kind, "otel.kind": self.kind, "otel.part": part}
        draft.record["ext"] = {name: value for name, value in told.items() if value}
        return draft

    def own(self, draft: Draft) -> Draft:
        """Put in the span's own ids: for the records that are about the span itself."""
        _, span_id, parent_span_id = self.ids
        return draft.set("trace.span_id", span_id).set("trace.parent_span_id", parent_span_id)

    def below(self, draft: Draft) -> Draft:
        """Make the span the parent: for the records of what it tells about others."""
        return draft.set("trace.parent_span_id", self.ids[1])

    def done(self, draft: Draft) -> None:
        """Hand a record in."""
        self.made.append(draft.bytes())

    def last(self, draft: Draft) -> None:
        """Hand in the record that also keeps what no member holds."""
        draft.set("source.original", original(self._left()))
        self.made.append(draft.bytes())

    def outcome(self, draft: Draft) -> None:
        """How the span ended, as far as it says: an unset status is no success, and no failure."""
        status = _STATUSES.get(self.span.status)
        if status is None and isinstance(self.bag.left.get("error.type"), str):
            status = "failure"  # the conventions: it is there only where the operation ended with an error
        draft.set("outcome.status", status)
        self.duration(draft)
        if status == "failure":
            draft.set("outcome.error_type", self.bag.text(("error.type",)) or self.exception())

    def duration(self, draft: Draft) -> None:
        """How long it took; a span that ended before it began keeps its end as it was sent."""
        nanoseconds = self.span.end_ns - self.span.start_ns
        if 0 <= nanoseconds <= MAX_COUNT and self.span.end_ns:
            draft.set("outcome.duration_ns", nanoseconds)
        elif self.span.end_ns:
            self.extra["end_unix_ns"] = str(self.span.end_ns)

    def exception(self) -> str | None:
        """The class of the last exception that the span's events tell."""
        for event in reversed(self.span.events):
            if event.name == "exception" and (found := Bag(event.attributes).text(("exception.type",))):
                return found
        return None

    def who(self, draft: Draft) -> None:
        """The agent, the person it acts for, and the conversation, where the span says them."""
        within = {
            name: Bag(found)
            for name in names.WITHIN
            if isinstance(found := structure(self.bag.left.get(name)), dict)
        }
        metadata = within.get("metadata")
        draft.set("identity.agent_id", self.bag.text(names.AGENT_ID))
        name = self.bag.text(names.AGENT_NAME) or (metadata and metadata.text(("lc_agent_name",)))
        draft.set("identity.agent_name", name)
        draft.set("identity.agent_version", self.bag.text(names.AGENT_VERSION))
        self._person(draft, within)
        conversation = self.bag.text(names.CONVERSATION[:1]) or (metadata and metadata.text(("thread_id",)))
        draft.set("request.conversation_id", conversation or self.bag.text(names.CONVERSATION))
        for place, found in within.items():
            self.bag.left[place] = found.left

    def _person(self, draft: Draft, within: dict[str, Bag]) -> None:
        places = [(self.bag, name, name) for name in names.PRINCIPAL]
        places += [
            (within[place], key, f"{place}.{key}") for place, key in names.PRINCIPAL_WITHIN if place in within
        ]
        for bag, name, source in places:
            if name in bag.left and draft.person("identity.principal", bag.left[name]).has(
                "identity.principal"
            ):
                person = bag.pop(name)
                for other, alias, _ in places:
                    if other.left.get(alias) == person:
                        del other.left[alias]
                checked = (
                    name == "enduser.id"
                    and self.span.kind == "server"
                    and "mcp.method.name" in self.span.attributes
                )
                draft.set("identity.principal_source", "enduser.id (MCP server)" if checked else source)
                return

    def _left(self) -> dict[str, Any]:
        """What no member holds, in an order that does not depend on the sender's."""
        span = self.span
        left: dict[str, Any] = {"name": span.name, **self.extra} if span.name else dict(self.extra)
        if self.bag.left:
            left["attributes"] = dict(sorted(self.bag.left.items(), key=lambda item: str(item[0])))
        if span.status != "unset":
            left["status"] = (
                {"code": span.status, "message": span.status_message}
                if span.status_message
                else {"code": span.status}
            )
        if span.events:
            left["events"] = [
                {"name": event.name, "time_unix_ns": str(event.time_ns)}
                | ({} if index in self.events_taken else {"attributes": event.attributes})
                for index, event in enumerate(span.events)
            ]
        if span.links:
            left["links"] = [{"trace_id": trace_id, "span_id": span_id} for trace_id, span_id in span.links]
        sent = (span.trace_id, span.span_id, span.parent_span_id)
        if any(text and not known for text, known in zip(sent, self.ids, strict=True)):
            left["ids"] = list(sent)  # no ids of W3C Trace Context
        resource = {
            name: value
            for name, value in span.resource.items()
            if name not in _MAPPED or not isinstance(value, str) or _known(value) != value
        }
        if resource:
            left["resource"] = resource
        if span.scope_version:
            left["scope_version"] = span.scope_version
        if span.flags:
            left["flags"] = list(span.flags)
        return left
