"""One HTTP request as ASGI hands it over, and what is done with it."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from ledger.gateway.front import Turned
from ledger.gateway.replies import Reply, encoded
from ledger.gateway.upstream import Headers

Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
T = TypeVar("T")

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
JSON_HEADERS: Final = [(b"content-type", b"application/json")]
TOO_LARGE: Final = 413


class Gone(Exception):  # noqa: N818 - what happened
    """The client closed its connection."""


class Withdrawn(Exception):  # noqa: N818 - what happened
    """The client cancelled what was held back."""


@dataclass(slots=True)
class Incoming:
    """A request.

    Attributes:
        method: GET, POST, …
        headers: as they came.
        target: the path and query; empty for the gateway's own path.
    """

    method: str
    headers: Headers
    target: str
    receive: Receive
    send: Send

    async def body(self) -> bytes:
        """The whole body.

        Raises:
            Gone: the client left.
            Turned: it is too large.
        """
        body = bytearray()
        while True:
            event = await self.receive()
            if event["type"] == "http.disconnect":
                raise Gone
            body += event.get("body", b"")
            if len(body) > MAX_BODY_BYTES:
                raise Turned(TOO_LARGE, f"a message is at most {MAX_BODY_BYTES:,} bytes")
            if not event.get("more_body"):
                return bytes(body)

    async def answer(self, status: int, replies: list[Reply]) -> int:
        """Give the gateway's own answer. Returns the status."""
        body = encoded(replies[0] if len(replies) == 1 else replies) if replies else b""
        headers = [*(JSON_HEADERS if body else []), (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})
        return status

    async def unless_gone(self, work: Awaitable[T]) -> T:
        """What the work gives, unless the client closes its connection first: then the work is cancelled.

        Raises:
            Gone: the client left.
            Withdrawn: somebody else cancelled the work.
        """
        working = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self._left())
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                working.cancel()
                await asyncio.wait({working})
                if working.cancelled() or working.exception() is not None:
                    raise Gone
            if working.cancelled():
                raise Withdrawn
            return working.result()
        finally:
            leaving.cancel()
            working.cancel()

    async def _left(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


async def lifespan(receive: Receive, send: Send) -> None:
    """Take part in a server's start and end, of which nothing is to be done."""
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
