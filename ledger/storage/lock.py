"""One writer per log: an advisory lock on a file of the data folder, and a look, around each commit, whether it is still ours.

The kernel drops the lock when the process dies, however it dies. A network file system may drop it while the process lives, and a folder may be
moved away under it: so whoever takes the lock writes who it is into the file, and the holder looks for its own words at the folder's own path.
"""

import fcntl
import os
import secrets
from pathlib import Path
from typing import Final

from ledger.core.errors import Code, LedgerError
from ledger.storage.files import naming

LOCK: Final = "lock"
_WORDS: Final = 64  # bytes: a process id and a number that no other start has


class DataLock:
    """Holds `<data>/lock` exclusively until `release`."""

    def __init__(self, data: Path) -> None:
        """Take the lock.

        Raises:
            LedgerError: `locked`, with the holder's process id where it is known.
            OSError: the file cannot be made or written.
        """
        self._path = data / LOCK
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = _holder(os.pread(self._fd, _WORDS, 0))
            os.close(self._fd)
            raise LedgerError(
                Code.LOCKED,
                f"{data} is in use by process {holder}: one log has one writer; stop that process or talk to it by its URL",
            ) from None
        self._words = f"{os.getpid()} {secrets.token_hex(8)}\n".encode()
        try:
            with naming(self._path):
                os.ftruncate(self._fd, 0)
                os.pwrite(self._fd, self._words, 0)
        except OSError:
            os.close(self._fd)
            raise

    def lost(self) -> str | None:
        """Why this process is the folder's writer no more, None while it is. Costs some microseconds."""
        try:
            ours, there = os.fstat(self._fd), self._path.stat()
        except OSError as error:
            return f"{self._path} is gone ({error.strerror}): the data folder was moved away, or removed"
        if (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino):
            return f"{self._path} is another file than the one that was locked: the data folder was replaced"
        words = os.pread(self._fd, _WORDS, 0)
        if words != self._words:
            return (
                f"process {_holder(words)} has taken {self._path} too: the file system did not keep the lock"
            )
        return None

    def release(self) -> None:
        """Give the lock back."""
        os.close(self._fd)


def _holder(words: bytes) -> str:
    return words.decode("ascii", "replace").partition(" ")[0].strip() or "unknown"
