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
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS: Final = 10.0
BODY_SECONDS: Final = 60.0
HEAD_BYTES: Final = 64 * 1024
UNREAD_BYTES: Final = 1024 * 1024  # of a body that is still coming although its request was answered
DRAIN_SECONDS: Final = 10.0  # in which an answer must get on by DRAIN_BYTES
DRAIN_BYTES: Final = 128 * 1024
KEEP_ALIVE_SECONDS: Final = 30
SHUTDOWN_SECONDS: Final = 10
CONNECTIONS: Final = 1_000
BACKLOG: Final = 256
GC_OBJECTS: Final = 50_000
SWITCH_SECONDS: Final = 0.0005


class Bounded(HttpToolsProtocol):
    """uvicorn's protocol, which otherwise waits for a request's head for ever, takes one of any length, keeps reading a body
    after the request was refused, to its end if it has one, and keeps an answer for ever for somebody who does not read it.
    """

    _timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = True
    _unread_bytes = 0
    _draining: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock for the first head."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._stop_clock()
        self._stop_draining()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head, and time what is not there yet."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES:
            self._give_up()
        elif self._timer is None and (self._head_bytes or not self._in_head):
            self._timer = self.loop.call_later(HEAD_SECONDS if self._in_head else BODY_SECONDS, self._give_up)

    def on_headers_complete(self) -> None:
        """The head is there; its body has a time of its own."""
        self._in_head, self._head_bytes = False, 0
        self._stop_clock()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Stop listening to who goes on after the answer."""
        if self.cycle is not None and self.cycle.response_complete:
            self._unread_bytes += len(body)
            if self._unread_bytes > UNREAD_BYTES:
                self._give_up()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next bytes are another head."""
        self._in_head = True
        self._stop_clock()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """What was answered is not read as fast as it is written: see that it is read at all."""
        super().pause_writing()
        self._watch_draining()

    def resume_writing(self) -> None:
        """It was read."""
        self._stop_draining()
        super().resume_writing()

    def _watch_draining(self) -> None:
        unread = self.transport.get_write_buffer_size()
        self._draining = self.loop.call_later(DRAIN_SECONDS, self._drained_to, unread - DRAIN_BYTES)

    def _drained_to(self, expected: int) -> None:
        if self.transport.get_write_buffer_size() > max(expected, 0):
            self.transport.abort()  # closing would wait for the reader
        else:
            self._watch_draining()

    def _stop_draining(self) -> None:
        if self._draining is not None:
            self._draining.cancel()
            self._draining = None

    def _give_up(self) -> None:
        self._stop_clock()
        if not self.transport.is_closing():
            self.transport.close()

    def _stop_clock(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Server(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config, started: Callable[[str], None]) -> None:
        super().__init__(config)
        self._tell = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell the URL."""
        await super().startup(sockets)
        if self.started and self.servers:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            self._tell(f"http://{shown}:{port}")


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


def run(app: ASGIApp, at: socket.socket, *, access_log: bool, started: Callable[[str], None]) -> None:
    """Serve until a signal comes.

    Args:
        app: what to serve.
        at: where to listen: see `bound`.
        access_log: one line per request.
        started: is told the URL once it listens.
    """
    config = uvicorn.Config(
        app,
        http=Bounded,
        ws="none",
        log_config=None,
        access_log=access_log,
        server_header=False,
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
        Server(config, started).run(sockets=[at])
    finally:
        gc.unfreeze()
