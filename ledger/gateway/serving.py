"""Runs the HTTP gateway on a socket."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ledger.gateway.http import Endpoint

HEAD_BYTES: Final = 64 * 1024
HEAD_SECONDS: Final = 10.0
BODY_SECONDS: Final = 60.0
CONNECTIONS: Final = 1_000
KEEP_ALIVE_SECONDS: Final = 30
SHUTDOWN_SECONDS: Final = 5
BACKLOG: Final = 256


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens at an address.

    Raises:
        OSError: it is taken, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named: only then does asyncio turn Nagle's algorithm off, which holds each answer's body back for 40 ms.
    at = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        at.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        at.bind((host.strip("[]"), port))
        at.listen(BACKLOG)
    except OSError:
        at.close()
        raise
    return at


class Bounded(H11Protocol):
    """uvicorn's protocol, which otherwise waits for a request's head, and for its body, for ever."""

    _timer: asyncio.TimerHandle | None = None
    _waits_s: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock for the first head."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Time what is not there yet."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """What comes next has its own time; until it begins, uvicorn's for connections that are kept."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def _watch(self) -> None:
        waits_s = self._missing()
        if waits_s != self._waits_s:
            self._stop_clock()
            self._waits_s = waits_s
            if waits_s is not None:
                self._timer = self.loop.call_later(waits_s, self._give_up)

    def _missing(self) -> float | None:
        """How long the rest of what has begun may take; None where nothing has."""
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            return BODY_SECONDS
        begun = self.cycle is None or bool(self.conn.trailing_data[0])
        return HEAD_SECONDS if state is h11.IDLE and begun else None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _stop_clock(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Server(uvicorn.Server):
    """uvicorn's server, which would end the process by the signal before what is open was recorded."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve`."""
        yield

    def stop(self) -> None:
        """End: at the second call without waiting for anybody."""
        self.force_exit = self.should_exit
        self.should_exit = True


async def serve(endpoint: Endpoint, at: socket.socket, started: Callable[[], None]) -> None:
    """Serve until a signal ends it; then what is open has SHUTDOWN_SECONDS."""
    config = uvicorn.Config(
        endpoint,
        # h11: it bounds a request's head, and refuses what two servers could cut into requests differently.
        http=Bounded,
        h11_max_incomplete_event_size=HEAD_BYTES,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    server = _Server(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.stop)
    started()  # the socket listens already: who connects now waits a moment
    try:
        await server.serve(sockets=[at])
    finally:
        with contextlib.suppress(Exception):
            await endpoint.close()
