"""From the sequencer's thread back to the waiting requests: one call into the event loop per group, not one per record.

Here every way in meets: whatever format it came in, here is counted what a credential may append, and judged for whom it may speak.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from ledger.api.service import Service
from ledger.api.witnessed import Witnessing
from ledger.core.errors import LedgerError
from ledger.log.plan import Appended, not_written
from ledger.log.queue import Answer
from ledger.records.prepared import Prepared
from ledger.trust.roles import Principal

Result = Appended | LedgerError
_Waiting = asyncio.Future[list[Result]]


class _Settled(NamedTuple):
    """What became of the `items` of a submission, and the places of those that were refused before it."""

    waiting: _Waiting
    results: list[Result]
    items: Sequence[Prepared]
    sender: Principal
    judged: Sequence[Prepared | LedgerError]


class Answers:
    """Submits records and waits for what became of them. Lives on one event loop."""

    def __init__(self, serving: Service, loop: asyncio.AbstractEventLoop, witnessing: Witnessing) -> None:
        self._witnessing = witnessing
        self._log, self._quotas, self._loop = serving.log, serving.quotas, loop
        self._settled: deque[_Settled] = deque()
        self._woken = False

    def submit(self, items: Sequence[Prepared], sender: Principal, *, atomic: bool) -> _Waiting:
        """The outcome of each record, in their order, once it is durable and signed; where witnesses are required, once they have cosigned it.

        Raises:
            LedgerError: `queue-full`, `quota-exceeded` or `log-stopped`; nothing was taken.
        """
        waiting: _Waiting = self._loop.create_future()
        judged: Sequence[Prepared | LedgerError] = items
        if sender.binding is not None:
            judged = sender.binding.judged(items)
            items = [item for item in judged if isinstance(item, Prepared)]
            if not items or (atomic and len(items) < len(judged)):
                waiting.set_result([_refusal(item) for item in judged])
                return waiting

        def done(results: list[Result]) -> None:
            self._settled.append(_Settled(waiting, results, items, sender, judged))
            if not self._woken:
                self._woken = True  # before the call: `_settle` takes it back before it empties the queue
                self._loop.call_soon_threadsafe(self._settle)

        self._take(items, sender, atomic, done)
        if self._witnessing.required:
            return self._loop.create_task(self._witnessing.after(waiting))
        return waiting

    def _take(self, items: Sequence[Prepared], sender: Principal, atomic: bool, done: Answer) -> None:
        check = sender.refuse_withdrawn
        if sender.quota is None:
            self._log.submit(items, atomic=atomic, done=done, check=check)
            return
        size_bytes = sum(item.size_bytes for item in items)
        self._quotas.spend(sender.name, sender.quota, len(items), size_bytes)
        try:
            self._log.submit(items, atomic=atomic, done=done, check=check)
        except LedgerError:
            self._quotas.give_back(sender.name, sender.quota, len(items), size_bytes)
            raise

    def _settle(self) -> None:
        self._woken = False
        while self._settled:
            settled = self._settled.popleft()
            self._give_back(settled)
            if not settled.waiting.done():  # a client that left
                settled.waiting.set_result(_all_results(settled))

    def _give_back(self, settled: _Settled) -> None:
        """What is not new in the log costs nothing."""
        sender = settled.sender
        if sender.quota is None:
            return
        unused = [
            item.size_bytes
            for item, result in zip(settled.items, settled.results, strict=True)
            if isinstance(result, LedgerError) or result.existing
        ]
        if unused:
            self._quotas.give_back(sender.name, sender.quota, len(unused), sum(unused))


def _refusal(item: Prepared | LedgerError) -> LedgerError:
    return item if isinstance(item, LedgerError) else not_written()


def _all_results(settled: _Settled) -> list[Result]:
    """The results in the order of what was submitted, with those that were refused at their places."""
    if len(settled.judged) == len(settled.items):
        return settled.results
    results = iter(settled.results)
    return [item if isinstance(item, LedgerError) else next(results) for item in settled.judged]
