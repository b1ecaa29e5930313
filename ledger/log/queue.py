"""What waits to be written: submissions in, groups out. Bounded in bytes; no credential keeps another out, or waiting behind all that it sent.

    submit ─▶ Shares: may this credential hold so much more? ─▶ FairOrder ─▶ a group: those served least come first

A credential is a submitter, as it stands in the entries. The log's own entries are one more.
"""

import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final, NamedTuple

from ledger.core.errors import Code, LedgerError
from ledger.log.fair import FairOrder, Shares
from ledger.log.plan import Appended, Check
from ledger.records.prepared import Prepared

QUEUE_BYTES: Final = 64 * 1024 * 1024
BATCH_RECORDS: Final = 2_000
BATCH_BYTES: Final = 8 * 1024 * 1024
RECORD_BYTES: Final = 512  # what a record takes in memory beside its bytes
GATHER_S: Final = 0.003
GATHER_STEP_S: Final = 0.0002
GATHER_BYTES: Final = 64 * 1024
MAX_RETRY_AFTER_S: Final = 60
RATE_WEIGHT: Final = 0.2  # of the newest group in the rate that waiting is estimated by

Answer = Callable[[list[Appended | LedgerError]], None]


class Submission(NamedTuple):
    """Records that arrived together, and whom to tell."""

    items: Sequence[Prepared]
    atomic: bool
    size_bytes: int
    done: Answer
    check: Check | None

    @property
    def submitter(self) -> str:
        """Whose it is: all records of a submission are one credential's."""
        return self.items[0].submitter


class Call(NamedTuple):
    """Something to be done by the thread that writes, between two groups."""

    function: Callable[[], Any]
    future: Future[Any]

    def run(self) -> None:
        """Do it, and tell who waits."""
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self.function())
        except BaseException as error:  # noqa: BLE001 - it is whoever called that must hear of it
            self.future.set_exception(error)


class Work(NamedTuple):
    """What the thread that writes does next: the calls, then the group; nothing comes after the last."""

    calls: list[Call]
    group: list[Submission]
    last: bool


class Queue:
    """Between any number of threads that submit and the one that writes."""

    def __init__(self, limit_bytes: int = QUEUE_BYTES) -> None:
        self._gate = threading.Lock()
        self._shares = Shares(limit_bytes)
        self._order: FairOrder[Submission] = FairOrder()
        self._calls: list[Call] = []
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._asleep = self._closing = False
        self._expected = 1
        self._taken_at = 0.0
        self._bytes_per_s = 0.0

    @property
    def limit_bytes(self) -> int:
        """How much may wait."""
        return self._shares.limit

    @property
    def held_bytes(self) -> int:
        """What waits or is being written."""
        return self._shares.held_bytes

    @property
    def credentials(self) -> int:
        """Of how many credentials something waits or is being written."""
        return len(self._shares)

    # -- the clients' side -------------------------------------------------------------------------------------------

    def submit(
        self, items: Sequence[Prepared], *, atomic: bool, done: Answer, check: Check | None = None
    ) -> None:
        """Let records of one submitter wait.

        Raises:
            LedgerError: `queue-full`: nothing was taken; by the rate at which the queue empties there is room after `retry_after` seconds.
                `log-stopped`: it is closing.
        """
        size_bytes = sum(item.size_bytes + RECORD_BYTES for item in items)
        submission = Submission(items, atomic, size_bytes, done, check)
        who = submission.submitter
        with self._gate:
            self._refuse_closing()
            missing = self._shares.missing(who, submission.size_bytes)
            if missing:
                raise self._full(who, missing)
            self._shares.take(who, submission.size_bytes)
            self._order.push(who, submission.size_bytes, submission)
            self._wake()

    def call(self, function: Callable[[], Any]) -> Future[Any]:
        """Have `function` called by the thread that writes, between two groups, before what waits.

        Raises:
            LedgerError: `log-stopped`: it is closing.
        """
        call = Call(function, Future())
        with self._gate:
            self._refuse_closing()
            self._calls.append(call)
            self._wake()
        return call.future

    def close(self) -> None:
        """Take nothing more. What waits is still given out."""
        with self._gate:
            self._closing = True
            self._wake()

    # -- the side of the thread that writes --------------------------------------------------------------------------

    def next(self) -> Work:
        """Wait for something to do."""
        self._sleep()
        self._gather()
        with self._gate:
            calls, self._calls = self._calls, []
            group = self._group()
            last = self._closing and not self._order
        if group:
            self._expected = max(len(group), self._expected - 1)
        self._taken_at = time.perf_counter()
        return Work(calls, group, last)

    def settled(self, group: Sequence[Submission]) -> None:
        """A group waits no more."""
        seconds = max(time.perf_counter() - self._taken_at, 1e-6)
        with self._gate:
            for submission in group:
                self._shares.give(submission.submitter, submission.size_bytes)
            rate = sum(submission.size_bytes for submission in group) / seconds
            before = self._bytes_per_s or rate
            self._bytes_per_s = before + RATE_WEIGHT * (rate - before)

    def _sleep(self) -> None:
        while True:
            with self._gate:
                if self._order or self._calls or self._closing:
                    return
                self._asleep = True
            self._bell.get()

    def _wake(self) -> None:
        if self._asleep:
            self._asleep = False
            self._bell.put(None)

    def _gather(self) -> None:
        """Where many clients wait for their answers, give those just answered a moment to send the next: a group costs
        nearly the same whatever its length (benchmarks, "single records"). A client that is alone never waits.
        """
        if not self._order or self._calls or self._order.first().size_bytes > GATHER_BYTES:
            return
        until = time.perf_counter() + GATHER_S
        while len(self._order) < self._expected and time.perf_counter() < until:
            time.sleep(GATHER_STEP_S)

    def _group(self) -> list[Submission]:
        """What is written together: one submission, and more in their order as long as they are within a group's limits."""
        group: list[Submission] = []
        records = size_bytes = 0
        while self._order:
            following = self._order.first()
            records += len(following.items)
            size_bytes += following.size_bytes
            if group and (records > BATCH_RECORDS or size_bytes > BATCH_BYTES):
                break
            group.append(self._order.pop())
        return group

    def _refuse_closing(self) -> None:
        if self._closing:
            raise LedgerError(Code.LOG_STOPPED, "the ledger is shutting down; nothing was taken")

    def _full(self, who: str, missing: int) -> LedgerError:
        return LedgerError(
            Code.QUEUE_FULL,
            f"{self._shares.held(who)} bytes of this credential wait to be written, {self.held_bytes} in all: more would be beyond its share "
            "of the queue; nothing of this submission was taken: send it again later",
            retry_after=retry_after(missing, self._bytes_per_s),
        )


def retry_after(amount: float, per_s: float) -> int:
    """Whole seconds until `amount` is gone at this rate; 1 where the rate is not known, at most a minute."""
    seconds = math.ceil(amount / per_s) if per_s > 0 else 1
    return min(max(seconds, 1), MAX_RETRY_AFTER_S)
