"""The witness's side of c2sp.org/tlog-witness: what it saw of each log stands on the disk before it says so.

In the witness's folder:

    witness.key                  its Ed25519 key, 0600
    logs/<origin hash>.keys      the verifier keys of a log it witnesses, one a line, as somebody wrote them down
    logs/<origin hash>.proof     what the log proved of its other keys (`ledger.witness.followed`)
    logs/<origin hash>.seen      the newest checkpoint it cosigned, with the log's signature and its own

The origin hash is SHA-256 in hex. A log that is removed keeps its `.seen`: somebody who adds it again must not get a cosignature for another history.
Never put an older copy of the folder in place: a witness that forgets signs both sides of a fork.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

from ledger.core.checkpoint import Checkpoint, parse_checkpoint
from ledger.core.errors import Code, FormatError, LedgerError, VerificationError
from ledger.core.keyhistory import KeyHistory, parse_steps
from ledger.core.merkle import EMPTY_ROOT, verify_consistency
from ledger.core.note import (
    ED25519,
    Cosigner,
    Note,
    VerifierKey,
    format_vkey,
    open_note,
    parse_note,
    parse_vkey,
)
from ledger.core.peerkeys import check_goes_on, follow
from ledger.core.witnessing import AddCheckpoint, origin_hash, parse_add_checkpoint
from ledger.storage.files import sync_folder, write_durably
from ledger.witness.followed import FOLDER as LOGS
from ledger.witness.followed import Followed, check_seen
from ledger.witness.keyfile import load_witness_key

KEY: Final = "witness.key"
_KEYS: Final = ".keys"
_SEEN: Final = ".seen"


class ConflictError(Exception):
    """The log believes that the witness saw another size.

    Attributes:
        size: what it saw.
    """

    def __init__(self, size: int) -> None:
        super().__init__(f"the latest checkpoint cosigned here is of size {size}")
        self.size = size


class Witnessed(NamedTuple):
    """A log that is, or was, witnessed.

    Attributes:
        origin: its name.
        keys: its verifier keys; none once it is removed.
        size: of the newest checkpoint cosigned, 0 for none.
        cosigned_at: when, in seconds since 1970; 0 for never.
    """

    origin: str
    keys: tuple[VerifierKey, ...]
    size: int
    cosigned_at: int


class Seen(NamedTuple):
    """The newest checkpoint cosigned, and when in seconds since 1970."""

    checkpoint: Checkpoint
    seconds: int


class Cosigning:
    """Cosigns checkpoints that extend what it saw. Safe to use from any thread; of one folder, in one process (`ledger.storage.lock`)."""

    def __init__(self, folder: Path) -> None:
        """The witness whose folder this is.

        Raises:
            LedgerError: `key-file`.
        """
        self._folder = folder
        self._name, self._signing_key = load_witness_key(folder / KEY)
        self.key = Cosigner(self._name, self._signing_key, 0).key
        self._deciding = Lock()
        self._followed = Followed(folder)

    def add(self, body: bytes) -> str:
        """Cosign a checkpoint: the body of `add-checkpoint`; returns the signature line.

        What it cosigns is on the disk when this returns, so that a kill at any moment leaves no cosignature that is forgotten.

        Raises:
            ConflictError: the old size is not what was seen.
            LedgerError: by its code: `invalid-parameter`, `malformed-note`, `malformed-checkpoint`, `out-of-range` (the request is no
                good), `not-found` (no such log here), `unknown-signer`, `invalid-signature` (not the log's signature),
                `invalid-proof` (not an extension of what was seen), `storage-failed` (nobody knows what was seen).
            OSError: it cannot be kept; nothing was cosigned.
        """
        request = parse_add_checkpoint(body)
        origin = _origin(request.note)
        keys = self._keys(origin)
        if not keys:
            raise LedgerError(Code.NOT_FOUND, "no log of this origin is witnessed here")
        opened, checkpoint = self._opened(request.note, keys)
        if request.old > checkpoint.size:
            raise LedgerError(
                Code.OUT_OF_RANGE,
                f"old size {request.old} is above the checkpoint's {checkpoint.size}",
            )
        with self._deciding:  # compare and swap: nobody cosigns between the look and the write
            return self._decide(request, opened, checkpoint)

    def follow(self, proof: bytes) -> KeyHistory:
        """Take in what a log proves of its keys, from whoever hands it; returns them. What is followed is on the disk when this returns.

        Raises:
            LedgerError: by its code: `not-found` (no such log here); those of `ledger.core.peerkeys.follow`; `forked`: what was seen of the log is
                not signed by these keys, or is another history.
            OSError: it cannot be kept; nothing was followed.
        """
        origin = parse_steps(proof)[0].name
        keys = self._keys(origin)
        if not keys:
            raise LedgerError(Code.NOT_FOUND, "no log of this origin is witnessed here")
        history = follow(proof, keys, None)  # this takes long, and nobody waits for it
        with self._deciding:
            before = self._followed.history(keys)
            if before is not None:
                check_goes_on(history, before)
            seen = self._read(origin_hash(origin))
            if seen is not None:
                check_seen(history, proof, seen)
            if before != history:
                self._followed.keep(origin, proof)
        return history

    def seen(self, origin: str) -> bytes | None:
        """The newest checkpoint cosigned of a log, as a signed note; None where there is none."""
        return self._read(origin_hash(origin))

    def seen_by_hash(self, hashed: str) -> bytes | None:
        """As `seen`, by the origin's hash: 64 lower-case hex digits, which the caller has checked."""
        return self._read(hashed)

    def logs(self) -> Iterator[Witnessed]:
        """All logs that are, or were, witnessed."""
        files = {path.stem for path in (self._folder / LOGS).glob("*") if path.suffix in {_KEYS, _SEEN}}
        for hashed in sorted(files):
            keys = self._keys_of(hashed)
            note = self._read(hashed)
            if note is None:
                if keys:
                    yield Witnessed(keys[0].name, keys, 0, 0)
                continue
            seen = self._parse(note, hashed)
            yield Witnessed(seen.checkpoint.origin, keys, seen.checkpoint.size, seen.seconds)

    def watch(self, key: VerifierKey) -> None:
        """Witness a log, or take in another key of it.

        Raises:
            LedgerError: `unsupported-algorithm`: it is not a log's key.
            OSError: it cannot be kept.
        """
        if key.algorithm != ED25519:
            raise LedgerError(
                Code.UNSUPPORTED_ALGORITHM,
                f"{key.name}: a log's key is of algorithm 0x01, this is a witness's",
            )
        if key not in (keys := self._keys(key.name)):
            self._write_keys(key.name, (*keys, key))

    def unwatch(self, origin: str, key: VerifierKey | None = None) -> None:
        """Cosign nothing more of a log, or nothing more that is signed by this one of its keys. What was seen of it stays.

        Raises:
            LedgerError: `not-found`.
            OSError: it cannot be kept.
        """
        keys = self._keys(origin)
        left = tuple(each for each in keys if key is not None and each != key)
        if not keys or len(left) == len(keys):
            raise LedgerError(Code.NOT_FOUND, f"{key or origin} is not witnessed here")
        if left:
            self._write_keys(origin, left)
        else:
            self._path(origin_hash(origin), _KEYS).unlink()
            sync_folder(self._folder / LOGS)

    # -- deciding ----------------------------------------------------------------------------------------------------

    def _decide(self, request: AddCheckpoint, opened: Note, checkpoint: Checkpoint) -> str:
        hashed = origin_hash(checkpoint.origin)
        before = self._read(hashed)
        seen = self._parse(before, hashed) if before is not None else None
        size = seen.checkpoint.size if seen is not None else 0
        if request.old != size:
            raise ConflictError(size)
        _check_extends(request, checkpoint, seen.checkpoint if seen is not None else None)
        # It states the largest size seen at that time: a clock that steps back would make it say so of a time when it was another.
        seconds = max(int(time.time()), seen.seconds if seen is not None else 1)
        line = Cosigner(self._name, self._signing_key, seconds).line(opened.text)
        signed = _lines_of(request.note, opened)
        write_durably(self._path(hashed, _SEEN), f"{opened.text}\n{signed}{line}".encode())
        return line

    def _opened(self, note: bytes, keys: tuple[VerifierKey, ...]) -> tuple[Note, Checkpoint]:
        """A checkpoint that a key which somebody wrote down has signed, or one that the log proved to have: that only for its own entries.

        Raises:
            LedgerError: it is none, or not signed by the log.
        """
        history = self._followed.history(keys)
        followed = history.keys if history is not None else ()
        opened = open_note(note, {*keys, *followed})
        if history is not None and not {*opened.verified_keys} - {*followed}:
            history.open(note)
        return opened, parse_checkpoint(opened.text)

    def _keys(self, origin: str) -> tuple[VerifierKey, ...]:
        return self._keys_of(origin_hash(origin))

    def _keys_of(self, hashed: str) -> tuple[VerifierKey, ...]:
        """Read each time: `agent-ledger witness add` works beside a running witness."""
        path = self._path(hashed, _KEYS)
        try:
            keys = tuple(map(parse_vkey, path.read_text(encoding="utf-8").split("\n")[:-1]))
        except FileNotFoundError:
            return ()
        except (UnicodeDecodeError, FormatError) as error:
            raise _unreadable(path, error) from None
        if any(origin_hash(key.name) != hashed for key in keys):
            raise _unreadable(path, "a key in it is another log's")
        return keys

    def _write_keys(self, origin: str, keys: tuple[VerifierKey, ...]) -> None:
        (self._folder / LOGS).mkdir(mode=0o700, exist_ok=True)
        text = "".join(f"{format_vkey(key)}\n" for key in keys)
        write_durably(self._path(origin_hash(origin), _KEYS), text.encode())

    def _read(self, hashed: str) -> bytes | None:
        try:
            return self._path(hashed, _SEEN).read_bytes()
        except FileNotFoundError:
            return None

    def _parse(self, note: bytes, hashed: str) -> Seen:
        """What was seen, by this witness's own cosignature on it: a file that somebody edited is no memory.

        Raises:
            LedgerError: `storage-failed`.
        """
        try:
            opened = open_note(note, [self.key])
            checkpoint = parse_checkpoint(opened.text)
        except LedgerError as error:
            raise _unreadable(self._path(hashed, _SEEN), error.detail) from None
        if origin_hash(checkpoint.origin) != hashed:
            raise _unreadable(self._path(hashed, _SEEN), f"it is of {checkpoint.origin}")
        return Seen(checkpoint, opened.cosigned_at[-1][1])

    def _path(self, hashed: str, suffix: str) -> Path:
        return self._folder / LOGS / f"{hashed}{suffix}"


def _check_extends(request: AddCheckpoint, checkpoint: Checkpoint, seen: Checkpoint | None) -> None:
    """See that it extends what was seen.

    Raises:
        VerificationError: `invalid-proof`.
    """
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise _inconsistent("a log of size 0 has the empty tree's root")
    if request.old == 0:
        if request.proof:
            raise _inconsistent("from size 0 there is nothing to prove")
        return
    if seen is None:
        raise ConflictError(0)
    try:
        verify_consistency(request.old, checkpoint.size, request.proof, seen.root, checkpoint.root)
    except VerificationError as error:
        raise _inconsistent(error.detail) from None


def _inconsistent(detail: str) -> VerificationError:
    return VerificationError(Code.INVALID_PROOF, detail)


def _origin(note: bytes) -> str:
    """The first line of a note that parses.

    Raises:
        FormatError: it does not.
    """
    return parse_note(note).text.partition("\n")[0]


def _lines_of(note: bytes, opened: Note) -> str:
    """The log's own lines as they came."""
    known = {(key.name, key.key_id) for key in opened.verified_keys}
    lines = note.decode()[len(opened.text) + 1 :].split("\n")[:-1]
    kept = [
        line
        for line, signature in zip(lines, opened.signatures, strict=True)
        if (signature.name, signature.key_id) in known
    ]
    return "".join(f"{line}\n" for line in kept)


def _unreadable(path: Path, why: object) -> LedgerError:
    return LedgerError(
        Code.STORAGE_FAILED,
        f"{path} cannot be used ({why}): put it back as it was. Nothing is cosigned for that log meanwhile, because nobody knows what "
        "was cosigned before",
    )
