"""Brings the folder of an earlier release to this release's storage version (docs/backup.md, docs/adr/0019).

Version 1 was one database, `log.duckdb`; it becomes the first hot file of version 2, as it is. Before that everything in it is read and
verified: the root is made anew from the bytes of the entries, and compared with the signed checkpoints and the head anchor. The order in
which things become durable, and what a crash before each step leaves:

    1  fold    the WAL goes into the database, as at every clean stop          version 1, whole
    2  verify  nothing is written                                              version 1, whole
    3  link    hot/00000001.duckdb is the same file under a second name        version 1, whole; made again at the next start
    4  write   storage.json says version 2: from here on the log is           version 1, whole
    5  unlink  log.duckdb                                                      version 2, whole; the old name goes at the next start
"""

import filecmp
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa

from ledger.audit.fsck import verify_live
from ledger.core.checkpoint import parse_checkpoint
from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.merkle import Frontier, leaf_hashes
from ledger.core.note import format_vkey, parse_note, parse_vkey
from ledger.core.report import Kind, Report
from ledger.log.keys import load_key
from ledger.storage.anchor import HeadAnchor, default_anchor
from ledger.storage.files import close_to_others, sync_folder
from ledger.storage.hot import HotFile
from ledger.storage.layout import (
    DATABASE_1,
    HOT,
    KEY,
    SEGMENTS,
    VERSION,
    holds_log,
    hot_path,
    read_version,
    refuse_other_version,
    wal_of,
    write_version,
)
from ledger.storage.lock import DataLock
from ledger.storage.torn import forget_torn_ends

FOLDER_MODE: Final = 0o700
_CODES: Final = {Kind.ROLLED_BACK: Code.ROLLED_BACK, Kind.FORKED: Code.FORKED}

Progress = Callable[[int, int], None]


class Migrated(NamedTuple):
    """What was brought to this release's version.

    Attributes:
        origin: the log's name.
        size: its entries.
        root: over the bytes of its entries, as the newest checkpoint signs it.
        findings: what was found beside that, in words; it is as it was before.
    """

    origin: str
    size: int
    root: bytes
    findings: tuple[str, ...]


def migrate(
    data: Path,
    *,
    anchor: Path | None = None,
    keep_findings: bool = False,
    progress: Progress | None = None,
) -> Migrated | None:
    """Bring a folder to this release's storage version. None where it has it already.

    Args:
        data: the folder; nobody has it open.
        anchor: where its head anchor stands; the default is beside the folder.
        keep_findings: go on although something was altered (a content, a person, an id): it stays as evidence, and every later
            verification tells of it. That the entries give the signed root and the anchor's is never waived.
        progress: told entries verified and in all.

    Raises:
        LedgerError: `not-found`; `locked`; `storage-version` (a later release's folder: which release to run); `rolled-back`, `forked`,
            `evidence-altered`, `storage-failed`: what was found, and the folder is still of its old version.
        OSError: a file cannot be written; the folder is still of its old version.
    """
    version = read_version(data)
    if version > VERSION:
        refuse_other_version(data)
    lock = DataLock(data)
    try:
        if read_version(data) == VERSION:
            _drop_old_name(data)
            return None
        close_to_others(data)
        return _from_version_1(data, anchor or default_anchor(data), progress, keep_findings=keep_findings)
    finally:
        lock.release()


def needs_migration(data: Path) -> bool:
    """Whether there is a log in the folder that `migrate` has something to do for.

    Raises:
        LedgerError: `storage-failed`: the version cannot be read.
    """
    return holds_log(data) and (read_version(data) != VERSION or (data / DATABASE_1).exists())


def _from_version_1(data: Path, anchor: Path, progress: Progress | None, *, keep_findings: bool) -> Migrated:
    database = data / DATABASE_1
    HotFile(database).close()
    if wal_of(database).exists():
        raise LedgerError(
            Code.STORAGE_FAILED,
            f"{wal_of(database)} could not be folded into {database}: see that the disk has space, and run this again",
        )
    report = _verified(database, _vkey(data), anchor, progress)
    if report.findings and not keep_findings:
        _refuse(report, database)
    new = hot_path(data, 1)
    _clear(data, new)
    (data / HOT).mkdir(mode=FOLDER_MODE, exist_ok=True)
    (data / SEGMENTS).mkdir(mode=FOLDER_MODE, exist_ok=True)
    _link(database, new)
    sync_folder(data / HOT)
    sync_folder(data)
    write_version(data)
    _drop_old_name(data)
    if (
        anchor.exists()
    ):  # by it nothing acknowledged is missing; without one the start finds out, and deletes them
        forget_torn_ends(data)
    found = tuple(f"{finding.where}: {finding.detail}" for finding in report.findings)
    return Migrated(report.origin, report.size, report.root, found)


# ---- what is established before


class _Opened:
    """A database of version 1 as a verification reads it."""

    def __init__(self, hot: HotFile, vkey: str, anchor: Path) -> None:
        self.keys = KeyHistory.begin(parse_vkey(vkey))
        self._hot, self._anchor = hot, anchor

    def head(self) -> "_Opened":
        """Itself: it has a size."""
        return self

    @property
    def size(self) -> int:
        """How many entries are there."""
        start, end = self._hot.bounds() or (0, 0)
        if start:
            raise LedgerError(
                Code.STORAGE_FAILED, f"{self._hot.path} begins with entry {start}, not with entry 0"
            )
        return end

    def rows(self, start: int, end: int, *, contents: bool = True) -> Iterator[pa.RecordBatch]:
        """Rows [start, end)."""
        return self._hot.rows(start, end, contents=contents)

    def person_rows(self, start: int, end: int) -> pa.Table:
        """Persons of the entries [start, end)."""
        return self._hot.person_rows(start, end)

    def anchored(self) -> str:
        """Where its head anchor stands."""
        return str(self._anchor)


def _vkey(data: Path) -> str | None:
    """The key that the folder's owner signs with; a copy that is evidence alone has none."""
    return format_vkey(load_key(data / KEY).key) if (data / KEY).exists() else None


def _verified(database: Path, vkey: str | None, anchor: Path, progress: Progress | None) -> Report:
    hot = HotFile(database)
    try:
        opened = _Opened(hot, vkey or _own_word(hot), anchor)
        report = verify_live(opened, progress=progress)
        note, root = hot.newest_checkpoint(), _root(hot, opened.size)
    finally:
        hot.close(fold=False)
    newest = parse_checkpoint(parse_note(note or b"").text)
    if (newest.size, newest.root) != (report.size, root):
        raise _refused(
            Code.EVIDENCE_ALTERED, database, "the bytes of its entries do not give the root it signed"
        )
    _compare_anchor(report, database, anchor)
    return report


def _root(hot: HotFile, size: int) -> bytes:
    """The root over the entries' bytes, whatever hashes are stored beside them."""
    frontier = Frontier()
    for batch in hot.rows(0, size, contents=False):
        frontier.extend(leaf_hashes(batch.column("entry").cast(pa.binary()).to_pylist()))
    return frontier.root()


def _own_word(hot: HotFile) -> str:
    try:
        return str(parse_entry(hot.entries(0, 1)[0]).members["ext"]["log.vkey"])  # type: ignore[index, call-overload]
    except (IndexError, KeyError, TypeError, LedgerError):
        raise LedgerError(
            Code.STORAGE_FAILED, f"{hot.path} has no entry 0 that names a key: it was never finished"
        ) from None


def _compare_anchor(report: Report, database: Path, anchor: Path) -> None:
    note = HeadAnchor(anchor).read()
    if note is None:
        return  # `serve` asks for it
    kept = parse_checkpoint(parse_note(note).text)
    if kept.size > report.size:
        raise _refused(
            Code.ROLLED_BACK,
            database,
            f"it has {report.size} entries, and the head anchor {anchor} knows of {kept.size}",
        )
    if not any(each.agrees and each.size == kept.size for each in report.anchors):
        raise _refused(Code.FORKED, database, f"it does not have the root that the head anchor {anchor} has")


def _refuse(report: Report, database: Path) -> None:
    first = report.findings[0]
    more = len(report.findings) + report.unlisted - 1
    raise _refused(
        _CODES.get(first.kind, Code.EVIDENCE_ALTERED),
        database,
        f"{first.where} is {first.kind}: {first.detail}" + (f" (and {more} more)" if more else ""),
    )


def _refused(code: Code, database: Path, what: str) -> LedgerError:
    return LedgerError(
        code,
        f"{database} was not brought to storage version {VERSION} and is as it was: {what}. The release that wrote it verifies and serves "
        "it still; `agent-ledger migrate --keep-findings` goes on where the entries themselves give the signed root",
    )


# ---- the move


def _clear(data: Path, new: Path) -> None:
    """Remove what a crash before step 4 left: the second name, and nothing else.

    Raises:
        LedgerError: `storage-failed`: there is more, which no migration left.
    """
    strangers = [path for path in (data / HOT).glob("*") if path != new]
    strangers += list((data / SEGMENTS).glob("*"))
    if strangers:
        raise LedgerError(
            Code.STORAGE_FAILED,
            f"{strangers[0]} stands beside {DATABASE_1}, and no {data / 'storage.json'} says which of them is the log: move away what is not",
        )
    new.unlink(missing_ok=True)


def _link(database: Path, new: Path) -> None:
    try:
        os.link(database, new)
    except OSError:  # a file system without hard links
        shutil.copyfile(database, new)
        new.chmod(database.stat().st_mode & 0o777)
        with new.open("rb") as copied:
            os.fsync(copied.fileno())
        if not filecmp.cmp(database, new, shallow=False):
            new.unlink()
            raise


def _drop_old_name(data: Path) -> None:
    """Step 5, also where a crash left it out.

    Raises:
        LedgerError: `storage-failed`: `log.duckdb` is another file than the hot one.
    """
    old, new = data / DATABASE_1, hot_path(data, 1)
    if not old.exists():
        return
    if not new.exists() or not (old.samefile(new) or filecmp.cmp(old, new, shallow=False)):
        raise LedgerError(
            Code.STORAGE_FAILED,
            f"{old} stands in a folder of storage version {VERSION} and is not what became of it: an older release wrote there, or somebody "
            "put it there. Keep it as evidence elsewhere, then start again",
        )
    old.unlink()
    sync_folder(data)
