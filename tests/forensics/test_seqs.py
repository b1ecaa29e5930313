"""Which entries a SELECT is about: all of them, as ranges, and by the gate that every analyst's SQL goes through."""

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges
from ledger.forensics import seqs
from ledger.forensics.seqs import select_seqs
from ledger.log.log import Log
from tests.forensics.conftest import ORIGIN, Desk, action


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seqs") / "data"
    Log.create(folder, ORIGIN)
    log = Log.open(folder)
    opened = Desk(log, max_rows=7)
    opened.post(*(action(n, tool={"name": "even" if n % 2 else "odd"}) for n in range(60)))
    yield opened
    opened.close()
    log.close()


def select(desk: Desk, sql: str) -> Ranges:
    return desk.loop.run_until_complete(select_seqs(desk.service, sql))


def test_neighbours_become_ranges_and_what_is_named_twice_counts_once(desk):
    sql = "SELECT seq FROM records WHERE seq < 5 UNION ALL SELECT seq FROM records WHERE seq IN (3, 9) -- and so on;"
    assert select(desk, sql) == Ranges([(0, 5), (9, 10)])


def test_more_pieces_than_an_answer_has_rows_all_come(desk):
    assert select(desk, "SELECT seq FROM records WHERE tool_name = 'odd';") == Ranges(
        (s, s + 1) for s in range(1, 61, 2)
    )


def test_null_is_no_entry_and_nothing_is_no_range(desk):
    assert select(desk, "SELECT NULL::UBIGINT AS seq UNION ALL SELECT 4") == Ranges([(4, 5)])
    assert select(desk, "SELECT seq FROM records WHERE false") == Ranges()


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("DELETE FROM records", Code.QUERY_REFUSED),
        ("SELECT 1) ; DROP TABLE records; SELECT (1", Code.QUERY_FAILED),
        ("SELECT id FROM records", Code.QUERY_FAILED),
        ("SELECT id AS seq FROM records", Code.QUERY_FAILED),
        ("SELECT 1 AS seq FROM read_csv('/etc/passwd')", Code.QUERY_REFUSED),
    ],
)
def test_what_is_no_select_of_entries_is_refused(desk, sql, code):
    with pytest.raises(LedgerError) as caught:
        select(desk, sql)
    assert caught.value.code == code


def test_too_many_pieces_are_refused_and_not_cut(desk, monkeypatch):
    monkeypatch.setattr(seqs, "MAX_RANGES", 10)
    with pytest.raises(LedgerError) as caught:
        select(desk, "SELECT seq FROM records WHERE tool_name = 'odd'")
    assert caught.value.code == Code.INVALID_PARAMETER
