"""What analysts send: SQL that is judged by its tree and then run, questions in files, parameters, cursors."""

import contextlib
import json
import threading
from functools import cache
from typing import Any

import duckdb
import msgspec

from ledger.core.errors import LedgerError
from ledger.forensics.catalog import NamedQuery, parse_query
from ledger.forensics.cursors import Place, format_cursor, parse_cursor
from ledger.forensics.description import tables
from ledger.forensics.gate import gated
from ledger.forensics.parameters import from_wire, parse_parameters, to_wire
from ledger.forensics.tree import PERSONS
from ledger.records.selection import SELECTABLE, parse_selection
from tests.fuzz.target import Target, holds

CANARY = "CANARY-5b1f"
LONGEST_S = 0.2
CONFIG = {
    "threads": 1,
    "memory_limit": "256MB",
    "temp_directory": "",
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
    "storage_compatibility_version": "latest",
}


@cache
def database() -> duckdb.DuckDBPyConnection:
    """The tables that a query may name, empty, beside one that it may not, which holds a canary."""
    db = duckdb.connect(":memory:", config=CONFIG)
    for schema in ("live", "made", "sealed", "stored"):
        db.execute(f"CREATE SCHEMA {schema}")
        db.execute(f"CREATE TABLE {schema}.secrets AS SELECT '{CANARY}' AS secret")
    for name, view in tables().items():
        db.execute(
            f'CREATE TABLE "{name}" ({", ".join(f"{chr(34)}{column.name}{chr(34)} VARCHAR" for column in view.columns)})'
        )
    db.execute("CREATE TABLE persons (id VARCHAR)")
    db.execute("SET enable_external_access = false")
    db.execute(f"SET VARIABLE secret = '{CANARY}'")
    db.execute("SET lock_configuration = true")
    return db


def gate(data: bytes) -> bool:
    """What is let through names nothing but tables of the log; it is run, and shows no canary."""
    db = database()
    try:
        found = gated(db, data.decode("utf-8", "replace"), 10, 0)
    except duckdb.Error:  # which the engine tells as `query-failed`
        return False
    holds(found.tables <= {*tables(), PERSONS}, "only tables of the log are named", found)
    watchdog = threading.Timer(LONGEST_S, db.interrupt)
    watchdog.start()
    try:
        rows = db.execute(found.sql).fetchall()
    except (duckdb.Error, ValueError, OverflowError, RuntimeError):
        return True
    finally:
        watchdog.cancel()
        watchdog.join()
    holds(len(rows) <= 10, "a query is bound by its limit", len(rows))
    holds(CANARY not in repr(rows), "no canary is shown", found.sql, rows)
    return True


def question(data: bytes) -> bool:
    read = parse_query("mine", data.decode("utf-8", "replace"))
    holds(parse_query("mine", formatted(read)) == read, "a question reads back", data)
    holds(bool(read.title and read.columns and read.sql), "a question has what it must", read)
    with contextlib.suppress(LedgerError):
        read.bind({})
    return True


def formatted(read: NamedQuery) -> str:
    lines = [f"-- title: {read.title}", f"-- answers: {read.answers}", f"-- group: {read.group}"]
    lines += [f"-- standard: {read.standard}"] if read.standard else []
    for each in read.parameters:
        default = (
            "none"
            if each.default is None
            else str(each.default).lower()
            if isinstance(each.default, bool)
            else each.default
        )
        lines.append(
            f"-- param {each.name}: {each.type}, {'required' if each.required else f'default {default}'}. {each.about}"
        )
    columns = ", ".join(f"{each.name} ({each.about})" if each.about else each.name for each in read.columns)
    return "\n".join([*lines, f"-- columns: {columns}", read.sql])


def parameters(data: bytes) -> bool:
    try:
        given = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    read = parse_parameters(given)
    for value in read.values():
        wired = json.loads(json.dumps(to_wire(value)))
        holds(from_wire(wired) == value, "a value comes through the pipe", value)
    return bool(read)


def cursor(data: bytes) -> bool:
    text = data.decode("utf-8", "surrogateescape")
    read = parse_cursor(text, "SELECT 1", {"a": 1}, contents=True)
    holds(
        format_cursor(read, "SELECT 1", {"a": 1}, contents=True) == text,
        "a cursor is written back as it was",
        text,
    )
    return True


def selection(data: bytes) -> bool:
    try:
        given = msgspec.json.decode(data, type=dict[str, list[str]])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    read = parse_selection(given)
    holds(set(read.wanted) <= set(SELECTABLE), "only what can be selected by", given)
    read.matches("token:x", {"type": "action", "tool": {"name": "pay"}, "identity": "no facet"})
    return True


QUESTION = b"""-- title: Which?
-- answers: One row per thing.
-- group: policy
-- standard: X 1
-- param since: timestamp, default 1970-01-01. From then on.
-- param n: integer, default -3. How many.
-- param all: boolean, default true. Or not.
-- param name: text, required. Which one.
-- columns: seq, what (in words, and more), n

SELECT seq, $name AS what, $n AS n FROM records WHERE $all AND "time" >= $since;
"""
STATEMENTS = (
    b"SELECT * FROM records",
    b"WITH a AS (SELECT 1 AS x) SELECT * FROM a JOIN actions ON TRUE",
    b"SELECT getvariable('secret')",
    b"SELECT * FROM live.secrets",
    b"FROM records SELECT count(*)",
    b"DESCRIBE SELECT * FROM records",
    b"SELECT * FROM range(5) t(i), LATERAL (SELECT i + 1)",
    b"WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 9) SELECT * FROM r",
    b"PIVOT records ON type USING count(*)",
    b"SELECT * FROM query('SELECT * FROM live.secrets')",
    b"SELECT [x FOR x IN [1, 2] IF x > 1], {'a': 1}, 'x'::JSON, CASE WHEN TRUE THEN 1 END FROM (VALUES (1), (2)) v(a) ORDER BY ALL LIMIT 3",
)
WORDS = (
    b"live.",
    b'"live".',
    b"secrets",
    b"query_table(",
    b"getenv(",
    b"read_csv(",
    b"duckdb_",
    b"pragma_",
    b"sealed.",
    b"/*",
    b"*/",
    b"--\n",
    b"$$",
    b"\xc2\xa0",
    b"\xe2\x80\xa8",
    b"U&'",
    b"SELECT ",
    b" FROM ",
    b"UNION ",
    b"LATERAL ",
    b"COLUMNS(*)",
    b"(",
    b")",
    b";",
    b"'secret'",
    b"summarize ",
    b"show ",
    b"\x00",
)

TARGETS = (
    Target("sql", gate, lambda: STATEMENTS, 1_024, WORDS),
    Target(
        "question",
        question,
        lambda: [QUESTION, b"-- title: a\n-- answers: b\n-- columns: c\nSELECT 1"],
        2_048,
        (
            b"-- param ",
            b"-- title: ",
            b"default none",
            b"required",
            b"$",
            b"9" * 16,
            b"0000-00-00",
            b"T25:00:00Z",
        ),
    ),
    Target(
        "parameters",
        parameters,
        lambda: [
            b'{"a":1,"b":"x","c":null,"d":[1,2.5,null],"e":{"type":"timestamp","value":"2026-11-21T09:30:00+01:00"},"f":{"type":"text[]","value":["a"]},"g":{"type":"date","value":"2026-11-21"},"h":{"type":"integer","value":"-9223372036854775808"}}'
        ],
        1_024,
        (
            b"1e400",
            b"NaN",
            b'{"type":"double","value":',
            b"9223372036854775808",
            b"0001-01-01T00:00:00+23:59",
            b"9999-12-31T23:59:59-23:59",
            b"\\ud800",
        ),
    ),
    Target(
        "cursor",
        cursor,
        lambda: [format_cursor(Place(17, 5), "SELECT 1", {"a": 1}, contents=True).encode(), b"A" * 44],
        64,
    ),
    Target("selection", selection, lambda: [b'{"type":["action.*"],"agent":["x","y"],"tool":["pay"]}'], 512),
)
