"""Records on disk while the ledger is away: durable, bounded, in order, one writer.

    <folder>/lock                 who writes here: held as long as the process lives
    <folder>/<16 digits>.spool    lines, oldest file first: <8 hex of CRC-32> <one record as it is sent>
    <folder>/refused.ndjson       what the ledger refused for good when it was replayed, with the problem

A file is removed when the ledger has answered for all that is in it. A crash between the answer and the removal sends it again, and the
records' ids make that nothing. A last line that a crash tore was never acknowledged and is cut off.
"""

import errno
import fcntl
import json
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from ledger.client.errors import LedgerAway
from ledger.core.errors import Code, LedgerError

DEFAULT_BYTES: Final = 256 * 1024 * 1024
MIN_BYTES: Final = 64 * 1024
FILE_BYTES: Final = 4 * 1024 * 1024
RESERVE_PART: Final = 8  # one part in so many is kept for outcomes of what has started
FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
ENDING: Final = ".spool"
REFUSED: Final = "refused.ndjson"
_CRC_BYTES: Final = 9  # 8 hex digits and a space

logger = logging.getLogger(__name__)
Told = Callable[[BaseException | None], None]


class Spool:
    """A folder that takes what the ledger cannot take now. Give it to one `Ledger`; that opens and closes it."""

    def __init__(self, path: str | os.PathLike[str], max_bytes: int = DEFAULT_BYTES) -> None:
        """A spool in the folder at `path`, which is made when it is opened.

        Args:
            path: a folder of this process alone: two processes cannot share one.
            max_bytes: how much it holds, what was refused included; when it is full, no tool runs.

        Raises:
            ValueError: `max_bytes` is too small to hold a record.
        """
        if max_bytes < MIN_BYTES:
            raise ValueError(f"a spool of {max_bytes} bytes holds nothing: {MIN_BYTES} is the least")
        self.path = Path(path).expanduser().absolute()
        self.max_bytes = max_bytes
        self._file_bytes = min(FILE_BYTES, max_bytes // RESERVE_PART)
        self._changed = threading.Condition()
        self._files: deque[tuple[Path, int]] = deque()  # oldest first, with their sizes
        self._last: FileIO | None = None
        self._next = 1
        self._refused_bytes = 0
        self._read_at = 0  # within the oldest file
        self._unsynced: list[Told | None] = []
        self._broken: OSError | None = None
        self._lock: FileIO | None = None
        self._syncer: threading.Thread | None = None

    # ---- opening and closing

    def open(self) -> None:
        """Take the folder, and what an earlier process left in it.

        Raises:
            LedgerError: `locked`: another process, or another `Ledger` of this one, writes here.
            OSError: it cannot be made or read.
        """
        self.path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        about = self.path.stat()
        if about.st_mode & 0o077 or about.st_uid != os.geteuid():
            raise PermissionError(
                f"the spool {self.path} is open to others, and records hold contents in clear: give a folder of this user alone (0700)"
            )
        lock = _open(self.path / "lock", "ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise LedgerError(
                Code.LOCKED,
                f"another recorder writes to the spool {self.path}: give each a folder of its own",
            ) from None
        self._lock = lock
        refused = self.path / REFUSED
        self._refused_bytes = refused.stat().st_size if refused.exists() else 0
        for file in sorted(self.path.glob(f"*{ENDING}")):
            self._next = int(file.stem) + 1
            self._recover(file)
        self._syncer = threading.Thread(target=self._sync_forever, name="agent-ledger-spool", daemon=True)
        self._syncer.start()

    def _recover(self, file: Path) -> None:
        data = file.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            logger.warning("the spool's last line was torn by a crash and never acknowledged: cut off")
            with file.open("r+b") as stream:
                stream.truncate(whole)
                os.fsync(stream.fileno())
        if whole:
            self._files.append((file, whole))
        else:
            file.unlink()

    def close(self) -> None:
        """Write through what is not yet, and let go of the folder."""
        with self._changed:
            lock, self._lock = self._lock, None
            self._changed.notify_all()
        if self._syncer is not None:
            self._syncer.join()
        with self._changed:
            if self._last is not None:
                self._last.close()
                self._last = None
        if lock is not None:
            lock.close()

    def abandon(self) -> None:
        """Let go of the files, and touch none: this process is a forked child, and the folder is its parent's."""
        for file in (self._lock, self._last):
            if file is not None:
                file.close()
        self._lock = self._last = None

    # ---- writing

    @property
    def size_bytes(self) -> int:
        """How much it holds: also what was refused, and what of the oldest file is delivered already."""
        return sum(size for _, size in self._files) + self._refused_bytes

    def append(self, line: bytes, told: Told | None = None, *, reserve: bool = False) -> None:
        """Add a record.

        Args:
            line: the record as it is sent.
            told: called from another thread when it is on the disk, or with what went wrong.
            reserve: leave alone what is kept for outcomes.

        Raises:
            LedgerAway: it does not fit, or cannot be written.
        """
        data = b"%08x %b\n" % (crc32(line), line)
        kept = self.max_bytes // RESERVE_PART if reserve else 0
        with self._changed:
            if self._lock is None:
                raise LedgerAway(f"the spool {self.path} is closed")
            if self.size_bytes + len(data) > self.max_bytes - kept:
                raise LedgerAway(f"the spool {self.path} is full ({self.max_bytes:,} bytes)")
            try:
                if self._broken is not None:
                    raise self._broken
                self._write(data)
            except OSError as error:
                raise self._failed(error) from None
            self._unsynced.append(told)
            self._changed.notify_all()

    def _write(self, data: bytes) -> None:
        if self._last is None or self._files[-1][1] >= self._file_bytes:
            self._begin_file()
        file, size = self._files[-1]
        stream = self._last
        if stream is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        try:
            whole = stream.write(data) == len(data)
        except OSError:
            _cut(stream, size)
            raise
        if not whole:
            _cut(stream, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._files[-1] = (file, size + len(data))

    def _begin_file(self) -> None:
        if self._last is not None:
            self._sync(self._last.fileno())
            self._last.close()
            self._last = None
        file = self.path / f"{self._next:016d}{ENDING}"
        self._last = _open(file, "xb")
        self._next += 1
        self._files.append((file, 0))
        _sync_folder(self.path)

    def _sync_forever(self) -> None:
        """One fsync for all that was written since the one before."""
        while True:
            with self._changed:
                while not self._unsynced and self._lock is not None:
                    self._changed.wait()
                if not self._unsynced:
                    return
                waiting, self._unsynced = self._unsynced, []
                stream = self._last
                descriptor = os.dup(stream.fileno()) if stream is not None else None
            failed: BaseException | None = None
            try:
                if self._broken is not None:
                    raise self._broken
                if descriptor is not None:
                    self._sync(descriptor)
            except OSError as error:
                failed = self._failed(error)
                logger.critical("%s", failed)
            finally:
                if descriptor is not None:
                    os.close(descriptor)
            for told in waiting:
                if told is not None:
                    told(failed)

    def _sync(self, descriptor: int) -> None:
        try:
            os.fsync(descriptor)
        except OSError as error:
            self._broken = error  # what an fsync that failed has dropped, no later one brings back
            raise

    def _failed(self, error: OSError) -> LedgerAway:
        return LedgerAway(f"the spool {self.path} cannot be written: {error.strerror}")

    # ---- replaying

    @property
    def empty(self) -> bool:
        """Whether everything is delivered."""
        with self._changed:
            return not self._files or (len(self._files) == 1 and self._read_at >= self._files[0][1])

    def read(self, max_records: int, max_bytes: int) -> list[tuple[bytes | None, int]]:
        """The oldest records that are not delivered, each with where it ends, for `delivered`. All are of one file.

        A line that was damaged is None: it is kept with what was refused.

        Raises:
            OSError: the file cannot be read.
        """
        with self._changed:
            if not self._files:
                return []
            file, size = self._files[0]
        found: list[tuple[bytes | None, int]] = []
        end, total = self._read_at, 0
        with file.open("rb") as stream:
            stream.seek(end)
            while end < size and len(found) < max_records:
                data = stream.readline()
                total += len(data)
                if found and total > max_bytes:
                    break
                end += len(data)
                found.append((self._checked(data, file), end))
        return found

    def _checked(self, data: bytes, file: Path) -> bytes | None:
        line = data[_CRC_BYTES:-1]
        if data[: _CRC_BYTES - 1] == b"%08x" % crc32(line):
            return line
        self.refuse(data, {"detail": f"the line in {file.name} does not match its checksum"})
        return None

    def delivered(self, end: int) -> None:
        """What `read` gave, up to this end, is answered for."""
        with self._changed:
            self._read_at = end
            file, size = self._files[0]
            if end < size:
                return
            if len(self._files) == 1 and self._last is not None:
                self._last.close()
                self._last = None
            file.unlink(missing_ok=True)
            self._files.popleft()
            self._read_at = 0

    def refuse(self, line: bytes, problem: dict[str, Any]) -> None:
        """Keep a record that the ledger will not take, and why."""
        about = {"problem": problem, "record": line.decode(errors="replace")}
        with _open(self.path / REFUSED, "ab") as stream:
            self._refused_bytes += stream.write(json.dumps(about).encode() + b"\n")
            os.fsync(stream.fileno())


def _open(path: Path, mode: str) -> FileIO:
    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)

    return FileIO(path, mode, opener=opener)


def _cut(stream: FileIO, size: int) -> None:
    stream.truncate(size)
    stream.seek(size)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
