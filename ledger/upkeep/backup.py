"""An online backup, beside the server that writes (docs/backup.md, docs/adr/0019). What a set looks like: `ledger.upkeep.backupset`.

    1  note    which generation each segment has, and how many persons there are
    2  seal    the server seals what is hot: from here on every entry so far is in a file that never changes
    3  copy    segments (linked to the backup before where nothing changed: `ledger.upkeep.reuse`), persons, tokens; every byte against the signed digests
    4  look    whether something was erased or retired since 1, or is gone without a reason in the backup (`ledger.upkeep.complete`): then
               from 1 again
    5  sign    backup.note, the last file
    6  rename  from here on the backup exists

A crash before 6 leaves `.making`, which the next backup removes. The head anchor is never copied: it is there to contradict an old copy.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from ledger.core.entry import format_time
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import NoteSigner
from ledger.log.keys import load_key
from ledger.log.rotation import held
from ledger.storage.files import write_durably
from ledger.storage.layout import KEY, PERSONS, SEGMENTS, VERSION_FILE, segment_folders, segment_path
from ledger.storage.manifest import Manifest, generation_of, manifest_name, open_manifest
from ledger.storage.segment import MOVED, Fetch
from ledger.upkeep.backupset import (
    LIST,
    NOTE,
    Backup,
    FileInfo,
    SegmentInfo,
    chained,
    format_list,
    keys_in,
    open_backup,
    sign_backup,
    whole_backups,
)
from ledger.upkeep.complete import UnexplainedError, refuse_incomplete
from ledger.upkeep.copying import SEGMENT_FILE_MODE, copy_checked, copy_file, digest_of
from ledger.upkeep.people import copy_persons, count_persons
from ledger.upkeep.place import FOLDER_MODE, Place, remove_tree
from ledger.upkeep.reuse import Reuse

MAKING: Final = ".making"
TOKENS: Final = "tokens.json"
ATTEMPTS: Final = 5

Progress = Callable[[int, int], None]


class Made(NamedTuple):
    """A backup that was made.

    Attributes:
        folder: where it is.
        origin: the log's name.
        size: entries in it.
        copied_bytes: of segments, those that were copied,
        linked_bytes: and those that the backup before had,
        reread_bytes: of which so many were read and compared.
        damaged: what of the backup before was gone or altered, and was copied from the log; older backups may share it.
        removed: older backups that were removed.
    """

    folder: Path
    origin: str
    size: int
    copied_bytes: int
    linked_bytes: int
    reread_bytes: int
    damaged: tuple[Path, ...]
    removed: tuple[Path, ...]


class _Changed(Exception):  # noqa: N818 - says what happened
    """Something was erased or retired, or the log's key rotated, while the backup was made."""


class _Now(NamedTuple):
    """What is sealed at one moment.

    Attributes:
        segments: the manifest in force of each, by its first entry, with its bytes.
        end: the number of entries in them.
        persons: how many persons of the first `below` entries are known.
        below: that many.
    """

    segments: Mapping[int, tuple[Manifest, bytes]]
    end: int
    persons: int
    below: int


def back_up(
    data: Path,
    place: Path,
    seal: Callable[[], object],
    *,
    with_key: bool = False,
    keep: int | None = None,
    reread: bool = False,
    fetch: Fetch | None = None,
    progress: Progress | None = None,
) -> Made:
    """Make a backup of the log in `data` in the set at `place`.

    Args:
        data: the data folder; its server may run.
        place: where this log's backups are; made where it is not there.
        seal: seals everything written so far, and returns when it is.
        with_key: copy the signing key too.
        keep: remove all but so many backups, the newest, once this one is whole.
        reread: compare every file that the backup before has with its digest, and not a tenth of them.
        fetch: gets a segment's file that is not in its folder.
        progress: told bytes done and in all.

    Raises:
        LedgerError: `evidence-altered`: a file of the log is damaged, nothing of it is backed up; `storage-failed`; `locked`: another backup
            runs; what `fetch` raises; `origin-mismatch`: the set is another log's.
        OSError: a file cannot be read or written.
    """
    if place.resolve().is_relative_to(data.resolve()):
        raise LedgerError(
            Code.INVALID_PARAMETER, f"{place} is inside the data folder: a backup belongs elsewhere"
        )
    place.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    origin = load_key(data / KEY).key.name
    before, why = _newest(place, origin), ""
    for _ in range(ATTEMPTS):
        then = _look(data, origin)
        made_at = time.time()
        seal()
        keys, _ = keys_in(data)
        if before is not None and before.keys.first != keys.first:
            raise _another(
                place, f"they begin with the key {before.keys.first}, and this log with {keys.first}"
            )
        name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(made_at))}-{_look(data, origin).end}"
        try:
            signer = _signer(data, keys)
            with Place(place / name, "", building=MAKING) as building:
                reuse = Reuse(before, every=reread)
                attempt = _Attempt(data, building, signer, keys, reuse=reuse, fetch=fetch, progress=progress)
                attempt.run(then, format_time(int(made_at * 1_000_000)), with_key=with_key)
        except (_Changed, UnexplainedError) as changed:
            why = str(changed)
            continue
        return Made(
            place / name,
            origin,
            attempt.end,
            attempt.copied,
            attempt.linked,
            reuse.reread_bytes,
            tuple(reuse.damaged),
            prune(place, keep, place / name) if keep else (),
        )
    raise LedgerError(
        Code.STORAGE_FAILED,
        "contents were erased, or the log's key was rotated, again and again while the backup was made: run it again later"
        + (f"; {why} is not stored, and the log does not say why: run `agent-ledger verify`" if why else ""),
    )


def prune(place: Path, keep: int, made: Path) -> tuple[Path, ...]:
    """Remove all but `keep` backups of a set, `made` and the newest of the others; returns those removed.

    Raises:
        OSError: one is still there in part; without its note it is no backup.
    """
    others = [folder for folder in whole_backups(place) if folder != made]
    old = tuple(others[: max(len(others) - max(keep, 1) + 1, 0)])
    for folder in old:
        (folder / NOTE).unlink()  # first: what is left of it is never taken for whole
        remove_tree(folder)
    return old


def _newest(place: Path, origin: str) -> Backup | None:
    found = whole_backups(place)
    try:
        opened = open_backup(found[-1]) if found else None
    except LedgerError as error:
        raise _another(place, error.detail, error.code) from None
    if opened is not None and opened.keys.origin != origin:
        raise _another(place, f"they are of {opened.keys.origin}")
    return opened


def _another(place: Path, why: str, code: Code = Code.ORIGIN_MISMATCH) -> LedgerError:
    return LedgerError(
        code, f"{place} holds backups that are not this log's, or were altered; name another folder: {why}"
    )


def _signer(data: Path, keys: KeyHistory) -> NoteSigner:
    """The key in force at the end of what is sealed.

    Raises:
        _Changed: it was rotated since.
    """
    for signer in held(data, keys):
        if signer.key == keys.current:
            return signer
    raise _Changed("the log's key was rotated meanwhile")


# ---- what there is


def _look(data: Path, of: KeyHistory | str, below: int | None = None) -> _Now:
    """What is sealed now of the log with these keys, or of this name."""
    while True:
        folders = segment_folders(data)
        now = _read(data, folders, of, below)
        if (
            segment_folders(data) == folders
        ):  # a compaction seals the reason for what it takes away first: then that is here too
            return now


def _read(data: Path, folders: Sequence[Path], of: KeyHistory | str, below: int | None) -> _Now:
    keys, origin = (None, of) if isinstance(of, str) else (of, of.origin)
    found: dict[int, tuple[Manifest, bytes]] = {}
    for folder in folders:
        note = _newest_manifest(folder)
        manifest = open_manifest(note, keys, origin)
        found[manifest.start] = manifest, note
    chained([manifest for manifest, _ in found.values()])
    end = max((manifest.end for manifest, _ in found.values()), default=0)
    below = end if below is None else below
    return _Now(found, end, count_persons(data / PERSONS, below), below)


def _newest_manifest(folder: Path) -> bytes:
    generations = [generation_of(path.name) or 0 for path in folder.iterdir()]
    return (folder / manifest_name(max(generations))).read_bytes()


# ---- copying


class _Attempt:
    """One backup in the making."""

    def __init__(
        self,
        data: Path,
        building: Path,
        signer: NoteSigner,
        keys: KeyHistory,
        *,
        reuse: Reuse,
        fetch: Fetch | None,
        progress: Progress | None,
    ) -> None:
        self.copied = self.linked = self.end = 0
        self._data, self._building, self._signer, self._keys = data, building, signer, keys
        self._reuse, self._fetch, self._progress = reuse, fetch, progress
        self._done = self._total = 0

    def run(self, then: _Now, made_at: str, *, with_key: bool) -> None:
        """Fill the folder.

        Raises:
            _Changed: something of what was there `then`, or is sealed now, was erased meanwhile.
        """
        now = _look(self._data, self._keys)
        if not now.segments:
            raise LedgerError(Code.STORAGE_FAILED, f"nothing in {self._data} is sealed")
        self.end = now.end
        self._total = sum(
            info.bytes for manifest, _ in now.segments.values() for info in manifest.files.values()
        )
        (self._building / SEGMENTS).mkdir(mode=FOLDER_MODE)
        segments = {}
        try:
            for start, (manifest, note) in now.segments.items():
                self._segment(manifest, note)
                segments[start] = SegmentInfo(manifest.generation, sha256(note).hexdigest())
        except FileNotFoundError:
            raise _Changed from None  # a new generation took the place of a file
        write_durably(self._building / LIST, format_list(segments))
        files = self._others(now.end, with_key=with_key)
        for seen in (then, now):
            if not _unchanged(seen, _look(self._data, self._keys, seen.below)):
                raise _Changed
        self._refuse_incomplete([manifest for manifest, _ in now.segments.values()])
        last = max(now.segments)
        note = sign_backup(self._signer, self._keys, now.segments[last][0].checkpoint, made_at, files)
        write_durably(self._building / NOTE, note)

    def _segment(self, manifest: Manifest, note: bytes) -> None:
        source = segment_path(self._data, manifest.start)
        to = segment_path(self._building, manifest.start)
        to.mkdir(mode=FOLDER_MODE)
        for name, info in manifest.files.items():
            expected = (info.bytes, info.sha256)
            if self._reuse.take(manifest.start, name, expected, to / name, self._told):
                self.linked += info.bytes
                continue
            path = self._source(source / name, note)
            copy_checked(path, to / name, expected, mode=SEGMENT_FILE_MODE, told=self._told)
            self.copied += info.bytes
        for generation in range(1, manifest.generation):
            name = manifest_name(generation)
            copy_file(source / name, to / name, mode=SEGMENT_FILE_MODE)
        write_durably(to / manifest_name(manifest.generation), note, SEGMENT_FILE_MODE)

    def _refuse_incomplete(self, manifests: Sequence[Manifest]) -> None:
        before = self._reuse.before
        refuse_incomplete(
            self._building,
            manifests,
            self._keys,
            before.folder if before else None,
            before.segments.keys() if before else (),
        )

    def _source(self, path: Path, note: bytes) -> Path:
        """Where a file of a segment can be read.

        Raises:
            FileNotFoundError: a new generation took its place.
            LedgerError: `storage-failed`: it is not there, and nothing fetches it; what fetching raises.
        """
        if path.exists():
            return path
        if self._fetch is not None:
            return self._fetch(path)
        if _newest_manifest(path.parent) != note:
            raise FileNotFoundError(path)
        raise LedgerError(Code.STORAGE_FAILED, f"{path} is not there, nothing is backed up; {MOVED}")

    def _others(self, end: int, *, with_key: bool) -> dict[str, FileInfo]:
        copy_persons(self._data / PERSONS, self._building / PERSONS, end)
        for name in (VERSION_FILE, TOKENS, *((KEY,) if with_key else ())):
            if (self._data / name).exists():
                copy_file(self._data / name, self._building / name)
        if with_key and load_key(self._building / KEY).key != self._signer.key:
            raise _Changed("the log's key was rotated meanwhile")
        names = [path.name for path in self._building.iterdir() if path.is_file()]
        return {name: FileInfo(*digest_of(self._building / name)) for name in names}

    def _told(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)


def _unchanged(then: _Now, now: _Now) -> bool:
    same = all(now.segments[start][1] == note for start, (_, note) in then.segments.items())
    return same and now.persons == then.persons
