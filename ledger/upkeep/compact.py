"""Takes off the disk what the log says is gone: erased persons and contents, retired contents and entries.

It may be run at any time and as often as one likes: what there is to do follows from the log and the manifests alone, so whatever a
crash leaves is done by the next run.
"""

import logging
from collections.abc import Callable
from typing import Final, NamedTuple

import pyarrow.compute as pc

from ledger.core.entry import OWN_SUBMITTER, parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.log.keeping import CONTENTS_RETIRED, ENTRIES_RETIRED, ERASED
from ledger.log.log import Log
from ledger.log.renewal import Renewed, Stop, outstanding, tidy
from ledger.storage.places import Kept
from ledger.storage.removed import Removed
from ledger.upkeep.offload import Offload

logger = logging.getLogger(__name__)
Progress = Callable[[int, int], None]
REASONS: Final = (ERASED, CONTENTS_RETIRED, ENTRIES_RETIRED)
_OWN_END: Final = f'"submitter":"{OWN_SUBMITTER}","v":1}}'


class Compacted(NamedTuple):
    """What was done.

    Attributes:
        sealed: whether the hot part was sealed for it.
        persons: persons deleted.
        renewed: segments that were made anew.
        freed_bytes: how much smaller they are together.
        kept: objects that hold something that is gone, and that the object store keeps under a lock.
        objects: why the object store could not be brought up to this; None where it was, or where there is none. The next run tries again.
    """

    sealed: bool
    persons: int
    renewed: tuple[Renewed, ...]
    freed_bytes: int
    kept: tuple[Kept, ...] = ()
    objects: str | None = None


def is_compact(log: Log) -> bool:
    """Whether nothing that the log says is gone is on the disk, as far as manifests and persons tell."""
    return not log.hot_holds_removed() and _is_sealed_compact(log, log.removed)


def compact(
    log: Log, *, offload: Offload | None = None, progress: Progress | None = None, stop: Stop | None = None
) -> Compacted:
    """Take off the disk what is gone; with an object store, off that too, as far as its locks permit.

    What is hot is sealed first where something of it is gone, or where it has the own entry that says so: who verifies the sealed part
    alone must find the reason there before the first byte goes.

    Args:
        log: the log.
        offload: the object store, where there is one.
        progress: told segments done and in all.
        stop: ends it early.

    Raises:
        LedgerError: `storage-failed`, also where it was stopped; what was not done is done by the next run.
    """
    with log.compacting:
        log.forget_torn_ends()
        removed = log.removed  # what is said meanwhile waits for the next run
        sealed = log.hot_holds_removed() or (not _is_sealed_compact(log, removed) and _reason_is_hot(log))
        if sealed:
            log.seal()
        persons = log.delete_persons(removed.persons)
        segments = log.segments()
        for segment in segments:
            tidy(segment)
        todo = [segment for segment in segments if outstanding(segment, removed)]
        renewed = []
        for done, segment in enumerate(todo):
            if progress is not None:
                progress(done, len(todo))
            _refuse_stopped(stop)
            renewed.append(log.renew(segment, removed, stop))
        _refuse_stopped(stop)
        kept, objects = _compact_objects(log, offload) if offload is not None else ((), None)
        freed = sum(each.freed_bytes for each in renewed)
        return Compacted(sealed, persons, tuple(renewed), freed, kept, objects)


def _is_sealed_compact(log: Log, removed: Removed) -> bool:
    gone = any(outstanding(segment, removed) for segment in log.segments())
    return not gone and not log.stored_persons(removed.persons)


def _reason_is_hot(log: Log) -> bool:
    """Whether an own entry that says that something is gone is not sealed yet."""
    segments = log.segments()
    for batch in log.rows(segments[-1].end if segments else 0, log.head().size, contents=False):
        entries = batch.column("entry")
        for entry in entries.filter(pc.fill_null(pc.ends_with(entries, _OWN_END), fill_value=False)):
            if parse_entry(entry.as_py().encode()).members.get("type") in REASONS:
                return True
    return False


def _refuse_stopped(stop: Stop | None) -> None:
    if stop is not None and stop.asked:
        raise LedgerError(Code.STORAGE_FAILED, "the compaction was stopped: the next one does the rest")


def _compact_objects(log: Log, offload: Offload) -> tuple[tuple[Kept, ...], str | None]:
    segments = log.segments()
    try:
        offload.forget_old(segments)
        offload.send(segments)
        return tuple(offload.sweep(segments)), None
    except LedgerError as error:
        logger.error("the object store is not up to date: %s", error.detail)  # noqa: TRY400 - it says everything
        return (), error.detail
