"""The header of a named question is its interface, and is held to."""

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.forensics.catalog import NamedQuery, load_queries, parse_query

TEXT = """-- title: What did it do?
-- answers: One row per action.
-- standard: ISO 42001 A.6.2.8
-- param resource_id: text, required. The resource.
-- param minutes: integer, default 60. How far back.
-- param since: timestamp, default 1970-01-01T00:00:00Z. From when.
-- param all: boolean, default false. Everything.
-- param agent: text, default none. One agent only.
-- columns: time, tool_name, carried (the words, that reappear), seq

SELECT $resource_id, $minutes, $since, $all, $agent;
"""


def query() -> NamedQuery:
    return parse_query("what", TEXT)


def test_a_header_says_everything_about_the_question():
    assert query().describe() == {
        "name": "what",
        "title": "What did it do?",
        "answers": "One row per action.",
        "group": "own",
        "standard": "ISO 42001 A.6.2.8",
        "parameters": [
            {"name": "resource_id", "type": "text", "required": True, "default": None, "about": "The resource."},
            {"name": "minutes", "type": "integer", "required": False, "default": 60, "about": "How far back."},
            {"name": "since", "type": "timestamp", "required": False, "default": "1970-01-01T00:00:00+00:00", "about": "From when."},
            {"name": "all", "type": "boolean", "required": False, "default": False, "about": "Everything."},
            {"name": "agent", "type": "text", "required": False, "default": None, "about": "One agent only."},
        ],
        "columns": [
            {"name": "time", "about": ""},
            {"name": "tool_name", "about": ""},
            {"name": "carried", "about": "the words, that reappear"},
            {"name": "seq", "about": ""},
        ],
        "sql": "SELECT $resource_id, $minutes, $since, $all, $agent",
    }  # fmt: skip


def test_what_is_not_given_has_its_default():
    assert query().bind({"resource_id": "r"}) == {
        "resource_id": "r", "minutes": 60, "since": "1970-01-01T00:00:00+00:00", "all": False, "agent": None,
    }  # fmt: skip


def test_times_are_brought_to_utc():
    assert (
        query().bind({"resource_id": "r", "since": "2026-11-21T10:30:00+01:00"})["since"]
        == "2026-11-21T09:30:00+00:00"
    )
    assert query().bind({"resource_id": "r", "since": "2026-11-21"})["since"] == "2026-11-21T00:00:00+00:00"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({}, "resource_id"),
        ({"resource_id": None}, "resource_id"),
        ({"resource_id": 5}, "resource_id"),
        ({"resource_id": ["r"]}, "resource_id"),
        ({"resource_id": "r", "minutes": "60"}, "minutes"),
        ({"resource_id": "r", "minutes": 1.5}, "minutes"),
        ({"resource_id": "r", "minutes": True}, "minutes"),
        ({"resource_id": "r", "minutes": 2**53}, "minutes"),
        ({"resource_id": "r", "all": 1}, "all"),
        ({"resource_id": "r", "all": "true"}, "all"),
        ({"resource_id": "r", "since": "yesterday"}, "since"),
        ({"resource_id": "r", "since": "2026-13-01"}, "since"),
        ({"resource_id": "r", "since": "2026-11-21T09:30:00"}, "since"),
        ({"resource_id": "r", "since": "٢٠٢٦-11-21"}, "since"),
        ({"resource_id": "r", "other": 1}, "other"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(given, path):
    with pytest.raises(LedgerError) as refusal:
        query().bind(given)
    assert (refusal.value.code, refusal.value.path) == (Code.INVALID_PARAMETER, f"parameters.{path}")
    assert path in refusal.value.detail


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-- title: What did it do?\n", ""),
        ("-- answers: One row per action.\n", ""),
        ("-- title: What did it do?", "-- title:"),
        ("-- standard:", "-- standards:"),
        ("-- standard: ISO 42001 A.6.2.8", "-- title: again"),
        ("integer, default 60", "integer, default sixty"),
        ("integer, default 60", "number, default 60"),
        ("integer, default 60. How", "integer. How"),
        ("boolean, default false", "boolean, default no"),
        ("default 1970-01-01T00:00:00Z", "default long-ago"),
        ("time, tool_name", "time,, tool_name"),
        ("carried (the", "carried! (the"),
        ("$minutes", "$minute"),
        ("$minutes, ", ""),
    ],
)
def test_a_header_that_does_not_follow_the_rules_is_refused(old, new):
    assert old in TEXT
    with pytest.raises(LedgerError) as refusal:
        parse_query("what", TEXT.replace(old, new))
    assert refusal.value.code == Code.INVALID_QUERY_FILE
    assert "queries/what.sql" in refusal.value.detail


def test_every_question_of_the_project_follows_the_rules():
    assert all(name == query.name for name, query in load_queries().items())
