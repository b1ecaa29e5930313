"""`GET /v1/records/stream`: the log as it grows, as server-sent events (WHATWG HTML, "Server-sent events").

An event's id is the entry's seq: a reader that comes back with `Last-Event-ID` gets what it missed, and nothing twice. The log is the only buffer:
who reads slowly is behind, and who does not read at all loses the connection (`ledger.api.serving`), not the place.
"""

import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ledger.api.documented import PROBLEMS
from ledger.api.entries import Decimal, entry_body
from ledger.api.service import Service, allow, follower
from ledger.core.canonical import MAX_INTEGER
from ledger.core.errors import Code, LedgerError
from ledger.core.text import parse_decimal
from ledger.log.log import Log
from ledger.records.selection import SELECTABLE, Selection, parse_selection
from ledger.trust.roles import Operation, Principal

PATH: Final = "/v1/records/stream"
EVENT_STREAM: Final = "text/event-stream"
HEARTBEAT_S: Final = (
    15.0  # of silence: what stands between keeps the connection, and the reader knows that it holds
)
CHECK_S: Final = 1.0  # between looking whether the token still may
STEP_ENTRIES: Final = 256
STEP_BYTES: Final = 256 * 1024
RETRY_MS: Final = 2_000  # what a browser waits before it comes back

_OTHERS: Final = ("from", "contents")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

router = APIRouter(tags=["log"])
Values = Annotated[list[str] | None, Query()]
From = Annotated[
    int | None,
    Decimal,
    Query(
        alias="from",
        ge=0,
        le=MAX_INTEGER,
        description="Begin with this entry; without it, with the next that comes.",
    ),
]
Contents = Annotated[bool, Query(description="With contents and persons, where the token may see them.")]
LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", description="The last entry that was seen: goes on after it.")
]
STREAM: Final[dict[str, Any]] = {
    "responses": {
        200: {
            "description": "Events without end: `record` (an entry), `retired` (one of which only the hash is kept), `end`.",
            "content": {
                EVENT_STREAM: {
                    "schema": {"type": "string"},
                    "example": 'id: 17\nevent: record\ndata: {"seq":17,"leaf_hash":"…","id":"…","recorded_at":"…","submitter":"…","entry":{}}\n\n',
                }
            },
        },
        **PROBLEMS,
    }
}


@router.get(PATH, **STREAM)
async def get_stream(
    request: Request,
    *,
    type: Values = None,  # noqa: A002 - the name of the parameter
    submitter: Values = None,
    agent: Values = None,
    tool: Values = None,
    effect: Values = None,
    resource: Values = None,
    policy: Values = None,
    outcome: Values = None,
    conversation: Values = None,
    begin: From = None,
    contents: Contents = False,
    last_event_id: LastEventId = None,
) -> Response:
    """Follow the log. Values of one filter are alternatives, several filters must all hold; `action.*` is every type that begins so."""
    serving, principal = _allowed(request, contents=contents)
    who = follower(request, principal)
    _refuse_unknown(request)
    given: Mapping[str, list[str] | None] = {
        "type": type,
        "submitter": submitter,
        "agent": agent,
        "tool": tool,
        "effect": effect,
        "resource": resource,
        "policy": policy,
        "outcome": outcome,
        "conversation": conversation,
    }
    selection = parse_selection({name: values for name, values in given.items() if values})
    start = _start(last_event_id, begin, serving.log.head().size)
    serving.streams.enter(who, principal.name)
    return _Stream(_events(request, serving, selection, start, contents=contents), serving, who)


class _Stream(StreamingResponse):
    """The response; however it ends, the stream is one less."""

    def __init__(self, events: AsyncIterator[bytes], serving: Service, who: str) -> None:
        headers = {"X-Accel-Buffering": "no"}  # a proxy that collects would hold events back
        super().__init__(events, headers=headers, media_type=EVENT_STREAM)
        self._serving, self._who = serving, who

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._serving.streams.leave(self._who)


def _allowed(request: Request, *, contents: bool) -> tuple[Service, Principal]:
    return allow(request, Operation.CONTENTS if contents else Operation.READ)


def _refuse_unknown(request: Request) -> None:
    """A filter that is misspelt would show everything."""
    for name in request.query_params:
        if name not in SELECTABLE and name not in _OTHERS:
            known = ", ".join((*SELECTABLE, *_OTHERS))
            raise LedgerError(
                Code.INVALID_PARAMETER, f"there is no parameter {name!a}; there are {known}", path=name
            )


def _start(last_event_id: str | None, begin: int | None, size: int) -> int:
    """The first entry to show.

    Raises:
        LedgerError: `invalid-parameter`: no id of this stream, or of an entry that this log does not have.
    """
    if last_event_id:
        try:
            begin = parse_decimal(last_event_id) + 1
        except ValueError:
            raise LedgerError(
                Code.INVALID_PARAMETER,
                "Last-Event-ID is the id of an event of this stream: a seq",
                path="Last-Event-ID",
            ) from None
    start = size if begin is None else begin
    if start > size:
        raise LedgerError(
            Code.INVALID_PARAMETER,
            f"the log has {size} entries: it cannot be followed from {start} on",
            path="from",
        )
    return start


async def _events(
    request: Request, serving: Service, selection: Selection, start: int, *, contents: bool
) -> AsyncIterator[bytes]:
    """Everything from `start` on. Where the token is revoked, the log cannot be read, or the server ends, one last event says so."""
    log, streams = serving.log, serving.streams
    at, spoke, checked = start, time.monotonic(), time.monotonic()
    yield b"retry: %d\n\n" % RETRY_MS
    try:
        while not streams.ending:
            step = await streams.read(partial(_read, log, at, selection, contents=contents))
            at = step.next
            if step.events:
                _allowed(request, contents=contents)  # the entry may be the very one that revokes the token
                yield step.events
                spoke = time.monotonic()
            else:
                await streams.grown(log, at, CHECK_S)
            if time.monotonic() - spoke >= HEARTBEAT_S:
                yield _heartbeat(at)
                spoke = time.monotonic()
            if time.monotonic() - checked >= CHECK_S:
                _allowed(request, contents=contents)
                checked = time.monotonic()
        yield _end("stopping", "the server is stopping")
    except LedgerError as error:
        yield _end(error.code, error.detail)


class _Step(NamedTuple):
    """What was read: the events, and the entry to go on with."""

    events: bytes
    next: int


def _read(log: Log, start: int, selection: Selection, *, contents: bool) -> _Step:
    """Read a few entries on from `start`, as long as they are not many bytes. Runs in a thread."""
    end, size = min(start + STEP_ENTRIES, log.head().size), 0
    if start >= end:
        return _Step(b"", start)
    events: list[bytes] = []
    for batch in log.rows(start, end, contents=False):
        columns = (batch.column(name).to_pylist() for name in ("seq", "hash", "id", "entry"))
        for row in zip(*columns, strict=True):
            body = _body(row, selection)
            if body is not None:
                events.append(_disclosed(log, body) if contents else _format(body))
                size += len(events[-1])
            if size >= STEP_BYTES:
                return _Step(b"".join(events), row[0] + 1)
    return _Step(b"".join(events), end)


def _body(row: tuple[int, bytes, str, str | None], selection: Selection) -> dict[str, Any] | None:
    """What is said of an entry, None where it is not wanted."""
    seq, leaf_hash, record_id, entry = row
    if entry is None:  # what it was, nobody knows: it is of no selection
        return None if selection.wanted else {"seq": seq, "leaf_hash": leaf_hash.hex()}
    members = _decode(entry)
    if not selection.matches(members["submitter"], members["record"]):
        return None
    return {
        "seq": seq,
        "leaf_hash": leaf_hash.hex(),
        "id": record_id,
        "recorded_at": members["recorded_at"],
        "submitter": members["submitter"],
        "entry": msgspec.Raw(entry.encode()),
    }


def _disclosed(log: Log, body: dict[str, Any]) -> bytes:
    """An entry with its contents and persons; it may have been retired since it was read."""
    try:
        return _format(entry_body(log, log.stored(body["seq"]), seen=True))
    except LedgerError as error:
        if error.code != Code.RETIRED:
            raise
        return _format({name: body[name] for name in ("seq", "leaf_hash")})


def _format(body: Mapping[str, Any]) -> bytes:
    """One event. JSON as the ledger writes it has no line's end in it."""
    kind = b"record" if "entry" in body else b"retired"
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (body["seq"], kind, _encode(body))


def _heartbeat(at: int) -> bytes:
    """A comment. An id without data is remembered and dispatches nothing: who comes back need not have everything looked through again."""
    return b": still here\nid: %d\n\n" % (at - 1) if at else b": still here\n\n"


def _end(reason: str, detail: str) -> bytes:
    return b"event: end\ndata: %b\n\n" % _encode({"reason": reason, "detail": detail})
