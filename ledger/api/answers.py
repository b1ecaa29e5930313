"""From the sequencer's thread back to the waiting requests: one call into the event loop per group, not one per record."""

import asyncio
from collections import deque
from collections.abc import Sequence

from ledger.core.errors import LedgerError
from ledger.log.log import Log
from ledger.log.plan import Appended
from ledger.records.prepared import Prepared

Result = Appended | LedgerError
_Waiting = asyncio.Future[list[Result]]


class Answers:
    """Submits records and waits for what became of them. Lives on one event loop."""

    def __init__(self, log: Log, loop: asyncio.AbstractEventLoop) -> None:
        self._log, self._loop = log, loop
        self._settled: deque[tuple[_Waiting, list[Result]]] = deque()
        self._woken = False

    def submit(self, items: Sequence[Prepared], *, atomic: bool) -> _Waiting:
        """The outcome of each record, in their order, once it is durable and signed.

        Raises:
            LedgerError: `queue-full` or `log-stopped`; nothing was taken.
        """
        waiting: _Waiting = self._loop.create_future()

        def done(results: list[Result]) -> None:
            self._settled.append((waiting, results))
            if not self._woken:
                self._woken = True  # before the call: `_settle` takes it back before it empties the queue
                self._loop.call_soon_threadsafe(self._settle)

        self._log.submit(items, atomic=atomic, done=done)
        return waiting

    def _settle(self) -> None:
        self._woken = False
        while self._settled:
            waiting, results = self._settled.popleft()
            if not waiting.done():  # a client that left
                waiting.set_result(results)
