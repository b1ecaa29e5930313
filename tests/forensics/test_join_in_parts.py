"""Only what new records may be joined with is joined again: the result is that of joining everything at once, at every size of the log."""

import json
import random
from collections import Counter

import pytest

from ledger.forensics import join
from ledger.records.prepared import Prepared
from tests.forensics.joining import Joined, prepared
from tests.forensics.test_actions_worlds import worlds

COLUMNS = "SELECT * FROM actions"


def differences(one: Counter[str], other: Counter[str]) -> list[str]:
    """Some rows that only one of both has."""
    return sorted({**(one - other), **(other - one)})[:2]


def rows(engine: Joined, sql: str = COLUMNS, **options: int) -> Counter[str]:
    return Counter(json.dumps(row, sort_keys=True) for row in engine.ask(sql, **options))


def shuffled(seed: int, chance: random.Random) -> list[Prepared]:
    """Prepared once: salts are drawn."""
    records = [prepared(record, submitter) for submitter, record in worlds(seed)]
    chance.shuffle(records)
    return records


def taken(records: list[Prepared], cuts: list[int], *, each: bool) -> Joined:
    """An engine that took the records in parts; `each`: it was asked in between."""
    engine = Joined()
    for low, high in zip([0, *cuts], [*cuts, len(records)], strict=True):
        engine.take(records[low:high])
        if each:
            engine.ask(f"SELECT count(*) FROM {random.choice(['actions', 'flows'])}")
    return engine


@pytest.mark.parametrize("seed", range(2))
def test_what_came_in_parts_is_joined_as_if_it_had_come_at_once(seed: int):
    chance = random.Random(seed)
    records = shuffled(seed + 100, chance)
    cuts = sorted(chance.sample(range(1, len(records)), 8))
    parts, whole = (taken(records, cuts, each=each) for each in (True, False))
    for view in ("actions", "flows", "sessions"):
        assert differences(*(rows(each, f"SELECT * FROM {view}") for each in (parts, whole))) == []


def test_actions_that_are_put_together_a_few_at_a_time_are_those_that_are_put_together_at_once(monkeypatch):
    records = shuffled(300, random.Random(0))
    whole = taken(records, [], each=False)
    expected = {view: rows(whole, f"SELECT * FROM {view}") for view in ("actions", "flows")}
    assert len(expected["actions"]) > 20
    monkeypatch.setattr(join, "AT_A_TIME", 7)
    parts = taken(records, [], each=False)
    for view, told in expected.items():
        assert differences(rows(parts, f"SELECT * FROM {view}"), told) == []


@pytest.mark.parametrize("seed", range(2))
def test_the_log_as_it_was_gives_the_rows_that_it_gave_then(seed: int):
    chance = random.Random(seed)
    records = shuffled(seed + 200, chance)
    sizes = sorted(chance.sample(range(1, len(records)), 2))
    engine = taken(records, sizes, each=True)
    now = rows(engine)
    for size in chance.sample(sizes, len(sizes)):
        then = taken(records[:size], [], each=False)
        assert differences(rows(engine, as_of=size), rows(then)) == []
        assert (
            differences(
                rows(engine, "SELECT * FROM sessions", as_of=size), rows(then, "SELECT * FROM sessions")
            )
            == []
        )
        assert engine.ask("SELECT count(*) FROM records", as_of=size) == [[size]]
    assert differences(rows(engine), now) == []
    assert rows(engine, "SELECT * FROM sessions") == rows(
        taken(records, [], each=False), "SELECT * FROM sessions"
    )
