"""Threat 32: analysts' SQL reads no file, no environment, no network, no content of a forbidden role, and changes nothing.

Every statement is sent to a small log, which the worker holds in memory, and to one that is asked through a file of sealed tables that it attaches.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ledger.core.errors import Code, LedgerError
from ledger.forensics.description import tables
from ledger.forensics.render import ARROW, CSV, JSON
from ledger.forensics.tree import is_telling
from ledger.log.log import Log
from tests.forensics.canaries import SECRET, post, story
from tests.forensics.conftest import ORIGIN, Desk
from tests.forensics.hostile import BOMBS, CANARY, CURIOUS, INQUISITIVE, REFUSED, SILENT, VARIABLE

# What they depend on is the clock, chance, or what is the same for everybody.
HARMLESS = {
    "current_database",
    "current_date",
    "current_query",
    "current_schema",
    "current_schemas",
    "error",
    "gen_random_uuid",
    "get_current_time",
    "get_current_timestamp",
    "in_search_path",
    "now",
    "random",
    "today",
    "transaction_timestamp",
    "txid_current",
    "uuid",
    "uuidv4",
    "uuidv7",
}


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("canary") / "secret.txt"
    path.write_text(f"{CANARY}-file\n", encoding="utf-8")
    os.environ[VARIABLE] = f"{CANARY}-variable"  # before the worker is started
    yield path
    del os.environ[VARIABLE]


@contextlib.contextmanager
def desk_of(folder: Path, tables: Path | None, **limits: Any) -> Iterator[Desk]:
    """A log that is asked through sealed tables and what came since, or from memory alone."""
    Log.create(folder, ORIGIN)
    log = Log.open(folder)
    sealing = {} if tables is None else {"tables": tables, "from_entries": 1, "behind": 1_000}
    desk = Desk(log, workers=1, **limits, **sealing)
    post(log, story()[:3])
    desk.ask("SELECT 1")
    if tables is not None:
        (tables / "beside.txt").write_text(f"{CANARY}-beside\n", encoding="utf-8")
    post(log, story()[3:])
    yield desk
    desk.close()
    log.close()


@pytest.fixture(scope="module", params=["small", "sealed"])
def asked(
    request: pytest.FixtureRequest, canary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    tables = canary.parent / "tables" if request.param == "sealed" else None
    with desk_of(tmp_path_factory.mktemp("log") / "data", tables) as desk:
        yield desk


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("hurried")
    with desk_of(folder / "data", folder / "tables", memory_bytes=200_000_000) as desk:
        service = desk.service
        service._bounds = service._bounds._replace(deadline_s=1.0)  # from now on: the tables are made
        for worker in service._idle:
            worker.kill()
        yield desk


def written(sql: str, canary: Path, asked: Desk) -> str:
    sealed = asked.service._tables and asked.service._tables.newest()
    values = {
        "file": canary,
        "folder": canary.parent,
        "out": canary.parent / "out",
        "tables": sealed.path if sealed else canary.parent / "tables" / "1.duckdb",
        "variable": VARIABLE,
    }
    for name, value in values.items():
        sql = sql.replace(f"{{{name}}}", str(value))
    return sql


def untouched(desk: Desk) -> list[Any]:
    return desk.ask(
        "SELECT (SELECT count(*) FROM records), (SELECT count(DISTINCT leaf_hash) FROM records), (SELECT count(*) FROM actions),"
        " (SELECT count(*) FROM persons), lower('A'),"
        " (SELECT list_sort(list(table_catalog || table_schema || table_name)) FROM information_schema.tables WHERE table_schema = 'main')"
    )


def said(desk: Desk, sql: str, **options: Any) -> bytes:
    """What comes back: an answer, or the words of a refusal."""
    try:
        return desk.run(sql, {"x": "x"} if "$x" in sql else None, **options).body
    except LedgerError as refusal:
        assert refusal.code in {Code.QUERY_FAILED, Code.QUERY_REFUSED}  # noqa: PT017
        return refusal.detail.encode()


def test_every_function_of_this_duckdb_that_depends_on_more_than_what_it_is_given_has_been_judged():
    """A release that brings another one fails here, until somebody has read what it tells."""
    sql = "SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE stability <> 'CONSISTENT' AND function_type IN ('scalar', 'macro')"
    db = duckdb.connect()
    found = {name for (name,) in db.execute(sql).fetchall()}
    assert {name for name in found if not is_telling(name)} == HARMLESS
    sql = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE regexp_matches(macro_definition, 'duckdb_|pragma_|setting|query')"
    found = {name for (name,) in db.execute(sql).fetchall()}
    assert {name for name in found if not is_telling(name)} == {
        "histogram_values",
        "format_type",
        "current_query",
    }


def test_the_table_of_hostile_statements_is_long_enough():
    assert len(set(REFUSED)) >= 200
    assert len({*REFUSED, *INQUISITIVE, *CURIOUS, *SILENT, *BOMBS}) >= 280


def test_there_is_something_to_be_found(asked: Desk):
    sealed = asked.service._tables is not None and asked.service._tables.newest()
    assert bool(sealed) == (asked.service._tables is not None)
    for view in ("records", "actions", "sessions", "identities", "resources", "denials", "flows", "persons"):
        assert CANARY.encode() in said(asked, f"FROM {view}"), view
    assert asked.ask("SELECT DISTINCT joined_by.resource FROM actions") == [["arguments"]]
    assert {link for (link,) in asked.ask("SELECT link FROM flows")} == {"verbatim", "derived_from"}


def test_a_hostile_statement_is_refused_and_nothing_has_changed(asked: Desk, canary: Path):
    before = untouched(asked)
    for sql in REFUSED:
        with pytest.raises(LedgerError) as refusal:
            raise AssertionError(f"{sql} was answered: {asked.run(written(sql, canary, asked)).body[:200]!r}")
        assert refusal.value.code in {Code.QUERY_REFUSED, Code.QUERY_FAILED}, sql
        assert CANARY not in refusal.value.detail, sql
    assert untouched(asked) == before
    assert {path.name for path in canary.parent.iterdir()} <= {"secret.txt", "tables"}


def test_an_inquisitive_statement_learns_no_secret_and_no_path_of_the_server(asked: Desk, canary: Path):
    here = Path(__file__).resolve().parent.parent.parent
    secrets = [CANARY, str(here), str(Path.home()), str(canary.parent), str(asked.log.anchored())]
    for sql in INQUISITIVE:
        for media in (JSON, ARROW, CSV):
            body = said(asked, sql, media=media, contents=False)
            assert [secret for secret in secrets if secret.encode() in body] == [], sql


def test_who_may_see_no_contents_gets_none_from_any_view_and_no_error_quotes_one(asked: Desk):
    for sql in CURIOUS:
        assert CANARY.encode() not in said(asked, sql, contents=False), sql


@pytest.mark.parametrize("sql", SILENT)
def test_no_condition_on_what_is_hidden_tells_anything(asked: Desk, sql: str):
    assert asked.ask(sql, contents=False) == []
    assert asked.ask(sql) != []


@pytest.mark.parametrize("name", tables())
def test_every_column_of_kind_content_or_person_is_null_for_who_may_not_see_it(asked: Desk, name: str):
    secret = [f'"{column.name}"' for column in tables()[name].columns if column.kind in {"content", "person"}]
    counted = ", ".join(["count(*)", *(f"count({column})" for column in secret)])
    [[rows, *seen]] = asked.ask(f"SELECT {counted} FROM {name}", contents=False)
    assert (seen, rows > 0 or name == "resources") == ([0] * len(secret), True)
    doubtful = [column.name for column in tables()[name].columns if column.kind == "argument"]
    for column in doubtful:
        sql = f'SELECT count("{column}") FROM {name} WHERE {column}_commitment IS NOT NULL'
        assert asked.ask(sql, contents=False) == [[0]]
        assert asked.ask(sql) > [[0]]


def test_a_reader_without_contents_sees_the_flows_that_records_declare_and_none_of_their_words(asked: Desk):
    columns = "source_seq, sink_seq, link, carried, paths, source_resource_id, sink_resource_id"
    assert asked.ask(f"SELECT {columns} FROM flows", contents=False) == [
        [1, 4, "derived_from", None, None, None, None]
    ]
    [[carried, resource]] = asked.ask(
        "SELECT carried, sink_resource_id FROM flows WHERE source_seq = 1 AND sink_seq = 4"
    )
    assert any("4711" in words for words in carried)
    assert resource == f"{SECRET}/3"


def test_a_guess_at_an_argument_cannot_be_tried_on_the_numbers_of_a_view(asked: Desk):
    """Somebody who may write records a resource of the same name as an argument that he may not see."""
    ask = "SELECT tool_name, resources FROM tools UNION ALL SELECT id, resources FROM identities WHERE kind = 'agent' ORDER BY 1"
    assert asked.ask("SELECT count(*) FROM resources", contents=False) == [[0]]
    assert asked.ask(ask, contents=False) == [["clerk", 0], ["send", 0]]
    assert asked.ask(ask) == [["clerk", 4], ["send", 4]]


@pytest.mark.parametrize("sql", BOMBS, ids=range(len(BOMBS)))
def test_a_bomb_is_capped_or_killed_and_the_next_query_is_answered(hurried: Desk, sql: str):
    began = time.monotonic()
    try:
        hurried.run(sql)
    except LedgerError as refusal:
        assert refusal.code in {Code.QUERY_REFUSED, Code.QUERY_FAILED, Code.QUERY_TIMEOUT, Code.QUERY_KILLED}  # noqa: PT017
    assert time.monotonic() - began < 10
    assert hurried.ask("SELECT count(*) FROM records") == [[5]]


def test_the_worker_has_no_environment_of_the_server_and_opens_nothing(asked: Desk):
    assert asked.ask("SELECT 1") == [[1]]
    [worker, *_] = asked.service._idle
    process = Path(f"/proc/{worker._process.pid}")
    if not process.is_dir():
        pytest.skip("no /proc here")
    assert CANARY.encode() not in (process / "environ").read_bytes()
    limits = (process / "limits").read_text()
    for name in ("Max file size", "Max core file size", "Max open files"):
        assert re.search(rf"^{name} +0 +0 ", limits, re.MULTILINE), name
    assert int((process / "stat").read_text().rsplit(")", 1)[1].split()[16]) >= 10  # nice
    # Linux weighs sessions against each other and niceness within one: elsewhere it would count for nothing beside the server.
    assert os.getsid(worker._process.pid) == os.getsid(0)
    assert os.getpgid(worker._process.pid) != os.getpgid(0), "a Ctrl-C would reach it"
