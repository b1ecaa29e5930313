"""The keys of other organisations' logs, as a log's own entries accept, follow and drop them (docs/federation.md).

    log.witness_added        log.peer, log.peer_log: what he is called, and a verifier key of his log, which two people compared
    log.peer_key_followed    log.peer_log: that key; log.peer_first: the first key of his log; log.peer_receipt: a step of the proof of its keys
    log.witness_removed      log.peer_log: it is believed no more

The steps of a peer, in order and from his log's first key on, are the proof that `ledger.core.keyhistory` reads. So nothing here is believed but the key
that was accepted; and from it the others follow, in the log, in evidence of it, and for whoever is handed one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ledger.core.checkpoint import Checkpoint, parse_checkpoint
from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError, VerificationError
from ledger.core.keyhistory import (
    ROTATED,
    KeyHistory,
    follow_step,
    format_history,
    parse_history,
    parse_steps,
)
from ledger.core.note import VerifierKey, format_vkey, parse_note, parse_vkey
from ledger.core.receipt import parse_receipt

ADDED: Final = "log.witness_added"
REMOVED: Final = "log.witness_removed"
FOLLOWED: Final = "log.peer_key_followed"
TYPES: Final = (ADDED, REMOVED, FOLLOWED)
MAX_PROOF_BYTES: Final = 256 * 1024  # some 150 rotations
MAX_STEP_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody else's log.

    Attributes:
        name: what its owner is called here.
        pinned: its key that was accepted.
        steps: of the proof of its keys, as far as they were followed.
        proved: what they prove, from its first key on; None before the first of them.
    """

    name: str
    pinned: VerifierKey
    steps: tuple[bytes, ...] = ()
    proved: KeyHistory | None = None

    @property
    def keys(self) -> KeyHistory:
        """Its keys, by what was followed, once that has come to the key that was accepted."""
        if self.proved is None or self.pinned not in self.proved.keys:
            return KeyHistory.begin(self.pinned)
        return self.proved

    @property
    def proof(self) -> bytes | None:
        """The proof of them; None where nothing was followed."""
        return None if self.proved is None else format_history(self.proved.first, self.steps)

    def followed(self, first: VerifierKey, step: bytes) -> "Peer":
        """With another step.

        Raises:
            LedgerError: it does not hold, or does not go on from those before; another first key, or another log's.
        """
        if len(step) > MAX_STEP_BYTES:
            raise LedgerError(Code.MALFORMED_RECEIPT, f"a step is longer than {MAX_STEP_BYTES} bytes")
        if first.name != self.pinned.name:
            raise LedgerError(Code.ORIGIN_MISMATCH, f"{first} is not a key of {self.pinned.name}")
        if self.proved is not None and self.proved.first != first:
            raise LedgerError(
                Code.FORKED, f"{self.pinned.name} began with {self.proved.first}, not with {first}"
            )
        proved = follow_step(self.proved or KeyHistory.begin(first), step)
        return replace(self, steps=(*self.steps, step), proved=proved)

    def next_steps(self, proof: bytes) -> list[dict[str, Any]]:
        """What a proof of this log's keys adds, each as the `ext` of an entry; verified, and nothing where it adds nothing.

        Raises:
            LedgerError: it does not hold, or is of another log; `rolled-back`: more was followed; `forked`: something else was.
        """
        later = follow(proof, [self.pinned], self.proved)
        first, steps = parse_steps(proof)
        same = zip(
            steps, self.steps, strict=False
        )  # of another order it would be another history, though it names the same keys
        if any(parse_receipt(theirs).index != parse_receipt(ours).index for theirs, ours in same):
            raise _forked(later.origin)
        return [self._ext(first, step) for step in steps[len(self.steps) :]]

    def _ext(self, first: VerifierKey, step: bytes) -> dict[str, Any]:
        told = parse_entry(parse_receipt(step).extra or b"")
        ext: Any = told.members["ext"]
        rotated = told.members["type"] == ROTATED
        return {
            "log.peer": self.name,
            "log.peer_log": format_vkey(self.pinned),
            "log.peer_first": format_vkey(first),
            "log.peer_change": "rotated" if rotated else "revoked",
            "log.peer_key": ext["log.vkey"],
            "log.peer_from": told.seq if rotated else ext["log.from"],
            "log.peer_receipt": step.decode(),
        }


@dataclass(frozen=True, slots=True)
class PeerKeys:
    """The peers after some entry. Never changed: a later one is made of it."""

    peers: Mapping[VerifierKey, Peer] = field(default_factory=dict)

    def after(self, record_type: str, ext: Mapping[str, Any]) -> "PeerKeys":
        """What holds once one of the log's own records is appended.

        Raises:
            LedgerError: `malformed-verifier-key`, `not-found`: the peer is none; those of `Peer.followed`.
        """
        if record_type not in TYPES:
            return self
        key = parse_vkey(str(ext.get("log.peer_log")))
        others = {pinned: peer for pinned, peer in self.peers.items() if pinned != key}
        if record_type == REMOVED:
            return PeerKeys(others)
        if record_type == ADDED:
            return PeerKeys({**others, key: Peer(str(ext.get("log.peer")), key)})
        peer = self.peers.get(key)
        if peer is None:
            raise LedgerError(Code.NOT_FOUND, f"{key} is no key that was accepted of a peer")
        first = parse_vkey(str(ext.get("log.peer_first")))
        return PeerKeys({**others, key: peer.followed(first, str(ext.get("log.peer_receipt")).encode())})

    def keys(self) -> list[KeyHistory]:
        """Those of all peers."""
        return [peer.keys for peer in self.peers.values()]


def follow(proof: bytes, known: Iterable[VerifierKey], before: KeyHistory | None) -> KeyHistory:
    """The keys that a stranger's proof leads to from one that is known.

    Args:
        proof: from anybody.
        known: keys of the log, any of which suffices.
        before: what was followed so far.

    Raises:
        FormatError: it is no proof, or too long a one.
        LedgerError: it does not hold, or is not of a log with one of these keys; `rolled-back`: more was followed already; `forked`: something
            else was.
    """
    if len(proof) > MAX_PROOF_BYTES:
        raise LedgerError(Code.BODY_TOO_LARGE, f"a proof of keys has at most {MAX_PROOF_BYTES} bytes here")
    first, _ = parse_steps(proof)
    history = parse_history(proof, first)
    if not any(key in history.keys for key in known):
        raise LedgerError(
            Code.UNKNOWN_SIGNER,
            f"no key of {history.origin} that is known here is among those that it proves",
        )
    if before is not None:
        check_goes_on(history, before)
    return history


def check_goes_on(history: KeyHistory, before: KeyHistory) -> None:
    """See that a history goes on from what was followed so far.

    Raises:
        LedgerError: `rolled-back`: more was followed already; `forked`: something else was.
    """
    if history.goes_on_from(before):
        return
    if before.goes_on_from(history):
        raise LedgerError(
            Code.ROLLED_BACK,
            f"more keys of {history.origin} are known here than it proves: it is an older proof",
        )
    raise _forked(history.origin)


def _forked(origin: str) -> LedgerError:
    return LedgerError(
        Code.FORKED,
        f"of {origin} other keys were followed than it proves: one of the two is not that log's history",
    )


# ---- what is known of several logs

Known = VerifierKey | KeyHistory  # a key alone is a history that has nothing more


def known_of(known: Iterable[Known], origin: str) -> list[KeyHistory]:
    """What is known of one log's keys: more than one where somebody gave more."""
    histories = [KeyHistory.begin(each) if isinstance(each, VerifierKey) else each for each in known]
    return [each for each in histories if each.origin == origin]


def open_known(note: bytes, known: Iterable[Known]) -> Checkpoint:
    """Read a checkpoint that the key of its size signed, of any log that is known.

    Raises:
        FormatError, VerificationError: as `KeyHistory.open`; `unknown-signer`: of a log that is not known.
    """
    origin = parse_checkpoint(parse_note(note).text).origin
    refused: LedgerError = VerificationError(Code.UNKNOWN_SIGNER, f"no key of the log {origin!a} is known")
    for history in known_of(known, origin):
        try:
            return history.open(note)
        except LedgerError as error:
            refused = error
    raise refused
