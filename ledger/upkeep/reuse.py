"""What a backup takes over from the one before: files that did not change, as hard links.

A link takes over damage too: a block that rots once would be in every backup of the set. So the length of each file is compared, and the
bytes of those that were not read for longest, a tenth of all in each backup: after ten backups every file was read again. When a file was
read last is its modification time; nothing else of it ever changes. What is not there, or is not what was signed, comes from the log.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

from ledger.core.errors import LedgerError
from ledger.storage.layout import segment_path
from ledger.upkeep.backupset import Backup
from ledger.upkeep.copying import SEGMENT_FILE_MODE, Told, copy_checked, digest_of

SHARE: Final = 10

Expected = tuple[int, str]


class Reuse:
    """The files of one backup, to be taken over by the next.

    Attributes:
        before: the backup; None where there is none, then nothing is taken over.
        reread_bytes: of how many bytes the digest was compared.
        damaged: what is not there, or is not what was signed.
    """

    def __init__(self, before: Backup | None, *, every: bool) -> None:
        """Look at what there is.

        Args:
            before: the backup, where there is one.
            every: compare the digest of each file.
        """
        self.reread_bytes = 0
        self.damaged: list[Path] = []
        self.before = before
        self._there: dict[Path, Expected] = {}
        for start in before.segments if before else ():
            self._list(start)
        self._due = set(self._there) if every else self._longest_unread()

    def _list(self, start: int) -> None:
        if self.before is None:
            return
        folder = segment_path(self.before.folder, start)
        try:
            files = self.before.there(start)
        except (LedgerError, OSError):  # its manifest is gone, or another
            self.damaged.append(folder)
            return
        self._there |= {folder / name: expected for name, expected in files.items()}

    def _longest_unread(self) -> set[Path]:
        left = sum(size for size, _ in self._there.values()) / SHARE
        due = set()
        for path in sorted(self._there, key=_read_at):
            if left <= 0:
                break
            due.add(path)
            left -= self._there[path][0]
        return due

    def take(self, start: int, name: str, expected: Expected, to: Path, told: Told) -> bool:
        """Make the file `to` of what is there; False where it has to come from the log.

        Args:
            start: the segment.
            name: the file.
            expected: its length and SHA-256, hex.
            to: where to.
            told: told its bytes.

        Raises:
            OSError: the new file cannot be written.
        """
        if self.before is None:
            return False
        old = segment_path(self.before.folder, start) / name
        if self._there.get(old) != expected:
            return False
        if not (self._is_sound(old, expected) and _link_or_copy(old, to, expected)):
            self.damaged.append(old)
            return False
        told(expected[0])
        return True

    def _is_sound(self, path: Path, expected: Expected) -> bool:
        try:
            if path.is_symlink() or path.stat().st_size != expected[0]:
                return False
            if path not in self._due:
                return True
            self.reread_bytes += expected[0]
            sound = digest_of(path) == expected
        except OSError:
            return False
        if sound:
            with contextlib.suppress(OSError):
                os.utime(path)
        return sound


def _read_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _link_or_copy(old: Path, to: Path, expected: Expected) -> bool:
    """A second name for a file that is never written again; a copy where there can be none. False where that is not what was signed."""
    try:
        to.hardlink_to(old)
    except OSError:  # another file system, or too many names
        try:
            copy_checked(old, to, expected, mode=SEGMENT_FILE_MODE)
        except LedgerError:
            return False
    return True
