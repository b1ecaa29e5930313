"""Runs the application on a socket, with a bound on how long and how large a request's head may be."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ledger.api.service import WORKLOAD, sender
from ledger.api.tls import Tls, Workload, workload_shown
from ledger.api.unread import Unread
from ledger.console.files import POLICY, is_page

HANDSHAKE_SECONDS: Final = 10.0  # of TLS
HEAD_SECONDS: Final = 10.0
BODY_SECONDS: Final = 60.0
HEAD_BYTES: Final = 64 * 1024
FRAMING_BYTES: Final = (
    64 * 1024
)  # of a chunked body beside what is in it: extensions, trailers; and as often its own size as the next says
FRAMING_RATIO: Final = 8  # chunks of a byte each have five beside it
UNREAD_BYTES: Final = 1024 * 1024  # of a body that is still coming although its request was answered
DRAIN_SECONDS: Final = 10.0  # in which an answer must get on by DRAIN_BYTES
DRAIN_BYTES: Final = 128 * 1024
KEEP_ALIVE_SECONDS: Final = 30
SHUTDOWN_SECONDS: Final = 10
CONNECTIONS: Final = 1_000
BACKLOG: Final = 256
GC_OBJECTS: Final = 50_000
SWITCH_SECONDS: Final = 0.0005
_SAY_BODY: Final = frozenset({b"content-length", b"transfer-encoding"})
_CSP: Final = b"content-security-policy"
# On every answer. Nothing that is served here but the console is a page: a browser that is shown one anyway runs, loads and frames nothing of it.
HEADERS: Final = (
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
)
TLS_HEADERS: Final = (
    ("strict-transport-security", "max-age=31536000"),
)  # of names beside ours nothing is said


class _UpgradeError(Exception):
    """Whether what follows is a body, or another protocol, two servers could see differently."""


class Bounded(HttpToolsProtocol):
    """uvicorn's protocol, which otherwise waits for a request's head for ever, takes one of any length, keeps reading a body
    after the request was refused, to its end if it has one, keeps an answer for ever for somebody who does not read it, takes what comes behind a body
    for headers, of any length, and a body for the next request where the head asks for another protocol.
    """

    _timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = True
    _unread_bytes = 0
    _body_bytes = 0
    _framing_bytes = 0
    _deaf = False
    _draining: asyncio.TimerHandle | None = None
    _waits_for: str | None = None
    _workload: Workload | None = None
    _idle_since = 0.0
    unread = Unread()  # of all connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock for the first head."""
        self._make_room()
        super().connection_made(transport)
        self._workload = workload_shown(transport.get_extra_info("ssl_object"))
        self._idle_since = self.loop.time()
        self._timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._stop_clock()
        self._stop_draining()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head, and time what is not there yet."""
        if self._deaf:
            return
        if self._in_head:
            self._head_bytes += len(data)
        else:
            self._framing_bytes += len(data)  # what of it is body is taken off again
        super().data_received(data)
        framing = FRAMING_BYTES + FRAMING_RATIO * self._body_bytes
        if (self._in_head and self._head_bytes > HEAD_BYTES) or self._framing_bytes > framing:
            self._give_up()
        elif self._timer is None and (self._head_bytes or not self._in_head):
            self._timer = self.loop.call_later(HEAD_SECONDS if self._in_head else BODY_SECONDS, self._give_up)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of the head. A trailer comes behind a body, past whoever looked at the headers in front of us: it is nobody's word, and dropped (RFC 9110, 6.5.1)."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there; its body has a time of its own."""
        self._in_head, self._head_bytes = False, 0
        self._body_bytes = self._framing_bytes = 0
        self._stop_clock()
        if self._workload is not None:
            self.scope[WORKLOAD] = self._workload  # type: ignore[typeddict-unknown-key]
        upgrade = self.parser.should_upgrade()
        if upgrade and any(name in _SAY_BODY for name, _ in self.headers):
            raise _UpgradeError  # 400, and the connection ends
        super().on_headers_complete()
        if is_page(self.scope["path"]):
            self.cycle.default_headers = [
                (name, POLICY.encode() if name == _CSP else value)
                for name, value in self.cycle.default_headers
            ]
        if upgrade:  # no other protocol is spoken here: this one is answered, and nothing more is heard
            self._deaf, self.cycle.keep_alive = True, False

    def on_body(self, body: bytes) -> None:
        """Stop listening to who goes on after the answer."""
        self._body_bytes += len(body)
        self._framing_bytes -= len(body)
        if self.cycle is not None and self.cycle.response_complete:
            self._unread_bytes += len(body)
            if self._unread_bytes > UNREAD_BYTES:
                self._give_up()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next bytes are another head."""
        self._in_head = True
        self._body_bytes = self._framing_bytes = 0
        self._stop_clock()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Nobody works for it now."""
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def _make_room(self) -> None:
        """End the connection that nobody has worked for longest where there are too many: else who opens many and asks nothing keeps all others out."""
        if len(self.connections) < CONNECTIONS - 1:
            return
        idle = [each for each in self.connections if isinstance(each, Bounded) and each.idle]
        if idle:
            oldest = min(idle, key=lambda each: each._idle_since)  # noqa: SLF001 - its own kind
            self.connections.discard(oldest)
            oldest.drop()

    @property
    def idle(self) -> bool:
        """Whether it waits for a request, or for the rest of one that was answered."""
        return self.cycle is None or self.cycle.response_complete

    def pause_writing(self) -> None:
        """What was answered is not read as fast as it is written: see that it is read at all, and that it is not too much in all."""
        super().pause_writing()
        self._watch_draining()
        self._waits_for = sender(self.cycle.scope) if self.cycle is not None else ""
        self.unread.hold(self._waits_for, self, self.transport.get_write_buffer_size())

    def drop(self) -> None:
        """End the connection with what is not read."""
        self.transport.abort()  # closing would wait for the reader

    def resume_writing(self) -> None:
        """It was read."""
        self._stop_draining()
        super().resume_writing()

    def _watch_draining(self) -> None:
        unread = self.transport.get_write_buffer_size()
        self._draining = self.loop.call_later(DRAIN_SECONDS, self._drained_to, unread - DRAIN_BYTES)

    def _drained_to(self, expected: int) -> None:
        if self.transport.get_write_buffer_size() > max(expected, 0):
            self.drop()
        else:
            self._watch_draining()

    def _stop_draining(self) -> None:
        if self._draining is not None:
            self._draining.cancel()
            self._draining = None
        if self._waits_for is not None:
            self.unread.let_go(self._waits_for, self)
            self._waits_for = None

    def _give_up(self) -> None:
        self._stop_clock()
        if not self.transport.is_closing():
            self.transport.close()

    def _stop_clock(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Server(uvicorn.Server):
    """Tells when it listens, and when it is about to end."""

    def __init__(
        self, config: uvicorn.Config, started: Callable[[str], None], ending: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._tell, self._ending = started, ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell the URL."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        self.servers = [await self._listen(at) for at in sockets or ()]
        self.started = True
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self._tell(f"{'https' if self.config.is_ssl else 'http'}://{shown}:{port}")

    async def _listen(self, at: socket.socket) -> asyncio.Server:
        """As uvicorn does, which lets a handshake take a minute."""
        tls = self.config.ssl

        def protocol() -> asyncio.Protocol:
            return Bounded(self.config, self.server_state, self.lifespan.state)

        return await asyncio.get_running_loop().create_server(
            protocol,
            sock=at,
            ssl=tls,
            backlog=BACKLOG,
            ssl_handshake_timeout=None if tls is None else HANDSHAKE_SECONDS,
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Have what would go on for ever end, then wait for every answer."""
        self._ending()
        await super().shutdown(sockets)


def bound(host: str, port: int) -> socket.socket:
    """A socket at this address; port 0 takes a free one. It does not listen yet.

    Raises:
        OSError: there is no such address here, or something else is there.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    taken = socket.socket(family, kind, protocol)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
    except OSError:
        taken.close()
        raise
    return taken


def run(
    app: ASGIApp,
    at: socket.socket,
    *,
    access_log: bool,
    started: Callable[[str], None],
    ending: Callable[[], None],
    tls: Tls | None = None,
) -> None:
    """Serve until a signal comes.

    Args:
        app: what to serve.
        at: where to listen: see `bound`.
        access_log: one line per request.
        started: is told the URL once it listens.
        ending: is called on its event loop before it waits for the answers that are under way.
        tls: None for plain HTTP.
    """
    config = uvicorn.Config(
        app,
        http=Bounded,
        ws="none",
        log_config=None,
        access_log=access_log,
        server_header=False,
        headers=list(HEADERS + TLS_HEADERS if tls is not None else HEADERS),
        ssl_context_factory=None if tls is None else lambda *_: tls.context,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    # uvicorn ends the process by the signal that stopped it, before anybody has closed the log. Not here.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    # What was imported stays: without this the collector walks through it every few seconds, 30 ms in which nobody is answered.
    # A request leaves no cycles behind, so looking for them every 700 objects finds nothing either.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_OBJECTS)
    # A group commit lets the interpreter's lock go some seven times, and takes it again each time. From a thread that reads a batch it gets it after
    # this long: at the 5 ms that are the default the sequencer mostly waited (docs/benchmarks.md).
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        Server(config, started, ending).run(sockets=[at])
    finally:
        gc.unfreeze()
