"""Reads files that somebody handed over: never more than they can rightly be, however long they are, or endless (a pipe, a device)."""

import errno
import os
from pathlib import Path
from typing import Final

NOTE_FILE_BYTES: Final = (
    4 * 1024 * 1024
)  # a checkpoint, a receipt, a key, a policy, a proof: each parser's own bound is lower
TILE_FILE_BYTES: Final = (
    32 * 1024 * 1024
)  # an entry bundle is 256 entries with two bytes of length each: below 16.1 MiB
_STEP_BYTES: Final = 1024 * 1024


def read_bounded(path: Path, limit: int = NOTE_FILE_BYTES) -> bytes:
    """The bytes of a file that has at most `limit` of them.

    Raises:
        OSError: it cannot be read, or is longer (EFBIG).
    """
    found = bytearray()
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > limit:
            raise _too_long(path, limit)
        while chunk := file.read(min(_STEP_BYTES, limit + 1 - len(found))):
            found += chunk
            if len(found) > limit:  # a pipe, a device, a file that grows
                raise _too_long(path, limit)
    return bytes(found)


def _too_long(path: Path, limit: int) -> OSError:
    return OSError(errno.EFBIG, f"it is longer than {limit:,} bytes", str(path))
