"""A segment's next generation: its files without what the log says is gone, in this order.

    1  make      a process of its own writes the new files beside the old ones, and re-reads them
    2  sign      the manifest of the new generation, written durably: from here on it is in force
    3  switch    readers find the new files
    4  remove    the old ones go

A crash before 2 leaves files that no manifest names, after it files that none names any more: both are deleted by `tidy`, and what was
not done is done again, because the manifest says how much of what is gone was applied.
"""

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ledger.core.keyhistory import KeyHistory
from ledger.core.note import NoteSigner
from ledger.log.store import Store
from ledger.storage.build import Rebuild, Rebuilt
from ledger.storage.files import sync_folder, write_durably
from ledger.storage.manifest import (
    FileInfo,
    Retired,
    generation_of,
    manifest_digest,
    manifest_name,
    sign_manifest,
)
from ledger.storage.removed import Counts, Removed
from ledger.storage.segment import Segment
from ledger.storage.synced import opened_up

MODE = 0o444


class Renewed(NamedTuple):
    """A new generation: numbers, so that who keeps it keeps no file of the old one open.

    Attributes:
        start: the segment's first entry.
        end: the entry after its last.
        generation: which it is.
        retired: what is gone of the segment.
        freed_bytes: how much smaller it is than the one before.
    """

    start: int
    end: int
    generation: int
    retired: Retired
    freed_bytes: int


class Stop:
    """Ends a renewal from another thread: the worker is killed, and none is started any more."""

    def __init__(self) -> None:
        self._asked = False
        self._worker: Rebuild | None = None
        self._asking = threading.Lock()

    @property
    def asked(self) -> bool:
        """Whether it was asked for."""
        return self._asked

    def ask(self) -> None:
        """End it. Who renews hears of it as of any other failure."""
        with self._asking:
            self._asked = True
            if self._worker is not None:
                self._worker.kill()

    def run(self, worker: Rebuild) -> Rebuilt:
        """Have a worker do its job, unless it was asked for; until then it may be killed.

        Raises:
            LedgerError: `storage-failed`: it failed, or was stopped.
        """
        with self._asking:
            self._worker = worker
            if self._asked:
                worker.kill()
        try:
            return worker.run()
        finally:
            with self._asking:
                self._worker = None


def outstanding(segment: Segment, removed: Removed) -> bool:
    """Whether a segment still holds something that the log says is gone."""
    return removed.counts(segment.start, segment.end) != Counts(*segment.manifest.retired)


def renew(
    store: Store,
    signer: NoteSigner,
    keys: KeyHistory,
    segment: Segment,
    removed: Removed,
    *,
    stop: Stop | None = None,
    nice: int = 19,
) -> Renewed:
    """Make a segment anew without what is gone.

    Args:
        store: what is stored.
        signer: the log's key in force.
        keys: all of them.
        segment: which one.
        removed: what is gone.
        stop: ends it from another thread.
        nice: of the worker.

    Raises:
        LedgerError: `storage-failed`: the segment is as it was, and is read on.
    """
    tidy(segment)
    counts, before = removed.counts(segment.start, segment.end), segment.manifest
    entries = counts.entries != before.retired.entries
    worker = Rebuild(segment, removed, entries=entries, contents=True, nice=nice)
    made = worker.run() if stop is None else stop.run(worker)
    generation = before.generation + 1
    old = (segment.folder / manifest_name(before.generation)).read_bytes()
    manifest = replace(
        before,
        generation=generation,
        files=made.files,
        replaces=manifest_digest(old),
        retired=Retired(*counts),
    )
    with opened_up(segment.folder):
        write_durably(segment.folder / manifest_name(generation), sign_manifest(manifest, signer), MODE)
        now = Segment.open(segment.folder, keys=keys, origin=keys.origin, fetch=store.fetch)
        store.replace(now)
    try:
        tidy(now)
    finally:  # kept open it would keep what is gone, and its blocks; who reads it goes on in the new one
        segment.close()
    return Renewed(
        now.start, now.end, generation, manifest.retired, _bytes(before.files) - _bytes(manifest.files)
    )


def tidy(segment: Segment) -> list[Path]:
    """Delete what is in a segment's folder and the manifest in force does not name; earlier manifests stay.

    A manifest of a later generation, which an earlier attempt left, goes for good before the files that it names: what is in between
    would be a segment whose newest manifest names files that are gone, and no start.

    Raises:
        OSError: it cannot be deleted.
    """
    named = segment.manifest.files
    strays = [
        path
        for path in segment.folder.iterdir()
        if path.name not in named and not 0 < (generation_of(path.name) or 0) <= segment.manifest.generation
    ]
    manifests = [path for path in strays if generation_of(path.name)]
    others = [path for path in strays if path not in manifests]
    for paths in (manifests, others):
        if paths:
            with opened_up(segment.folder):
                for path in paths:
                    path.unlink()
                sync_folder(segment.folder)
    return [*manifests, *others]


def _bytes(files: Mapping[str, FileInfo]) -> int:
    return sum(info.bytes for info in files.values())
