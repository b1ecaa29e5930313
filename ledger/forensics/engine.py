"""The DuckDB that answers analysts' SQL: evidence goes in, rows come out. What it must withstand: docs/queries.md."""

import contextlib
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb
import pyarrow as pa

from ledger.core.errors import Code, LedgerError
from ledger.forensics.gate import gated
from ledger.forensics.position import position
from ledger.forensics.render import Column, Facts, Rendered, render
from ledger.forensics.stored import Stored
from ledger.forensics.views import load_views

BATCH_ROWS = 1_000
_CONFIG: Final[dict[str, Any]] = {
    "threads": 1,  # a second thread would quadruple the writer's p99 latency
    "temp_directory": "",
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
    "storage_compatibility_version": "latest",  # ledger.forensics.tree
}
_MEASURES: Final = (
    "SET enable_progress_bar = true",
    "SET enable_progress_bar_print = false",
    "SET progress_bar_time = 200",
)
_LOCKS: Final = ("SET enable_external_access = false", "SET lock_configuration = true")
RECORDS: Final = "records"
ACTIONS: Final = "actions"
KNOWN_TEXTS: Final = 64


class Query(NamedTuple):
    """What an analyst asks.

    Attributes:
        sql: one SELECT.
        parameters: values of its `$name` parameters.
        media: the form of the answer, a media type.
        max_rows: rows of the answer, at most.
        max_bytes: bytes of the answer, at most.
        as_of: answer what the log answered when it had this many entries; None: now.
        offset: rows to leave out.
        contents: contents and persons are in the views; else only their commitments.
        root: the log's root at `as_of`, hex, for the answer to name.
        behind: entries of the log that the answer leaves out because they came too fast, for it to name.
    """

    sql: str
    parameters: Mapping[str, Any]
    media: str
    max_rows: int
    max_bytes: int
    as_of: int | None = None
    offset: int = 0
    contents: bool = True
    root: str | None = None
    behind: int = 0


class Engine:
    """Views over what was taken in. Used by one thread."""

    def __init__(self, memory_bytes: int, *, sealed: Path | None = None, size: int = 0) -> None:
        """A database in memory whose configuration cannot be changed any more.

        Args:
            memory_bytes: what DuckDB allows itself; beyond it a query fails in good order.
            sealed: a file that a builder made of the log.
            size: up to which size of the log.
        """
        self._db = duckdb.connect(":memory:", config={**_CONFIG, "memory_limit": f"{memory_bytes}B"})
        self._path = "" if sealed is None else str(sealed)
        self._stored = Stored(self._db, sealed=sealed, size=size)
        self._session = self._db.cursor()
        self._gated = lru_cache(KNOWN_TEXTS)(
            partial(gated, self._db)
        )  # what comes of a text is always the same
        for measure in _MEASURES:
            self._session.execute(measure)
        for lock in _LOCKS:
            self._db.execute(lock)

    def take(self, entries: pa.Table, size: int) -> None:
        """Take in checked entries; `size` is the log's with them."""
        self._stored.take(entries, size)

    def take_persons(self, persons: pa.Table) -> None:
        """Take in checked persons, before the entries that first name them.

        Raises:
            OutdatedError: the sealed file has to be made anew.
        """
        self._stored.take_persons(persons)

    def answer(self, query: Query, facts: Facts) -> Rendered:
        """Run one hostile query.

        Args:
            query: what is asked.
            facts: what a JSON answer says beside the rows.

        Raises:
            LedgerError: `query-refused` unless it is one SELECT about the log; `query-failed` when DuckDB cannot run it.
        """
        run = query.sql
        try:
            asked = self._gated(query.sql, query.max_rows + 1, query.offset)
            run = asked.sql
            self._show(asked.tables, query)
            with self._reading() as session:
                # What `session.sql(…).to_arrow_reader()` does, but for planning it twice. `execute` would hold all rows at once.
                result = session._submit(asked.sql, dict(query.parameters) or None, "stream", BATCH_ROWS)  # noqa: SLF001
                columns = [Column(name, str(kind)) for name, kind, *_ in result.description]
                with result.arrow_reader() as batches:
                    return render(columns, batches, query.media, (query.max_rows, query.max_bytes), facts)
        except (duckdb.FatalException, duckdb.InternalException):
            raise  # the instance is not to be used again: the process ends with it
        except duckdb.Error as error:
            at = position(str(error), run, query.sql)
            where: dict[str, Any] = {} if at is None else {"position": at}
            raise LedgerError(Code.QUERY_FAILED, self._first_line(error), **where) from error
        except (pa.ArrowException, OverflowError, ValueError) as error:
            detail = f"a value of the answer cannot be written as {query.media}: cast it to text ({self._first_line(error)})"
            raise LedgerError(Code.QUERY_FAILED, detail) from error

    def progress(self) -> float:
        """How far the query has come that runs in another thread, 0 to 1; below 0 where DuckDB cannot tell, or none runs."""
        return self._session.query_progress() / 100

    @contextlib.contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A transaction of which nothing is left."""
        self._session.execute("BEGIN TRANSACTION READ ONLY")
        try:
            yield self._session
        finally:
            self._session.execute("ROLLBACK")

    def _show(self, named: frozenset[str], query: Query) -> None:
        """Bring what a query names up to what was taken in.

        Raises:
            LedgerError: `query-failed`. What DuckDB says then may quote a content that stands in its way.
        """
        views = [view for name, view in load_views().items() if name in named]
        try:
            if RECORDS in named:
                self._stored.project()
            if views or ACTIONS in named:
                self._stored.join()
            self._stored.show(query.as_of, views, contents=query.contents)
        except (duckdb.FatalException, duckdb.InternalException):
            raise
        except duckdb.Error as error:
            said = self._first_line(error) if query.contents else type(error).__name__
            detail = f"{', '.join(sorted(named))} cannot be made: {said}"
            raise LedgerError(Code.QUERY_FAILED, detail) from error

    def _first_line(self, error: Exception) -> str:
        line = str(error).split("\n", 1)[0].strip()[:500]
        return line.replace(self._path, "the sealed records") if self._path else line
