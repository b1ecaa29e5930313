"""The end of a WAL that a power cut left torn: with a hole where something was written and not yet synced.

DuckDB takes a WAL that ends within an entry, or in zeros, for one that ends before, and refuses one whose last entry has its length and not its bytes,
as a disk that wrote the pieces out of order leaves it. Nothing that was acknowledged is there: that was synced. So the end is cut off and put
beside. Whether that was all of it the caller finds out from the head anchor, which says how much was acknowledged, and deletes it then.
"""

import itertools
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import duckdb

from ledger.storage.files import sync_folder, write_durably
from ledger.storage.layout import wal_of

logger = logging.getLogger(__name__)

TORN: Final = ".torn-"
_AT: Final = re.compile(
    r"Corrupt WAL file: entry (?:size exceeded remaining data in file )?at byte position (\d+) "
)


def connect_whole(path: Path, config: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
    """Open a database and replay its WAL, without a torn end where there is one.

    Raises:
        duckdb.Error: it cannot be opened.
    """
    try:
        return duckdb.connect(str(path), config=dict(config))
    except duckdb.Error as error:
        wal = wal_of(path)
        try:
            kept = cut_torn_end(wal, str(error))
        except OSError as uncut:
            logger.warning("%s has a torn end, which cannot be cut off: %s", wal, uncut)
            raise error from uncut
        if kept is None:
            raise
        logger.warning("%s had a torn end, as a power cut leaves it: cut off, and put into %s", wal, kept)
    return duckdb.connect(str(path), config=dict(config))


def cut_torn_end(wal: Path, refusal: str) -> Path | None:
    """Cut off what DuckDB refuses of a WAL's end, durably.

    Args:
        wal: the WAL.
        refusal: what DuckDB said of it.

    Returns:
        Where the end is kept, None where the refusal is about something else and nothing was done.

    Raises:
        OSError: it cannot be cut, and is as it was.
    """
    found = _AT.search(refusal)
    if found is None or int(found[1]) >= wal.stat().st_size:
        return None
    position = int(found[1])
    names = (wal.with_name(f"{wal.name}{TORN}{number}") for number in itertools.count(1))
    kept = next(name for name in names if not name.exists())
    fd = os.open(wal, os.O_RDWR | os.O_CLOEXEC)
    try:
        write_durably(kept, os.pread(fd, os.fstat(fd).st_size - position, position))
        os.ftruncate(fd, position)
        os.fsync(fd)
    finally:
        os.close(fd)
    return kept


def forget_torn_ends(folder: Path) -> None:
    """Delete what was cut off in a folder: what was acknowledged is there without it, and nobody could erase anything in it.

    Raises:
        OSError: something of it is still there.
    """
    ends = list(folder.glob(f"*{TORN}*"))
    for end in ends:
        end.unlink()
    if ends:
        sync_folder(folder)
