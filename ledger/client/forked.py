"""What is kept when a log contradicts what was seen of it: both signed checkpoints, and where they prove a fork, the proof that anybody can check."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ledger.client.pins import FOLDER_MODE, pins_folder
from ledger.core.checkpoint import parse_checkpoint
from ledger.core.errors import LedgerError
from ledger.core.fork import Fork, format_fork, verify_fork
from ledger.core.merkle import consistency_proof, root_at
from ledger.core.note import VerifierKey, parse_note
from ledger.core.tiles import TileHashes, tile_path

PROOF: Final = "fork.proof"
FILE_MODE: Final = 0o600


def prove_fork(
    key: VerifierKey,
    seen: bytes,
    shown: bytes,
    tile: Callable[[str], bytes],
    keys: bytes | None = None,
) -> Fork | None:
    """The proof that a log signed two histories; None where the two notes and its own tiles do not show that.

    Args:
        key: a verifier key of the log.
        seen: the smaller checkpoint, or one of two of one size.
        shown: the one that the log shows now.
        tile: reads a tile of the log as it is now, by its path; raises `LedgerError` where it is not there.
        keys: the proof of the log's keys (`ledger.core.keyhistory`), where it had several.

    Raises:
        UnreachableError, ProblemError: as `tile` does.
    """
    try:
        old, new = (parse_checkpoint(parse_note(note).text) for note in (seen, shown))
        hashes = TileHashes(lambda level, n, width: tile(tile_path(level, n, width)), new.size)
        same = old.size == new.size
        root = new.root if same else root_at(old.size, hashes)
        proof = () if same else tuple(consistency_proof(old.size, new.size, hashes))
        fork = Fork(key, seen, shown, root, proof, keys)
        verify_fork(fork, key)
    except LedgerError:
        return None
    return fork


def keep_evidence(about: dict[str, Any], seen: bytes, shown: bytes, fork: Fork | None) -> Path | None:
    """Write it durably, in a folder of its own beside the pins. None where that cannot be done.

    Args:
        about: JSON values: which log, its key, what is wrong.
        seen: the checkpoint that was seen, b"" where there is none.
        shown: the one that contradicts it, b"" where there is none.
        fork: the proof, None where there is none.
    """
    folder = pins_folder().parent / "evidence" / f"{time.time_ns()}-{os.getpid()}"
    files = {
        "seen.checkpoint": seen,
        "shown.checkpoint": shown,
        "about.json": json.dumps(about, indent=2).encode(),
    }
    if fork is not None:
        files[PROOF] = format_fork(fork)
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True)
        for name, data in files.items():
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(descriptor)
    except OSError:
        return None
    return folder
