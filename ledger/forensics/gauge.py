"""How far a query has come: a number that the worker writes and the service reads, in memory that both have."""

import math
import mmap
import struct
import tempfile
import threading
from collections.abc import Callable
from typing import IO, Final, Self

EVERY_S: Final = 0.2
UNKNOWN: Final = -1.0
_NUMBER: Final = struct.Struct("=d")


class Gauge:
    """A fraction of 0 to 1, or nothing. Written by one process, read by another that believes nothing but its range."""

    def __init__(self) -> None:
        """The reading end: a file without a name, for a process to inherit."""
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._file.truncate(_NUMBER.size)
        self._memory = mmap.mmap(self._file.fileno(), _NUMBER.size)
        self.clear()

    @property
    def descriptor(self) -> int:
        """Of the file."""
        return self._file.fileno()

    def clear(self) -> None:
        """Nothing is known."""
        _NUMBER.pack_into(self._memory, 0, UNKNOWN)

    def read(self) -> float | None:
        """The fraction; None where nothing is known, or what stands there is none."""
        try:
            value = _NUMBER.unpack_from(self._memory)[0]
        except ValueError:  # closed meanwhile
            return None
        return value if math.isfinite(value) and 0 <= value <= 1 else None

    def close(self) -> None:
        """Let it go."""
        self._memory.close()
        self._file.close()


class Needle:
    """The writing end."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory

    @classmethod
    def at(cls, descriptor: int) -> Self:
        """Of an inherited file."""
        return cls(mmap.mmap(descriptor, _NUMBER.size))

    def follow(self, fraction: Callable[[], float]) -> None:
        """Write what this says, five times a second, for as long as the process lives."""

        def write() -> None:
            while True:
                _NUMBER.pack_into(self._memory, 0, fraction())
                pause.wait(EVERY_S)

        pause = threading.Event()
        threading.Thread(target=write, daemon=True, name="progress").start()
