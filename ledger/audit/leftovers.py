"""What the ledger's own work leaves for a moment, and a crash until the next start: it is told, and is no finding.

By name, place and kind alone: nothing of it is read, the log does not rest on it, and the next start deletes it. Whatever else stands in a
folder that the log does not cover is a finding.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ledger.storage.manifest import CONTENTS, ENTRIES, FACTS, Manifest, file_name, manifest_name

_BUILDING: Final = re.compile(r"\.building-[0-9]{16}")  # a segment that is being made
_HOT: Final = re.compile(  # a hot file that is being made, or goes; the torn end of a WAL
    r"[0-9]{8}\.duckdb(?:\.new(?:\.wal)?|\.sealed|\.wal\.torn-[0-9]+)|\.[0-9]{8}\.duckdb\.wal\.torn-[0-9]+\.new"
)
_SPILLED: Final = re.compile(r"[0-9]{8}\.duckdb\.tmp")  # where DuckDB puts what its memory does not hold
_HOT_WAL: Final = re.compile(r"([0-9]{8}\.duckdb)\.wal")  # of a hot file that goes
_RUN: Final = re.compile(r"\.[0-9]{16}-[0-9]{16}\.ids\.new")  # a run of ids that is being made


def is_building(path: Path) -> bool:
    """Whether it is a segment that is being made, or never was finished."""
    return _BUILDING.fullmatch(path.name) is not None and path.is_dir() and not path.is_symlink()


def is_renewing(path: Path, manifest: Manifest, earlier: Iterable[Manifest]) -> bool:
    """Whether a file beside a segment's is of its next generation, which is being made, or of one before, which goes.

    Args:
        path: the file.
        manifest: the one in force.
        earlier: those of earlier generations, as far as they can be read.
    """
    following = manifest.generation + 1
    names = {file_name(role, following) for role in (ENTRIES, FACTS, CONTENTS)}
    names.add(f".{manifest_name(following)}.new")
    return _is_file(path) and (path.name in names or any(path.name in before.files for before in earlier))


def is_hot_leftover(path: Path) -> bool:
    """Whether it is a hot file that is being made, one that was sealed and goes, or what is beside one while it is open."""
    wal = _HOT_WAL.fullmatch(path.name)
    goes = wal is not None and path.with_name(f"{wal[1]}.sealed").exists()
    if path.is_dir() and not path.is_symlink():
        return _SPILLED.fullmatch(path.name) is not None
    return _is_file(path) and (goes or _HOT.fullmatch(path.name) is not None)


def is_run_leftover(path: Path) -> bool:
    """Whether it is a run of ids that is being made."""
    return _is_file(path) and _RUN.fullmatch(path.name) is not None


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
