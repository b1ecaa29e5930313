"""The keys of peers' logs for a recorder: those it was given, and those that its own ledger follows from them (docs/federation.md).

The ledger's word is not needed for it: what it hands out is a proof, which is checked from the key that was given.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from ledger.client.http import LedgerClient, ProblemError, UnreachableError
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import VerifierKey
from ledger.core.peerkeys import follow

PATH: Final = "/v1/peers"
ANEW_S: Final = 60.0  # how old what was asked may be
SOON_S: Final = 5.0  # where a signer is not known: strangers cannot have it asked more often

logger = logging.getLogger(__name__)


class PeerLogs:
    """Of one recorder. Safe to use from any thread."""

    def __init__(self, keys: Iterable[VerifierKey], connect: Callable[[], LedgerClient]) -> None:
        """Nothing is asked yet.

        Args:
            keys: one that is known of each peer's log.
            connect: gives a client of the recorder's own ledger.
        """
        self._pinned = tuple(keys)
        self._connect = connect
        self._followed: dict[VerifierKey, KeyHistory] = {}
        self._asked_at = float("-inf")
        self._asking = threading.Lock()

    def keys(self) -> list[KeyHistory]:
        """Those that are known now."""
        return [self._followed.get(key, KeyHistory.begin(key)) for key in self._pinned]

    def ask(self, age_s: float) -> bool:
        """Ask the ledger for them where it was asked longer ago than this; whether something came of it. It raises nothing: what is known stays."""
        if not self._pinned or not self._asking.acquire(blocking=False):
            return False
        try:
            return time.monotonic() - self._asked_at >= age_s and self._asked()
        finally:
            self._asking.release()

    def _asked(self) -> bool:
        before = dict(self._followed)
        try:
            self._take(self._connect().ask("GET", PATH))
        except (UnreachableError, ProblemError, LedgerError) as error:
            logger.warning("whether a peer has rotated its key is not known now: %s", error)
        self._asked_at = time.monotonic()
        return before != self._followed

    def _take(self, answer: dict[str, Any]) -> None:
        told = answer.get("peers")
        for each in told if isinstance(told, list) else ():
            proof = each.get("proof") if isinstance(each, dict) else None
            if isinstance(proof, str):
                self._follow(proof.encode())

    def _follow(self, proof: bytes) -> None:
        for key in self._pinned:
            try:
                self._followed[key] = follow(proof, [key], self._followed.get(key))
            except LedgerError as error:
                if error.code is Code.FORKED:  # else it is of another peer
                    logger.warning("the ledger's proof of a peer's keys is not taken: %s", error.detail)
