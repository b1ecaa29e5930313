"""Finds what is stored of a log, and finishes what a crash broke off. See the table in docs/adr/0014."""

from collections.abc import Sequence
from pathlib import Path

from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KEY_TYPES, KeyHistory, may_tell_keys
from ledger.log.parts import Hot
from ledger.log.renewal import tidy
from ledger.log.sealing import clear
from ledger.log.store import Store
from ledger.storage.files import sync_folder
from ledger.storage.hot import HotFile, finish_removals
from ledger.storage.layout import HOT, PERSONS, hot_files, hot_path, leftovers, segment_folders
from ledger.storage.people import PersonStore
from ledger.storage.segment import Fetch, Segment


def open_store(
    data: Path, origin: str, *, rotate_entries: int, rotate_bytes: int, fetch: Fetch | None = None
) -> tuple[Store, KeyHistory]:
    """Open everything that is stored of a log; with the keys that it says it had, by which its segments are signed.

    Raises:
        LedgerError: `storage-failed`: a part cannot be opened, or entries between two parts are not there.
    """
    for building in leftovers(data):
        clear(building)
    segments: list[Segment] = []
    found: list[tuple[int, HotFile]] = []
    people = PersonStore(data / PERSONS)
    try:
        segments.extend(
            Segment.open(folder, keys=None, origin=origin, fetch=fetch) for folder in segment_folders(data)
        )
        if not (data / HOT).is_dir():
            (data / HOT).mkdir(mode=0o700)
            sync_folder(data)
        finish_removals(data / HOT)
        for generation, path in hot_files(data):
            found.append((generation, HotFile(path)))
        keys = _keys(segments, [file for _, file in found])
        for segment in segments:  # before anything is deleted that they make superfluous
            segment.check_signature(keys)
        for segment in segments:
            tidy(segment)
        _refuse_gaps(segments)
        _refuse_old_people(people, segments)
        hots = _find_hot(data, segments, found)
        store = Store(
            data,
            segments,
            hots,
            people,
            rotate_entries=rotate_entries,
            rotate_bytes=rotate_bytes,
            fetch=fetch,
        )
    except BaseException:
        for segment in segments:
            segment.close()
        for _, file in found:
            file.close(fold=False)  # what was refused is evidence
        people.close()
        raise
    return store, keys


def _keys(segments: Sequence[Segment], hots: Sequence[HotFile]) -> KeyHistory:
    """What the log's own entries say of its keys. `recover` sees that these entries are the log's."""
    sealed = (entry for segment in segments for entry in segment.own_entries())
    entries = list(filter(may_tell_keys, sealed))
    end = segments[-1].end if segments else 0
    later = (entry for file in hots for entry in file.own_entries(KEY_TYPES))
    entries += (entry for entry in later if parse_entry(entry).seq >= end)
    try:
        return KeyHistory.of_entries(entries)
    except LedgerError as error:
        raise LedgerError(
            Code.STORAGE_FAILED,
            f"the log's own entries about its keys cannot be followed ({error.detail}); run `agent-ledger verify`",
        ) from None


def _refuse_gaps(segments: Sequence[Segment]) -> None:
    end = 0
    for segment in segments:
        if segment.start != end:
            raise _gap(end, segment.start, str(segment.folder.parent))
        end = segment.end


def _refuse_old_people(people: PersonStore, segments: Sequence[Segment]) -> None:
    """Persons stand nowhere else: without them those whom sealed entries name would pass for erased, and get another salt."""
    sealed, covered = segments[-1].end if segments else 0, people.covered()
    if covered < sealed:
        raise LedgerError(
            Code.STORAGE_FAILED,
            f"{people.path} holds the persons of the first {covered} entries, but {sealed} are sealed: it was lost or replaced by an older one; "
            "bring it back, from a backup if need be",
        )


def _find_hot(data: Path, segments: Sequence[Segment], found: Sequence[tuple[int, HotFile]]) -> list[Hot]:
    """The hot files that are needed; those that are sealed, or empty and not the newest, are removed."""
    end = segments[-1].end if segments else 0
    hots: list[Hot] = []
    empty: tuple[int, HotFile] | None = None
    for generation, file in found:
        bounds = file.bounds()
        if bounds is None:
            if empty is not None:
                empty[1].remove()
            empty = (generation, file)
        elif bounds[1] <= end:
            _refuse_another(file, bounds, segments)
            file.remove()
        elif bounds[0] != end:
            raise _gap(end, bounds[0], str(file.path.parent))
        else:
            file.fold_if_long()
            hots.append(Hot(generation, *bounds, file))
            end = bounds[1]
    _take_empty(data, empty, end, found, hots)
    return hots


def _take_empty(
    data: Path,
    empty: tuple[int, HotFile] | None,
    end: int,
    found: Sequence[tuple[int, HotFile]],
    hots: list[Hot],
) -> None:
    """Write on in the newest file that holds something; an empty one serves where there is none."""
    if empty is None and not hots:
        generation = found[-1][0] + 1 if found else 1
        empty = (generation, HotFile.create(hot_path(data, generation)))
    if empty is not None and hots:
        empty[1].remove()
    elif empty is not None:
        hots.append(Hot(empty[0], end, end, empty[1]))


def _refuse_another(file: HotFile, bounds: tuple[int, int], segments: Sequence[Segment]) -> None:
    """A hot file is removed only as the copy of a segment that it was sealed into."""
    note = file.newest_checkpoint()
    if any((s.start, s.end) == bounds and s.manifest.checkpoint == note for s in segments):
        return
    raise LedgerError(
        Code.STORAGE_FAILED,
        f"{file.path} holds the entries {bounds[0]} to {bounds[1] - 1}, which are sealed, and it is not what they were sealed from: "
        "nothing is removed; run `agent-ledger verify`",
    )


def _gap(end: int, start: int, where: str) -> LedgerError:
    return LedgerError(
        Code.STORAGE_FAILED,
        f"{where}: the entries {end} to {start - 1} are not there: bring the missing file back; `agent-ledger verify` says what is good",
    )
