"""The log that questions are measured on."""

from datetime import UTC, datetime, timedelta

import pytest

from benchmarks.asking import VALUES, parameters
from benchmarks.mixed import EVERYBODY, texts
from ledger.forensics.catalog import load_queries
from tests.forensics.joining import Joined, prepared

CHUNKS = 8
# What a server says of its senders, and calls to other logs: this log has none.
OF_A_SERVER = {"claims-outside", "calls-with-a-peer", "one-sided-calls"}
NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture(scope="module")
def mixed() -> Joined:
    joined = Joined()
    for chunk in range(CHUNKS):
        items = [prepared(line.encode(), submitter) for submitter, line in texts(chunk)]
        joined.take(items, f"{NOW + timedelta(days=chunk):%Y-%m-%dT%H:%M:%S.%fZ}")
    return joined


def test_every_named_question_finds_something_in_a_mixed_log(mixed: Joined):
    values = {name: mixed.ask(sql)[0][0] for name, sql in VALUES.items()}
    values["since"] = "2026-01-01"  # what is rare did not happen in the last tenth of so small a log
    found = {}
    asked = [query for query in load_queries().values() if query.name not in OF_A_SERVER]
    for query in asked:
        bound = query.bind(parameters(query, values))
        found[query.name] = len(mixed.ask(query.sql, **bound))
    assert [name for name, rows in found.items() if not rows] == []


def test_a_chunk_is_the_same_each_time_and_names_only_the_persons_that_are_known():
    assert texts(3) == texts(3)
    named = {
        word
        for _, line in texts(3)
        for word in line.split('"')
        if word.startswith(("person", "chief")) and "@" in word
    }
    assert named <= set(EVERYBODY)
    assert named
