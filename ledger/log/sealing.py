"""Turns full hot files into sealed segments, beside the commits and never in their way.

For each full hot file, in this order; docs/adr/0014 has what a crash or a failure between any two steps leaves:

    1  build      a process of its own writes the segment's files, re-reads and verifies them
    2  compare    its leaf hashes are those that the log's tree was made of
    3  sign       the manifest, chained to the one before and to the checkpoint at the segment's end; while the signer is away what was built waits
    4  persons    go into persons.sqlite
    5  ids        become a sorted run
    6  name       the folder is renamed: from here on the segment exists, and the hot file is a copy of it
    7  switch     readers find the entries in the segment
    8  remove     the hot file goes
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.merkle import HASH_BYTES
from ledger.core.note import NoteSigner
from ledger.core.tiles import TILE_WIDTH
from ledger.log.parts import Full
from ledger.log.store import Store
from ledger.log.written import Written
from ledger.storage.build import Build
from ledger.storage.files import sync_folder, write_durably
from ledger.storage.hot import HotFile
from ledger.storage.layout import building_path, segment_path
from ledger.storage.lock import DataLock
from ledger.storage.manifest import (
    HASHES,
    KEYS,
    TILES,
    Manifest,
    Retired,
    manifest_digest,
    manifest_name,
    sign_manifest,
)
from ledger.storage.segment import Segment

RETRY_S: Final = 10.0
NICE: Final = 19  # while at most one file waits: commits come first
WAITING: Final = 2  # from here on sealing has to keep up with them
MODE: Final = 0o444
FOLDER_MODE: Final = 0o555
BUILDING_MODE: Final = 0o700
_NOT_SIGNED: Final = frozenset(
    {Code.SIGNER_FAILED, Code.KEY_FILE}
)  # the signer is away, or the secret not in the environment

logger = logging.getLogger(__name__)


class Status(NamedTuple):
    """How sealing goes: for metrics and readiness.

    Attributes:
        segments: how many there are.
        sealed: entries in them.
        waiting: full hot files.
        failed: why the last attempt failed, None where it did not.
    """

    segments: int
    sealed: int
    waiting: int
    failed: str | None


class Sealer:
    """The thread that prepares hot files and seals full ones. What fails is told and tried again; commits go on."""

    def __init__(
        self,
        data: Path,
        store: Store,
        written: Written,
        signer: Callable[[], NoteSigner],
        *,
        lock: DataLock,
    ) -> None:
        """Start it.

        Args:
            data: the data folder.
            store: what is stored.
            written: what the log knows of itself.
            signer: gives the log's key in force.
            lock: the folder's; once it is lost nothing more is sealed or removed, until another start.
        """
        self._data, self._store, self._written, self._signer = data, store, written, signer
        self._lock = lock
        # Of what is full already: its own entries may say so in a later file.
        self._removed = written.standing.keeping.removed
        self._failed: str | None = None
        self._leaving: list[HotFile] = []  # sealed, and not yet deleted
        self._stopped: LedgerError | None = None
        self._closing = False
        self._build: Build | None = None
        self._settled = threading.Condition()
        self._threads = [
            threading.Thread(target=self._run, name="sealer", daemon=True),
            threading.Thread(target=self._prepare, name="hot-files", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def _keys(self) -> KeyHistory:
        return self._written.standing.keys

    def status(self) -> Status:
        """How it goes."""
        segments = self._store.segments
        failed = self._stopped.detail if self._stopped else self._failed
        return Status(len(segments), self._store.sealed_end, len(self._store.full()), failed)

    def wait(self, end: int, timeout_s: float | None = None) -> None:
        """Return when all entries below `end` are sealed.

        Raises:
            LedgerError: `storage-failed`: why they are not; `log-stopped`: the folder's lock was lost.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._settled:
            self._failed = None
            self._store.work.set()
            while self._store.sealed_end < end or self._leaving:
                if self._stopped is not None:
                    raise self._stopped
                left = None if deadline is None else deadline - time.monotonic()
                if self._failed is not None or self._closing or (left is not None and left <= 0):
                    raise LedgerError(
                        Code.STORAGE_FAILED, self._failed or "it is not sealed yet", retry_after=int(RETRY_S)
                    )
                self._settled.wait(left)

    def close(self) -> None:
        """Stop; what is half sealed is begun again after a start. Who waits hears of it."""
        with self._settled:
            self._closing = True
            self._settled.notify_all()
        self._store.work.set()
        self._store.spare_wanted.set()
        if self._build is not None:
            self._build.kill()
        for thread in self._threads:
            thread.join()

    def _prepare(self) -> None:
        """Make the next hot file when the one that is written is half full: a thread of its own, because a seal takes long."""
        while True:
            self._store.spare_wanted.wait()
            self._store.spare_wanted.clear()
            if self._closing:
                return
            try:
                self.refuse_if_lost()
                self._store.prepare()
            except LedgerError as error:  # then it is made when it is needed
                logger.warning("the next hot file could not be made beforehand: %s", error.detail)

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing and self._stopped is None:
            self._store.work.wait(RETRY_S if self._failed else None)
            self._store.work.clear()
            if self._closing:
                return
            try:
                self._remove_sealed()
                while (waiting := self._store.full()) and not self._closing:
                    self._seal(waiting[0])
                self._settle(None)
            except (LedgerError, OSError, MemoryError) as error:
                self._settle(error.detail if isinstance(error, LedgerError) else str(error))
            except Exception as error:
                logger.exception("sealing broke off")
                self._settle(f"{type(error).__name__}: {error}")

    def _settle(self, failed: str | None) -> None:
        if failed is not None and not self._closing and self._stopped is None:
            logger.error("a full hot file could not be sealed, which is tried again: %s", failed)
        with self._settled:
            self._failed = failed
            self._settled.notify_all()

    def refuse_if_lost(self) -> None:
        """Stop for good: whoever took the folder meanwhile has its own segments to make, and needs the hot files.

        Raises:
            LedgerError: `log-stopped`.
        """
        why = self._lock.lost()
        if why is not None and self._stopped is None:
            self._stopped = LedgerError(
                Code.LOG_STOPPED,
                f"{why}. Nothing more is sealed and no hot file is removed: find out who else writes, and start this server again",
            )
            logger.error("sealing stopped: %s", self._stopped.detail)
        if self._stopped is not None:
            raise self._stopped

    def _refuse_if_closing(self) -> None:
        if self._closing:
            raise LedgerError(
                Code.STORAGE_FAILED, "it is not sealed: the log is closing; a start begins again"
            )

    def _seal(self, full: Full) -> None:
        start, end, hot, at_rotation = full
        # What was said later is applied when the segment is made anew: whoever copies the log up to `end` has the reason for what is gone.
        removed = self._removed if at_rotation is None else at_rotation
        self.refuse_if_lost()
        building, place = building_path(self._data, start), segment_path(self._data, start)
        if place.exists():  # a failure after step 6
            self._switch(start, hot, place)
            return
        clear(building)
        building.parent.mkdir(mode=BUILDING_MODE, exist_ok=True)
        sync_folder(self._data)  # or a power cut takes the folder with all that is in it
        building.mkdir(mode=BUILDING_MODE)
        checkpoint = hot.newest_checkpoint() or b""
        build = Build(
            building,
            start,
            end,
            origin=self._keys.origin,
            checkpoint=checkpoint,
            before=self._store.hashes(start - (start % TILE_WIDTH or 1), start) if start else [],
            frontier=self._written.tree.nodes_at(start),
            nice=NICE if len(self._store.full()) < WAITING else 0,
        )
        self._build = build
        try:
            self._refuse_if_closing()  # `close` kills what it sees here
            built = build.run(map(removed.cover, hot.rows(start, end)))
        finally:
            self._build = None
        self._compare(building, start, end, hot)
        manifest = Manifest(
            origin=self._keys.origin,
            start=start,
            end=end,
            generation=1,
            root=self._keys.open(checkpoint, own=True).root,
            checkpoint=checkpoint,
            previous=self._previous(),
            replaces=None,
            files=built.files,
            retired=Retired(*removed.counts(start, end)),
        )
        self.refuse_if_lost()
        write_durably(building / manifest_name(1), self._signed(manifest), MODE)
        building.chmod(FOLDER_MODE)
        self._refuse_if_closing()
        self._store.people.add(removed.cover_persons(hot.person_rows(start, end)), end)
        self._written.ids.add(start, end, (building / KEYS).read_bytes())
        self.refuse_if_lost()
        building.rename(place)
        self._switch(start, hot, place)

    def _signed(self, manifest: Manifest) -> bytes:
        """The signed manifest, however long the signer is away: what was built waits here, so that it is not built over and over.

        Raises:
            LedgerError: `log-stopped`; `storage-failed`: the log is closing.
        """
        while True:
            try:
                return sign_manifest(manifest, self._signer())
            except LedgerError as error:
                if error.code not in _NOT_SIGNED:
                    raise
                self._settle(error.detail)
            self._store.work.wait(RETRY_S)
            self._store.work.clear()
            self._refuse_if_closing()
            self.refuse_if_lost()

    def _switch(self, start: int, hot: HotFile, place: Path) -> None:
        """From the folder's rename on: readers first, then the hot file goes."""
        sync_folder(place.parent)
        keys = self._keys
        segment = Segment.open(place, keys=keys, origin=keys.origin, fetch=self._store.fetch)
        self._store.sealed(start, segment)
        self._written.sealed()
        self._leaving.append(hot)
        self._remove_sealed()
        if not self._closing:
            self._written.ids.merge()

    def _remove_sealed(self) -> None:
        """Delete the hot files whose entries are read from segments; one that cannot be deleted now is kept in mind."""
        while self._leaving:
            self.refuse_if_lost()
            self._leaving[0].remove()
            del self._leaving[0]

    def _compare(self, building: Path, start: int, end: int, hot: HotFile) -> None:
        """The segment has the leaf hashes that the log's tree was made of, when they were committed.

        Raises:
            LedgerError: `storage-failed`.
        """
        tiles, hashes = (building / TILES).read_bytes(), (building / HASHES).read_bytes()
        same = tiles == self._written.tree.tile_roots(start // TILE_WIDTH, end // TILE_WIDTH)
        for low, high in ((start, min(end, start + TILE_WIDTH)), (max(start, end - TILE_WIDTH), end)):
            stored = hashes[(low - start) * HASH_BYTES : (high - start) * HASH_BYTES]
            same = same and stored == b"".join(hot.hashes(low, high))
        if not same:
            raise LedgerError(
                Code.STORAGE_FAILED,
                f"the entries {start} to {end - 1} that were read from {hot.path} are not those that were committed: the file is left; "
                "run `agent-ledger verify`",
            )

    def _previous(self) -> str | None:
        """The hash of the first manifest of the segment before."""
        segments = self._store.segments
        return manifest_digest((segments[-1].folder / manifest_name(1)).read_bytes()) if segments else None


def clear(building: Path) -> None:
    """Remove a segment that was never finished.

    Raises:
        OSError: it cannot be removed.
    """
    if building.exists():
        building.chmod(BUILDING_MODE)
        shutil.rmtree(building)
