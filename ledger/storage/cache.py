"""Files that were fetched from an object store: bounded, named by their SHA-256, checked when they come and once more after a start."""

import os
import threading
import time
from collections.abc import Callable
from hashlib import file_digest
from pathlib import Path
from typing import Final

FOLDER_MODE: Final = 0o700
NEW: Final = ".new"

Get = Callable[[str, Path, int, str], None]


class Cache:
    """Fetched files in one folder. Safe to use from any thread."""

    def __init__(self, folder: Path, limit_bytes: int, get: Get) -> None:
        """Leftovers of a download that was cut off are deleted.

        Args:
            folder: where; made with the first file.
            limit_bytes: how much stays; one file that is larger stays until the next comes.
            get: `ObjectStore.get`.
        """
        self._folder, self._limit, self._get = folder, limit_bytes, get
        self._checked: set[str] = set()
        self._using = threading.Lock()
        for leftover in folder.glob(f"*{NEW}") if folder.is_dir() else ():
            leftover.unlink()

    def fetch(self, key: str, size: int, sha256: str) -> Path:
        """The local file of an object; whoever holds it open keeps it when it is pushed out.

        Raises:
            LedgerError: `object-differs`, `objects-unavailable`.
            OSError: the folder cannot be written.
        """
        path = self._folder / sha256
        with self._using:
            if self._whole(path, size, sha256):
                _used(path)
                return path
            self._folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
            self._make_room(size)
            coming = path.with_name(path.name + NEW)
            coming.unlink(missing_ok=True)
            self._get(key, coming, size, sha256)
            coming.rename(path)
            self._checked.add(sha256)
            _used(path)
            return path

    def drop(self, sha256: str) -> None:
        """Delete a file: it holds what was erased."""
        with self._using:
            (self._folder / sha256).unlink(missing_ok=True)

    def size_bytes(self) -> int:
        """How much is there."""
        return sum(path.stat().st_size for path in self._files())

    def _whole(self, path: Path, size: int, sha256: str) -> bool:
        try:
            if path.stat().st_size != size:
                return False
            if sha256 not in self._checked:
                with path.open("rb") as file:
                    if file_digest(file, "sha256").hexdigest() != sha256:
                        return False
                self._checked.add(sha256)
        except FileNotFoundError:
            return False
        return True

    def _make_room(self, size: int) -> None:
        files = sorted(self._files(), key=lambda path: path.stat().st_mtime_ns)
        held = sum(path.stat().st_size for path in files)
        for path in files:
            if held + size <= self._limit:
                return
            held -= path.stat().st_size
            path.unlink()

    def _files(self) -> list[Path]:
        return (
            [path for path in self._folder.iterdir() if path.suffix != NEW] if self._folder.is_dir() else []
        )


def _used(path: Path) -> None:
    now = time.time_ns()  # the kernel's own stamp moves in steps of milliseconds
    os.utime(path, ns=(now, now))
