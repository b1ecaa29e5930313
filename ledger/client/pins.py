"""What this user has seen of each log: its key and its newest verified checkpoint, kept outside any ledger.

A log that later shows less, or another history, or another key, is told so: a hash chain alone shows neither. The command line and
the SDK share them. One pin per
origin in `$XDG_STATE_HOME/agent-ledger/pins` (default `~/.local/state`); whoever knows a log to be gone for good removes its
two files by hand.
"""

import os
import threading
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from ledger.core.checkpoint import open_checkpoint
from ledger.core.note import VerifierKey, parse_vkey

FOLDER_MODE = 0o700
MAX_NAME_CHARS = 200  # with its ending, and the one of the file beside it, within what file systems take


class Pin(NamedTuple):
    """What is remembered of a log: its verifier key and a signed checkpoint that it verified against."""

    key: VerifierKey
    checkpoint: bytes


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
        pin = Pin(parse_vkey(key.read_text(encoding="utf-8").strip()), checkpoint.read_bytes())
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
    _replace(key, f"{pin.key}\n".encode())
    _replace(checkpoint, pin.checkpoint)
    return checkpoint


def _paths(origin: str) -> tuple[Path, Path]:
    name = quote(origin, safe="")
    if len(name) > MAX_NAME_CHARS:
        name = sha256(origin.encode()).hexdigest()
    return pins_folder() / f"{name}.checkpoint", pins_folder() / f"{name}.vkey"


def _replace(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    beside.write_bytes(data)
    beside.replace(path)
