"""The only writer. Gives every record its place, and answers when that place is durable and signed.

    submissions → bounded queue → [ plan → sign → store.append → anchor.advance → answer ]   one thread, one group at a time

Read `_commit` from top to bottom: it is the order in which things become durable, with what a crash between any two steps leaves.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.entry import format_time
from ledger.core.errors import Code, LedgerError
from ledger.core.merkle import leaf_hash
from ledger.core.note import NoteSigner
from ledger.log.anchor import HeadAnchor
from ledger.log.plan import Appended, Outcome, Plan, Planned
from ledger.log.schema import Head, Row
from ledger.log.store import Store, StoreFailed
from ledger.log.written import Written
from ledger.records.prepared import Prepared

QUEUE_BYTES = 64 * 1024 * 1024
BATCH_RECORDS = 2_000
BATCH_BYTES = 8 * 1024 * 1024
RECORD_BYTES = 512  # what a record takes in memory beside its bytes
RETRY_AFTER_S = 1
GATHER_S = 0.003
GATHER_STEP_S = 0.0002
GATHER_BYTES = 64 * 1024

logger = logging.getLogger(__name__)
Answer = Callable[[list[Appended | LedgerError]], None]


class Observer(Protocol):
    """Who wants to know what the sequencer did: telemetry."""

    def committed(self, records: int, seconds: float, size: int) -> None:
        """A group of `records` became durable in `seconds`; the log now has `size` entries."""


class Submission(NamedTuple):
    """Records that arrived together, and whom to tell."""

    items: Sequence[Prepared]
    atomic: bool
    size_bytes: int
    done: Answer


class Sequencer:
    """Runs the thread that writes."""

    def __init__(
        self,
        *,
        store: Store,
        written: Written,
        signer: NoteSigner,
        anchor: HeadAnchor,
        prev: bytes,
        observer: Observer | None = None,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self.store = store
        self.written = written
        self.queue_limit_bytes = queue_bytes
        self.queued_bytes = 0
        self.held_clock = 0
        self.stopped: LedgerError | None = None
        self._signer, self._anchor, self._observer = signer, anchor, observer
        self._prev = prev
        self._queue: queue.SimpleQueue[Submission | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._closing = False
        self._carried: Submission | None = None
        self._expected = 1
        self._thread = threading.Thread(target=self._run, name="sequencer", daemon=True)
        self._thread.start()

    # -- the clients' side -------------------------------------------------------------------------------------------

    def submit(self, items: Sequence[Prepared], *, atomic: bool, done: Answer) -> None:
        """Queue records; `done` is called from the sequencer's thread once their fate is settled.

        Raises:
            LedgerError: `queue-full` (nothing was taken; try again after `retry_after` seconds), `log-stopped`.
        """
        size_bytes = sum(item.size_bytes + RECORD_BYTES for item in items)
        with self._gate:
            if self.stopped is not None:
                raise self.stopped
            if self._closing:
                raise LedgerError(Code.LOG_STOPPED, "the ledger is shutting down; nothing was taken")
            if self.queued_bytes and self.queued_bytes + size_bytes > self.queue_limit_bytes:
                raise LedgerError(
                    Code.QUEUE_FULL,
                    f"{self.queued_bytes} bytes wait to be written; nothing of this submission was taken: send it again later",
                    retry_after=RETRY_AFTER_S,
                )
            self.queued_bytes += size_bytes
            self._queue.put(Submission(items, atomic, size_bytes, done))

    def close(self) -> None:
        """Finish what is queued, then stop the thread."""
        with self._gate:
            self._closing = True
        self._queue.put(None)
        self._thread.join()

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            group, last = self._next_group()
            if group:
                self._settle(group)
            if last:
                return

    def _next_group(self) -> tuple[list[Submission], bool]:
        """Wait for one submission, then take what else is there, up to a group's limits."""
        first = self._carried or self._queue.get()
        self._carried = None
        if first is None:
            return [], True
        self._gather(first)
        group, last = self._drained(first)
        self._expected = max(len(group), self._expected - 1)
        return group, last

    def _gather(self, first: Submission) -> None:
        """Where many clients wait for their answers, give those just answered a moment to send the next: a group costs
        nearly the same whatever its length (benchmarks, "single records"). A client that is alone never waits.
        """
        if first.size_bytes > GATHER_BYTES:
            return
        until = time.perf_counter() + GATHER_S
        while self._queue.qsize() + 1 < self._expected and time.perf_counter() < until:
            time.sleep(GATHER_STEP_S)

    def _drained(self, first: Submission) -> tuple[list[Submission], bool]:
        group, records, size_bytes = [first], len(first.items), first.size_bytes
        while True:
            try:
                following = self._queue.get_nowait()
            except queue.Empty:
                return group, False
            if following is None:
                return group, True
            records += len(following.items)
            size_bytes += following.size_bytes
            if records > BATCH_RECORDS or size_bytes > BATCH_BYTES:
                self._carried = following
                return group, False
            group.append(following)

    def _settle(self, group: list[Submission]) -> None:
        try:
            answers = self._commit(group)
        except LedgerError as error:
            answers = [[error] * len(submission.items) for submission in group]
        except Exception as error:  # noqa: BLE001 - whatever it was, the clients must hear of it and the writer must stop
            answers = [[self._stop(f"{type(error).__name__}: {error}")] * len(s.items) for s in group]
        with self._gate:
            self.queued_bytes -= sum(submission.size_bytes for submission in group)
        for submission, answer in zip(group, answers, strict=True):
            try:
                submission.done(answer)
            except Exception:  # it cannot be told (its event loop is closed): the others still can
                logger.exception("an answer could not be delivered")

    def _commit(self, group: list[Submission]) -> list[list[Appended | LedgerError]]:
        """Make a group durable and say what became of each record. The only place where the log grows.

        Raises:
            LedgerError: nothing of the group is in the log (`storage-failed`), or nobody knows yet (`log-stopped`).
        """
        started = time.perf_counter()
        if self.stopped is not None:
            raise self.stopped
        plan = Plan(
            self.written, self.store, self._prev, self._clock()
        )  # places, chain, leaf hashes: nothing written
        outcomes = [plan.add(submission.items, atomic=submission.atomic) for submission in group]
        plan.finish()
        if not plan.rows:
            return [_answers(plan, outcome) for outcome in outcomes]
        _check_again(plan.rows)  # a bit that flipped in memory is never signed
        frontier = self.written.tree.frontier.copy()
        frontier.extend([row.hash for row in plan.rows])
        head = self._sign(plan, frontier.root())
        try:
            self.store.append(
                plan.rows, list(plan.persons.values()), head.note
            )  # one transaction, one fsync.
            # Crash before: nothing of it. Crash after: all of it, unanswered; a retry finds its id and gets the first answer.
        except StoreFailed as error:
            self._find_out(head, error)  # the file is re-read; returns only if the group is there
        self._advance(head)  # Crash before: the store is ahead of the anchor, which is allowed.
        # The other way round is loss, and `Log.open` refuses to write.
        self._prev = plan.rows[-1].hash
        introduced = ((commitment, seq) for commitment, (seq, _) in plan.persons.items())
        self.written.accept(plan.rows, introduced, plan.standing, head)
        if self._observer is not None:
            self._observer.committed(len(plan.rows), time.perf_counter() - started, head.size)
        return [_answers(plan, outcome) for outcome in outcomes]

    def _clock(self) -> str:
        """Now, never earlier than the newest entry."""
        now = format_time(time.time_ns() // 1_000)
        if now < self.written.head.recorded_at:
            self.held_clock += 1
            return self.written.head.recorded_at
        return now

    def _sign(self, plan: Plan, root: bytes) -> Head:
        checkpoint = Checkpoint(self._signer.key.name, plan.size, root)
        return Head(plan.size, root, sign_checkpoint(checkpoint, self._signer), plan.recorded_at)

    def _find_out(self, head: Head, error: StoreFailed) -> None:
        """After a commit that was not clean: re-read the file and establish what is true.

        Raises:
            LedgerError: `storage-failed` when nothing of the group was written and writing may go on; `log-stopped` otherwise.
        """
        try:
            self.store.reopen()
            size, note = self.store.size(), self.store.newest_checkpoint()
        except LedgerError as unreadable:
            raise self._stop(f"{error}; and then: {unreadable.detail}") from error
        if (size, note) == (self.written.head.size, self.written.head.note):
            raise LedgerError(
                Code.STORAGE_FAILED,
                f"nothing of this was written, it may be sent again: {error}",
                retry_after=RETRY_AFTER_S,
            ) from error
        if (size, note) != (head.size, head.note):
            raise self._stop(
                f"{error}; the file holds {size} entries, which is neither before nor after the commit"
            ) from error
        try:
            # It can be read, but after an fsync that failed that says nothing about the disk: the kernel may have dropped the write.
            self.store.fold()
        except LedgerError as unwritten:
            raise self._stop(f"{error}; and then: {unwritten.detail}") from error

    def _advance(self, head: Head) -> None:
        try:
            self._anchor.advance(head.note, head.size)
        except OSError as error:
            raise self._stop(f"the head anchor {self._anchor.path} cannot be written: {error}") from error

    def _stop(self, why: str) -> LedgerError:
        """Write no more. What was just submitted may be in the log: after a restart its id gives the answer."""
        self.stopped = LedgerError(
            Code.LOG_STOPPED,
            f"the ledger has stopped writing ({why}); restart it, then send the same record again: its id finds the answer",
        )
        return self.stopped


def _check_again(rows: Sequence[Row]) -> None:
    for row in rows:
        if leaf_hash(row.entry) != row.hash:
            raise LedgerError(
                Code.STORAGE_FAILED,
                f"entry {row.seq} changed in memory before it was signed; nothing was written",
            )


def _answers(plan: Plan, outcomes: list[Outcome]) -> list[Appended | LedgerError]:
    return [
        Appended(o.item.id, o.row.seq, o.row.hash, plan.recorded_at, o.existing, plan.size)
        if isinstance(o, Planned)
        else o
        for o in outcomes
    ]
