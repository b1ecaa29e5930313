"""Analysts' SQL as a service: a few worker processes, one query at a time in each, a short queue before them."""

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.merkle import root_at
from ledger.core.tiles import TileHashes
from ledger.forensics.engine import Query
from ledger.forensics.parameters import MAX_PARAMETERS, Value, to_wire
from ledger.forensics.process import Bounds, Sealed, WorkerProcess
from ledger.forensics.render import JSON, MEDIA_TYPES
from ledger.forensics.sealed import SealedTables
from ledger.log.log import Log
from ledger.storage.removed import Removed
from ledger.storage.schema import Head

DEADLINE_S = 30.0
MAX_ROWS = 10_000
MAX_BYTES = 16 * 1024 * 1024
MAX_SQL_CHARACTERS = 100_000
MAX_WAITING = 16
WORKERS = 2  # each may keep one core busy
RETRY_AFTER_S = 2
POLL_S = 0.05
MEMORY_BYTES = 1024**3
AT_ONCE = 20_000  # entries that a worker takes in for a query that need not be of the whole log
TAIL = 60_000  # entries that it has for such a one beyond its sealed tables: they are in its memory
ADDRESS_SPACE_BYTES = 5 * 1024**3  # DuckDB reserves 2 GiB of it without using them


class QueryResult(NamedTuple):
    """An answer, ready to be sent.

    Attributes:
        body: the rows, as `media_type`.
        media_type: one of `render.MEDIA_TYPES`.
        row_count: number of rows in the body.
        truncated: there are more; a cap of rows or bytes was met.
        size: the log's size that was asked.
        behind: entries before the query that are not within it.
        root: its Merkle root, 32 bytes.
        seconds: how long the query ran.
    """

    body: bytes
    media_type: str
    row_count: int
    truncated: bool
    size: int
    root: bytes
    seconds: float
    behind: int = 0


class Running(NamedTuple):
    """A query that waits or runs.

    Attributes:
        id: by which it may be cancelled.
        seconds: since it was asked.
        waiting: no worker has it yet.
        fraction: how far it has come, 0 to 1, as DuckDB reckons; None where that is not known.
    """

    id: str
    seconds: float
    waiting: bool
    fraction: float | None


class _Asked:
    """A query on its way."""

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.worker: WorkerProcess | None = None
        self.cancelled = False

    def told(self, name: str, now: float) -> Running:
        worker = self.worker
        fraction = None if worker is None else worker.fraction
        return Running(name, now - self.since, worker is None, fraction)


class QueryService:
    """Runs queries for a log, on an event loop without blocking it."""

    def __init__(
        self,
        log: Log,
        *,
        tables: Path | None = None,
        workers: int = WORKERS,
        deadline_s: float = DEADLINE_S,
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
        memory_bytes: int = MEMORY_BYTES,
        address_space_bytes: int = ADDRESS_SPACE_BYTES,
        at_once: int = AT_ONCE,
        tail: int = TAIL,
        **sealing: int,
    ) -> None:
        """Nothing is started before the first query or `warm`.

        Args:
            log: what is asked.
            tables: a folder for the sealed tables of a log that is not small; it is emptied. None: each worker takes in the whole log.
            workers: processes, at most; each runs one query at a time.
            deadline_s: seconds for one query.
            max_rows: rows of an answer, at most.
            max_bytes: bytes of an answer, at most.
            memory_bytes: what DuckDB allows itself in one worker.
            address_space_bytes: what the operating system allows to one worker.
            at_once: entries that a worker takes in for one query, where it has sealed tables.
            tail: entries that it has beyond those, at most.
            sealing: of `SealedTables`.
        """
        self._log, self._workers = log, workers
        self._at_once, self._tail = at_once, tail
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._bounds = Bounds(deadline_s, memory_bytes, address_space_bytes)
        self._threads = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="queries")
        self._tables = None if tables is None else SealedTables(log, tables, **sealing)
        self._lock = threading.Lock()
        self._idle: list[WorkerProcess] = []
        self._started: list[WorkerProcess] = []  # all that may be alive
        self._asked: dict[str, _Asked] = {}
        self._closed = False

    async def run(
        self,
        sql: str,
        parameters: Mapping[str, Value] | None = None,
        *,
        limit: int | None = None,
        media: str = JSON,
        as_of: int | None = None,
        offset: int = 0,
        contents: bool = True,
        whole: bool = False,
        id: str | None = None,  # noqa: A002 - what it is called on the wire
    ) -> QueryResult:
        """Answer one query over everything that was acknowledged before this call.

        Where records come faster than they can be taken in, it is answered of an earlier size, and says by how much (`behind`).

        Args:
            sql: one SELECT over the views.
            parameters: values of its `$name` parameters.
            limit: most rows; the service's own limit when None or larger.
            media: one of `render.MEDIA_TYPES`.
            as_of: answer what the log answered when it had this many entries (but for what was erased since); None: now.
            offset: rows to leave out.
            contents: with contents and persons; else only their commitments.
            whole: of everything, or not at all; as a query `as_of` a size always is.
            id: by which it may be cancelled.

        Raises:
            LedgerError: `query-refused` (not one SELECT, a limit exceeded), `query-failed` (DuckDB's words), `query-timeout`,
                `query-killed` (memory, or cancelled), `queries-busy` (try again later), `evidence-altered` (what is stored is not
                what the log signed).
        """
        query = self._checked(sql, parameters or {}, limit, media)._replace(
            as_of=as_of, offset=offset, contents=contents
        )
        name = id or secrets.token_hex(8)
        with self._lock:
            if len(self._asked) >= MAX_WAITING + self._workers:
                raise LedgerError(
                    Code.QUERIES_BUSY,
                    f"{MAX_WAITING} queries are waiting: ask again in a moment",
                    retry_after=RETRY_AFTER_S,
                )
            if name in self._asked:
                raise LedgerError(Code.QUERY_REFUSED, "a query with this id is running: choose another")
            asked = self._asked[name] = _Asked()
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, self._run, query, asked, whole or as_of is not None
            )
        except asyncio.CancelledError:
            self.cancel(name)  # whoever asked has gone
            raise
        finally:
            self._asked.pop(name, None)

    def cancel(self, id: str) -> bool:  # noqa: A002
        """End a query; False where there is none of that id."""
        asked = self._asked.get(id)
        if asked is None:
            return False
        asked.cancelled = True
        worker = asked.worker
        if worker is not None:
            worker.kill()
        return True

    def running(self) -> list[Running]:
        """The queries that wait or run, oldest first."""
        now = time.monotonic()
        return [asked.told(name, now) for name, asked in list(self._asked.items())]

    def forget_removed(self) -> None:
        """Let go of everything that workers and tables hold of what the log says is gone; on return no process and no file has it.

        Waits for queries that are under way, at most their deadline; what is not done then is ended.
        """
        removed, deadline = self._log.removed, time.monotonic() + self._bounds.deadline_s
        with self._lock:
            stale = [worker for worker in self._idle if worker.removed is not removed]
            self._idle = [worker for worker in self._idle if worker not in stale]
        for worker in stale:
            worker.close()
        if self._tables is not None:
            self._tables.forget_removed(self._bounds.deadline_s)
        while busy := self._knowing_too_much(removed):
            if time.monotonic() > deadline:
                for worker in busy:
                    worker.kill()
            time.sleep(POLL_S)

    def _knowing_too_much(self, removed: Removed) -> list[WorkerProcess]:
        with self._lock:
            self._started = [worker for worker in self._started if worker.alive]
            return [worker for worker in self._started if worker.removed is not removed]

    async def warm(self) -> None:
        """Start a worker and fill it, so that the first query need not wait for that."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._warm)

    async def close(self) -> None:
        """Kill the workers, with whatever they run."""
        self._closed = True
        for name in list(self._asked):
            self.cancel(name)
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        for worker in self._idle:
            worker.close()
        if self._tables is not None:
            await asyncio.to_thread(self._tables.close)

    def _checked(self, sql: str, parameters: Mapping[str, Value], limit: int | None, media: str) -> Query:
        if len(sql) > MAX_SQL_CHARACTERS or len(parameters) > MAX_PARAMETERS:
            raise LedgerError(
                Code.QUERY_REFUSED,
                f"a query has at most {MAX_SQL_CHARACTERS} characters and {MAX_PARAMETERS} parameters",
            )
        if limit is not None and limit < 0:
            raise LedgerError(Code.QUERY_REFUSED, f"the limit is {limit}: it is 0 or more", path="limit")
        if media not in MEDIA_TYPES:
            raise LedgerError(
                Code.QUERY_REFUSED, f"an answer comes as {', '.join(MEDIA_TYPES)}, not as {media}"
            )
        return Query(
            sql,
            {name: to_wire(value) for name, value in parameters.items()},
            media,
            self._max_rows if limit is None else min(limit, self._max_rows),
            self._max_bytes,
        )

    # -- in the threads of queries -----------------------------------------------------------------------------------

    def _run(self, query: Query, asked: _Asked, whole: bool) -> QueryResult:
        head = self._log.head()
        query = self._dated(query, head)
        with self._worker(head, whole=whole) as worker:
            asked.worker = worker
            if asked.cancelled:
                raise _cancelled()
            if query.as_of is None:
                query = query._replace(behind=head.size - worker.filled)
            try:
                answer = worker.ask(query)
            except LedgerError as error:
                if asked.cancelled and error.code == Code.QUERY_KILLED:
                    raise _cancelled() from None
                raise
            finally:
                asked.worker = None
        facts = answer.header
        return QueryResult(
            answer.body,
            query.media,
            facts["row_count"],
            facts["truncated"],
            facts["size"],
            bytes.fromhex(facts["root"]),
            facts["seconds"],
            query.behind,
        )

    def _dated(self, query: Query, head: Head) -> Query:
        """With the root of the size it is about, where that is not the newest."""
        if query.as_of is None or query.as_of >= head.size:
            return query._replace(as_of=None)
        root = root_at(query.as_of, TileHashes(self._log.tile, query.as_of))
        return query._replace(root=root.hex())

    def _warm(self) -> None:
        with self._worker(self._log.head()):
            pass

    @contextlib.contextmanager
    def _worker(self, head: Head, *, whole: bool = False) -> Iterator[WorkerProcess]:
        """A worker that has taken in everything up to `head`, or unless the whole is wanted as far as it comes, for one query."""
        worker = self._taken(head, whole=whole)
        try:
            yield worker
        except LedgerError as error:
            if error.code in (Code.QUERY_TIMEOUT, Code.QUERY_KILLED, Code.EVIDENCE_ALTERED):
                worker.close()
                with contextlib.suppress(RuntimeError):  # closing
                    self._threads.submit(self._warm)  # so that the next query finds one
                raise
            self._give_back(worker)
            raise
        except BaseException:
            worker.close()
            raise
        self._give_back(worker)

    def _give_back(self, worker: WorkerProcess) -> None:
        with self._lock:
            if worker.alive and not self._closed and worker.removed is self._log.removed:
                self._idle.append(worker)
                return
        worker.close()

    def _taken(self, head: Head, *, whole: bool) -> WorkerProcess:
        for _ in range(2):
            worker = self._some(head, whole=whole)
            reach = head.size
            if worker.sealed is not None and not whole:
                reach = min(worker.filled + self._at_once, worker.sealed.size + self._tail)
            try:  # what it has got a part of, it must not get twice
                if worker.fill(self._log, head, reach):
                    return worker
            except BaseException:
                worker.close()
                raise
            worker.close()
            if self._tables is not None:
                self._tables.renew()
        raise LedgerError(
            Code.QUERIES_BUSY,
            "the log is being taken in anew: ask again in a moment",
            retry_after=RETRY_AFTER_S,
        )

    def _some(self, head: Head, *, whole: bool) -> WorkerProcess:
        """An idle worker that knows nothing which is gone, or a new one."""
        removed = (
            self._log.removed
        )  # before anything is read: who is told something else meanwhile is not kept
        keys = self._log.keys  # after the head was: it is signed with one of them
        sealed = None
        if self._tables is not None:
            sealed = self._tables.ready(head, self._bounds.deadline_s, whole=whole)
        with self._lock:
            fit = [
                worker
                for worker in self._idle
                if worker.alive
                and worker.removed is removed
                and worker.keys == keys
                and worker.sealed is sealed
                and worker.filled <= head.size
            ]
            dropped = [worker for worker in self._idle if worker not in fit]
            found, self._idle = (fit.pop() if fit else None), fit
        for worker in dropped:
            worker.close()
        return found or self._start(keys, sealed, removed)

    def _start(self, keys: KeyHistory, sealed: Sealed | None, removed: Removed) -> WorkerProcess:
        with self._lock:  # who asks which there are must not miss one
            worker = WorkerProcess(keys, self._bounds, sealed, removed)
            self._started = [each for each in self._started if each.alive] + [worker]
        return worker


def _cancelled() -> LedgerError:
    return LedgerError(Code.QUERY_KILLED, "the query was cancelled")
