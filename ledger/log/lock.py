"""One writer per log: an advisory lock on a file of the data folder.

The kernel drops the lock when the process dies, however it dies. Network file systems that do not honour `flock` are unsupported.
"""

import fcntl
import os
from pathlib import Path

from ledger.core.errors import Code, LedgerError


class DataLock:
    """Holds `<data>/lock` exclusively until `release`."""

    def __init__(self, data: Path) -> None:
        """Take the lock.

        Raises:
            LedgerError: `locked`, with the holder's process id where it is known.
        """
        self._fd = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise LedgerError(
                Code.LOCKED,
                f"{data} is in use by process {holder}: one log has one writer; stop that process or talk to it by its URL",
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Give the lock back."""
        os.close(self._fd)
