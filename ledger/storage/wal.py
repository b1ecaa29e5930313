"""A WAL's file, made before DuckDB makes it: so that a commit waits for the disk, and for no thread of the kernel's.

ext4 writes what is appended to a file into an extent that counts as unwritten until a thread of its own (`ext4-rsv-conversion`) has said otherwise, and fdatasync waits for that thread. While
queries keep every core busy it is among those who wait for one, for hundreds of milliseconds (ADR 0035). A file whose blocks are mapped one by one, as ext3 did it, has no such extents. Only ext4 knows the difference;
to mount it with `dioread_lock` is the same for all files.
"""

import contextlib
import fcntl
import os
import struct
from pathlib import Path
from typing import Final

_LONG: Final = struct.Struct("l")
_GET_FLAGS: Final = 0x80006601 | _LONG.size << 16  # FS_IOC_GETFLAGS, linux/fs.h
_SET_FLAGS: Final = 0x40006602 | _LONG.size << 16
_EXTENTS: Final = 0x80000  # FS_EXTENT_FL: what ext4 alone tells of a file
_BLOCKS: Final = 2**32  # blocks beyond have no number in such a file


def make_wal(path: Path) -> None:
    """Make an empty file for DuckDB to append to, mapped block by block where the file system offers it.

    A WAL that is there stays as it is. Nothing is lost where no file can be made: DuckDB makes one, or says why not.
    """
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _map_blocks(fd)
        finally:
            os.close(fd)


def _map_blocks(fd: int) -> None:
    """Have an empty file's blocks mapped one by one.

    Raises:
        OSError: the file system knows no flags, or does not let this one go.
    """
    (flags,) = _LONG.unpack(fcntl.ioctl(fd, _GET_FLAGS, _LONG.pack(0)))
    if flags & _EXTENTS and os.fstatvfs(fd).f_blocks < _BLOCKS:
        fcntl.ioctl(fd, _SET_FLAGS, _LONG.pack(flags & ~_EXTENTS))
