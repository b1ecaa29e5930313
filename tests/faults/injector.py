"""The test's half of injector.c: which operation fails and how, while the processes run."""

import mmap
import os
import shutil
import signal
import struct
import subprocess
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("injector.c")
_PATHS, _CALL, _KIND = 512, 32, 256
_NUMBERS = 3 * _PATHS + _CALL + _KIND
_CLOCK = _NUMBERS + 16
_COUNTERS = 4096
_UNLOCKED = _CLOCK + 8
_STOPPED = _UNLOCKED + 8
_SIZE = _STOPPED + 8 + 4 * _COUNTERS


class Mode(IntEnum):
    """How an operation fails."""

    NONE = 0
    FAILED = 1  # EIO, nothing was done
    PERSISTED = 2  # it was done, and EIO is the answer
    FULL = 3  # ENOSPC, nothing was done
    SHORT = 4  # half of it is written, and that is the answer
    TORN = 5  # half of it is written, and the process is killed
    KILL_BEFORE = 6
    KILL_AFTER = 7
    STOP = 8  # the process is stopped before it (SIGSTOP), until somebody lets it go on


class Operation(NamedTuple):
    """One call that changed what lies in the folder.

    Attributes:
        call: `write`, `sync`, `rename`, `unlink`, `truncate`, `allocate`, `create`, `mkdir`, `link`, `chmod`, `sync-range`.
        kind: the path below the root with every number as `#`.
        ordinal: the n-th of this call and kind, from 1.
    """

    call: str
    kind: str
    ordinal: int

    def __str__(self) -> str:
        return f"{self.call} {self.kind} {self.ordinal}"


def compiled(folder: Path) -> Path | None:
    """The library, None where there is no C compiler."""
    if shutil.which("cc") is None:
        return None
    library = folder / "injector.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", library, SOURCE, "-ldl"],
        check=True,
    )
    return library


class Board:
    """Shared memory with the injector in every process that was started with `environment`."""

    def __init__(self, folder: Path, root: Path, *, trace: bool = False, journal: bool = False) -> None:
        self.path = folder / "board"
        self.trace_path, self.journal_path = folder / "trace", folder / "journal"
        for old in (self.trace_path, self.journal_path):
            old.unlink(missing_ok=True)
        texts = [
            str(root),
            str(self.trace_path) if trace else "",
            str(self.journal_path) if journal else "",
        ]
        self.path.write_bytes(
            b"".join(text.encode().ljust(_PATHS, b"\0") for text in texts).ljust(_SIZE, b"\0")
        )
        with self.path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _SIZE)

    def environment(self, library: Path) -> dict[str, str]:
        """What a process must be started with."""
        return {"LD_PRELOAD": str(library), "FAULTS_BOARD": str(self.path)}

    def fail(self, call: str, kind: str, mode: Mode, *, ordinal: int = 0, on: bool = False) -> None:
        """Let operations fail: the n-th, with `on` also every one after it, with 0 every one.

        Args:
            call: of `Operation`; empty is any.
            kind: of `Operation`; empty is any, `*part` any that has this part.
            mode: how.
            ordinal: which.
            on: whether it goes on failing.
        """
        self.heal()
        start = 3 * _PATHS
        self._map[start:_NUMBERS] = call.encode().ljust(_CALL, b"\0") + kind.encode().ljust(_KIND, b"\0")
        struct.pack_into("<IIII", self._map, _NUMBERS, ordinal, int(mode), 0, int(on))

    def fail_after(self, count: int, mode: Mode) -> None:
        """Let the operation fail that comes after `count` more of whatever kind."""
        (total,) = struct.unpack_from("<I", self._map, _UNLOCKED + 4)
        self.fail("#", "", mode, ordinal=total + count + 1)

    def heal(self) -> None:
        """Nothing fails from now on."""
        struct.pack_into("<I", self._map, _NUMBERS + 4, 0)

    @property
    def fired(self) -> int:
        """How often an operation failed since `fail`."""
        return int(struct.unpack_from("<I", self._map, _NUMBERS + 8)[0])

    def move_clock(self, seconds: float) -> None:
        """Let the processes' wall clock be this far from the real one."""
        struct.pack_into("<q", self._map, _CLOCK, int(seconds * 1_000_000_000))

    def let_go_on(self) -> None:
        """Let the process go on that stopped itself, if one did: SIGCONT."""
        (pid,) = struct.unpack_from("<I", self._map, _STOPPED)
        if pid and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
            struct.pack_into("<I", self._map, _STOPPED, 0)
            os.kill(pid, signal.SIGCONT)

    def lose_locks(self) -> None:
        """Let file locks be granted to the processes and hold nobody off."""
        struct.pack_into("<I", self._map, _UNLOCKED, 1)

    def journal_size(self) -> int:
        """Bytes of the journal so far."""
        return self.journal_path.stat().st_size if self.journal_path.exists() else 0

    def trace(self) -> list[Operation]:
        """What was done so far, in order."""
        if not self.trace_path.exists():
            return []
        found = []
        for line in self.trace_path.read_text().splitlines():
            call, kind, ordinal, *_ = line.split("\t")
            found.append(Operation(call, kind, int(ordinal)))
        return found

    def close(self) -> None:
        """Let the memory go. The processes keep theirs."""
        self._map.close()
