"""The log's checkpoints, submitted to its witnesses; beside the commits, never among them.

    newest checkpoint → every witness that is free, each on a thread of its own → lines that verify → quorum met: on the disk, then published

A round takes the newest checkpoint that there is: every `every_s` where the log has grown, at once where somebody waits, and every REFRESH_S where it
has not, because a cosignature says until when nothing larger was seen. What a witness says against the log stops it: see `_contradicted`.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol

from ledger.core.keyhistory import KeyHistory
from ledger.storage.schema import Head
from ledger.witness.asking import ContradictedError, SawError
from ledger.witness.collected import Collecting, keep, read_kept
from ledger.witness.evidence import keep_evidence
from ledger.witness.settings import Settings, check_own
from ledger.witness.worker import Told, Worker

REFRESH_S: Final = 60.0
ROUND_S: Final = 6.0  # after which another begins without those who have not answered
SOON_S: Final = 0.02  # between two rounds that somebody waits for: what comes together goes together
IDLE_S: Final = 3600.0
CLOSE: Final = "close"
WANTED: Final = "wanted"

logger = logging.getLogger(__name__)


class Log(Protocol):
    """What is needed of `ledger.log.log.Log`."""

    origin: str

    @property
    def keys(self) -> KeyHistory:
        """The log's keys so far."""

    def key_proof(self) -> bytes:
        """The proof of them."""

    def head(self) -> Head:
        """The newest durable checkpoint."""

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of size `new` extends the one of size `old`."""

    def root_at(self, size: int) -> bytes:
        """The root over the first `size` entries."""

    def witnessed(self, cosigned: Head) -> None:
        """The quorum has cosigned this checkpoint of the log's."""

    def stop(self, why: str, remedy: str) -> None:
        """Write no more."""


class Witnesses:
    """Has the log's checkpoints cosigned. One thread decides; what it knows may be read from any."""

    def __init__(self, log: Log, settings: Settings, data: Path) -> None:
        """Whoever has made it starts it.

        Raises:
            LedgerError: `invalid-parameter`: it is another log's policy, or the log's own key is a witness in it.
        """
        check_own(settings, log.keys)
        self.settings = settings
        self._log, self._data = log, data
        self._newest = self._read()
        self._wanted = 0
        self._begun, self._covered = -IDLE_S, time.monotonic()
        self._failed = False
        self._current: Collecting | None = None
        self._contradiction = ""
        self._published: Callable[[int], None] = lambda _: None
        self._inbox: SimpleQueue[Told | str] = SimpleQueue()
        known = self._newest.size if self._newest is not None else 0
        self._workers = [Worker(each, log, self._inbox.put, known) for each in settings.asked]
        self._thread = threading.Thread(target=self._run, name="witnesses", daemon=True)

    def start(self, published: Callable[[int], None] | None = None) -> None:
        """Begin to ask.

        Args:
            published: is told the size of each checkpoint that the quorum has cosigned, from the thread that decides.
        """
        if published is not None:
            self._published = published
        if self._newest is not None:
            self._check_kept(self._newest)
        for worker in self._workers:
            worker.start()
        self._thread.start()

    def close(self) -> None:
        """Ask no more."""
        self._inbox.put(CLOSE)
        self._thread.join()

    def want(self, size: int) -> None:
        """Somebody waits for a checkpoint of this size or more. From any thread."""
        if size > self._wanted:
            self._wanted = size
            self._inbox.put(WANTED)

    def newest(self) -> Head | None:
        """The newest checkpoint that the quorum cosigned, with the cosignatures."""
        return self._newest

    def lag_s(self) -> float:
        """For how long at most an entry has waited for the quorum; 0 where it cosigned everything."""
        return 0.0 if self._witnessed_size() == self._log.head().size else time.monotonic() - self._covered

    def status(self) -> dict[str, Any]:
        """Numbers for metrics and people; no addresses."""
        head, size = self._log.head(), self._witnessed_size()
        return {
            "quorum": self.settings.policy.quorum,
            "required": self.settings.required,
            "size": head.size,
            "witnessed_size": size,
            "lag_entries": head.size - size,
            "lag_seconds": round(self.lag_s(), 3),
            "contradiction": self._contradiction or None,
            "witnesses": [
                {
                    "name": worker.witness.name,
                    "key": str(worker.witness.key),
                    "size": worker.size,
                    "cosigned_at": worker.seconds,
                    "failures": worker.failures,
                    "problem": worker.problem or None,
                }
                for worker in self._workers
            ],
        }

    def _witnessed_size(self) -> int:
        return self._newest.size if self._newest is not None else 0

    # -- the thread that decides -------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._goes_on():
            pass
        for worker in self._workers:
            worker.end()

    def _goes_on(self) -> bool:
        try:
            self._hand_out()
            told = self._inbox.get(timeout=self._pause())
            if isinstance(told, Told):
                self._take(told)
        except Empty:
            return True
        except Exception:  # a bug of ours must not end it unsaid: the lag grows, and the log says why
            logger.exception("witnesses are not asked: an error of ours")
            time.sleep(1)
            return True
        return told != CLOSE

    def _hand_out(self) -> None:
        """Begin a round where one is due, and give its checkpoint to whoever is free and has not had it."""
        now = time.monotonic()
        if self._contradiction:
            return
        if self._witnessed_size() == self._log.head().size:
            self._covered = now
        if now >= self._due():
            self._failed = self._current is not None and not self._current.is_met()
            self._current, self._begun = Collecting(self._log.head(), self.settings.policy), now
        for worker in self._workers:
            if self._current is not None and worker.asked is not self._current and worker.is_free(now):
                worker.submit(self._current)

    def _due(self) -> float:
        """When the next round begins (`time.monotonic`)."""
        current = self._current
        if (
            current is not None
            and not current.is_met()
            and any(worker.busy and worker.asked is current for worker in self._workers)
        ):
            return self._begun + ROUND_S
        if self._wanted > self._witnessed_size():
            return self._begun + (self.settings.every_s if self._failed else SOON_S)
        if self._log.head().size != self._witnessed_size():
            return self._begun + self.settings.every_s
        return self._begun + REFRESH_S

    def _pause(self) -> float:
        if self._contradiction:
            return IDLE_S
        now = time.monotonic()
        # The log grows without telling: it is looked at this often.
        backing_off = [worker.not_before - now for worker in self._workers if worker.not_before > now]
        return max(0.001, min(self._due() - now, self.settings.every_s, *backing_off, IDLE_S))

    def _take(self, told: Told) -> None:
        worker, outcome = told.worker, told.outcome
        worker.take(outcome, told.collecting)
        if isinstance(outcome, SawError) and outcome.size <= self._log.head().size:
            worker.failures, worker.not_before = (
                0,
                0.0,
            )  # the log has grown meanwhile: it is shown the newer checkpoint
        elif isinstance(outcome, SawError | ContradictedError):
            self._contradicted(worker, outcome)
        elif isinstance(outcome, Exception):
            logger.warning("the witness %s has not cosigned: %s", worker.witness.name, outcome)
        else:
            told.collecting.add(worker.witness.name, outcome)
            if told.collecting.is_met() and told.collecting.head.size >= self._witnessed_size():
                self._publish(told.collecting)

    def _publish(self, collecting: Collecting) -> None:
        cosigned = collecting.cosigned()
        try:
            keep(self._data, cosigned)
        except OSError as error:
            logger.warning("the cosigned checkpoint is not kept: %s", error)
        self._newest = cosigned
        if collecting is self._current:
            self._covered, self._failed = self._begun, False
        self._log.witnessed(cosigned)
        self._published(cosigned.size)

    # -- what stops the log ------------------------------------------------------------------------------------------

    def _contradicted(self, worker: Worker, why: SawError | ContradictedError) -> None:
        """A witness saw more of this log than there is, or something else: it was rolled back, restored or rewritten, or its key is used elsewhere.

        Going on would make the fork longer. One witness suffices: the honest one need not be in the majority. So an operator chooses
        witnesses whose word he would stop for, and takes out of the policy one that lies.
        """
        size = self._log.head().size
        if isinstance(why, SawError):
            what = f"it has cosigned {why.size} entries of this log, which has {size}: it was rolled back, or its key is used elsewhere"
        else:
            what = f"{why}: the log was rewritten, or its key is used elsewhere"
        kept = keep_evidence(self._data, worker.witness, self._log, what)
        self._contradiction = f"the witness {worker.witness.name} contradicts this log: {what}"
        logger.critical("%s; evidence: %s", self._contradiction, kept or "none")
        self._log.stop(
            self._contradiction,
            "find out which history is the true one before anything is written: docs/witnesses.md"
            + (f"; evidence is in {kept}" if kept else ""),
        )

    def _read(self) -> Head | None:
        try:
            return read_kept(self._data, self._log.keys, self.settings.policy)
        except OSError as error:
            logger.warning("what witnesses cosigned before cannot be read: %s", error)
            return None

    def _check_kept(self, kept: Head) -> None:
        """What was witnessed before this start must still be the beginning of the log."""
        head = self._log.head()
        if kept.size <= head.size and kept.root == self._log.root_at(kept.size):
            self._log.witnessed(kept)
            return
        self._contradiction = f"its witnesses cosigned a checkpoint of {kept.size} entries before, which is not the beginning of this log of {head.size}"
        logger.critical("the log stops: %s", self._contradiction)
        self._log.stop(self._contradiction, "find out which history is the true one: docs/witnesses.md")
