"""Stories told in few words, and what the real engine answers about them."""

import json
from typing import Any, NamedTuple

from ledger.forensics.catalog import load_queries
from ledger.forensics.engine import Query
from tests.forensics.joining import Joined, prepared

DAY = "2026-11-21"
JSON = "application/json"
Row = dict[str, Any]
FACETS = {
    "request",
    "decision",
    "tool",
    "identity",
    "resource",
    "policy",
    "approval",
    "outcome",
    "trace",
    "source",
}


def at(clock: str) -> str:
    """`09:00`, `09:00:30` of the day of the story, or `20T09:00` of another one, as a time."""
    day, _, clock = clock.rpartition("T")
    return f"2026-11-{day or DAY[-2:]}T{clock if clock.count(':') > 1 else clock + ':00'}Z"


def told(identifier: str, clock: str, **members: Any) -> Row:
    """A record of type action: `tool_name="pay"` is `{"tool": {"name": "pay"}}`, whatever has no facet before it is itself."""
    record: Row = {"id": identifier, "type": "action", "time": at(clock)}
    for name, value in members.items():
        facet, _, member = name.partition("_")
        if facet in FACETS and member:
            record.setdefault(facet, {})[member] = value
        else:
            record[name] = value
    return record


class Story:
    """Records in an engine, and questions put to it."""

    def __init__(self, *records: Row, submitter: str = "token:test") -> None:
        """A record may name its submitter under `by`."""
        self.joined, self._submitter = Joined(), submitter
        self.post(*records)

    def post(self, *records: Row) -> None:
        """Take in some more. A record may say under `recorded` when the ledger took it."""
        for record in records:
            said = {name: value for name, value in record.items() if name not in {"by", "recorded"}}
            item = prepared(json.dumps(said).encode(), record.get("by", self._submitter))
            self.joined.take([item], *([at(record["recorded"])] if "recorded" in record else []))

    def sql(self, sql: str, **parameters: Any) -> list[Row]:
        return self._answer(sql, parameters)[1]

    def ask(self, name: str, **parameters: Any) -> list[Row]:
        """The answer of a named question, whose columns are those its header promises."""
        query = load_queries()[name]
        columns, rows = self._answer(query.sql, query.bind(parameters))
        promised = [column.name for column in query.columns]
        if columns != promised:
            raise AssertionError(f"{name} promises {promised} and gives {columns}")
        return rows

    def _answer(self, sql: str, parameters: Row) -> tuple[list[str], list[Row]]:
        body = self.joined.engine.answer(Query(sql, parameters, JSON, 1_000, 10_000_000), dict).body
        answer = json.loads(body)
        names = [column["name"] for column in answer["columns"]]
        return names, [dict(zip(names, row, strict=True)) for row in answer["rows"]]


def of(rows: list[Row], *names: str) -> list[list[Any]]:
    """Some columns of all rows."""
    return [[row[name] for name in names] for row in rows]


class Case(NamedTuple):
    """A named question, its parameters, and some columns of the rows that must come: all of them, in order, and no others."""

    query: str
    given: Row
    columns: tuple[str, ...]
    rows: list[list[Any]]


def case(query: str, columns: str, rows: list[list[Any]], **given: Any) -> Case:
    """`columns` with blanks between them."""
    return Case(query, given, tuple(columns.split()), rows)


def names(cases: list[Case]) -> list[str]:
    """Ids for tests of cases, that stay the same each time they are collected."""
    return [f"{number}-{told.query}" for number, told in enumerate(cases)]
