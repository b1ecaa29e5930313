"""Every recorder is a witness: it holds the log to what it saw of it before.

A hash chain shows neither a cut tail nor a full rewrite, and not that two people are shown two logs. Somebody who kept a signed
checkpoint can: the newer one must extend it (RFC 9162, consistency proofs). What contradicts it is kept, signed by the log itself.
"""

import logging
from typing import Any, Final

from ledger.client.errors import ForkError
from ledger.client.forked import PROOF, keep_evidence, prove_fork
from ledger.client.http import LedgerClient, ProblemError, UnreachableError
from ledger.client.keys import key_proof, own_keys
from ledger.client.pins import Pin, pin_files, read_pin, remember
from ledger.core.checkpoint import Checkpoint, parse_checkpoint
from ledger.core.errors import Code, FormatError, LedgerError, VerificationError
from ledger.core.fork import Fork
from ledger.core.keyhistory import KeyHistory, handovers, parse_history
from ledger.core.merkle import verify_consistency
from ledger.core.note import VerifierKey, parse_note
from ledger.core.text import format_base64

CHECKPOINT: Final = "checkpoint"

logger = logging.getLogger(__name__)


class Witness:
    """What this process and this user saw of one log."""

    def __init__(self, key: VerifierKey | None = None) -> None:
        """A witness of the log that has this verifier key, or had it; of the first log it sees where it is None."""
        self._keys = KeyHistory.begin(key) if key is not None else None
        self._proof: bytes | None = None  # of the keys, where there are several
        self._seen: bytes | None = None
        self._told = 0
        self._complained = False

    @property
    def size(self) -> int:
        """How large the log was when it was seen last."""
        return 0 if self._seen is None else _parsed(self._seen).size

    def told(self, size: int) -> None:
        """The ledger said, in an answer, how large the log is."""
        self._told = max(self._told, size)

    def check(self, client: LedgerClient) -> Checkpoint:
        """See the newest checkpoint, and that it extends what was seen before; remember it.

        It is signed with the key that is known, or with one that this one leads to: a rotation is followed by its proof.

        Raises:
            ForkError: it does not.
            UnreachableError, ProblemError: the ledger does not answer, or shows no checkpoint and no proof.
        """
        keys = self._known(client)
        # Before the checkpoint is asked for, or another process's newer pin would contradict it.
        seen = self._newest(keys.origin)
        note = client.file(CHECKPOINT)
        try:
            head = keys.open(note)
        except FormatError as error:
            raise UnreachableError(f"what answers at {client.url} is no ledger: {error.detail}") from None
        except VerificationError as error:
            keys = self._follow(client, keys, seen, note, error.detail)
            head = keys.open(note)
        if seen is not None and seen != note:
            self._compare(client, keys, seen, note)
        if head.size < self._told:
            detail = f"it answered for {self._told:,} entries and shows {head.size:,}: it was rolled back"
            raise self._contradiction(client, keys, seen, note, detail)
        self._keys, self._seen = keys, note
        self._remember(keys, note, head)
        return head

    def _known(self, client: LedgerClient) -> KeyHistory:
        """The keys of the log as far as they are known here: by this process, and by this user."""
        keys = self._keys or KeyHistory.begin(self._first_key(client))
        pin = self._pin(keys.origin)
        if pin is None or pin.key in keys.keys:
            return keys
        detail = f"its key was {pin.key} before, and you say that it is {keys.current}"
        keys = self._follow(client, keys, pin.checkpoint, b"", detail)
        if pin.key not in keys.keys:
            raise self._contradiction(client, keys, pin.checkpoint, b"", detail)
        return keys

    def _first_key(self, client: LedgerClient) -> VerifierKey:
        """The key of a log that this process has not seen: the one this user saw last, or else the log's own word."""
        keys = own_keys(client)
        pin = self._pin(keys.origin)
        if pin is None:
            logger.info(
                "%s is seen for the first time: its key %s is believed from now on", keys.origin, keys.current
            )
            return keys.current
        return pin.key

    def _follow(
        self, client: LedgerClient, keys: KeyHistory, seen: bytes | None, note: bytes, why: str
    ) -> KeyHistory:
        """The log's keys, with those that came after the ones known here; each handed over by the one before, in what the log shows now.

        Raises:
            ForkError: it shows no such proof: `why` says what is wrong without one.
        """
        proof = key_proof(client)
        try:
            later = parse_history(proof or b"", keys.current)
            if not {*keys.keys} <= {*later.keys}:
                raise VerificationError(Code.UNKNOWN_SIGNER, "a key that is known here is not among them")
            head = later.open(note) if note else None
        except LedgerError as error:
            detail = (
                why if proof is None else f"{why}; and its proof of its keys does not hold: {error.detail}"
            )
            raise self._contradiction(client, keys, seen, note, detail) from None
        self._proof = proof
        size = head.size if head is not None else 0
        for handover in handovers(proof or b""):
            if _parsed(handover).size < size:
                self._compare(client, later, handover, note)
        logger.info("the key of %s was rotated: it is %s now", later.origin, later.current)
        return later

    def _newest(self, origin: str) -> bytes | None:
        """The larger of what this process saw and what this user did."""
        pin = self._pin(origin)
        if pin is None:
            return self._seen
        return pin.checkpoint if _parsed(pin.checkpoint).size > self.size else self._seen or pin.checkpoint

    def _compare(self, client: LedgerClient, keys: KeyHistory, seen: bytes, note: bytes) -> None:
        old, new = _parsed(seen), _parsed(note)
        if new.size < old.size:
            detail = f"it had {old.size:,} entries and shows {new.size:,}: it was rolled back, or this is another copy of it"
            raise self._contradiction(client, keys, seen, note, detail)
        if new.size == old.size:
            if new.root != old.root:
                detail = f"it has signed two roots for its first {old.size:,} entries"
                fork = _fork(client, keys, self._proof, seen, note)
                raise self._contradiction(client, keys, seen, note, detail, fork=fork)
            return
        proof = client.consistency(old.size, new.size)
        try:
            verify_consistency(old.size, new.size, proof, old.root, new.root)
        except VerificationError as error:
            shown = {"old": old.size, "new": new.size, "hashes": [format_base64(part) for part in proof]}
            detail = f"its first {old.size:,} entries are not what they were: {error.detail}"
            fork_proof = _fork(client, keys, self._proof, seen, note)
            raise self._contradiction(
                client, keys, seen, note, detail, fork=fork_proof, proof=shown
            ) from None

    def _pin(self, origin: str) -> Pin | None:
        try:
            return read_pin(origin)
        except OSError as error:
            self._complain(f"what was seen of {origin} before cannot be read: {error}")
            return None

    def _remember(self, keys: KeyHistory, note: bytes, head: Checkpoint) -> None:
        pin = self._pin(head.origin)
        if pin is not None and _parsed(pin.checkpoint).size >= head.size:
            return
        try:
            remember(head.origin, Pin(keys.at(head.size).key, note, self._proof))
        except OSError as error:
            self._complain(f"what is seen of {head.origin} is remembered by this process alone: {error}")

    def _complain(self, what: str) -> None:
        if not self._complained:
            self._complained = True
            logger.warning("%s; $XDG_STATE_HOME says where it is kept", what)

    def _contradiction(
        self,
        client: LedgerClient,
        keys: KeyHistory,
        seen: bytes | None,
        shown: bytes,
        detail: str,
        *,
        fork: Fork | None = None,
        **more: Any,
    ) -> ForkError:
        about = {
            "origin": keys.origin,
            "verifier_key": str(keys.current),
            "url": client.url,
            "detail": detail,
            **more,
        }
        folder = keep_evidence(about, seen or b"", shown, fork)
        kept = (
            f"both signed checkpoints are kept in {folder}" if folder else f"seen: {seen!r}; shown: {shown!r}"
        )
        if folder and fork:
            kept += f", and prove a fork to anybody: agent-ledger verify {folder / PROOF}"
        files = " and ".join(map(str, pin_files(keys.origin)))
        return ForkError(
            f"the log {keys.origin} at {client.url} contradicts what was seen of it: {detail}. Nothing more is sent to it; {kept}. "
            f"Whoever knows why, and that it is well, removes {files}",
            folder,
        )


def _parsed(note: bytes) -> Checkpoint:
    return parse_checkpoint(parse_note(note).text)


def _fork(
    client: LedgerClient, keys: KeyHistory, proof: bytes | None, seen: bytes, note: bytes
) -> Fork | None:
    """The proof that the log signed two histories; None where its tiles do not lead to what it shows now, or are not to be had."""
    try:
        return prove_fork(keys.first, seen, note, client.file, proof)
    except (ProblemError, UnreachableError):
        return None
