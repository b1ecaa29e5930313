"""What is kept when a witness contradicts the log: both sides, as signed; where they prove a fork, the proof that anybody can check."""

import json
import logging
import time
from pathlib import Path
from typing import Final, Protocol

from ledger.core.errors import LedgerError
from ledger.core.fork import Fork, format_fork, verify_fork
from ledger.core.keyhistory import KeyHistory
from ledger.storage.files import write_durably
from ledger.storage.schema import Head
from ledger.witness.asking import Asked, newest

FOLDER: Final = "contradictions"
PROOF: Final = "fork.proof"

logger = logging.getLogger(__name__)


class Log(Protocol):
    """What is needed of `ledger.log.log.Log`."""

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


def keep_evidence(data: Path, witness: Asked, log: Log, what: str) -> Path | None:
    """Ask the witness for what it saw, and keep it beside what the log has. Returns the folder; None where it cannot be written."""
    head, key = log.head(), log.keys.current
    seen = newest(witness, key.name)
    about = {
        "origin": key.name,
        "verifier_key": str(key),
        "witness": str(witness.key),
        "detail": what,
        "seen_at": int(time.time()),
    }
    files = {"about.json": json.dumps(about, indent=2).encode(), "own.checkpoint": head.note}
    if seen is not None:
        files["seen.checkpoint"] = seen
        if (proof := _proof(log, head, seen)) is not None:
            files[PROOF] = proof
    folder = data / FOLDER / str(time.time_ns())
    try:
        folder.mkdir(mode=0o700, parents=True)
        for name, content in files.items():
            write_durably(folder / name, content)
    except OSError as error:
        logger.critical("the evidence cannot be kept: %s; the witness saw: %r", error, seen)
        return None
    return folder


def _proof(log: Log, head: Head, seen: bytes) -> bytes | None:
    """The proof that this log's key signed another history; None where what was seen does not show that."""
    try:
        checkpoint = log.keys.open(seen, own=True)
        if not 0 < checkpoint.size <= head.size:
            return None
        proof = tuple(log.consistency(checkpoint.size, head.size))
        keys = log.key_proof() if len(log.keys.terms) > 1 else None
        fork = Fork(log.keys.first, seen, head.note, log.root_at(checkpoint.size), proof, keys)
        verify_fork(fork)
    except LedgerError:
        return None
    return format_fork(fork)
