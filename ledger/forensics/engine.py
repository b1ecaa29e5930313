"""The worker's own DuckDB, in memory: evidence goes in, analysts' SQL is answered. What it must withstand: docs/queries.md."""

import contextlib
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import duckdb
import pyarrow as pa

from ledger.core.errors import Code, LedgerError
from ledger.forensics.evidence import CHECKED_CONTENT
from ledger.forensics.render import Column, Facts, Rendered, render
from ledger.records.members import PERSONS
from ledger.records.resources import schema_text

BATCH_ROWS = 1_000
_CONFIG: Final[dict[str, Any]] = {
    "threads": 1,  # a second thread would quadruple the writer's p99 latency
    "temp_directory": "",
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
}
_LOCKS: Final = (
    "SET GLOBAL TimeZone = 'UTC'",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
_ENTRIES = pa.schema(
    [
        ("seq", pa.uint64()),
        ("hash", pa.binary()),
        ("entry", pa.string()),
        ("contents", pa.list_(CHECKED_CONTENT)),
    ]
)
# The stages of the join (schemas/join), each over those before it.
FACTS: Final = ("join/1-facts.sql", "join/2-stages.sql")
TELEMETRY: Final = ("join/3-calls.sql", "join/4-meet.sql")
ACTIONS: Final = ("join/5-actions.sql", "join/6-fill.sql")
# `query` and `query_table` take a name that is put together only when the query runs.
_NAMES_ACTIONS = re.compile(r"actions|query", re.IGNORECASE)


class Query(NamedTuple):
    """What an analyst asks: SQL, its named parameters, the form of the answer (a media type) and its caps."""

    sql: str
    parameters: Mapping[str, Any]
    media: str
    max_rows: int
    max_bytes: int


class Engine:
    """Tables that grow as the log grows, and views over them. Used by one thread."""

    def __init__(self, memory_bytes: int) -> None:
        """An empty database whose configuration cannot be changed any more.

        `records` is a table: the columns of an entry are made once, when it comes. `schemas/join` makes its stages in the schema `live`, and
        `schemas/views.sql` the view `live.actions` over them; the `actions` that queries see is what that view gave. All of it is made
        again when the log has grown since.
        """
        self._db = duckdb.connect(":memory:", config={**_CONFIG, "memory_limit": f"{memory_bytes}B"})
        self._projection = schema_text("projection.sql").strip().rstrip(";")
        self._size, self._joined = 0, -1
        self._db.execute("CREATE TABLE persons (commitment VARCHAR, value VARCHAR)")
        self._insert("entries", _ENTRIES.empty_table(), f"CREATE TABLE records AS {self._projection}")
        self._stages = {stage: schema_text(stage) for stage in (*FACTS, *TELEMETRY, *ACTIONS)}
        self._make((*FACTS, *TELEMETRY, *ACTIONS))
        self._db.execute(schema_text("views.sql"))
        self._join()
        for lock in _LOCKS:
            self._db.execute(lock)

    def take(self, entries: pa.Table) -> None:
        """Project checked entries into columns."""
        self._insert("entries", entries, f"INSERT INTO records {self._projection}")
        self._size += entries.num_rows

    def take_persons(self, persons: pa.Table) -> None:
        """Add checked persons, before the entries that first name them. One who was only a commitment so far is named from now on."""
        if not persons.num_rows:
            return
        self._insert("people", persons, "INSERT INTO persons SELECT commitment, value FROM people")
        for name in (path.replace(".", "_") for path in PERSONS):
            self._insert(
                "people",
                persons,
                f"UPDATE records SET {name} = json_extract_string(people.value, '$') FROM people"
                f" WHERE {name} IS NULL AND {name}_commitment = people.commitment",
            )

    def _insert(self, name: str, rows: pa.Table, sql: str) -> None:
        self._db.register(name, rows)
        try:
            self._db.execute(sql)
        finally:
            self._db.unregister(name)

    def answer(self, query: Query, facts: Facts) -> Rendered:
        """Run one hostile query.

        Args:
            query: what is asked.
            facts: what a JSON answer says beside the rows.

        Raises:
            LedgerError: `query-refused` unless it is one SELECT; `query-failed` when DuckDB cannot run it.
        """
        try:
            wrapped = self._gate(query)
            if _NAMES_ACTIONS.search(query.sql):
                self._join()
            with contextlib.closing(
                self._db.cursor()
            ) as session:  # closed, it leaves nothing: no transaction, no open result
                session.execute("BEGIN TRANSACTION READ ONLY")
                result = session.sql(wrapped, params=dict(query.parameters))
                kinds = zip(result.columns, result.types, strict=True)
                columns = [Column(name, str(kind)) for name, kind in kinds]
                batches = result.to_arrow_reader(BATCH_ROWS)
                return render(columns, batches, query.media, (query.max_rows, query.max_bytes), facts)
        except (duckdb.FatalException, duckdb.InternalException):
            raise  # the instance is not to be used again: the process ends with it
        except duckdb.Error as error:
            raise LedgerError(Code.QUERY_FAILED, _first_line(error)) from error
        except (pa.ArrowException, OverflowError, ValueError) as error:
            detail = f"a value of the answer cannot be written as {query.media}: cast it to text ({_first_line(error)})"
            raise LedgerError(Code.QUERY_FAILED, detail) from error

    def _gate(self, query: Query) -> str:
        """The query as a subquery: a data-modifying WITH is an error there, and LIMIT binds it.

        It has to be one SELECT alone, and one SELECT wrapped: text that breaks out of the brackets is not one of both.
        """
        text = self._select(query.sql)
        wrapped = f"SELECT * FROM (\n{text.strip().rstrip(';')}\n) LIMIT {query.max_rows + 1:d}"
        self._select(wrapped)
        return wrapped

    def _select(self, sql: str) -> str:
        """The text of the only statement, which is a SELECT."""
        try:
            statements = [(statement.type, statement.query) for statement in self._db.extract_statements(sql)]
        except (
            ValueError
        ) as error:  # CONNECT and UPDATE EXTENSIONS have types that the Python package does not know
            raise LedgerError(
                Code.QUERY_REFUSED, f"a query is exactly one SELECT statement: {_first_line(error)}"
            ) from error
        if len(statements) != 1 or statements[0][0] != duckdb.StatementType.SELECT:
            kinds = ", ".join(kind.name for kind, _ in statements) or "nothing"
            raise LedgerError(Code.QUERY_REFUSED, f"a query is exactly one SELECT statement; this is {kinds}")
        return str(statements[0][1])

    def _join(self) -> None:
        """Bring `actions` up to what was taken in."""
        if self._joined != self._size:
            self._make(FACTS)
            # Where no telemetry is (there never was any), its stages are as empty as they were made.
            if self._db.execute("SELECT EXISTS (FROM live.fact WHERE role <> 'sdk')").fetchall() == [(True,)]:
                self._make(TELEMETRY)
            self._make(ACTIONS)
            self._db.execute("CREATE OR REPLACE TABLE main.actions AS FROM live.actions")
            self._joined = self._size

    def _make(self, stages: tuple[str, ...]) -> None:
        for stage in stages:
            self._db.execute(self._stages[stage])


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0].strip()[:500]
