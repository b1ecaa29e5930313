"""Files from one folder to another: whole, synced, and what they were said to be."""

import os
import shutil
from collections.abc import Callable
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Final

from ledger.core.errors import Code, LedgerError
from ledger.storage.files import naming

CHUNK_BYTES: Final = 4 * 1024 * 1024
MODE: Final = 0o600
SEGMENT_FILE_MODE: Final = 0o444

Told = Callable[[int], None]


def copy_file(source: Path, to: Path, *, mode: int = MODE, told: Told | None = None) -> tuple[int, str]:
    """Copy a file and sync it. Returns how many bytes were read, and their SHA-256 in hex.

    Raises:
        OSError: it cannot be read or written.
    """
    digest, size = sha256(), 0
    with source.open("rb") as read:
        fd = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with naming(to), os.fdopen(fd, "wb", buffering=0) as written:
            while chunk := read.read(CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                view = memoryview(chunk)
                while view:
                    view = view[written.write(view) :]
                if told is not None:
                    told(len(chunk))
            os.fchmod(fd, mode)
            os.fsync(fd)
    return size, digest.hexdigest()


def copy_checked(
    source: Path, to: Path, expected: tuple[int, str], *, mode: int = MODE, told: Told | None = None
) -> None:
    """Copy a file that must have this length and SHA-256.

    Raises:
        LedgerError: `evidence-altered`: it has not. Nothing is left at `to`.
        OSError: it cannot be read or written.
    """
    if copy_file(source, to, mode=mode, told=told) != tuple(expected):
        to.unlink()
        raise LedgerError(
            Code.EVIDENCE_ALTERED,
            f"{source} is not what was signed: it was damaged or altered. Put it back from a backup (`agent-ledger restore --segment`)",
        )


def digest_of(path: Path) -> tuple[int, str]:
    """Length and SHA-256, hex, of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return path.stat().st_size, file_digest(stream, "sha256").hexdigest()


def free_bytes(folder: Path) -> int:
    """What is left on the disk of a folder."""
    return shutil.disk_usage(folder).free
