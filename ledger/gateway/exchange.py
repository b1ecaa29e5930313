"""One HTTP exchange with the server: what its answer says, and what it means for the calls in it when it says nothing."""

from collections.abc import Iterator
from typing import Final

import httpx

from ledger.gateway.call import Unanswered
from ledger.gateway.gate import Gate
from ledger.gateway.message import Message, shown
from ledger.gateway.session import Session
from ledger.gateway.sse import Event, Events
from ledger.gateway.upstream import Upstream, media_type

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
EVENT_STREAM: Final = "text/event-stream"
ACCEPTED: Final = 202  # the answer comes by another exchange
FORBIDDEN: Final = (401, 403)
REDIRECTS: Final = range(300, 400)
CLIENT_ERRORS: Final = range(400, 500)


class Exchange:
    """A request that was passed on, and its answer as it comes.

    Attributes:
        session: of the client.
        messages: what was sent.
        target: what the stream announced as its client's address (2024-11-05), or None.
    """

    def __init__(
        self, gate: Gate, session: Session, messages: tuple[Message, ...], *, resumable: bool
    ) -> None:
        """An exchange without an answer yet.

        Args:
            gate: learns what the server says.
            session: of the client.
            messages: what is sent.
            resumable: whether an answer may still come by another exchange of the session.
        """
        self.session = session
        self.messages = messages
        self.target: str | None = None
        self._gate = gate
        self._resumable = resumable
        self._status = 0
        self._events: Events | None = None
        self._body = bytearray()
        self._too_large = False

    def begin(self, response: httpx.Response) -> None:
        """The answer's headers are there."""
        self._status = response.status_code
        if media_type(response.headers) == EVENT_STREAM:
            self._events = Events()

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """A piece of the answer. Gives the events that are no messages."""
        if self._events is None:
            self._too_large = self._too_large or len(self._body) + len(chunk) > MAX_BODY_BYTES
            if not self._too_large:
                self._body += chunk
            return
        for event in self._events.feed(chunk):
            if event.type == "endpoint":
                yield event
            else:
                self._gate.observe(event.data, self.session)

    def complete(self) -> None:
        """The answer is there to its end."""
        if self._events is not None:
            for event in self._events.end():
                self._gate.observe(event.data, self.session)
        elif not self._too_large:
            self._gate.observe(bytes(self._body), self.session)
        if self._status in FORBIDDEN:
            self.ended("denied", f"http.{self._status}")
        elif self._status in CLIENT_ERRORS:
            self.ended("failure", f"http.{self._status}")
        elif self._too_large or (self._events is not None and self._events.left_out):
            self.ended("unknown", "mcp.answer_too_large")
        elif not self._resumable or (self._events is None and self._status != ACCEPTED):
            said = "mcp.no_answer" if self._status < CLIENT_ERRORS.stop else f"http.{self._status}"
            self.ended("unknown", said)

    def broke_off(self) -> None:
        """The server stopped in the middle. A stream of a session may be resumed."""
        if self._events is None or not self._resumable:
            self.ended("unknown", "mcp.upstream_broke_off")

    def client_left(self) -> None:
        """The client closed its connection: without a session that is how it cancels (2026-07-28), with one it may come back."""
        if not self._resumable:
            self.ended("cancelled", "mcp.client_closed")

    def ended(self, status: Unanswered, error_type: str) -> None:
        """What came of those calls of this exchange that have no answer."""
        for message in self.messages:
            if message.method is None or message.id is None:
                continue
            waiting = self.session.settle(message.id)
            if waiting is not None and waiting.call is not None:
                waiting.call.end(status, error_type)


def announced(upstream: Upstream, data: bytes) -> str | None:
    """The path and query that an `endpoint` event names; None when it is not a path at the same server."""
    location = data.decode(errors="replace").strip()
    # An absolute address, even of the same server, would lead the client past the gateway.
    if not location.startswith("/") or location.startswith("//") or "\\" in location:
        return None
    return upstream.same_server(location)


def unfit(upstream: Upstream, response: httpx.Response) -> str | None:
    """Why an answer cannot be passed on, None when it can."""
    location = response.headers.get("location")
    if location is not None and response.status_code in REDIRECTS:
        own = upstream.same_server(location)
        hint = f"; --upstream with the path {shown(own)} would do" if own else ""
        return f"the server redirects, which could lead the client past the gateway{hint}"
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        return "the server compresses its answer though it was asked not to: it could not be recorded"
    return None
