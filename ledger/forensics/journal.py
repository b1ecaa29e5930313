"""Who asked what: every query becomes part of an entry of the log's own, `log.query_run`.

    {"type": "log.query_run", "ext": {"log.queries": [{"by": "token:alice", "query": "denials", "outcome": "answered", "size": 18, "rows": 3,
     "truncated": false, "contents": true, "ms": 4}, …], "log.queries_more": 0}, "request": {"text": <commitment>}}

Its content `request.text` is a list beside `log.queries`: `{"sql": …, "parameters": {…}}`. An analyst's SQL holds what he looks for: names,
accounts, words of a victim. So it is a content: committed to, for content readers alone, and erasable. Nothing of it stands in the facts, no hash either, which
could be guessed back.

Reading cannot flood the log: at most one entry a second, at most MAX_RUNS queries and KEPT_BYTES of text in it; what is beyond is counted. A query
that comes a second or more after the last entry is on the disk before its answer goes out; of a burst, the rest follows within a second.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from ledger.core.errors import LedgerError
from ledger.forensics.parameters import Value, to_wire
from ledger.forensics.service import QueryResult
from ledger.log.log import Log
from ledger.log.plan import Appended
from ledger.records.prepare import own_record

TYPE: Final = "log.query_run"
EVERY_S: Final = 1.0
MAX_RUNS: Final = 150  # an entry has 64 KiB
KEPT_BYTES: Final = 64 * 1024  # of SQL and parameters in one entry
ANSWERED: Final = "answered"
CANCELLED: Final = "cancelled"

logger = logging.getLogger(__name__)
_encode = msgspec.json.encode


class Run(NamedTuple):
    """One query, as it ended.

    Attributes:
        by: who asked: a submitter as entries name it, or `alert:` and a rule of the server's own file.
        query: the named question, or None.
        sql: the statement; None where a named question says it.
        parameters: their values.
        contents: whether it could see contents and persons.
        outcome: `answered`, `cancelled`, or the code of the problem.
        size: the log's size it was answered at, None where it was not.
        rows: how many went out.
        truncated: there were more.
        seconds: from the request to its end.
    """

    by: str
    query: str | None
    sql: str | None
    parameters: Mapping[str, Value]
    contents: bool
    outcome: str = CANCELLED
    size: int | None = None
    rows: int = 0
    truncated: bool = False
    seconds: float = 0.0

    def facts(self) -> dict[str, Any]:
        """What stands in the entry for everybody."""
        facts = {
            "by": self.by,
            "query": self.query,
            "contents": self.contents,
            "outcome": self.outcome,
            "size": self.size,
            "rows": self.rows,
            "truncated": self.truncated,
            "ms": round(self.seconds * 1_000),
        }
        return {name: value for name, value in facts.items() if value is not None}

    def words(self) -> bytes:
        """What is a content."""
        said = {} if self.sql is None else {"sql": self.sql}
        return _encode(
            said | {"parameters": {name: to_wire(value) for name, value in self.parameters.items()}}
        )


async def noted(
    asked: Run, answering: Awaitable[QueryResult], note: Callable[[Run], Awaitable[None]]
) -> QueryResult:
    """The answer, once `note` has been told what came of it.

    Raises:
        LedgerError: why there is none.
    """
    began, run = time.monotonic(), asked
    try:
        result = await answering
        run = asked._replace(
            outcome=ANSWERED, size=result.size, rows=result.row_count, truncated=result.truncated
        )
    except LedgerError as error:
        run = asked._replace(outcome=error.code.value)
        raise
    finally:
        await note(run._replace(seconds=time.monotonic() - began))
    return result


class Journal:
    """Writes what was asked. Lives on one event loop."""

    def __init__(self, log: Log, every_s: float = EVERY_S) -> None:
        self._log, self._every_s = log, every_s
        self._runs: list[Run] = []
        self._more = 0
        self._next_at = 0.0
        self._writing: asyncio.Task[None] | None = None
        self._sleeping = self._closed = False

    async def note(self, run: Run) -> None:
        """Take one query in; returns when it is on the disk, or will be within a second."""
        if len(self._runs) < MAX_RUNS:
            self._runs.append(run)
        else:
            self._more += 1
        if self._writing is not None:
            return
        wait_s = self._next_at - time.monotonic()
        self._writing = asyncio.create_task(self._write_after(max(0.0, wait_s)))
        if wait_s <= 0:
            await asyncio.shield(self._writing)

    async def close(self) -> None:
        """Write what is left."""
        self._closed = True
        if self._writing is not None:
            if self._sleeping:
                self._writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writing
        if self._runs:
            await self._write()

    async def _write_after(self, seconds: float) -> None:
        try:
            self._sleeping = True
            await asyncio.sleep(seconds)
            self._sleeping = False
            await self._write()
        finally:
            self._next_at = time.monotonic() + self._every_s
            self._writing = None
            if self._runs and not self._closed:
                self._writing = asyncio.create_task(self._write_after(self._every_s))

    async def _write(self) -> None:
        runs, more = self._runs, self._more
        self._runs, self._more = [], 0
        try:
            await self._append(runs, more)
        except LedgerError as error:
            # An investigator must get answers from a log that no longer writes too: that is when he is needed.
            logger.warning("%d queries are not recorded yet: %s", len(runs) + more, error.code)
            kept = (runs + self._runs)[:MAX_RUNS]
            self._more += more + len(runs) + len(self._runs) - len(kept)
            self._runs = kept

    async def _append(self, runs: list[Run], more: int) -> None:
        ext = {"log.queries": [run.facts() for run in runs], "log.queries_more": more}
        item = own_record(TYPE, ext, request_text=_words(runs))
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[Appended | LedgerError] = loop.create_future()

        def done(results: list[Appended | LedgerError]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(settled.set_result, results[0])

        self._log.submit([item], atomic=True, done=done)
        outcome = await asyncio.shield(settled)
        if isinstance(outcome, LedgerError):
            raise outcome


def _words(runs: list[Run]) -> bytes:
    """The contents of the entry, in the order of its facts; null where there was no room left."""
    kept, left = [], KEPT_BYTES
    for run in runs:
        words = run.words()
        fits = len(words) <= left
        left -= len(words) if fits else 0
        kept.append(words if fits else b"null")
    return b"[" + b",".join(kept) + b"]"
