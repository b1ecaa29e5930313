"""Who follows the log, and how they wait: nothing is queued for a reader, and the writer does not know that there are any.

A stream knows a place in the log and reads on from there when there is more. One task looks at the log's size, a few times a second and only
while somebody follows; all streams wait for it.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from ledger.core.errors import Code, LedgerError
from ledger.log.log import Log

STREAMS: Final = 100  # at once
STREAMS_PER_TOKEN: Final = 5
READING: Final = 2  # threads that read for them: who catches up takes none that others wait for
LOOK_EVERY_S: Final = 0.05
RETRY_AFTER_S: Final = 10

_T = TypeVar("_T")


class Streams:
    """The streams of one server. Everything but `read`'s function runs on the event loop."""

    def __init__(self) -> None:
        self.ending = False
        self._by_token: Counter[str] = Counter()
        self._grown = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._threads = ThreadPoolExecutor(READING, "streams")

    def enter(self, who: str, name: str) -> None:
        """Begin a stream.

        Args:
            who: whose it is: a credential's, or of one of those whom it lets in.
            name: the credential's name, to be told.

        Raises:
            LedgerError: `streams-busy`: they have as many as one may have, or all have together.
        """
        if self._by_token[who] >= STREAMS_PER_TOKEN:
            raise _busy(
                f"the token {name} follows the log {STREAMS_PER_TOKEN} times already, and may not more often"
            )
        if self._by_token.total() >= STREAMS:
            raise _busy(f"{STREAMS} readers follow the log already")
        self._by_token[who] += 1

    def leave(self, who: str) -> None:
        """End one."""
        self._by_token[who] -= 1
        self._by_token += Counter()  # keeps those above zero

    async def grown(self, log: Log, beyond: int, timeout_s: float) -> None:
        """Wait until the log has more than `beyond` entries, the server ends, or the time is over."""
        if self.ending or log.head().size > beyond:
            return
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch(log, beyond))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._grown.wait(), timeout_s)

    async def read(self, function: Callable[[], _T]) -> _T:
        """Have something read by a thread that is the streams' own."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)

    def end(self) -> None:
        """Have every stream end after what it is sending: connections that go on for ever would hold up the server's end."""
        self.ending = True
        self._grown.set()

    async def close(self) -> None:
        """Wait for what is still being read."""
        self.end()
        if self._watching is not None:
            self._watching.cancel()
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def _watch(self, log: Log, size: int) -> None:
        while self._by_token and not self.ending:
            await asyncio.sleep(LOOK_EVERY_S)
            if (now := log.head().size) != size:
                size = now
                self._grown.set()
                self._grown = asyncio.Event()


def _busy(detail: str) -> LedgerError:
    return LedgerError(Code.STREAMS_BUSY, f"{detail}: end one, or try later", retry_after=RETRY_AFTER_S)
