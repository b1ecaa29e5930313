"""What logs have proved of their keys to a witness, and to whoever has its folder.

    <witness's folder>/logs/<origin hash>.proof     the proof, as its log handed it (`ledger.core.keyhistory`)

It counts for as long as a key of it is witnessed, or was accepted of a peer; the keys that somebody wrote down are in files of their own.
"""

from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Final

from ledger.core.checkpoint import parse_checkpoint
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory, handovers
from ledger.core.note import VerifierKey, parse_note
from ledger.core.peerkeys import follow
from ledger.core.witnessing import origin_hash
from ledger.storage.files import write_durably

FOLDER: Final = "logs"
_SUFFIX: Final = ".proof"
_KEPT: Final = 64  # histories, which are made of proofs each time a checkpoint comes


class Followed:
    """The proofs in a witness's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def proof(self, origin: str) -> bytes | None:
        """The newest that was followed of a log."""
        try:
            return self._path(origin).read_bytes()
        except FileNotFoundError:
            return None

    def history(self, known: Collection[VerifierKey]) -> KeyHistory | None:
        """The keys to which those that are known of one log lead; None where none does, or nothing was followed."""
        proof = self.proof(next(iter(known)).name) if known else None
        return _checked(proof, frozenset(known)) if proof is not None else None

    def keys(self, known: VerifierKey) -> KeyHistory:
        """As `history`; that key alone where nothing was followed from it."""
        return self.history([known]) or KeyHistory.begin(known)

    def keep(self, origin: str, proof: bytes) -> None:
        """Put one on the disk that the caller has checked, against the one before it too.

        Raises:
            OSError: it cannot be.
        """
        write_durably(self._path(origin), proof)

    def _path(self, origin: str) -> Path:
        return self._folder / f"{origin_hash(origin)}{_SUFFIX}"


def check_seen(history: KeyHistory, proof: bytes, seen: bytes) -> None:
    """See that a history may be that of the log whose newest checkpoint was cosigned.

    Raises:
        LedgerError: `forked`.
    """
    checkpoint = parse_checkpoint(parse_note(seen).text)
    proved = [parse_checkpoint(parse_note(note).text) for note in handovers(proof)]
    same = [each for each in proved if each.size == checkpoint.size]
    try:
        if not same:  # else it may be kept with the line alone of the key that was known then
            history.open(seen, own=True)
    except LedgerError as error:
        raise _forked(error.detail) from None
    if any(each.root != checkpoint.root for each in same):
        raise _forked(f"it has another root at size {checkpoint.size}")


def _forked(detail: str) -> LedgerError:
    return LedgerError(
        Code.FORKED, f"it is not the history of the log whose newest checkpoint was cosigned here: {detail}"
    )


@lru_cache(_KEPT)
def _checked(proof: bytes, known: frozenset[VerifierKey]) -> KeyHistory | None:
    try:
        return follow(proof, known, None)
    except LedgerError:  # of a key that is known no more, or somebody's edit: the log hands it again
        return None
