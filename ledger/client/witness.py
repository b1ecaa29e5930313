"""Every recorder is a witness: it holds the log to what it saw of it before.

A hash chain shows neither a cut tail nor a full rewrite, and not that two people are shown two logs. Somebody who kept a signed
checkpoint can: the newer one must extend it (RFC 9162, consistency proofs). What contradicts it is kept, signed by the log itself.
"""

import json
import logging
import os
import time
from pathlib import Path
from typing import Any, Final

from ledger.client.errors import ForkError
from ledger.client.http import LedgerClient, UnreachableError
from ledger.client.pins import FOLDER_MODE, Pin, pin_files, pins_folder, read_pin, remember
from ledger.core.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from ledger.core.errors import FormatError, LedgerError, VerificationError
from ledger.core.merkle import verify_consistency
from ledger.core.note import VerifierKey, parse_note, parse_vkey
from ledger.core.text import format_base64

CHECKPOINT: Final = "checkpoint"
FILE_MODE: Final = 0o600

logger = logging.getLogger(__name__)


class Witness:
    """What this process and this user saw of one log."""

    def __init__(self, key: VerifierKey | None = None) -> None:
        """A witness of the log with this verifier key; of the first log it sees where it is None."""
        self._key = key
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

        Raises:
            ForkError: it does not.
            UnreachableError, ProblemError: the ledger does not answer, or shows no checkpoint and no proof.
        """
        key = self._key or self._first_key(client)
        seen = self._newest(
            key, client
        )  # before the checkpoint is asked for, or another process's newer pin would contradict it
        note = client.file(CHECKPOINT)
        try:
            head = open_checkpoint(note, [key], key.name)
        except FormatError as error:
            raise UnreachableError(f"what answers at {client.url} is no ledger: {error.detail}") from None
        except VerificationError as error:
            raise self._contradiction(client, key, seen, note, error.detail) from None
        if seen is not None and seen != note:
            self._compare(client, key, seen, note)
        if head.size < self._told:
            detail = f"it answered for {self._told:,} entries and shows {head.size:,}: it was rolled back"
            raise self._contradiction(client, key, seen, note, detail)
        self._key, self._seen = key, note
        self._remember(key, note, head)
        return head

    def _first_key(self, client: LedgerClient) -> VerifierKey:
        """The key of a log that this process has not seen: the one this user saw first, or else the log's own word."""
        try:
            key = parse_vkey(str(client.log()["verifier_key"]))
        except LedgerError as error:
            raise UnreachableError(f"what answers at {client.url} is no ledger: {error.detail}") from None
        pin = self._pin(key.name)
        if pin is None:
            logger.info("%s is seen for the first time: its key %s is believed from now on", key.name, key)
            return key
        return pin.key

    def _newest(self, key: VerifierKey, client: LedgerClient) -> bytes | None:
        """The larger of what this process saw and what this user did."""
        pin = self._pin(key.name)
        if pin is None:
            return self._seen
        if pin.key != key:
            detail = f"its key was {pin.key} before, and you say that it is {key}"
            raise self._contradiction(client, key, pin.checkpoint, b"", detail)
        return pin.checkpoint if _parsed(pin.checkpoint).size > self.size else self._seen or pin.checkpoint

    def _compare(self, client: LedgerClient, key: VerifierKey, seen: bytes, note: bytes) -> None:
        old, new = _parsed(seen), _parsed(note)
        if new.size < old.size:
            detail = f"it had {old.size:,} entries and shows {new.size:,}: it was rolled back, or this is another copy of it"
            raise self._contradiction(client, key, seen, note, detail)
        if new.size == old.size:
            if new.root != old.root:
                detail = f"it has signed two roots for its first {old.size:,} entries"
                raise self._contradiction(client, key, seen, note, detail)
            return
        proof = client.consistency(old.size, new.size)
        try:
            verify_consistency(old.size, new.size, proof, old.root, new.root)
        except VerificationError as error:
            shown = {"old": old.size, "new": new.size, "hashes": [format_base64(part) for part in proof]}
            detail = f"its first {old.size:,} entries are not what they were: {error.detail}"
            raise self._contradiction(client, key, seen, note, detail, proof=shown) from None

    def _pin(self, origin: str) -> Pin | None:
        try:
            return read_pin(origin)
        except OSError as error:
            self._complain(f"what was seen of {origin} before cannot be read: {error}")
            return None

    def _remember(self, key: VerifierKey, note: bytes, head: Checkpoint) -> None:
        pin = self._pin(head.origin)
        if pin is not None and _parsed(pin.checkpoint).size >= head.size:
            return
        try:
            remember(head.origin, Pin(key, note))
        except OSError as error:
            self._complain(f"what is seen of {head.origin} is remembered by this process alone: {error}")

    def _complain(self, what: str) -> None:
        if not self._complained:
            self._complained = True
            logger.warning("%s; $XDG_STATE_HOME says where it is kept", what)

    def _contradiction(
        self,
        client: LedgerClient,
        key: VerifierKey,
        seen: bytes | None,
        shown: bytes,
        detail: str,
        **more: Any,
    ) -> ForkError:
        about = {"origin": key.name, "verifier_key": str(key), "url": client.url, "detail": detail, **more}
        folder = _keep(about, seen or b"", shown)
        kept = (
            f"both signed checkpoints are kept in {folder}" if folder else f"seen: {seen!r}; shown: {shown!r}"
        )
        files = " and ".join(map(str, pin_files(key.name)))
        return ForkError(
            f"the log {key.name} at {client.url} contradicts what was seen of it: {detail}. Nothing more is sent to it; {kept}. "
            f"Whoever knows why, and that it is well, removes {files}",
            folder,
        )


def _parsed(note: bytes) -> Checkpoint:
    return parse_checkpoint(parse_note(note).text)


def _keep(about: dict[str, Any], seen: bytes, shown: bytes) -> Path | None:
    """Write the evidence, durably. None where that cannot be done."""
    folder = pins_folder().parent / "evidence" / f"{time.time_ns()}-{os.getpid()}"
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True)
        files = {
            "seen.checkpoint": seen,
            "shown.checkpoint": shown,
            "about.json": json.dumps(about, indent=2).encode(),
        }
        for name, data in files.items():
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(descriptor)
    except OSError:
        return None
    return folder
