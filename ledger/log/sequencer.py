"""The only writer. Gives every record its place, and answers when that place is durable and signed.

    submissions → bounded queue → [ plan → sign → store.append → anchor.advance → answer ]   one thread, one group at a time

Read `_commit` from top to bottom: it is the order in which things become durable, with what a crash between any two steps leaves.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol

from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.entry import format_time
from ledger.core.errors import Code, LedgerError
from ledger.core.merkle import leaf_hash
from ledger.core.note import NoteSigner
from ledger.log.plan import Appended, Check, Outcome, Plan, Planned
from ledger.log.queue import QUEUE_BYTES, Answer, Queue, Submission
from ledger.log.store import Store
from ledger.log.written import Written
from ledger.records.prepared import Prepared
from ledger.storage.anchor import HeadAnchor
from ledger.storage.hot import StoreFailed
from ledger.storage.lock import DataLock
from ledger.storage.schema import Head, Row

RETRY_AFTER_S = 1
MAX_WAITING = 8  # full hot files: what is in them is in memory until they are sealed
SEALING_RETRY_AFTER_S = 10

logger = logging.getLogger(__name__)


class Observer(Protocol):
    """Who wants to know what the sequencer did: telemetry."""

    def committed(self, records: int, seconds: float, size: int) -> None:
        """A group of `records` became durable in `seconds`; the log now has `size` entries."""


class Rotation(NamedTuple):
    """Another key that an own entry puts in force.

    Attributes:
        fresh: the key. It stands on the disk already, or a crash after the commit would leave a log that nobody can sign.
        take_place: puts it in its place, once the entry is durable.
    """

    fresh: NoteSigner
    take_place: Callable[[], None]


class Sequencer:
    """Runs the thread that writes."""

    def __init__(
        self,
        *,
        store: Store,
        written: Written,
        signer: NoteSigner,
        anchor: HeadAnchor,
        lock: DataLock,
        prev: bytes,
        observer: Observer | None = None,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self.store = store
        self.written = written
        self.queue = Queue(queue_bytes)
        self.held_clock = 0
        self.stopped: LedgerError | None = None
        self.unsigned: str | None = None
        self.signer = signer
        self._anchor, self._lock, self._observer = anchor, lock, observer
        self._prev = prev
        self._thread = threading.Thread(target=self._run, name="sequencer", daemon=True)
        self._thread.start()

    # -- the clients' side -------------------------------------------------------------------------------------------

    def submit(
        self, items: Sequence[Prepared], *, atomic: bool, done: Answer, check: Check | None = None
    ) -> None:
        """Queue records; `done` is called from the sequencer's thread once their fate is settled.

        Raises:
            LedgerError: `queue-full` (nothing was taken; try again after `retry_after` seconds), `storage-failed` (likewise: sealing does
                not keep up, or fails, and there is no more room in memory), `log-stopped`.
        """
        if self.stopped is not None:
            raise self.stopped
        if self.store.waiting >= MAX_WAITING:
            raise LedgerError(
                Code.STORAGE_FAILED,
                f"{MAX_WAITING} full hot files wait to be sealed, all of them in memory: nothing was taken, and nothing is until one is sealed; "
                "send it again later (`agent-ledger segments` says why they wait)",
                retry_after=SEALING_RETRY_AFTER_S,
            )
        self.queue.submit(items, atomic=atomic, done=done, check=check)

    def call(self, function: Callable[[], Any]) -> Future[Any]:
        """Have `function` called by the sequencer's thread, between two groups.

        Raises:
            LedgerError: `log-stopped`.
        """
        if self.stopped is not None:
            raise self.stopped
        return self.queue.call(function)

    def rotate(self) -> None:
        """Go on in a fresh hot file, and return when that is so.

        Raises:
            LedgerError: `storage-failed`, `log-stopped`.
        """
        self.call(self._rotate).result()

    def alone(self, record: Prepared, rotation: Rotation | None = None) -> Appended:
        """Make an own entry about the log's keys durable, in a commit of its own: the checkpoint on it is part of the proof of those keys.

        Args:
            record: the own entry.
            rotation: what it does where it puts another key in force; that one is in force when this returns.

        Raises:
            LedgerError: why it was not written (everything is as it was), or `log-stopped`: nobody knows, and a start finds out.
        """
        found: Appended = self.call(lambda: self._alone(record, rotation)).result()
        return found

    @property
    def thread_id(self) -> int | None:
        """Of the thread that writes: everybody waits for it, so it waits for nobody."""
        return self._thread.ident

    def forget_torn_ends(self) -> None:
        """Delete what was cut off, between two groups: then it is known what the log holds. Nothing where that is not known any more."""
        if self.stopped is None:
            self.call(lambda: None if self.stopped else self.store.forget_torn_ends()).result()

    def stop(self, why: str, remedy: str) -> None:
        """Take nothing more, from now on until a restart. From any thread; a group that is being committed still is."""
        if self.stopped is None:
            self.stopped = LedgerError(Code.LOG_STOPPED, f"the ledger has stopped writing ({why}); {remedy}")

    def close(self) -> None:
        """Finish what is queued, then stop the thread."""
        self.queue.close()
        self._thread.join()

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            work = self.queue.next()
            for call in work.calls:
                call.run()
            if work.group:
                self._settle(work.group)
            if work.last:
                return

    def _settle(self, group: list[Submission]) -> None:
        try:
            answers = self._commit(group)
        except LedgerError as error:
            answers = [[error] * len(submission.items) for submission in group]
        except Exception as error:  # noqa: BLE001 - whatever it was, the clients must hear of it and the writer must stop
            answers = [[self._stop(f"{type(error).__name__}: {error}")] * len(s.items) for s in group]
        self.queue.settled(group)
        for submission, answer in zip(group, answers, strict=True):
            try:
                submission.done(answer)
            except Exception:  # it cannot be told (its event loop is closed): the others still can
                logger.exception("an answer could not be delivered")

    def _alone(self, record: Prepared, rotation: Rotation | None) -> Appended:
        group = [Submission([record], True, 0, lambda _: None, None)]
        try:
            ((answer,),) = self._commit(group, rotation.fresh if rotation else None)
        except LedgerError:
            raise
        except Exception as error:
            raise self._stop(f"{type(error).__name__}: {error}") from error
        if isinstance(answer, LedgerError):
            raise answer
        if rotation is not None:
            self.signer = (
                rotation.fresh
            )  # Crash before: the log says who signs, and a start looks for that key among those there are.
            try:
                rotation.take_place()
            except OSError:
                logger.exception("the new key signs; that it takes its place is left to the next start")
        return answer

    def _commit(
        self, group: list[Submission], fresh: NoteSigner | None = None
    ) -> list[list[Appended | LedgerError]]:
        """Make a group durable and say what became of each record. The only place where the log grows.

        Args:
            group: what arrived.
            fresh: the key that the group, an own entry, puts in force: it signs too.

        Raises:
            LedgerError: nothing of the group is in the log (`storage-failed`), or nobody knows yet (`log-stopped`).
        """
        started = time.perf_counter()
        if self.stopped is not None:
            raise self.stopped
        plan = Plan(
            self.written, self.store, self._prev, self._clock()
        )  # places, chain, leaf hashes: nothing written
        outcomes = [plan.add(each.items, atomic=each.atomic, check=each.check) for each in group]
        plan.finish()
        self._refuse_if_lost()
        if not plan.rows:
            return [_answers(plan, outcome) for outcome in outcomes]
        _check_again(plan.rows)  # a bit that flipped in memory is never signed
        frontier = self.written.tree.frontier.copy()
        frontier.extend([row.hash for row in plan.rows])
        head = self._sign(plan, frontier.root(), fresh)
        persons = list(plan.persons.values())
        try:
            self.store.append(plan.rows, persons, head.note)  # one transaction, one fsync.
            # Crash before: nothing of it. Crash after: all of it, unanswered; a retry finds its id and gets the first answer.
        except StoreFailed as error:
            self._find_out(head, error)  # the file is re-read; returns only if the group is there
        self._advance(head)  # Crash before: the store is ahead of the anchor, which is allowed.
        # The other way round is loss, and `Log.open` refuses to write.
        self._refuse_if_lost()  # whoever took the folder meanwhile may have read it before this was written
        self._prev = plan.rows[-1].hash
        self.written.accept(plan.rows, persons, plan.standing, head)
        if self._observer is not None:
            self._observer.committed(len(plan.rows), time.perf_counter() - started, head.size)
        self._rotate_if_full()
        return [_answers(plan, outcome) for outcome in outcomes]

    def _rotate_if_full(self) -> None:
        try:
            if self.store.rotate_if_full(self.written.standing.keeping.removed):
                self.written.rotate()
        except LedgerError as error:  # this file is written on, and the next commit tries again
            logger.error("no fresh hot file could be made: %s", error.detail)  # noqa: TRY400

    def _rotate(self) -> None:
        if self.stopped is not None:
            raise self.stopped
        if self.store.rotate(self.written.standing.keeping.removed):
            self.written.rotate()

    def _clock(self) -> str:
        """Now, never earlier than the newest entry."""
        now = format_time(time.time_ns() // 1_000)
        if now < self.written.head.recorded_at:
            self.held_clock += 1
            return self.written.head.recorded_at
        return now

    def _sign(self, plan: Plan, root: bytes, fresh: NoteSigner | None) -> Head:
        signers = [self.signer] if fresh is None else [self.signer, fresh]
        if signers[-1].key != plan.standing.keys.current:
            raise LedgerError(
                Code.STORAGE_FAILED,
                f"nothing was written: {signers[-1].key} would sign what is for {plan.standing.keys.current}",
            )
        checkpoint = Checkpoint(self.signer.key.name, plan.size, root)
        try:
            note = sign_checkpoint(checkpoint, *signers)
        except LedgerError as error:  # nothing is written; the next group asks again
            if self.unsigned is None:
                logger.error("a checkpoint could not be signed: %s", error.detail)  # noqa: TRY400
            self.unsigned = error.detail
            raise
        self.unsigned = None
        return Head(plan.size, root, note, plan.recorded_at)

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
            self.store.forget_torn_ends()
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
        self.store.forget_torn_ends()

    def _advance(self, head: Head) -> None:
        try:
            self._anchor.advance(head.note, head.size)
        except OSError as error:
            raise self._stop(f"the head anchor {self._anchor.path} cannot be written: {error}") from error

    def _refuse_if_lost(self) -> None:
        if (why := self._lock.lost()) is not None:
            raise self._stop(why)

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
