"""Which files of segments are open: those that were used last. A log of thousands of segments needs no more than a small one."""

import resource
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

OPEN_FILES: Final = 64  # of all segments together, beside those that are being read
WANTED_FILES: Final = 65_536


class Opened:
    """Which files are open, the one that was used longest ago first. Safe to use from any thread."""

    def __init__(self, limit: int) -> None:
        self._limit, self._lock = limit, threading.Lock()
        # Weak: a file that nobody has any more is closed by itself.
        self._order: OrderedDict[weakref.ref[Reopened], None] = OrderedDict()

    def used(self, file: "Reopened") -> None:
        """It was opened or read; what was not used for longest is closed. Never called with a file's own lock held."""
        with self._lock:
            self._order[ref := weakref.ref(file)] = None
            self._order.move_to_end(ref)
            idle = [self._order.popitem(last=False)[0]() for _ in range(len(self._order) - self._limit)]
        for other in idle:
            if other is not None:
                other.let_go()

    def drop(self, file: "Reopened") -> None:
        """It was closed."""
        with self._lock:
            self._order.pop(weakref.ref(file), None)


opened: Final = Opened(OPEN_FILES)


class FileClosed(Exception):  # noqa: N818 - says what is
    """It was closed for good."""


class Reopened:
    """A file that is opened when it is first used, and again where many others were used since. Safe to use from any thread.

    Attributes:
        path: where it is, or was when it was last opened.
    """

    def __init__(
        self, path: Path, open_file: Callable[[Path], Any], find: Callable[[], Path] | None = None
    ) -> None:
        """Say what to open.

        Args:
            path: where it is.
            open_file: opens it; what it returns has a method `close`.
            find: where it is, each time that it is opened, in the place of `path`. It may take long.
        """
        self.path = path
        self._open_file, self._find = open_file, find
        self._lock = threading.Lock()
        self._file: Any = None
        self._closed = False

    def use(self, what: Callable[[Any], Any]) -> Any:
        """`what` of the opened file.

        Raises:
            FileClosed: it was closed.
            Exception: what `open_file`, `find` and `what` raise.
        """
        path = None if self._find is not None else self.path
        try:
            while True:
                with self._lock:
                    if path is not None or self._file is not None or self._closed:
                        return what(self._opened(path))
                path = self._find() if self._find is not None else self.path  # without the lock
        finally:
            if self._file is not None:
                opened.used(self)

    def _opened(self, path: Path | None) -> Any:
        if self._closed:
            raise FileClosed
        if self._file is None:
            self.path = path or self.path
            self._file = self._open_file(self.path)
        return self._file

    def let_go(self) -> None:
        """Close it until it is used again; where it is being used, that tells."""
        if self._lock.acquire(blocking=False):
            try:
                self._close()
            finally:
                self._lock.release()

    def close(self) -> None:
        """Close it for good."""
        with self._lock:
            self._closed = True
            self._close()
        opened.drop(self)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def raise_limit() -> int:
    """Let this process have as many files open as it may, up to 65,536: each connection is one. Returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most
