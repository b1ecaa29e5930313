"""What a server does by itself, beside its work, in one thread; recording never waits for it, and whatever fails is told in its log.

| what | when | after it failed |
|---|---|---|
| finish a compaction, and say of erasures that they are done | when it is asked for, at the start, after the policies, once a day | every ten minutes |
| run the policies | five minutes after the start, once a day | at the next day |
| send segments to the object store, move them there | every minute | every minute |
| delete there, and in the cache here, what no manifest names any more, also what a lock kept so far | at the start, once a day | every minute |
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from ledger.core.errors import LedgerError
from ledger.log.log import Log
from ledger.log.renewal import Stop
from ledger.upkeep.compact import Compacted, compact, is_compact
from ledger.upkeep.erasing import tell_done
from ledger.upkeep.offload import Offload
from ledger.upkeep.retention import Select, run_policies

TURN_S: Final = 60.0
FIRST_RUN_S: Final = (
    300.0  # after a start: a server that is restarted every night has its policies run all the same
)
EVERY_S: Final = 24 * 3600.0
RETRY_S: Final = 600.0  # a compaction that fails for want of space writes much until it fails

logger = logging.getLogger(__name__)


class Status(NamedTuple):
    """How the last compaction of its own went.

    Attributes:
        running: one is at work.
        result: what the last one did, None before the first.
        failed: why the last one failed, None where it did not.
    """

    running: bool
    result: Compacted | None
    failed: str | None


class Routine:
    """The thread. Started by `start`; `close` ends it between two segments, and ends the worker that makes one anew."""

    def __init__(
        self,
        log: Log,
        select: Select,
        *,
        offload: Offload | None = None,
        keep: int | None = None,
        forget: Callable[[], None] = lambda: None,
        confirmed: bool = False,
        every_s: float = EVERY_S,
        first_s: float = FIRST_RUN_S,
        turn_s: float = TURN_S,
    ) -> None:
        """Nothing happens yet.

        Args:
            log: the log.
            select: runs a policy's SELECT.
            offload: the object store, where there is one.
            keep: of how many newest segments the large files stay here; None is of all.
            forget: has whatever else holds a copy of what is gone let go of it, and returns when that is done.
            confirmed: of policies, run those alone that two administrators set.
            every_s: seconds from one run of the policies to the next.
            first_s: seconds from the start to the first.
            turn_s: seconds between looking whether there is something to do.
        """
        self._log, self._select, self.offload, self._keep = log, select, offload, keep
        self._forget, self._confirmed = forget, confirmed
        self._every_s, self._turn_s = every_s, turn_s
        self._next_run = time.monotonic() + first_s
        self._next_finish = self._next_sweep = time.monotonic()
        self._asked = threading.Event()
        self._stop = Stop()
        self._status = Status(running=False, result=None, failed=None)
        self._thread = threading.Thread(target=self._work, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End it; what it was at is done after the next start."""
        self._stop.ask()
        self._asked.set()
        if self._thread.ident is not None:
            self._thread.join()

    def ask_compact(self) -> Status:
        """Have it compact at once; `status` tells how it goes."""
        self._status = self._status._replace(running=True)
        self._asked.set()
        return self._status

    def status(self) -> Status:
        """How the compaction goes, or went."""
        return self._status

    def _work(self) -> None:
        while not self._stop.asked:
            if time.monotonic() >= self._next_run:
                self._next_run = time.monotonic() + self._every_s
                self._step("retention", self._retain)
            if time.monotonic() >= self._next_finish:
                self._step("compaction", self._finish)
            if self.offload is not None:
                self._step("object store", self._send, self.offload)
            if self._asked.wait(self._turn_s):
                self._asked.clear()
                self._step("compaction", self._compact)

    def _finish(self) -> None:
        self._next_finish = time.monotonic() + RETRY_S
        if self._status.failed is not None or self._log.keeping.erasing or not is_compact(self._log):
            self._compact()
        if not self._log.keeping.erasing:  # else the object store could not be reached
            self._next_finish = time.monotonic() + self._every_s

    def _compact(self) -> None:
        self._status = self._status._replace(running=True)
        erasures = self._log.keeping.erasing  # what is said meanwhile waits for the next
        try:
            result = compact(self._log, offload=self.offload, stop=self._stop)
            self._forget()
            tell_done(self._log, erasures, result)
        except Exception as error:
            self._next_finish = time.monotonic() + RETRY_S
            failed = error.detail if isinstance(error, LedgerError) else str(error)
            self._status = Status(running=self._asked.is_set(), result=self._status.result, failed=failed)
            raise
        self._status = Status(running=self._asked.is_set(), result=result, failed=None)
        if result.objects is not None:
            self._next_sweep, self._next_finish = time.monotonic(), time.monotonic() + RETRY_S

    def _retain(self) -> None:
        self._next_finish = time.monotonic()
        for plan in run_policies(self._log, self._select, confirmed=self._confirmed):
            logger.info(
                "the policy %s took %s of %d entries; %d are held",
                plan.policy.name,
                plan.policy.removes,
                plan.entries.count,
                plan.held.count,
            )

    def _send(self, offload: Offload) -> None:
        segments = self._log.segments()
        sweeping = time.monotonic() >= self._next_sweep
        if sweeping:
            offload.forget_old(segments)
        offload.send(segments, self._stop)
        if self._keep is not None:
            offload.move(segments, self._keep, self._stop)
        if sweeping and not self._stop.asked:
            kept = tuple(offload.sweep(segments))
            self._next_sweep = time.monotonic() + self._every_s
            if (result := self._status.result) is not None:
                self._status = self._status._replace(result=result._replace(kept=kept, objects=None))

    def _step(self, what: str, step: Callable[..., None], *given: object) -> None:
        if self._stop.asked:
            return
        try:
            step(*given)
        except LedgerError as error:
            if not self._stop.asked:
                logger.error("%s: %s; it is tried again", what, error.detail)  # noqa: TRY400 - it says everything
        except Exception:
            logger.exception("%s broke off; it is tried again", what)
