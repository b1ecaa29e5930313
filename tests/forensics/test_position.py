"""Where in an analyst's text an error is: at the place itself, or nowhere."""

import duckdb
import pytest

from ledger.forensics.gate import gated
from ledger.forensics.position import HEAD, TAIL, position

LONG = "1 AS aaaaaaaaaaaa, " * 30


@pytest.fixture(scope="module")
def db():
    opened = duckdb.connect(":memory:", config={"storage_compatibility_version": "latest"})
    opened.execute("CREATE VIEW records AS SELECT 1 AS seq, 'x' AS tool_name, 'y'::VARCHAR AS id")
    yield opened
    opened.close()


def failed(db, sql):
    """What DuckDB says of a text, and the text as it was run."""
    run = sql
    try:
        run = gated(db, sql, 11, 0).sql
        db.cursor().execute(run).fetchall()
    except duckdb.Error as error:
        return str(error), run
    pytest.fail("it is no error")


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("SELECT wrong FROM records", "wrong"),
        ("  -- says\n SELECT seq,\n wrong FROM records ; ", "wrong"),
        ("SELECT * FORM records", "records"),
        ("SELECT 'é', wrong(1) FROM records", "wrong"),
        ("SELECT '日本語', wrong(2) FROM records", "wrong"),
        (f"SELECT {LONG} wrong, {LONG} 1 FROM records", "wrong"),
        (f"SELECT '{'é' * 200}', wrong FROM records", "wrong"),
        ("SELECT count(*), seq FROM records", "seq"),
        ("SELECT tool_name::INT FROM records", "::INT"),
        ("SELECT 'never ends", "'never"),
    ],
)
def test_the_place_of_an_error_is_that_of_the_word_that_is_wrong(db, sql, word):
    said, run = failed(db, sql)
    found = position(said, run, sql)
    assert found is not None
    assert sql[found:].startswith(word)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT\u00a0wrong FROM records",  # DuckDB puts a plain blank in its place: the text is not the same any more
        "SELECT error('LINE 1: x') FROM records",
    ],
)
def test_where_the_place_is_not_told_there_is_none(db, sql):
    said, run = failed(db, sql)
    assert position(said, run, sql) is None


@pytest.mark.parametrize(
    "said",
    [
        "",
        "x\n\nLINE 9: SELECT 1\n        ^",
        "x\n\nLINE 0: SELECT 1\n        ^",
        "x\n\nLINE 1: another text\n             ^",
        "x\n\nLINE 1: \n  ^",
        "x\n\nLINE 3: SELECT 1\n" + " " * 900 + "^",
        "x\n\nLINE 99999999: SELECT 1\n       ^",
    ],
)
def test_a_place_outside_of_the_text_is_none(said):
    sql = "SELECT 1"
    assert position(said, f"{HEAD}{sql}{TAIL}1 OFFSET 0", sql) is None
