"""Small files that must be whole or absent: written beside, synced, renamed, folder synced."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

OTHERS = 0o077


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """An error of a descriptor says which file it is about: who reads it has to know which disk."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def write_durably(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace `path` by `data` atomically; on return it survives a power cut.

    Raises:
        OSError: the old file is still whole.
    """
    beside = path.with_name(f".{path.name}.new")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with naming(path):
            os.fchmod(fd, mode)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
    finally:
        os.close(fd)
    beside.rename(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's names durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with naming(folder):
            os.fsync(fd)
    finally:
        os.close(fd)


def close_to_others(data: Path) -> None:
    """See that nobody but the owner reads what is in the folder, wherever it stands: what people said is in it, in clear.

    DuckDB makes its files, and the WAL again after each checkpoint, with whatever mode the process allows: so this process allows
    nothing to others from now on. A folder that belongs to somebody else (a mounted volume) keeps its mode.
    """
    os.umask(OTHERS)
    for path in (data, data / "hot", data / "segments", *(data / "hot").glob("*")):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            path.chmod(path.stat().st_mode & 0o7777 & ~OTHERS)
