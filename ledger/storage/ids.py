"""Which sealed entry may have this id? Ten million ids do not fit into memory as texts; their keys need none of it.

A key is the first 8 bytes of an id's SHA-256. The index answers with candidates, from few sorted runs on disk (`ledger.storage.runs`); the
caller confirms a candidate by the id that is stored there, so two ids with one key are told apart: uniqueness is exact, and a
collision costs one read. Everything here is derived from the segments' keys and can be made anew from them.

    seal    → a run of its own                          durable before the ids leave memory
    merge   → runs that adjoin become one               the new one is durable before the old ones go
    start   → every run is read and its digest compared a damaged one goes; what another one contains goes
"""

import contextlib
import hashlib
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from ledger.core.errors import Code, LedgerError
from ledger.storage.files import sync_folder
from ledger.storage.runs import (
    RUN_ENTRIES_LIMIT,
    SUFFIX,
    Keys,
    Run,
    RunDamaged,
    merge_runs,
    open_run,
    parse_run_name,
    write_run,
)

KEY_BYTES: Final = 8
FACTOR: Final = 4  # runs of like size are merged by so many
MOST_RUNS: Final = 32  # while the index is made anew: each map keeps a file open
_MODE: Final = 0o700

logger = logging.getLogger(__name__)


class Keyed(Protocol):
    """A sealed segment, as far as the index needs it."""

    @property
    def start(self) -> int:
        """Its first entry."""

    @property
    def end(self) -> int:
        """The entry after its last."""

    def id_keys(self) -> bytes:
        """The keys of its entries' ids, `KEY_BYTES` each, in order; those of retired entries too."""


def keys_of(ids: Iterable[str]) -> Keys:
    """The key of each id: the first 8 bytes of its SHA-256 as a little-endian number (`.astype("<u8").tobytes()` is those bytes)."""
    joined = b"".join(hashlib.sha256(record_id.encode()).digest()[:KEY_BYTES] for record_id in ids)
    return np.frombuffer(joined, "<u8")


class IdIndex:
    """The index over sealed entries. `find` is for any thread; one other thread adds and merges meanwhile."""

    def __init__(self, folder: Path) -> None:
        """Open the runs in `folder`, which is made where it is missing; what is damaged or left over is removed.

        Raises:
            LedgerError: `storage-failed` when the folder cannot be used.
        """
        self.folder = folder
        self._changing = threading.Lock()
        self._runs: tuple[Run, ...] = ()  # replaced as a whole: a reader keeps the one it has
        with _told(folder, "opened"):
            folder.mkdir(mode=_MODE, exist_ok=True)
            self._runs = self._opened()

    def _opened(self) -> tuple[Run, ...]:
        for leftover in self.folder.glob(f".*{SUFFIX}.new"):
            leftover.unlink(missing_ok=True)
        found = [(place, path) for path in self.folder.iterdir() if (place := parse_run_name(path.name))]
        runs: list[Run] = []
        for (start, _), path in sorted(found, key=lambda run: (run[0][0], -run[0][1])):
            if (
                runs and start < runs[-1].end
            ):  # a crash while merging left the runs that the one before is made of
                path.unlink()
                continue
            try:
                runs.append(open_run(path))
            except RunDamaged as damaged:
                logger.warning("%s; it is made anew from the segments", damaged)
                path.unlink(missing_ok=True)
        return tuple(runs)

    # -- asking --------------------------------------------------------------------------------------------------------

    def find(self, ids: Sequence[str]) -> dict[str, list[int]]:
        """The entries that may have each of these ids, ascending; an id that no entry can have is not in it."""
        runs = self._runs
        if not runs or not ids:
            return {}
        keys = keys_of(ids)
        order = np.argsort(keys, kind="stable")
        wanted = keys[order]
        candidates: dict[str, list[int]] = {}
        for run in runs:
            for index, seq in run.find(wanted):
                candidates.setdefault(ids[order[index]], []).append(seq)
        return candidates

    def covered(self) -> int:
        """The first entry that no run covers."""
        end = 0
        for run in self._runs:
            if run.start != end:
                break
            end = run.end
        return end

    def runs(self) -> list[tuple[int, int]]:
        """The ranges of entries that the runs cover, ascending."""
        return [(run.start, run.end) for run in self._runs]

    def size_bytes(self) -> int:
        """What the runs take on disk."""
        return sum(run.path.stat().st_size for run in self._runs)

    # -- changing ------------------------------------------------------------------------------------------------------

    def add(self, start: int, end: int, keys: bytes) -> None:
        """Take in the entries [start, end) with the keys of their ids; on return that is durable. Again does no harm.

        Raises:
            LedgerError: `storage-failed`; the index is as it was.
        """
        numbers = np.frombuffer(keys, "<u8")
        if not 0 < end - start == len(numbers) < RUN_ENTRIES_LIMIT:
            raise LedgerError(
                Code.STORAGE_FAILED, f"{len(numbers)} id keys for the entries {start} to {end - 1}"
            )
        with self._changing, _told(self.folder, "written"):
            touched = [run for run in self._runs if start < run.end and run.start < end]
            if any(run.start <= start and end <= run.end for run in touched):
                return
            if touched:  # to replace it would uncover what it has beyond this range
                raise RunDamaged(f"{touched[0].path.name} overlaps the entries {start} to {end - 1}")
            self._replace((start, end), open_run(write_run(self.folder, start, numbers)))

    def merge(self) -> int:
        """Merge runs until there are few; returns how many merges that took. The work is numpy's and lets other threads run.

        Raises:
            LedgerError: `storage-failed`; nothing is lost, the runs that were not merged still answer.
        """
        for done in range(len(self._runs) + 1):
            with self._changing, _told(self.folder, "merged"):
                chosen = _mergeable(self._runs)
                if not chosen:
                    return done
                merged = open_run(merge_runs(self.folder, chosen))
                self._replace((merged.start, merged.end), merged)
        return done

    def rebuild(self, segments: Iterable[Keyed]) -> int:
        """Cover exactly these segments: what is missing is made from their keys. Returns how many had to be made.

        Called at start, before anyone asks.

        Raises:
            LedgerError: `storage-failed`.
        """
        there = list(segments)
        edges = {edge for segment in there for edge in (segment.start, segment.end)}
        with self._changing, _told(self.folder, "rebuilt"):
            for run in self._runs:
                if run.start not in edges or run.end not in edges:  # of a segment that never came to be
                    self._replace((run.start, run.end), None)
        made = 0
        for segment in there:
            if not any(run.start <= segment.start and segment.end <= run.end for run in self._runs):
                self.add(segment.start, segment.end, segment.id_keys())
                made += 1
                if len(self._runs) > MOST_RUNS:
                    self.merge()
        self.merge()
        return made

    def _replace(self, within: tuple[int, int], new: Run | None) -> None:
        """Answer from `new` in the place of every run within this range, then remove their files."""
        start, end = within
        old = [run for run in self._runs if start < run.end and run.start < end]
        kept = [run for run in self._runs if run not in old]
        self._runs = tuple(sorted([*kept, *([new] if new else [])], key=lambda run: run.start))
        for run in old:
            run.path.unlink(missing_ok=True)
        if old:
            sync_folder(self.folder)


def _mergeable(runs: Sequence[Run]) -> Sequence[Run]:
    """The newest runs that are together as long as the one before them needs, for each entry to be merged few times.

    Equal runs are merged by `FACTOR`, the results again by `FACTOR`; runs of any length stay few: each is longer than a third of all after it.
    """
    tail = len(runs)  # the runs from here on adjoin: what is missing between two is never covered by a merge
    while tail > 1 and runs[tail - 2].end == runs[tail - 1].start:
        tail -= 1
    adjoining = runs[max(tail - 1, 0) :]
    for first, run in enumerate(adjoining):
        newer = adjoining[-1].end - run.end
        fits = adjoining[-1].end - run.start < RUN_ENTRIES_LIMIT
        if fits and len(adjoining) - first >= FACTOR and (run.end - run.start) * (FACTOR - 1) <= newer:
            return adjoining[first:]
    return ()


@contextlib.contextmanager
def _told(folder: Path, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RunDamaged) as error:
        raise LedgerError(
            Code.STORAGE_FAILED, f"the id index in {folder} cannot be {what}: {error}"
        ) from error
