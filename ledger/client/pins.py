"""What this user has seen of each log: its key and its newest verified checkpoint, kept outside any ledger.

A log that later shows less, or another history, or a key to which the one seen does not lead, is told so: a hash chain alone shows neither. The command line and
the SDK share them. One pin per
origin in `$XDG_STATE_HOME/agent-ledger/pins` (default `~/.local/state`); whoever knows a log to be gone for good removes its
files by hand.
"""

import os
import threading
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from ledger.core.checkpoint import open_checkpoint
from ledger.core.errors import LedgerError
from ledger.core.keyhistory import KeyHistory, parse_history
from ledger.core.note import VerifierKey, parse_vkey

FOLDER_MODE = 0o700
KEYS = ".keys"
MAX_NAME_CHARS = 200  # with its ending, and the one of the file beside it, within what file systems take


class Pin(NamedTuple):
    """What is remembered of a log: a signed checkpoint, the verifier key that signed it, and, once that was rotated, the proof of all its keys."""

    key: VerifierKey
    checkpoint: bytes
    proof: bytes | None = None

    @property
    def keys(self) -> KeyHistory:
        """The log's keys, as far as they are remembered."""
        try:
            return KeyHistory.begin(self.key) if self.proof is None else parse_history(self.proof, self.key)
        except LedgerError:
            return KeyHistory.begin(self.key)

    def known_in(self, keys: KeyHistory) -> VerifierKey:
        """The newest key remembered that is among these, which may be of an earlier time; the newest of all where none is."""
        return next((key for key in reversed(self.keys.keys) if key in keys.keys), self.key)


def pins_folder() -> Path:
    """Where pins are kept."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "agent-ledger" / "pins"


def pin_files(origin: str) -> tuple[Path, Path]:
    """Where a log's checkpoint and key are remembered, whether or not they are."""
    return _paths(origin)


def read_pin(origin: str) -> Pin | None:
    """The pin of a log, or None where there is none.

    Raises:
        LedgerError: it is there and does not parse, or its checkpoint is not signed by its key.
        OSError: it is there and cannot be read.
    """
    checkpoint, key = _paths(origin)
    try:
        pin = Pin(
            parse_vkey(key.read_text(encoding="utf-8").strip()), checkpoint.read_bytes(), _proof(checkpoint)
        )
    except FileNotFoundError:
        return None
    open_checkpoint(pin.checkpoint, [pin.key], origin)
    return pin


def remember(origin: str, pin: Pin) -> Path:
    """Replace the pin of a log by a newer one. Returns where its checkpoint stands.

    The caller has checked that the new checkpoint extends the old one.

    Raises:
        LedgerError: the checkpoint is not signed by the key.
        OSError: it cannot be written.
    """
    open_checkpoint(pin.checkpoint, [pin.key], origin)
    checkpoint, key = _paths(origin)
    checkpoint.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    if pin.proof is not None:
        _replace(checkpoint.with_suffix(KEYS), pin.proof)
    _replace(key, f"{pin.key}\n".encode())
    _replace(checkpoint, pin.checkpoint)
    return checkpoint


def _proof(checkpoint: Path) -> bytes | None:
    try:
        return checkpoint.with_suffix(KEYS).read_bytes()
    except FileNotFoundError:
        return None


def _paths(origin: str) -> tuple[Path, Path]:
    name = quote(origin, safe="")
    if len(name) > MAX_NAME_CHARS:
        name = sha256(origin.encode()).hexdigest()
    return pins_folder() / f"{name}.checkpoint", pins_folder() / f"{name}.vkey"


def _replace(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    beside.write_bytes(data)
    beside.replace(path)
