"""Answers as pyarrow Tables: typed, whole, of one size of the log."""

from datetime import UTC, date, datetime

import pytest

from ledger.client import ProblemError, query
from tests.api.samples import fresh
from tests.faults.server import Server


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    serving = Server(tmp_path_factory.mktemp("tables") / "data")
    serving.post(*[fresh(tool={"name": "t", "arguments": {"n": n}}) for n in range(20)])
    yield {"url": serving.url, "token": serving.headers["Authorization"].partition(" ")[2]}
    serving.stop()


def test_a_question_from_python_is_a_table_with_types_and_what_it_stands_on(ledger):
    since = datetime(2026, 11, 21, 9, 29, tzinfo=UTC)
    table = query(
        'SELECT seq, "time", tool_arguments->>\'n\' AS n FROM actions WHERE "time" > $since AND tool_name IN $tools ORDER BY seq',
        {"since": since, "tools": ["t", "u"]},
        **ledger,
    )
    assert table.num_rows == 20
    assert str(table.schema.field("time").type).startswith("timestamp[us, tz=")
    assert table.column("n").to_pylist() == [str(n) for n in range(20)]
    told = table.schema.metadata
    assert (told[b"ledger.truncated"], told[b"ledger.row_count"]) == (b"false", b"20")
    assert int(told[b"ledger.size"]) >= 21
    assert len(told[b"ledger.root"]) == 64


def test_more_rows_than_one_answer_holds_are_fetched_page_by_page(ledger):
    table = query("SELECT range AS n, repeat('x', 10) AS t FROM range(25000) ORDER BY n", **ledger)
    assert table.column("n").to_pylist() == list(range(25_000))
    some = query("SELECT range AS n FROM range(25000) ORDER BY n", max_rows=12_000, **ledger)
    assert some.num_rows == 12_000
    assert some.schema.metadata[b"ledger.truncated"] == b"true"


def test_dates_lists_and_named_questions_are_asked_too(ledger):
    kinds = query(
        "SELECT typeof($d) AS d, typeof($ds) AS ds",
        {"d": date(2026, 1, 2), "ds": [date(2026, 1, 2), None]},
        **ledger,
    )
    assert kinds.to_pylist() == [{"d": "DATE", "ds": "DATE[]"}]
    assert query(name="repeated-calls", **ledger).num_rows >= 0


def test_what_cannot_be_asked_is_said(ledger):
    with pytest.raises(ValueError, match="zone"):
        query("SELECT $t", {"t": datetime(2026, 1, 1)}, **ledger)  # noqa: DTZ001 - what is refused
    with pytest.raises(ValueError, match="one SELECT"):
        query(**ledger)
    with pytest.raises(ProblemError, match="SELECT"):
        query("DELETE FROM records", **ledger)
