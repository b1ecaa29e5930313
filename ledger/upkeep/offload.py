"""Segments in an object store: sent there when they are sealed, fetched from there where they are no longer kept here.

What stays here of every segment: manifests, hashes, tiles, keys and the log's own entries. So the log starts, proves and writes on with
the object store away; only reading what was moved there has to wait for it.
"""

import re
import threading
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ledger.core.errors import Code, LedgerError
from ledger.log.renewal import Stop
from ledger.storage.cache import Cache
from ledger.storage.files import sync_folder
from ledger.storage.manifest import (
    CONTENTS,
    ENTRIES,
    FACTS,
    FileInfo,
    generation_of,
    manifest_name,
    open_manifest,
)
from ledger.storage.places import Kept
from ledger.storage.segment import Segment
from ledger.storage.synced import opened_up

if TYPE_CHECKING:  # it needs boto3, which only who has an object store installs
    from ledger.storage.objects import ObjectStore

LARGE: Final = (ENTRIES, FACTS, CONTENTS)
_KEY: Final = re.compile(r".*/segments/(\d{16})/([a-z0-9.-]+)")


def named_by(key: str) -> tuple[int, str] | None:
    """The segment's first entry and the name of the file that an object is; None for another object."""
    match = _KEY.fullmatch(key)
    return (int(match[1]), match[2]) if match else None


class Place(NamedTuple):
    """Where a segment is.

    Attributes:
        start: its first entry.
        end: the entry after its last.
        sent: whether the generation in force is in the object store.
        here_bytes: what of it is on this disk.
        there_bytes: what of it is in the object store, older generations too.
    """

    start: int
    end: int
    sent: bool
    here_bytes: int
    there_bytes: int


class Offload:
    """The segments of one log and their objects. One thread sends and moves; any may fetch."""

    def __init__(self, store: "ObjectStore", cache: Cache, origin: str) -> None:
        self.store, self.cache = store, cache
        self._origin = origin
        self._sent: dict[int, int] = {}  # start → the generation that is known to be there
        self._working = threading.Lock()

    def fetch(self, path: Path) -> Path:
        """Bring a file of a segment that is not in its folder: what `Segment.open` takes as `fetch`.

        Raises:
            LedgerError: `objects-unavailable`, `object-differs`, `storage-failed` (no manifest in the folder names it).
        """
        info = self._info(path)
        return self.cache.fetch(self.store.key(int(path.parent.name), path.name), info.bytes, info.sha256)

    def send(self, segments: Iterable[Segment], stop: Stop | None = None) -> list[int]:
        """Put segments into the object store that are not there yet: files first, their manifest last. Returns which, by their first entry.

        What is there already with the same digest is left: a retry goes on where the last attempt ended. `stop` ends it between two segments.

        Raises:
            LedgerError: `objects-unavailable`, `object-differs`.
        """
        with self._working:
            todo = [each for each in segments if self._sent.get(each.start) != each.manifest.generation]
            there = self.store.listed() if todo else {}
            sent = []
            for segment in todo:
                if stop is not None and stop.asked:
                    break
                manifest = self.store.key(segment.start, manifest_name(segment.manifest.generation))
                if manifest not in there:
                    self._send(segment)
                    sent.append(segment.start)
                self._sent[segment.start] = segment.manifest.generation
            return sent

    def move(self, segments: Sequence[Segment], keep: int, stop: Stop | None = None) -> list[int]:
        """Keep the large files of the `keep` newest segments here; of the others they are deleted here once they are found there.

        The newest always stays: a start reads its last entry. `stop` ends it between two segments.

        Returns:
            Which segments were moved, by their first entry.

        Raises:
            LedgerError: `objects-unavailable`, `object-differs`: what could not be found there stays here.
        """
        moved = []
        for segment in segments[: max(0, len(segments) - max(1, keep))]:
            if stop is not None and stop.asked:
                break
            manifest = segment.manifest
            here = [name for role in LARGE if (segment.folder / (name := manifest.file(role))).exists()]
            if not here:
                continue
            self.send([segment])
            with self._working:
                for name in here:
                    self._refuse_other(self.store.key(segment.start, name), manifest.files[name])
                with opened_up(segment.folder):
                    for name in here:
                        (segment.folder / name).unlink()
                    sync_folder(segment.folder)
            moved.append(segment.start)
        return moved

    def sweep(self, segments: Sequence[Segment]) -> list[Kept]:
        """Delete what the manifests in force do not name any more, here in the cache and there; returns what the store keeps under a lock.

        Raises:
            LedgerError: `objects-unavailable`.
        """
        with self._working:
            self.forget_old(segments)
            known = {segment.start: segment.manifest.files for segment in segments}
            kept = []
            for key in self.store.listed():
                start, name = named_by(key) or (-1, "")
                named = known.get(start)
                if named is None or generation_of(name) is not None:
                    continue
                if name not in named and (left := self.store.delete(key)) is not None:
                    kept.append(left)
            return kept

    def forget_old(self, segments: Iterable[Segment]) -> None:
        """Delete from the cache here what was fetched of earlier generations: it holds what is gone, and no object store is needed for that."""
        for segment in segments:
            for generation in range(1, segment.manifest.generation):
                earlier = self._manifest_files(segment.folder / manifest_name(generation))
                for name, info in earlier.items():
                    if name not in segment.manifest.files:
                        self.cache.drop(info.sha256)

    def places(self, segments: Sequence[Segment]) -> list[Place]:
        """Where each segment is.

        Raises:
            LedgerError: `objects-unavailable`.
        """
        there: dict[int, dict[str, int]] = {}
        for key, size in self.store.listed().items():
            if (found := named_by(key)) is not None:
                there.setdefault(found[0], {})[found[1]] = size
        return [_place(segment, there.get(segment.start, {})) for segment in segments]

    def _send(self, segment: Segment) -> None:
        manifest = segment.manifest
        for name, info in manifest.files.items():
            path, key = segment.folder / name, self.store.key(segment.start, name)
            if path.exists():
                self.store.put(key, path, info.bytes, info.sha256)
            else:
                self._refuse_other(key, info)
        for generation in range(1, manifest.generation + 1):
            path = segment.folder / manifest_name(generation)
            note = path.read_bytes()
            key = self.store.key(segment.start, path.name)
            self.store.put(key, path, len(note), sha256(note).hexdigest())

    def _refuse_other(self, key: str, info: FileInfo) -> None:
        found = self.store.digest(key)
        if found is None:
            raise LedgerError(Code.OBJECTS_UNAVAILABLE, f"{key} is neither here nor in the object store")
        if found != tuple(info):
            raise LedgerError(
                Code.OBJECT_DIFFERS,
                f"{key} in the object store is not what the manifest names; the file here stays",
            )

    def _info(self, path: Path) -> FileInfo:
        generations = sorted((generation_of(each.name) or 0 for each in path.parent.iterdir()), reverse=True)
        for generation in filter(None, generations):
            files = self._manifest_files(path.parent / manifest_name(generation))
            if path.name in files:
                return files[path.name]
        raise LedgerError(
            Code.STORAGE_FAILED, f"no manifest beside {path} names it; run `agent-ledger verify`"
        )

    def _manifest_files(self, path: Path) -> dict[str, FileInfo]:
        # Its signature was checked when the segment was opened; what is fetched by it is compared with that manifest again.
        return dict(open_manifest(path.read_bytes(), None, self._origin).files)


def _place(segment: Segment, there: dict[str, int]) -> Place:
    here = [path.stat().st_size for path in segment.folder.iterdir()]
    sent = manifest_name(segment.manifest.generation) in there
    return Place(segment.start, segment.end, sent, sum(here), sum(there.values()))
