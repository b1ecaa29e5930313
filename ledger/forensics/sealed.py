"""The service's end of the sealed tables: when they are made, by which process, and whether a file is still the one that was made.

They are a cache, with contents and persons in clear: a folder for the ledger alone, emptied at each start and whenever something of the log is removed.
"""

import logging
import shutil
import threading
import time
from pathlib import Path
from typing import Final

import pyarrow as pa

from ledger.core.errors import Code, LedgerError
from ledger.core.merkle import HASH_BYTES, frontier_nodes
from ledger.core.tiles import TILE_WIDTH, TileHashes
from ledger.forensics.process import Piped, Sealed, ipc
from ledger.log.log import Log
from ledger.storage.manifest import CONTENTS, ENTRIES, FACTS, FileInfo
from ledger.storage.removed import Removed
from ledger.storage.schema import ROW_SCHEMA, Head

FROM_ENTRIES: Final = 20_000  # a smaller log is taken in by each worker
# So many more, and 1/SHARE_BEHIND of what is in them: then they are made up to the log.
BEHIND_ENTRIES: Final = 20_000
SHARE_BEHIND: Final = 20
MOST_BEHIND: Final = 40_000  # what is behind is in the memory of each worker
PATIENCE_S: Final = 5.0
RETRY_AFTER_S: Final = 5
POLL_S: Final = 0.05
BUILDER: Final = "ledger.forensics.builder"
BUILDER_MEMORY_BYTES: Final = 2 * 1024**3

logger = logging.getLogger(__name__)


class SealedTables:
    """Makes them, in a thread and a process of their own. Any thread may ask for the newest."""

    def __init__(
        self, log: Log, folder: Path, *, from_entries: int = FROM_ENTRIES, behind: int = BEHIND_ENTRIES
    ) -> None:
        """Empty the folder. Nothing is made before `refresh`."""
        self._log, self._folder = log, folder
        self._from, self._behind = from_entries, behind
        self._newest: Sealed | None = None
        self._before: Sealed | None = None  # which a worker may be about to open
        self._removed = log.removed
        self._lock = threading.Lock()
        self._making: threading.Thread | None = None
        self._process: Piped | None = None
        self._making_without = log.removed
        self._made = threading.Condition(self._lock)
        self._done, self._of = 0, 0
        self.failed: str | None = None
        self._closing = False
        shutil.rmtree(folder, ignore_errors=True)

    def newest(self) -> Sealed | None:
        """The newest, None where there are none, or where something that is in them was removed since."""
        with self._lock:
            return self._current()

    @property
    def progress(self) -> str:
        """How far what is being made is, in words."""
        if self._done < self._of:
            return f"{self._done / self._of:.0%} of it is read"
        return f"all {self._of:,} entries are read, and joined to actions now"

    def ready(self, head: Head, seconds: float, *, whole: bool) -> Sealed | None:
        """The newest, once they are near enough to `head`; None where the log is small enough to do without.

        Args:
            head: the log's newest checkpoint.
            seconds: how long to wait, at most.
            whole: else older ones will do, where there are any and it takes more than a moment.

        Raises:
            LedgerError: `queries-busy`: they are being made, and that takes longer; `storage-failed`: they cannot be made.
        """
        began = time.monotonic()
        deadline = began + seconds
        while self.refresh(head):
            older = None if whole else self.newest()
            enough = deadline if older is None else min(deadline, began + PATIENCE_S)
            self.wait(max(0.0, enough - time.monotonic()))
            if older is not None and time.monotonic() >= enough:
                break
            if self.failed is not None:
                raise LedgerError(
                    Code.STORAGE_FAILED,
                    f"the tables for queries cannot be made: {self.failed}",
                    retry_after=RETRY_AFTER_S,
                )
            if time.monotonic() > deadline:
                raise LedgerError(
                    Code.QUERIES_BUSY,
                    f"the log is being taken in for queries, {self.progress}: ask again in a moment",
                    retry_after=RETRY_AFTER_S,
                )
        return self.newest()

    def refresh(self, head: Head) -> bool:
        """Have them made where they are too far behind the log; True while a query has to wait for that."""
        with self._lock:
            newest = self._current()
            size = 0 if newest is None else newest.size
            allowed = (
                self._from
                if newest is None
                else min(self._behind + size // SHARE_BEHIND, max(MOST_BEHIND, self._behind))
            )
            if head.size - size < allowed:
                return False
            if self._making is None and not self._closing:
                self.failed = None
                self._making_without = self._removed
                self._making = threading.Thread(
                    target=self._make, args=(head, newest, self._removed), name="sealed-tables", daemon=True
                )
                self._making.start()
        return newest is None or head.size - size > 2 * allowed

    def wait(self, seconds: float) -> None:
        """Until what is being made is made or failed, or so long."""
        with self._made:
            self._made.wait_for(lambda: self._making is None, seconds)

    def renew(self) -> None:
        """Make them anew from the beginning: what came says something else about what stands in them."""
        with self._lock:
            self._forget()

    def forget_removed(self, seconds: float) -> None:
        """Delete tables that hold something which the log says is gone, and end a process that makes such; waits for that, at most so long."""
        deadline = time.monotonic() + seconds
        with self._made:
            self._current()
            while self._making is not None and self._making_without is not self._log.removed:
                if self._process is not None:
                    self._process.kill()
                if time.monotonic() > deadline:
                    return
                self._made.wait(POLL_S)

    def close(self) -> None:
        """Stop; the files go."""
        self._closing = True
        process, making = self._process, self._making
        if process is not None:
            process.kill()
        if making is not None:
            making.join()
        with self._lock:
            self._forget()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _current(self) -> Sealed | None:
        if self._removed is not self._log.removed:
            self._forget()
        return self._newest

    def _forget(self) -> None:
        for sealed in (self._newest, self._before):
            if sealed is not None:
                sealed.path.unlink(missing_ok=True)
        self._newest = self._before = None
        self._removed = self._log.removed

    def _make(self, head: Head, before: Sealed | None, removed: Removed) -> None:
        """Make them, of `before` and what came since; `removed` is what `before` is without."""
        made: Sealed | None = None
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            made = self._built(head, before, removed)
            self.failed = None
        except (LedgerError, OSError) as error:
            outdated = removed is not self._log.removed  # it was ended for that, and is made anew
            words = error.detail if isinstance(error, LedgerError) else str(error)
            self.failed = None if outdated else words
            if not self._closing and not outdated:
                logger.error("the tables for queries could not be made: %s", self.failed)  # noqa: TRY400
        with self._made:
            if made is not None and removed is self._log.removed:
                if self._before is not None:
                    self._before.path.unlink(missing_ok=True)
                self._before, self._newest = self._newest, made
            elif made is not None:
                made.path.unlink(missing_ok=True)
            self._making = self._process = None
            self._made.notify_all()

    def _built(self, head: Head, before: Sealed | None, removed: Removed) -> Sealed:
        path = self._folder / f"{head.size}.duckdb"
        wal = path.with_name(f"{path.name}.wal")
        for leftover in (path, wal):
            leftover.unlink(missing_ok=True)
        start = 0 if before is None else before.size
        self._done, self._of = start, head.size
        opening = {
            "path": str(path),
            "before": None if before is None else str(before.path),
            "size": start,
            "keys": self._log.keys.to_json(),
            "memory_bytes": BUILDER_MEMORY_BYTES,
            "removed": {
                "entries": removed.entries.pairs(),
                "contents": removed.contents.pairs(),
                "erased": {member: ranges.pairs() for member, ranges in removed.erased.items()},
            },
        }
        self._process = process = Piped(BUILDER, opening)
        try:
            info = self._send(process, head, start)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            process.close()
            wal.unlink(missing_ok=True)  # the builder folds it in, if it lives so long
            shutil.rmtree(f"{path}.tmp", ignore_errors=True)
        return Sealed(path, info, head.size, *self._follow(head.size), head.note)

    def _send(self, process: Piped, head: Head, start: int) -> FileInfo:
        """Everything from entry `start` on. Returns the length and digest of what came of it."""
        persons = self._log.person_rows(start, head.size)
        if persons.num_rows:
            process.do({"kind": "persons"}, ipc(persons))
        if start == 0:
            for segment in self._log.segments():
                if segment.end > head.size:
                    break
                files = {
                    role: [
                        str(segment.path(role).resolve()),
                        list(segment.manifest.files[segment.manifest.file(role)]),
                    ]
                    for role in (ENTRIES, FACTS, CONTENTS)
                }
                process.do({"kind": "segment", "start": segment.start, "end": segment.end, "files": files})
                start = self._done = segment.end
        if start:
            nodes, prev = self._follow(start)
            process.do(
                {"kind": "follow", "size": start, "nodes": [node.hex() for node in nodes], "prev": prev.hex()}
            )
        for batch in self._log.rows(start, head.size):
            process.do({"kind": "entries"}, ipc(pa.Table.from_batches([batch], ROW_SCHEMA)))
            self._done += batch.num_rows
        return FileInfo(*process.do({"kind": "finish"}, head.note)["info"])

    def _follow(self, size: int) -> tuple[list[bytes], bytes]:
        """What hashing goes on from behind `size` entries: the frontier's nodes, and the last leaf hash."""
        nodes = TileHashes(self._log.tile, size)(frontier_nodes(size))
        tile, last = divmod(size - 1, TILE_WIDTH)
        return list(nodes), self._log.tile(0, tile, last + 1)[-HASH_BYTES:]
