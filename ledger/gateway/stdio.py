"""The stdio transport: the client starts the gateway, and the gateway starts the server.

Messages are lines (MCP, "stdio"). What arrives is written on as the bytes that arrived. A call is held back until it is recorded, and
meanwhile the messages after it pass: a client that waits for a person's approval still gets its pings answered. The gateway ends as the
server ends: with its exit status.
"""

import asyncio
import contextlib
import logging
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

from ledger.gateway.gate import Caller, Gate
from ledger.gateway.message import INVALID_REQUEST, Message, Refused, parse_client
from ledger.gateway.replies import Reply, encoded, error, refusals
from ledger.gateway.session import Session

MAX_LINE_BYTES: Final = 32 * 1024 * 1024
CHUNK_BYTES: Final = 256 * 1024
MAX_HELD: Final = 256
TOO_LONG: Final = f"a message is at most {MAX_LINE_BYTES:,} bytes"
# The ledger's credentials are the gateway's: the server it starts has no use for them but a bad one.
WITHHELD: Final = ("AGENT_LEDGER_TOKEN", "AGENT_LEDGER_KEY", "AGENT_LEDGER_KEY_NEXT")

log = logging.getLogger(__name__)


class Source(Protocol):
    """Where bytes come from: an `asyncio.StreamReader`."""

    async def read(self, size: int) -> bytes:
        """The next bytes, empty at the end."""


async def run(command: Sequence[str], gate: Gate, caller: Caller, *, withheld: Sequence[str] = ()) -> int:
    """Start the server and relay between it and this process's client until it ends. Returns the exit status.

    Args:
        command: the server's command and its arguments.
        gate: judges and records.
        caller: who the client is.
        withheld: further environment variables that the server does not get.

    Raises:
        OSError: the server cannot be started.
    """
    environment = {name: value for name, value in os.environ.items() if name not in {*WITHHELD, *withheld}}
    server = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment
    )
    _forward_signals(server)
    reader, writer = await _own_streams()
    relay = Relay(gate, caller, server, Lines(writer))
    towards_server = asyncio.create_task(relay.from_client(reader))
    try:
        await relay.from_server()
    except ConnectionError:
        log.warning("the client reads no more")
        pass_signal(server, signal.SIGTERM)
    finally:
        towards_server.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await towards_server
        relay.session.abandon("mcp.server_ended")
        await gate.close()
    status = await server.wait()
    return status if status >= 0 else 128 - status


def _forward_signals(server: asyncio.subprocess.Process) -> None:
    """Whoever ends the gateway means the server: it ends first, and what it still says passes."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, pass_signal, server, number)


def pass_signal(server: asyncio.subprocess.Process, number: int) -> None:
    """Send a signal to the server, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        server.send_signal(number)


def has_streams() -> bool:
    """Whether stdin and stdout are what a client talks over: pipes, sockets or terminals. A file or /dev/null cannot be waited for."""
    return all(
        os.isatty(number) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        for number, mode in ((number, os.fstat(number).st_mode) for number in (0, 1))
    )


async def _own_streams() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=CHUNK_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    # A protocol of its own for writing: that of streams alone knows how to wait until there is room.
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), sys.stdout
    )
    return reader, asyncio.StreamWriter(transport, protocol, None, loop)


class Lines:
    """Writes whole lines, from several tasks."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._lock = asyncio.Lock()

    async def send(self, line: bytes) -> None:
        """Write a line and its end."""
        async with self._lock:
            await self.raw(line + b"\n")

    async def raw(self, data: bytes) -> None:
        """Write bytes; the caller holds `open` where they are a part of a line."""
        self._writer.write(data)
        await self._writer.drain()

    def open(self) -> asyncio.Lock:
        """Keeps everyone else from writing while it is held."""
        return self._lock

    def close(self) -> None:
        """Nothing more is written."""
        self._writer.close()


class Relay:
    """The two directions between one client and one server."""

    def __init__(self, gate: Gate, caller: Caller, server: asyncio.subprocess.Process, client: Lines) -> None:
        if server.stdin is None or server.stdout is None:
            raise ValueError("the server has no pipes")
        self.session = Session()
        self._gate, self._caller, self._client = gate, caller, client
        self._server = Lines(server.stdin)
        self._output = server.stdout
        self._held: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(MAX_HELD)

    async def from_client(self, source: Source) -> None:
        """Everything that the client says, until it says no more; then the server is told so."""
        try:
            async for line in lines(source):
                if line is None:
                    await self._reply([error(None, INVALID_REQUEST, TOO_LONG)])
                elif line.strip():
                    await self._one(line)
            if self._held:
                await asyncio.wait(self._held)
        except ConnectionError:
            log.warning("the server reads no more")
        finally:
            self._server.close()

    async def _one(self, line: bytes) -> None:
        try:
            messages = parse_client(line, line=True)
            passing = self._gate.note(messages, self.session)
            self.session.claim(messages)
        except Refused as refused:
            await self._reply(refusals(refused))
            return
        if not passing:
            return
        if not any(message.acts for message in messages):
            await self._server.send(line)
            return
        await self._room.acquire()
        task = asyncio.create_task(self._hold(line, messages))
        self._held.add(task)
        task.add_done_callback(self._let_go)

    def _let_go(self, task: asyncio.Task[None]) -> None:
        self._held.discard(task)
        self._room.release()
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.warning("a call was not passed on: %s", failure)

    async def _hold(self, line: bytes, messages: tuple[Message, ...]) -> None:
        replies = await self._gate.admit(messages, self.session, self._caller)
        if replies:
            await self._reply(replies)
            return
        await self._server.send(line)

    async def _reply(self, replies: list[Reply]) -> None:
        for reply in replies:
            await self._client.send(encoded(reply))

    async def from_server(self) -> None:
        """Everything that the server says, until it ends."""
        pending = bytearray()
        while chunk := await self._output.read(CHUNK_BYTES):
            pending += chunk
            if b"\n" in chunk:
                whole, _, rest = bytes(pending).rpartition(b"\n")
                for line in whole.split(b"\n"):
                    self._gate.observe(line, self.session)
                await self._client.send(whole)
                pending = bytearray(rest)
            elif len(pending) > MAX_LINE_BYTES:
                pending = bytearray(await self._long(bytes(pending)))
        if pending:
            self._gate.observe(bytes(pending), self.session)
            await self._client.raw(bytes(pending))

    async def _long(self, beginning: bytes) -> bytes:
        """Pass a line on that is too long to be kept: what came of its call stays unknown. Returns what follows it."""
        log.warning(
            "the server sent a message of more than %s bytes: passed on, not recorded", f"{MAX_LINE_BYTES:,}"
        )
        async with self._client.open():
            await self._client.raw(beginning)
            while chunk := await self._output.read(CHUNK_BYTES):
                end, newline, rest = chunk.partition(b"\n")
                await self._client.raw(end + newline)
                if newline:
                    return rest
        return b""


async def lines(source: Source) -> AsyncIterator[bytes | None]:
    """The lines of a stream without their ends; None for one that is too long. A last line without an end is one too."""
    pending = bytearray()
    skipping = False
    while chunk := await source.read(CHUNK_BYTES):
        first, *others = chunk.split(b"\n")
        pending += b"" if skipping else first
        for following in others:
            if not skipping:
                yield bytes(pending)
            skipping = False
            pending = bytearray(following)
        if len(pending) > MAX_LINE_BYTES:
            skipping = True
            pending.clear()
            yield None
    if pending:
        yield bytes(pending)
