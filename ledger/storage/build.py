"""Builds a sealed segment's files in a process of its own, which does the work beside the server and not in it."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from ledger.storage.manifest import CONTENTS, ENTRIES, FACTS, HASHES, OWN, ROLES, FileInfo, file_name
from ledger.storage.process import Worker
from ledger.storage.removed import Removed
from ledger.storage.segment import Segment
from ledger.storage.synced import opened_up


class Built(NamedTuple):
    """What a worker has made, synced and re-read.

    Attributes:
        files: name → what it is, for the manifest.
        root: of the log of size `end`, 32 bytes, which equals that of every checkpoint on the way; None unless `frontier` was given.
        frontier: `Frontier.nodes()` of the log of size `end`, for the next segment; None likewise.
        seconds: processor time by step.
    """

    files: dict[str, FileInfo]
    root: bytes | None
    frontier: list[bytes] | None
    seconds: Mapping[str, float]


class Build(Worker):
    """Builds one new segment."""

    def __init__(
        self,
        building: Path,
        start: int,
        end: int,
        *,
        origin: str,
        checkpoint: bytes,
        before: Sequence[bytes],
        frontier: Sequence[bytes] | None = None,
        nice: int = 19,
    ) -> None:
        """Say what to build.

        Args:
            building: a folder, which is there; files of an earlier attempt are replaced.
            start: the first entry.
            end: the entry after the last.
            origin: the log's.
            checkpoint: the signed note on entry `end - 1`.
            before: the leaf hashes of entries [start - max(1, start % 256), start), none for start 0: what the first entry is chained to,
                and what completes the first tile.
            frontier: `Frontier.nodes()` of the log of size `start` ([] for size 0): then roots are compared with every checkpoint.
            nice: of the worker.
        """
        super().__init__(nice)
        self._building = building.resolve()
        self._job = {
            "folder": str(self._building),
            "start": start,
            "end": end,
            "origin": origin,
            "checkpoint": checkpoint.decode(),
            "before": [digest.hex() for digest in before],
            "frontier": None if frontier is None else [node.hex() for node in frontier],
        }

    def run(self, rows: Iterator[pa.RecordBatch]) -> Built:
        """Build it of the rows [start, end) (`ROW_SCHEMA`), which are taken a few batches ahead of what is written.

        A retired entry is a row without `entry`; its `id` is given all the same: the segment keeps the id's key, not the id.

        Raises:
            LedgerError: `storage-failed`: what was read back is not what the log signed, the disk or the worker failed, or `kill`. None of
                its files are left.
        """
        try:
            told = self.work(self._job, rows)
        except BaseException:
            _remove(self._building, ROLES)
            raise
        return Built(
            {name: FileInfo(*info) for name, info in told["files"].items()},
            None if told["root"] is None else bytes.fromhex(told["root"]),
            None if told["frontier"] is None else [bytes.fromhex(node) for node in told["frontier"]],
            told["seconds"],
        )


def build_segment(
    building: Path,
    start: int,
    end: int,
    rows: Iterator[pa.RecordBatch],
    *,
    origin: str,
    checkpoint: bytes,
    before: Sequence[bytes],
    frontier: Sequence[bytes] | None = None,
    nice: int = 19,
) -> Built:
    """`Build(…).run(rows)`, for who never stops it."""
    return Build(
        building,
        start,
        end,
        origin=origin,
        checkpoint=checkpoint,
        before=before,
        frontier=frontier,
        nice=nice,
    ).run(rows)


class Rebuilt(NamedTuple):
    """What was made anew, synced and re-read.

    Attributes:
        files: of the new generation, all of them, for its manifest.
        replaced: names of the files that no longer count once that manifest is durable.
    """

    files: dict[str, FileInfo]
    replaced: list[str]


class Rebuild(Worker):
    """Makes a segment's files anew without what is gone."""

    def __init__(
        self, segment: Segment, removed: Removed, *, entries: bool, contents: bool, nice: int = 19
    ) -> None:
        """Say what to make anew, for the generation after the segment's own.

        Args:
            segment: what there is.
            removed: what is gone. The log's own entries stay all the same, but `log.query_run`.
            entries: make `entries.parquet` and `facts.parquet` anew, without retired entries.
            contents: make `contents.parquet` anew, without contents that are gone and those of retired entries.
            nice: of the worker.
        """
        super().__init__(nice)
        manifest = segment.manifest
        self._folder, self._manifest = segment.folder.resolve(), manifest
        self._roles = [*([ENTRIES, FACTS] if entries else []), *([CONTENTS] if contents else [])]
        needed = {*self._roles, *((ENTRIES, HASHES, OWN) if entries else ()), *((FACTS,) if contents else ())}
        low, high = segment.start, segment.end
        self._job = {
            "rebuild": True,
            "folder": str(self._folder),
            "start": low,
            "end": high,
            "origin": manifest.origin,
            "generation": manifest.generation + 1,
            "roles": self._roles,
            "sources": {
                role: [str(segment.path(role).resolve()), list(manifest.files[manifest.file(role)])]
                for role in needed
            },
            "entries": removed.entries.clip(low, high).pairs(),
            "contents": removed.contents.clip(low, high).pairs(),
            "erased": {
                member: clipped.pairs()
                for member, ranges in removed.erased.items()
                if (clipped := ranges.clip(low, high))
            },
        }

    def run(self) -> Rebuilt:
        """Make them, beside the old ones: those count until the caller's manifest of the new generation is durable.

        Raises:
            LedgerError: `storage-failed`: what there is was altered, the disk or the worker failed, or `kill`. No new file is left.
        """
        generation = self._manifest.generation + 1
        with opened_up(self._folder):
            try:
                told = self.work(self._job, None)
            except BaseException:
                _remove(self._folder, [file_name(role, generation) for role in self._roles])
                raise
        made = {name: FileInfo(*info) for name, info in told["files"].items()}
        replaced = [self._manifest.file(role) for role in self._roles]
        kept = {name: info for name, info in self._manifest.files.items() if name not in replaced}
        return Rebuilt(kept | made, replaced)


def _remove(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        with contextlib.suppress(OSError):
            (folder / name).unlink(missing_ok=True)
