"""Puts back what is damaged of one sealed segment, file by file, from a backup. What is whole is left alone; nothing else of the log is touched."""

from pathlib import Path
from typing import Final, NamedTuple

from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.storage.files import sync_folder
from ledger.storage.layout import SEGMENTS, segment_path
from ledger.storage.lock import DataLock
from ledger.storage.manifest import Manifest, generation_of, manifest_name, open_manifest
from ledger.upkeep.backupset import Backup
from ledger.upkeep.copying import copy_checked, digest_of
from ledger.upkeep.place import FOLDER_MODE

FILE_MODE: Final = 0o444
SEALED_MODE: Final = 0o555
BESIDE: Final = ".restored-"


class Repaired(NamedTuple):
    """What was done.

    Attributes:
        start: the segment's first entry,
        end: and the one after its last.
        replaced: the files that were put back.
    """

    start: int
    end: int
    replaced: tuple[str, ...]


def repair_segment(backup: Backup, data: Path, start: int) -> Repaired:
    """Put back the damaged and missing files of the segment that begins with entry `start`. Every file is whole or as it was.

    Args:
        backup: of this log, in which the segment is whole.
        data: the data folder; its server is stopped.
        start: the segment's first entry.

    Raises:
        LedgerError: `not-found`: the backup has no such segment; `locked`; `evidence-altered`: the file in the backup is damaged too, or it is
            of another generation than the one in force: what was put back before stays.
        OSError: a file cannot be read or written.
    """
    if start not in backup.segments:
        raise LedgerError(
            Code.NOT_FOUND,
            f"{backup.folder} has no segment that begins with entry {start}: it has {', '.join(map(str, backup.segments))}",
        )
    lock = DataLock(data)
    try:
        return _repair(backup, data, backup.manifest(start))
    finally:
        lock.release()


def _repair(backup: Backup, data: Path, theirs: Manifest) -> Repaired:
    source, folder = segment_path(backup.folder, theirs.start), segment_path(data, theirs.start)
    (data / SEGMENTS).mkdir(mode=FOLDER_MODE, exist_ok=True)
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    folder.chmod(FOLDER_MODE)
    replaced = []
    try:
        manifest = _in_force(folder, backup.keys, theirs)
        for generation in range(1, theirs.generation + 1):
            name = manifest_name(generation)
            if not _opens(folder / name, backup.keys, theirs):
                _replace(source / name, folder / name, digest_of(source / name))
                replaced.append(name)
        for name, info in manifest.files.items():
            expected = (info.bytes, info.sha256)
            if (folder / name).exists() and digest_of(folder / name) == expected:
                continue
            if name not in theirs.files or tuple(theirs.files[name]) != expected:
                raise LedgerError(
                    Code.EVIDENCE_ALTERED,
                    f"{folder / name} is damaged, and the backup has an older generation of it (contents were erased since): take a newer "
                    "backup, or restore the whole log",
                )
            _replace(source / name, folder / name, expected)
            replaced.append(name)
    finally:
        folder.chmod(SEALED_MODE)
        sync_folder(folder)
        sync_folder(data / SEGMENTS)
        sync_folder(data)
    return Repaired(theirs.start, theirs.end, tuple(replaced))


def _in_force(folder: Path, keys: KeyHistory, theirs: Manifest) -> Manifest:
    """The newest manifest here that the log signed; the backup's where there is none, or it is older."""
    newest = theirs
    for path in folder.iterdir():
        if generation_of(path.name) is not None and (here := _opens(path, keys, theirs)):
            newest = max(newest, here, key=lambda manifest: manifest.generation)
    return newest


def _opens(path: Path, keys: KeyHistory, theirs: Manifest) -> Manifest | None:
    try:
        manifest = open_manifest(path.read_bytes(), keys, keys.origin)
    except (OSError, LedgerError):
        return None
    same = (manifest.start, manifest.end, manifest.root) == (theirs.start, theirs.end, theirs.root)
    if not same:
        raise LedgerError(
            Code.FORKED,
            f"{path} is signed by this log and is of another history than the backup: keep both, nothing was replaced",
        )
    return manifest


def _replace(source: Path, to: Path, expected: tuple[int, str]) -> None:
    beside = to.with_name(f"{BESIDE}{to.name}")
    beside.unlink(missing_ok=True)
    copy_checked(source, beside, expected, mode=FILE_MODE)
    beside.replace(to)
    sync_folder(to.parent)
