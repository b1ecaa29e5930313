"""Whose turn it is for work of which little may be done at once: large bodies become objects many times their size.

In the order of `ledger.log.fair.FairOrder`: who sent a hundred bodies waits behind who sent one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ledger.log.fair import FairOrder


class Turns:
    """So many at once. Lives on one event loop."""

    def __init__(self, at_once: int = 1) -> None:
        self._free = at_once
        self._waiting: FairOrder[asyncio.Future[None]] = FairOrder()

    @asynccontextmanager
    async def of(self, who: str, cost: int) -> AsyncIterator[None]:
        """Wait for a turn, and have it as long as the context lasts; `cost` in bytes."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(who, cost)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, who: str, cost: int) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.push(who, cost, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came, and nobody is there any more
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.pop()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
