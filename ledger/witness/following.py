"""Records in the log which keys its peers prove to have rotated to: what their ledgers handed to the witness of the same owner becomes entries.

The proofs are read from the witness's folder, which is another process's, and checked anew from the key that the log itself accepted. Each step is an entry; one
that a kill prevented is written after the next start.
"""

import logging
import threading
from pathlib import Path
from typing import Any, Final, Protocol, Self

from ledger.core.errors import LedgerError
from ledger.core.peerkeys import FOLLOWED, Peer
from ledger.log.standing import Standing
from ledger.witness.followed import Followed

EVERY_S: Final = 5.0

logger = logging.getLogger(__name__)


class Log(Protocol):
    """What is needed of `ledger.log.log.Log`."""

    @property
    def standing(self) -> Standing:
        """What the log's own entries say now."""

    def append_own(self, record_type: str, ext: dict[str, Any]) -> object:
        """Write one of the log's own records and wait until it is durable."""


class Following:
    """A thread that looks into the witness's folder, from `with` to its end, while the log has peers."""

    def __init__(self, log: Log, folder: Path, *, every_s: float = EVERY_S) -> None:
        """It has not begun.

        Args:
            log: which has accepted them.
            folder: the witness's; it need not be there.
            every_s: how often it looks.
        """
        self._log, self._followed, self._every_s = log, Followed(folder), every_s
        self._refused: dict[str, bytes] = {}  # by origin, what was told of once
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="following", daemon=True)

    def __enter__(self) -> Self:
        """Begin, where there is a peer: they are accepted while no server runs."""
        if self._log.standing.peers.peers:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> int:
        """Record what is new. Returns how many steps that were."""
        return sum(self._look(peer) for peer in [*self._log.standing.peers.peers.values()])

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self.look()
            except Exception:  # a bug of ours, or a disk, must not end it unsaid
                logger.exception("whether peers have rotated their keys is not known now")
            self._ending.wait(self._every_s)

    def _look(self, peer: Peer) -> int:
        origin = peer.pinned.name
        proof = self._followed.proof(origin)
        if proof is None or proof == peer.proof or proof == self._refused.get(origin):
            return 0
        try:
            steps = peer.next_steps(proof)
        except LedgerError as error:
            self._refused[origin] = proof
            logger.warning("the keys of the peer %s are not followed: %s", peer.name, error.detail)
            return 0
        try:
            for ext in steps:
                self._log.append_own(FOLLOWED, ext)
        except LedgerError as error:  # the signer is away, or the disk is full: the rest comes later
            logger.warning(
                "that the peer %s rotated its key is not recorded yet: %s", peer.name, error.detail
            )
            return 0
        logger.info("the peer %s: %d steps of its keys were followed", peer.name, len(steps))
        return len(steps)
