"""Files that are written once: synced piece by piece, let go of by the page cache, and read back from the disk."""

import contextlib
import os
import stat
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ledger.core.errors import Code, LedgerError
from ledger.storage.manifest import FileInfo

# A sync of hundreds of megabytes makes the log's own sync wait behind it: in pieces, it waits for one of them at most.
SYNC_BYTES: Final = 4 * 1024 * 1024
READ_BYTES: Final = 4 * 1024 * 1024
SEALED_MODE: Final = 0o444
SEALED_FOLDER_MODE: Final = 0o555
OPEN_FOLDER_MODE: Final = 0o700


class SyncedFile:
    """A new file, written from beginning to end. On `close` it survives a power cut, its name once the folder is synced.

    Anything that takes a binary file may write to it.
    """

    def __init__(self, path: Path) -> None:
        """Make the file; one of the same name is a leftover.

        Raises:
            OSError: it cannot be made.
        """
        self.path = path
        self.closed = False
        self._digest = sha256()
        self._bytes = self._synced = 0
        path.unlink(missing_ok=True)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def write(self, data: bytes | memoryview) -> int:
        """Append `data`, all of it.

        Raises:
            OSError: the disk is full, or broke.
        """
        view = memoryview(data).cast("B")
        self._digest.update(view)
        size = len(view)
        while view:
            view = view[os.write(self._fd, view) :]
        self._bytes += size
        if self._bytes - self._synced >= SYNC_BYTES:
            self._sync()
        return size

    def tell(self) -> int:
        """How much was written."""
        return self._bytes

    def flush(self) -> None:
        """Nothing is held back."""

    def writable(self) -> bool:
        """Yes."""
        return True

    def readable(self) -> bool:
        """No."""
        return False

    def seekable(self) -> bool:
        """No."""
        return False

    def _sync(self) -> None:
        os.fdatasync(self._fd)
        os.posix_fadvise(self._fd, self._synced, self._bytes - self._synced, os.POSIX_FADV_DONTNEED)
        self._synced = self._bytes

    def close(self) -> None:
        """Make it durable; nobody writes to it any more."""
        if self.closed:
            return
        self.closed = True
        try:
            os.fchmod(self._fd, SEALED_MODE)
            os.fsync(self._fd)
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(self._fd)

    def info(self) -> FileInfo:
        """What was written."""
        return FileInfo(self._bytes, self._digest.hexdigest())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.close()


def write_synced(path: Path, data: bytes) -> FileInfo:
    """Write a whole file.

    Raises:
        OSError: it cannot be written.
    """
    with SyncedFile(path) as file:
        for at in range(0, len(data), SYNC_BYTES):
            file.write(data[at : at + SYNC_BYTES])
    return file.info()


def pieces(path: Path) -> Iterator[bytes]:
    """A file from its beginning to its end; never through a link.

    Raises:
        OSError: it cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        while piece := os.read(fd, READ_BYTES):
            yield piece
    finally:
        os.close(fd)


def digest_of(path: Path) -> FileInfo:
    """What the disk holds.

    Raises:
        OSError: it cannot be read.
    """
    digest, size = sha256(), 0
    for piece in pieces(path):
        digest.update(piece)
        size += len(piece)
    return FileInfo(size, digest.hexdigest())


def check_reads_back(path: Path, written: FileInfo) -> None:
    """Compare what the disk gives back with what was written.

    Raises:
        LedgerError: `storage-failed`.
        OSError: it cannot be read.
    """
    if digest_of(path) != written:
        raise LedgerError(
            Code.STORAGE_FAILED,
            f"{path.name} reads back otherwise than it was written: the disk or the memory is failing",
        )


def size_of(path: Path) -> int:
    """The length of a file that is no link and nothing else.

    Raises:
        LedgerError: `storage-failed`: something else stands there.
        OSError: there is nothing, or it cannot be looked at.
    """
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise LedgerError(
            Code.STORAGE_FAILED, f"{path} is not a file but a link or something else: put back what was there"
        )
    return found.st_size


@contextlib.contextmanager
def opened_up(folder: Path) -> Iterator[None]:
    """Let names in a sealed folder be changed for a while.

    Raises:
        OSError: its mode cannot be changed.
    """
    folder.chmod(OPEN_FOLDER_MODE)
    try:
        yield
    finally:
        folder.chmod(SEALED_FOLDER_MODE)
