"""Questions of one's own: read from a folder, held to the same rules, never under the name of one that comes with the ledger."""

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.forensics.catalog import load_queries
from tests.queries import (
    test_anomaly,
    test_approval,
    test_calls,
    test_injection,
    test_integrity,
    test_policy,
    test_who,
)
from tests.queries.told import Story, told

MINE = """-- title: Which calls of one tool?
-- answers: Every call.
-- param tool: text, required. Its name.
-- columns: seq
SELECT seq FROM actions WHERE tool_name = $tool
"""


def test_a_folder_of_ones_own_adds_its_questions(tmp_path):
    (tmp_path / "calls-of-a-tool.sql").write_text(MINE)
    (tmp_path / "notes.txt").write_text("not a question")
    queries = load_queries(tmp_path)
    assert set(queries) == {*load_queries(), "calls-of-a-tool"}
    mine = queries["calls-of-a-tool"]
    assert mine.group == "own"
    story = Story(told("a", "09:00", tool_name="x"), told("b", "09:01", tool_name="y"))
    assert story.sql(mine.sql, **mine.bind({"tool": "y"})) == [{"seq": 1}]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("repeated-calls", MINE, "give yours another one"),
        ("Mine", MINE, "lower-case"),
        ("mine", MINE.replace("-- title", "-- titel"), "not a line of the header"),
        ("mine", MINE.replace("-- columns", "-- group: mine\n-- columns"), "-- group: is one of"),
    ],
    ids=["shadows", "name", "header", "group"],
)
def test_a_file_of_ones_own_that_breaks_the_rules_is_refused_by_its_path(tmp_path, name, text, says):
    (tmp_path / f"{name}.sql").write_text(text)
    with pytest.raises(LedgerError, match=says) as refusal:
        load_queries(tmp_path)
    assert refusal.value.code == Code.INVALID_QUERY_FILE
    assert str(tmp_path / f"{name}.sql") in refusal.value.detail


def test_a_file_that_is_no_text_and_a_folder_that_is_none_are_refused(tmp_path):
    (tmp_path / "mine.sql").write_bytes(b"-- title: \xff")
    for folder, says in ((tmp_path, "not UTF-8"), (tmp_path / "nowhere", "no such folder")):
        with pytest.raises(LedgerError, match=says):
            load_queries(folder)


# Those whose tests stand in tests/forensics/test_queries.py, tests/api/test_claims.py, and in test_reports.py and others of this folder, each by itself.
ELSEWHERE = {
    "what-was-read-before-acting", "what-followed-a-denial", "who-acted-on-a-resource", "first-seen-recipients", "what-is-missing-by-agent",
    "claims-outside", "gaps-in-a-source", "intents-without-outcomes", "repeated-calls", "unusual-submitter",
    "contradicting-records", "injected-action", "owasp-agentic-top-10", "eu-ai-act-coverage", "nist-au-3",
}  # fmt: skip


def test_every_question_has_cases_with_rows_and_without():
    modules = (test_who, test_policy, test_anomaly, test_approval, test_integrity, test_injection, test_calls)
    cases = [
        case
        for module in modules
        for name, cases in vars(module).items()
        if name.endswith("CASES")
        for case in cases
    ]
    with_rows = {case.query for case in cases if case.rows}
    assert with_rows | ELSEWHERE >= set(load_queries())
    assert not with_rows & (ELSEWHERE - {"repeated-calls"})
    sizes = {query: {len(case.rows) for case in cases if case.query == query} for query in with_rows}
    once = {"policy-versions", "calls-carrying-a-literal"}
    assert {query for query, lengths in sizes.items() if len(lengths) < 2} <= once
