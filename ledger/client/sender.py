"""Brings records to the ledger, in order: one thread, which sends what has arrived as one group.

    direct     records wait in memory; `submit`'s future is done when the ledger has answered
    spooling   the ledger is away, or was, and the spool is not empty: records go to the disk, and the future is done when they are there

A record that was numbered is sent until the ledger answers for it: whoever gave up waiting for it says so in a later record, so that
`source.seq` has no gaps that mean nothing. What cannot be delivered is never dropped in silence: the caller is told, or it is an
error in the log of the process, and counted.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, Final

from ledger.client.errors import ForkError, LedgerAway, RecordsLost
from ledger.client.exchange import AwayError, Exchange, Refused
from ledger.client.http import ProblemError
from ledger.client.spool import Spool
from ledger.client.waiting import GROUP_BYTES, GROUP_RECORDS, Done, Placed, Queue, Waiting, settle
from ledger.records.values import fact

WAITING_BYTES: Final = 32 * 1024 * 1024  # in memory; outcomes of what has started may take as much again
FIRST_RETRY_S: Final = 0.1
MAX_RETRY_S: Final = 5.0

logger = logging.getLogger(__name__)
Encoder = Callable[[Mapping[str, Any], int], bytes]


class Sender:
    """What waits, and the thread that sends it."""

    def __init__(
        self,
        exchange: Exchange,
        encode: Encoder,
        spool: Spool | None,
        patience_s: float,
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        """A sender that has not begun.

        Args:
            exchange: the connection.
            encode: makes a record's line, given its number.
            spool: where records go while the ledger is away, or None: then nothing starts.
            patience_s: how long the ledger may be away before a record that somebody waits for is not even taken.
            begun: called once, when there is something to send.

        Raises:
            LedgerError, OSError: the spool cannot be had.
        """
        self.lost = 0
        self._exchange, self._encode, self._spool = exchange, encode, spool
        self._patience_s, self._begun = patience_s, begun
        self._changed = threading.Condition()
        self._queue = Queue()
        self._seq = 0
        self._closing = False
        self._spooling = False
        self._forked: ForkError | None = None
        self._away_since: float | None = None
        self._away: AwayError | None = None
        self._retry_at = 0.0
        self._retry_s = FIRST_RETRY_S
        self._thread: threading.Thread | None = None
        if spool is not None:
            spool.open()
            if not spool.empty:
                self._spooling = True
                self._begin()

    @property
    def spools(self) -> bool:
        """Whether it has a spool."""
        return self._spool is not None

    # ---- for the callers

    def submit(self, record: Mapping[str, Any], *, waited_for: bool, told: bool = False) -> Done:
        """Number a record and take it. Where a tool waits for it, the future is done when it is durable, or with why it is not.

        Args:
            record: its members.
            waited_for: whether a tool waits for it: such a record leaves room for the outcomes of those that run.
            told: whether the caller knows already that it may not arrive.

        Raises:
            LedgerAway: it was not taken.
            ForkError: nothing is sent to this log any more.
            LedgerError: no line can be made of it.
        """
        done: Done = Future()
        with self._changed:
            self._check_open(waited_for=waited_for)
            line = self._encode(record, self._seq)
            waiting = Waiting(line, str(record.get("id")), done if waited_for else None, waited_for or told)
            if self._spooling and self._spool is not None:
                self._spool.append(line, self._teller(waiting), reserve=waited_for)
            else:
                self._check_memory(len(line), waited_for=waited_for)
                self._queue.add(waiting)
            self._seq += 1
            self._begin()
            self._changed.notify_all()
        return done

    def lose(self, record_id: str, why: str) -> None:
        """Say that a record is lost."""
        with self._changed:
            self.lost += 1
        logger.error(
            "the record %s is lost: %s", record_id, fact(why)
        )  # one line, whatever a ledger answered

    def abandon(self) -> None:
        """This process is a fork: what is open here is the parent's, which loses its spool's lock only when nobody holds it."""
        if self._spool is not None:
            self._spool.abandon()

    def why(self) -> str:
        """What kept the newest records waiting."""
        with self._changed:
            return str(self._away) if self._away is not None else "the ledger does not answer"

    def spill(self) -> None:
        """The ledger takes too long: what waits for it goes to the spool, where there is one."""
        with self._changed:
            self._to_spool()

    def flush(self, timeout_s: float) -> None:
        """Return when the ledger has everything.

        Raises:
            LedgerAway: not in time. What waits is sent later.
            ForkError: never.
        """
        with self._changed:
            self._retry_at = 0.0
            self._changed.notify_all()
            delivered = self._changed.wait_for(lambda: self._idle() or self._forked is not None, timeout_s)
            if self._forked is not None:
                raise self._forked
        if not delivered:
            raise LedgerAway(f"not everything was delivered within {timeout_s:g} s: {self.why()}")

    def close(self, timeout_s: float) -> None:
        """Send what waits, and end. What is in the spool stays there for the next start.

        Raises:
            RecordsLost: records were lost, now or before.
            ForkError: the log contradicts what was seen of it.
        """
        why: Exception = LedgerAway("the ledger was closed")
        known = self._forked
        try:
            if self._thread is not None:
                self.flush(timeout_s)
                self._exchange.look()
                self.flush(timeout_s)  # what came while it looked
        except ForkError as fork:
            why = fork
            self._forks(fork)
        except Exception as error:  # noqa: BLE001 - whatever it is, what waits is kept, or its loss is said
            why = error
        finally:  # an interrupt too
            self._end(why, timeout_s)
        if self.lost:
            raise RecordsLost(
                self.lost, f"{self.lost} records were lost: the process's log says which, and why"
            )
        if known is None and self._forked is not None:
            raise self._forked

    def _end(self, why: Exception, timeout_s: float) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)
        self._keep(why)
        if self._spool is not None:
            self._spool.close()
        self._exchange.close()

    # ---- under the lock

    def _begin(self) -> None:
        if self._thread is None:
            self._begun()
            self._thread = threading.Thread(target=self._run, name="agent-ledger", daemon=True)
            self._thread.start()

    def _idle(self) -> bool:
        return not self._queue and not self._spooling

    def _check_open(self, *, waited_for: bool) -> None:
        if self._forked is not None:
            raise self._forked
        if self._closing:
            raise LedgerAway("the ledger was closed")
        long_away = self._away_since is not None and time.monotonic() - self._away_since > self._patience_s
        if (
            waited_for
            and self._spool is None
            and self._away is not None
            and (long_away or self._away.hopeless)
        ):
            raise LedgerAway(str(self._away))

    def _check_memory(self, size: int, *, waited_for: bool) -> None:
        if self._queue.bytes + size > (WAITING_BYTES if waited_for else 2 * WAITING_BYTES):
            raise LedgerAway(
                f"{self._queue.bytes:,} bytes wait to be sent, and no more are kept: {self.why()}"
            )

    # ---- the thread

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._due() and not self._looks():
                    if self._closing:
                        return
                    self._changed.wait(self._until_next())
                spooling = self._spooling
                group = [] if spooling else self._queue.group()
            try:
                if spooling:
                    self._replay()
                elif group:
                    self._answered(group, self._exchange.post([waiting.line for waiting in group]))
                else:
                    self._exchange.look()
                self._succeeded()
            except AwayError as away:
                self._went_away(away)
            except ForkError as fork:
                self._forks(fork)
                return
            except Exception as error:  # the thread must live: whatever this is, it is tried again
                logger.exception("sending to the ledger failed unexpectedly")
                self._went_away(AwayError(f"{type(error).__name__}: {error}"))

    def _due(self) -> bool:
        return not self._idle() and not self._closing and time.monotonic() >= self._retry_at

    def _looks(self) -> bool:
        return self._idle() and not self._closing and self._exchange.look_in_s() == 0

    def _until_next(self) -> float | None:
        return self._exchange.look_in_s() if self._idle() else max(self._retry_at - time.monotonic(), 0.0)

    def _answered(self, group: list[Waiting], results: list[Refused | Placed]) -> None:
        for waiting, result in zip(group, results, strict=False):
            problem = result.problem if isinstance(result, Refused) else None
            if waiting.done is not None:
                settle(waiting.done, problem, result if isinstance(result, Placed) else None)
            elif problem is not None and not waiting.told:
                self.lose(waiting.id, f"the ledger refuses it: {problem.detail} [{problem.code}]")
            with self._changed:
                if (
                    waiting is self._queue.first
                ):  # else it was spilled meanwhile, and is sent again from there
                    self._queue.take()

    def _replay(self) -> None:
        spool = self._spool
        if spool is None:
            return
        found = spool.read(GROUP_RECORDS, GROUP_BYTES)
        while found:
            lines = [line for line, _ in found if line is not None]
            results = iter(self._exchange.post(lines) if lines else [])
            found = self._replayed(spool, found, results)
        with self._changed:
            self._spooling = not spool.empty

    def _replayed(
        self, spool: Spool, found: list[tuple[bytes | None, int]], results: Iterator[Refused | Placed]
    ) -> list[tuple[bytes | None, int]]:
        """Note what became of records from the spool. Returns those that are to be sent again."""
        for at, (line, end) in enumerate(found):
            if line is None:
                self.lose("of a damaged line", f"it is kept in {spool.path}")
            else:
                refused = next(results, ...)
                if refused is ...:
                    return found[at:]
                if isinstance(refused, Refused):
                    self._keep_refused(spool, line, refused.problem)
            spool.delivered(end)
        return []

    def _keep_refused(self, spool: Spool, line: bytes, problem: ProblemError) -> None:
        spool.refuse(line, {"status": problem.status, "code": problem.code, "detail": problem.detail})
        self.lose("from the spool", f"the ledger refuses it; it is kept in {spool.path}: {problem.detail}")

    def _succeeded(self) -> None:
        with self._changed:
            if self._away is not None:
                logger.warning("the ledger is back")
            self._away = self._away_since = None
            self._retry_s, self._retry_at = FIRST_RETRY_S, 0.0
            self._changed.notify_all()

    def _went_away(self, away: AwayError) -> None:
        now = time.monotonic()
        with self._changed:
            if self._away is None:
                logger.warning("the ledger is away: %s", away)
                self._away_since = now
            self._away = away
            wait_s = max(self._retry_s * random.uniform(0.5, 1.0), away.retry_after_s or 0.0)  # noqa: S311 - jitter
            if away.retry_after_s:
                wait_s *= random.uniform(1.0, 1.2)  # noqa: S311 - or all who were told the same come back at once
            self._retry_at = now + wait_s
            self._retry_s = min(self._retry_s * 2, MAX_RETRY_S)
            self._to_spool()
            if away.hopeless and self._spool is None:
                for waiting in self._queue:
                    if waiting.done is not None:
                        settle(waiting.done, LedgerAway(str(away)))
            self._changed.notify_all()

    def _to_spool(self) -> None:
        """Everything that waits goes to the disk, and what comes after it too, until the spool is empty again."""
        if self._spool is None:
            return
        while self._queue:
            waiting = self._queue.take()
            try:
                self._spool.append(waiting.line, self._teller(waiting))
            except LedgerAway as error:
                self._teller(waiting)(error)
        self._spooling = True

    def _teller(self, waiting: Waiting) -> Callable[[BaseException | None], None]:
        """Tells who waits for a record how it went; where nobody does, that it is lost."""

        def tell(error: BaseException | None) -> None:
            if waiting.done is not None:
                settle(waiting.done, error)
            elif error is not None and not waiting.told:
                self.lose(waiting.id, str(error))

        return tell

    def _forks(self, fork: ForkError) -> None:
        with self._changed:
            if self._forked is not None:
                return
            logger.critical("%s", fork)
            self._forked = fork
            for waiting in self._queue:
                if waiting.done is not None:
                    settle(waiting.done, fork)
                    waiting.done = None
            self._to_spool()
            self._changed.notify_all()

    def _keep(self, error: Exception) -> None:
        """The end, and not everything was delivered: what is not on the disk is lost."""
        with self._changed:
            if self._forked is None:
                self._to_spool()
            while self._queue:
                self._teller(self._queue.take())(error)
            if self._spool is not None and not self._spool.empty:
                logger.warning("records wait in the spool for the next start: %s", error)
