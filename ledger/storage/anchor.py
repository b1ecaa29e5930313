"""The head anchor: the newest checkpoint, in a file outside the data folder.

A database that lost its tail opens without an error and with fewer rows. What it should have had stands here. The file has two
slots of 4 KiB which are written in turn, each with the hash of its note before the note (C2SP tlog-checkpoint): a write that is cut
off spoils one slot and leaves the other, which is the checkpoint before. One write to a file that is open with O_DSYNC costs a
quarter of writing a new file and renaming it, and it is on the path of every answer.
"""

import contextlib
import errno
import os
from hashlib import sha256
from pathlib import Path

from ledger.core.checkpoint import parse_checkpoint
from ledger.core.errors import Code, LedgerError
from ledger.core.note import parse_note
from ledger.storage.files import sync_folder

SLOT_BYTES = 4096
SLOTS = 2
MODE = 0o600


def default_anchor(data: Path) -> Path:
    """The anchor's usual place: the data folder's sibling `<data>.head`."""
    return data.parent / f"{data.name}.head"


class HeadAnchor:
    """Reads and advances the anchor at `path`.

    Attributes:
        path: where it stands.
        size: the size of the checkpoint it holds, as far as this object has written it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._fd: int | None = None
        self._slot = 0
        self._known: bytes | None = None  # what the file held when this object last read or wrote it
        self._note: bytes | None = None  # the newest that this object wrote

    def read(self) -> bytes | None:
        """The newest whole note, or None where there is no anchor yet. Its signature is for the caller to check.

        Raises:
            OSError: it exists and cannot be read.
            LedgerError: `storage-failed`: neither slot is whole.
        """
        newest = self._newest()
        return newest[1] if newest else None

    def advance(self, note: bytes, size: int) -> None:
        """Write the note of a checkpoint of `size` entries, durably.

        Raises:
            OSError: the note before still stands; or somebody else wrote one: two processes write this log.
        """
        fd = self._open()
        image = os.pread(fd, SLOTS * SLOT_BYTES, 0)
        if image != self._known:
            raise OSError(
                errno.ESTALE,
                "it is not what this process wrote: another one writes this log, or it was damaged",
            )
        slot = sha256(note).hexdigest().encode() + b"\n" + note
        if len(slot) > SLOT_BYTES:
            raise OSError(errno.EFBIG, f"the checkpoint does not fit {SLOT_BYTES} bytes")
        if os.pwrite(fd, slot.ljust(SLOT_BYTES, b"\n"), self._slot * SLOT_BYTES) != SLOT_BYTES:
            raise OSError(errno.EIO, "the checkpoint was not written whole")
        self._known = os.pread(fd, SLOTS * SLOT_BYTES, 0)
        self._slot = (self._slot + 1) % SLOTS
        self.size, self._note = size, note

    def close(self) -> None:
        """Let the file go."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> int:
        """The file, open for writing through to the disk; made anew if somebody took it away."""
        if self._fd is not None:
            if os.fstat(self._fd).st_nlink:
                return self._fd
            self.close()
        # Never over the newest note: a write that fails must leave it.
        newest = self._newest()
        if newest is not None and self._note is not None and newest[1] != self._note:
            raise OSError(errno.ESTALE, "another one stands in its place: another process writes this log")
        self._slot = (newest[0] + 1) % SLOTS if newest else 0
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_DSYNC | os.O_CLOEXEC, MODE)
        try:
            sync_folder(self.path.parent)
        except OSError:
            os.close(fd)
            raise
        self._fd, self._known = fd, os.pread(fd, SLOTS * SLOT_BYTES, 0)
        return fd

    def _newest(self) -> tuple[int, bytes] | None:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        found: list[tuple[int, int, bytes]] = []
        for slot in range(SLOTS):
            note = _whole(data[slot * SLOT_BYTES : (slot + 1) * SLOT_BYTES])
            if note is not None:
                with contextlib.suppress(LedgerError):
                    found.append((parse_checkpoint(parse_note(note).text).size, slot, note))
        if data and not found:
            raise LedgerError(
                Code.STORAGE_FAILED,
                f"the head anchor {self.path} holds no whole checkpoint: it was damaged or replaced",
            )
        return max(found)[1:] if found else None


def _whole(slot: bytes) -> bytes | None:
    stated, _, note = slot.partition(b"\n")
    note = note.rstrip(b"\n") + b"\n"
    return note if sha256(note).hexdigest().encode() == stated else None
