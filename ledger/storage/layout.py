"""What lies where in a data folder, and which version of that layout it is. See docs/storage.md.

Version 1 was one database, `log.duckdb`. Version 2 has hot files, sealed segments and what belongs to them.
"""

import json
from pathlib import Path
from typing import Final

from ledger.core.errors import Code, LedgerError
from ledger.storage.files import write_durably

VERSION: Final = 2
VERSION_FILE: Final = "storage.json"
DATABASE_1: Final = "log.duckdb"  # where version 1 had everything
KEY: Final = "log.key"
KEY_NEXT: Final = "log.key.next"  # the one that the next rotation puts in force
HOT: Final = "hot"
SEGMENTS: Final = "segments"
IDS: Final = "ids"
PERSONS: Final = "persons.sqlite"
QUERIES: Final = "queries"  # tables for queries: a cache, emptied at each start
BUILDING: Final = ".building-"
_HOT_DIGITS: Final = 8
_SEQ_DIGITS: Final = 16


def holds_log(data: Path) -> bool:
    """Whether there is a log in the folder, of whatever version."""
    return (data / HOT).is_dir() or (data / SEGMENTS).is_dir() or (data / DATABASE_1).exists()


def read_version(data: Path) -> int:
    """The version of a folder's layout.

    Raises:
        LedgerError: `not-found` where there is no log, `storage-failed` where the version cannot be read.
    """
    path = data / VERSION_FILE
    if not holds_log(data):
        raise LedgerError(Code.NOT_FOUND, f"there is no log in {data}; `agent-ledger init` makes one")
    try:
        version = json.loads(path.read_bytes())["version"]
    except FileNotFoundError:
        version = 1 if (data / DATABASE_1).exists() else None
    except (OSError, ValueError, TypeError, KeyError):
        version = None
    if not isinstance(version, int):
        raise LedgerError(
            Code.STORAGE_FAILED,
            f"{path} does not say which version of the storage this is: put it back from a backup",
        )
    return version


def write_version(data: Path) -> None:
    """Say that the folder is of this release's version.

    Raises:
        OSError: it cannot be written.
    """
    write_durably(data / VERSION_FILE, json.dumps({"version": VERSION}).encode() + b"\n")


def refuse_other_version(data: Path) -> None:
    """Go on only where the folder has the layout that this release writes.

    Raises:
        LedgerError: `not-found`; `storage-version`: what to run instead; `storage-failed`.
    """
    version = read_version(data)
    if version > VERSION:
        raise LedgerError(
            Code.STORAGE_VERSION,
            f"{data} has storage version {version} and this release knows {VERSION}: use the release that wrote it, or a later one",
        )
    if version < VERSION:
        raise LedgerError(
            Code.STORAGE_VERSION,
            f"{data} has storage version {version}: `agent-ledger migrate --data {data}` brings it to version {VERSION}",
        )


def hot_path(data: Path, generation: int) -> Path:
    """The place of a hot file."""
    return data / HOT / f"{generation:0{_HOT_DIGITS}d}.duckdb"


def hot_files(data: Path) -> list[tuple[int, Path]]:
    """The hot files, oldest first, with their generations."""
    found = (data / HOT).glob("[0-9]" * _HOT_DIGITS + ".duckdb")
    return sorted((int(path.stem), path) for path in found)


def wal_of(path: Path) -> Path:
    """DuckDB's write-ahead log of a database file."""
    return path.with_name(path.name + ".wal")


def segment_path(data: Path, start: int) -> Path:
    """The folder of the segment that begins with entry `start`."""
    return data / SEGMENTS / f"{start:0{_SEQ_DIGITS}d}"


def building_path(data: Path, start: int) -> Path:
    """Where that segment is put together; the rename to `segment_path` makes it exist."""
    return data / SEGMENTS / f"{BUILDING}{start:0{_SEQ_DIGITS}d}"


def segment_folders(data: Path) -> list[Path]:
    """The folders of sealed segments, in order."""
    return sorted((data / SEGMENTS).glob("[0-9]" * _SEQ_DIGITS))


def leftovers(data: Path) -> list[Path]:
    """Segments that were never finished."""
    return sorted((data / SEGMENTS).glob(f"{BUILDING}*"))
