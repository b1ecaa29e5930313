"""Analysts' SQL as a service: one worker process, one query at a time, a short queue before it."""

import asyncio
import contextlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from ledger.core.errors import Code, LedgerError
from ledger.forensics.engine import Query
from ledger.forensics.process import Bounds, WorkerProcess
from ledger.forensics.render import JSON, MEDIA_TYPES
from ledger.log.log import Log
from ledger.log.schema import Head

DEADLINE_S = 30.0
MAX_ROWS = 10_000
MAX_BYTES = 16 * 1024 * 1024
MAX_SQL_CHARACTERS = 100_000
MAX_PARAMETERS = 100
MAX_WAITING = 16
RETRY_AFTER_S = 2
MEMORY_BYTES = 1024**3
ADDRESS_SPACE_BYTES = 5 * 1024**3  # DuckDB reserves 2 GiB of it without using them


class QueryResult(NamedTuple):
    """An answer, ready to be sent.

    Attributes:
        body: the rows, as `media_type`.
        media_type: `application/json`, `text/csv` or `application/vnd.apache.arrow.stream`.
        row_count: number of rows in the body.
        truncated: there are more; a cap of rows or bytes was met.
        size: the log's size that was asked: every record acknowledged before the query is within it.
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


class QueryService:
    """Runs queries for a log, on an event loop without blocking it."""

    def __init__(
        self,
        log: Log,
        *,
        deadline_s: float = DEADLINE_S,
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
        memory_bytes: int = MEMORY_BYTES,
        address_space_bytes: int = ADDRESS_SPACE_BYTES,
    ) -> None:
        """Nothing is started before the first query or `warm`."""
        self._log = log
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._bounds = Bounds(deadline_s, memory_bytes, address_space_bytes)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="queries")
        self._worker: WorkerProcess | None = None
        self._waiting = 0

    async def run(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        limit: int | None = None,
        media: str = JSON,
    ) -> QueryResult:
        """Answer one query over everything that was acknowledged before this call.

        Args:
            sql: one SELECT over the views `records` and `actions`.
            parameters: values of its `$name` parameters: text, integers, booleans or None.
            limit: most rows; the service's own limit when None or larger.
            media: one of `render.MEDIA_TYPES`.

        Raises:
            LedgerError: `query-refused` (not one SELECT, a limit exceeded), `query-failed` (DuckDB's words), `query-timeout`,
                `query-killed` (memory), `queries-busy` (try again later), `evidence-altered` (what is stored is not what the log signed).
        """
        query = self._checked(sql, parameters or {}, limit, media)
        if self._waiting >= MAX_WAITING:
            raise LedgerError(
                Code.QUERIES_BUSY,
                f"{MAX_WAITING} queries are waiting: ask again in a moment",
                retry_after=RETRY_AFTER_S,
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, query)
        finally:
            self._waiting -= 1

    async def warm(self) -> None:
        """Start the worker and fill it, so that the first query need not wait for that."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._filled)

    async def close(self) -> None:
        """Kill the worker, with whatever it runs."""
        worker = self._worker
        if worker is not None:
            worker.kill()
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        if self._worker is not None:
            self._worker.close()

    def _checked(self, sql: str, parameters: Mapping[str, Any], limit: int | None, media: str) -> Query:
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
        for name, value in parameters.items():
            if not (value is None or isinstance(value, str | int)):
                raise LedgerError(
                    Code.QUERY_REFUSED,
                    f"the parameter {name} is neither text, an integer nor a boolean",
                    path=name,
                )
        return Query(
            sql,
            dict(parameters),
            media,
            self._max_rows if limit is None else min(limit, self._max_rows),
            self._max_bytes,
        )

    # -- in the thread of queries ------------------------------------------------------------------------------------

    def _run(self, query: Query) -> QueryResult:
        head = self._log.head()
        try:
            answer = self._filled(head).ask(query, head)
        except LedgerError as error:
            if error.code in (Code.QUERY_TIMEOUT, Code.QUERY_KILLED, Code.EVIDENCE_ALTERED):
                self._drop()
                with contextlib.suppress(RuntimeError):  # closing
                    self._thread.submit(self._filled)  # so that the next query finds one
            raise
        facts = answer.header
        return QueryResult(
            answer.body,
            query.media,
            facts["row_count"],
            facts["truncated"],
            head.size,
            head.root,
            facts["seconds"],
        )

    def _filled(self, head: Head | None = None) -> WorkerProcess:
        """A live worker that has taken in everything up to `head`."""
        head = head or self._log.head()
        if self._worker is not None and (not self._worker.alive or self._worker.filled > head.size):
            self._drop()
        if self._worker is None:
            self._worker = WorkerProcess(self._log.vkey, self._bounds)
        try:
            self._worker.fill(self._log, head)
        except BaseException:  # it may have got a part of it, and must not get that part twice
            self._drop()
            raise
        return self._worker

    def _drop(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None
