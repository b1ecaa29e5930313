"""Rows of `sessions`, `denials` and `flows` are made again only where they may have changed: what stands there then is what making all of them anew gives.

A few agents of two submitters try the same few things again and again, in conversations, in traces, and in traces of a conversation; what they are denied
they do elsewhere; records come in any order. The log is asked at every size, and as it was at earlier ones, with and without tables that a builder made.
"""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ledger.core.errors import LedgerError
from ledger.forensics.stored import Stored
from ledger.forensics.views import load_views
from ledger.records.prepared import Prepared
from tests.forensics.joining import Joined, prepared

VIEWS = ("actions", *load_views())
TEXTS = ("pay 12 euro to account-nine", "the door code is 8731-aa", "x")
RECORDS = 90


def tried(chance: random.Random, number: int) -> dict[str, Any]:
    """A call, or one of its stages, that is denied, fails or succeeds; some say no conversation, and some no trace."""
    stage = chance.choice(
        ["action", "action", "action", "action.intent", "action.decision", "action.outcome"]
    )
    record: dict[str, Any] = {
        "id": f"r{number}",
        "type": stage,
        "time": f"2026-11-21T09:{chance.randrange(3):02d}:{chance.randrange(60):02d}Z",
        "identity": {
            "agent_id": f"agent-{chance.randrange(2)}",
            "principal": chance.choice(["ann", "ben"]),
        },
        "tool": {
            "name": chance.choice(["pay", "send"]),
            "effect": chance.choice(["pay", "pay", "read"]),
            "arguments": chance.choice([{}, {"text": chance.choice(TEXTS)}]),
        },
    }
    if stage != "action":
        record["action_id"] = f"a{chance.randrange(RECORDS // 4)}"
    if chance.random() < 0.7:
        record["resource"] = {
            "id": f"thing-{chance.randrange(3)}",
            "trust": chance.choice(["external", "internal"]),
        }
    if chance.random() < 0.5:
        record["request"] = {"conversation_id": f"c{chance.randrange(6)}", "user": "ann", "text": "pay it"}
    if chance.random() < 0.7:
        record["trace"] = {"trace_id": f"{chance.randrange(1, 9):032x}"}
    if stage in {"action", "action.decision"} and chance.random() < 0.4:
        record["policy"] = {"effect": chance.choice(["deny", "allow"]), "engine": "gate"}
    if stage in {"action", "action.outcome"}:
        record["outcome"] = {
            "status": chance.choice(["success", "success", "success", "denied"]),
            "result": chance.choice(TEXTS),
        }
    return record


def records(seed: int) -> list[Prepared]:
    """Prepared once: salts are drawn."""
    chance = random.Random(seed)
    made = [tried(chance, number) for number in range(RECORDS)]
    return [prepared(json.dumps(record).encode(), chance.choice(["token:a", "token:b"])) for record in made]


def rows(joined: Joined, view: str, as_of: int | None = None) -> Counter[str]:
    return Counter(
        json.dumps(row, sort_keys=True) for row in joined.ask(f"SELECT * FROM {view}", as_of=as_of)
    )


def agree(one: Joined, other: Joined, as_of: int | None = None) -> None:
    for view in VIEWS:
        here, there = rows(one, view, as_of), rows(other, view)
        assert (view, sorted({**(here - there), **(there - here)})[:2]) == (view, [])


def sealed(path: Path, made: list[Prepared]) -> Joined:
    """Over tables as a builder leaves them."""
    whole = Joined()
    with duckdb.connect(str(path)) as db:
        whole.engine._stored = stored = Stored(db)
        whole.take(made)
        stored.join()
        stored.show(views=list(load_views().values()))
        stored.settle()
    over = Joined(sealed=path, size=len(made))
    over.ids, over.people = whole.ids, whole.people
    return over


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 12))])
@pytest.mark.parametrize("builder", [False, True], ids=["a worker's own", "a builder's"])
def test_rows_that_are_made_again_in_part_are_those_that_are_made_anew(
    seed: int, tmp_path: Path, *, builder: bool
):
    chance = random.Random(seed)
    made = records(seed)
    cuts = sorted(chance.sample(range(10, RECORDS), 5))
    parts = sealed(tmp_path / "sealed.duckdb", made[: cuts[0]]) if builder else Joined()
    for low, high in zip(
        [cuts[0] if builder else 0, *cuts[builder:]], [*cuts[builder:], RECORDS], strict=True
    ):
        parts.take(made[low:high])
        for view in chance.sample(VIEWS, 2):
            rows(parts, view, chance.choice([None, None, chance.randrange(1, high)]))
    whole = Joined()
    whole.take(made)
    agree(parts, whole)
    denied = whole.ask("SELECT count(done_seq), count(*) FROM denials")[0]
    assert denied[1] > denied[0] > 3, "some of what was denied was done elsewhere, and some was not"
    for size in chance.sample(cuts, 2):
        then = Joined()
        then.take(made[:size])
        agree(parts, then, as_of=size)
    agree(parts, whole)


def test_a_trace_whose_conversation_was_named_before_the_tail_is_counted_with_it(tmp_path: Path):
    def record(number: int, **request: str) -> Prepared:
        told = {
            "id": f"r{number}",
            "type": "action",
            "time": "2026-11-21T09:00:00Z",
            "tool": {"name": "pay"},
            "trace": {"trace_id": "1" * 32},
        }
        return prepared(json.dumps({**told, "request": request} if request else told).encode(), "token:a")

    over = sealed(tmp_path / "sealed.duckdb", [record(1, conversation_id="c1"), record(2)])
    other = {"id": "r9", "type": "action", "time": "2026-11-21T09:00:00Z", "tool": {"name": "pay"}}
    for number, new in enumerate([prepared(json.dumps(other).encode(), "token:a"), record(3)]):
        over.take([new])
        assert over.ask("SELECT session_id, kind, records, actions FROM sessions") == [
            ["c1", "conversation", 2 + number, 2 + number]
        ]
        assert over.ask("SELECT DISTINCT session_id FROM actions WHERE trace_trace_id IS NOT NULL") == [
            ["c1"]
        ]


def test_entries_that_the_log_made_itself_are_there_when_records_are_asked_and_cost_the_others_nothing():
    joined = Joined()
    told = {"type": "decision", "time": "2026-11-21T09:00:00Z"}
    joined.take([prepared(json.dumps({"id": f"o{number}", **told}).encode(), "log") for number in range(3)])
    stored = joined.engine._stored
    assert joined.ask("SELECT count(*) FROM actions") == [[0]]
    assert stored.db.execute("SELECT count(*) FROM stored.records").fetchall() == [(0,)]
    assert joined.ask("SELECT count(*), min(submitter) FROM records") == [[3, "log"]]
    joined.take([prepared(json.dumps({"id": "o3", **told}).encode(), "log")])
    joined.take([prepared(json.dumps({"id": "r", **told, "type": "action"}).encode(), "token:a")])
    assert joined.ask("SELECT seq FROM actions") == [[4]]
    assert joined.ask("SELECT count(*) FROM records", as_of=4) == [[4]]


def test_entries_that_could_not_be_put_into_columns_are_there_once_they_can(monkeypatch: pytest.MonkeyPatch):
    joined = Joined()
    told = {"type": "decision", "time": "2026-11-21T09:00:00Z"}
    joined.take([prepared(json.dumps({"id": f"o{number}", **told}).encode(), "log") for number in range(3)])
    stored = joined.engine._stored
    insert = stored._insert

    def short_of_memory(name: str, rows: pa.Table, sql: str) -> None:
        insert(name, rows, sql)
        raise duckdb.OutOfMemoryException("no more")

    with monkeypatch.context() as patched:
        patched.setattr(stored, "_insert", short_of_memory)
        with pytest.raises(LedgerError, match="no more"):
            joined.ask("SELECT count(*) FROM records")
    assert joined.ask("SELECT count(*), count(DISTINCT seq) FROM records") == [[3, 3]]
