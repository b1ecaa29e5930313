"""One thread for each witness that is asked: a slow one keeps nobody waiting but itself.

Once the log's key was rotated, a witness is handed the proof of its keys before it is asked: once after each start, after each change, and where it says
that it does not know the signer.
"""

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final, NamedTuple, Protocol

from ledger.core.keyhistory import KeyHistory
from ledger.core.witnessing import AddCheckpoint
from ledger.storage.schema import Head
from ledger.witness.asking import (
    Asked,
    Cosignature,
    KeysRefusedError,
    SawError,
    SignerError,
    WitnessError,
    ask,
    hand_keys,
)
from ledger.witness.collected import Collecting

FIRST_BACKOFF_S: Final = 1.0
MAX_BACKOFF_S: Final = 60.0
_TRIES: Final = 3  # with the size that it names, where it names another


class Log(Protocol):
    """What is needed of `ledger.log.log.Log`."""

    @property
    def keys(self) -> KeyHistory:
        """The log's keys so far."""

    def key_proof(self) -> bytes:
        """The proof of them."""

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of size `new` extends the one of size `old`."""


class Told(NamedTuple):
    """What became of one question.

    Attributes:
        worker: whose.
        collecting: the checkpoint that was submitted.
        outcome: the cosignature, or why there is none.
    """

    worker: "Worker"
    collecting: Collecting
    outcome: Cosignature | Exception


class Worker:
    """Asks one witness, one question at a time."""

    def __init__(self, witness: Asked, log: Log, tell: Callable[[Told], None], known: int) -> None:
        """A worker that has not started.

        Args:
            witness: whom it asks.
            log: whose checkpoints they are.
            tell: is told what became of each question, from the worker's thread.
            known: the size that the witness cosigned, as far as is known; it corrects that.
        """
        self.witness, self.known = witness, known
        self.busy = False
        self.asked: Collecting | None = None
        self.failures, self.not_before, self.problem = 0, 0.0, ""
        self.size, self.seconds = 0, 0  # that it cosigned since this process started, and when it said
        self._log, self._tell = log, tell
        self._handed: KeyHistory | None = None
        self._refused: KeysRefusedError | None = None
        self._jobs: SimpleQueue[Collecting | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"witness {witness.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Ask no more. A question that is under way ends by its own time-out; nobody waits for that."""
        self._jobs.put(None)

    def submit(self, collecting: Collecting) -> None:
        """Submit a checkpoint. For the thread that is told, while the worker is not busy."""
        self.busy, self.asked = True, collecting
        self._jobs.put(collecting)

    def is_free(self, now: float) -> bool:
        """Whether it can be asked at this moment (`time.monotonic`)."""
        return not self.busy and now >= self.not_before

    def take(self, outcome: Cosignature | Exception, collecting: Collecting) -> None:
        """Note what became of the question. For the thread that is told."""
        self.busy = False
        if isinstance(outcome, Exception):
            self.failures += 1
            wait = min(FIRST_BACKOFF_S * 2 ** min(self.failures - 1, 10), MAX_BACKOFF_S)
            self.not_before, self.problem = time.monotonic() + wait, str(outcome)
        else:
            self.failures, self.not_before, self.problem = 0, 0.0, ""
            self.size, self.seconds = collecting.head.size, outcome.seconds

    def _run(self) -> None:
        while (collecting := self._jobs.get()) is not None:
            outcome: Cosignature | Exception
            try:
                outcome = self._ask(collecting)
            except Exception as error:  # noqa: BLE001 - whatever it was, the thread lives and it is told
                outcome = error if isinstance(error, WitnessError) else WitnessError(type(error).__name__)
            self._tell(Told(self, collecting, outcome))

    def _ask(self, collecting: Collecting) -> Cosignature:
        head: Head = collecting.head
        self._hand_keys()
        for _ in range(_TRIES):
            if self.known > head.size:
                raise SawError(self.known)
            proof = self._log.consistency(self.known, head.size) if 0 < self.known < head.size else []
            try:
                cosignature = ask(self.witness, collecting.text, AddCheckpoint(self.known, proof, head.note))
            except SawError as saw:
                self.known = saw.size
                continue
            except SignerError as error:
                self._handed = None
                raise self._refused or error from None
            self.known = head.size
            return cosignature
        raise WitnessError("it names another size each time")

    def _hand_keys(self) -> None:
        keys = self._log.keys
        if len(keys.terms) == 1 or keys == self._handed:
            return
        self._refused = None
        try:
            done = hand_keys(self.witness, self._log.key_proof())
        except KeysRefusedError as refused:  # it is asked all the same: what it saw may contradict this log
            self._refused, done = refused, True
        if done:
            self._handed = keys
