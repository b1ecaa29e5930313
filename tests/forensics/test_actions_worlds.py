"""Traces that nobody would write: few ids, used for everything. What holds for the join whatever it is given."""

import json
import random
from collections import Counter
from typing import Any

import pytest

from tests.forensics.joining import Joined, prepared
from tests.forensics.spans import EPOCH, Spans, span, trace

WORLDS = 50  # in one log: no two share a sender or a trace
RECORDS = 20
NAMES = ("read", "read", "read", "pay", "Files-read")
CALLS = ({"path": "/x"}, {"path": "/x"}, "/x", {"to": "bob", "n": 1})
COLUMNS = "SELECT COLUMNS(lambda c: NOT regexp_matches(c, '^(seq|id|leaf_hash|recorded_at|first_seq|last_seq)$|_commitment$')) FROM actions"


def call(chance: random.Random) -> dict[str, Any]:
    """A tool call; some have no id, some no arguments."""
    made: dict[str, Any] = {"name": chance.choice(NAMES)}
    if chance.random() < 0.7:
        made["id"] = f"call_{chance.randrange(3)}"
    if chance.random() < 0.8:
        made["arguments"] = chance.choice(CALLS)
    return made


def put(chance: random.Random, sender: Spans, world: int, number: int) -> None:
    """One more record of any kind, anywhere."""
    at, own, parent = chance.randrange(40), chance.randrange(1, 7), chance.choice([None, *range(1, 7)])
    place: dict[str, Any] = {
        "trace_id": world * 10 + (chance.random() < 0.2),
        "instance": chance.choice("pq"),
        "lib": chance.choice("ab"),
    }
    some = [call(chance) for _ in range(chance.randrange(3))]
    person = {"identity": {"principal": chance.choice(["alice", "bob"])}} if chance.random() < 0.3 else {}
    status = chance.choice(["success", "failure", "unknown"])
    kind = chance.randrange(9)
    if kind == 0:
        sender.agent(own, at, parent, text="please", **place, **person)
    elif kind == 1:
        sender.other(own, at, parent, **place, **person)
    elif kind in {2, 3}:
        response = chance.choice([None, "r1", "r2"])
        sender.chat(
            own,
            at,
            parent,
            *some,
            silent=not some,
            response=response,
            told=[call(chance)] if number % 2 else None,
            **place,
        )
    elif kind == 4:
        sender.summary(own, at, *some, **place)
    elif kind == 5:
        sender.tool(own, at, parent, call(chance), status, **place, **person)
    elif kind == 6:
        sender.mcp(
            own,
            at,
            parent,
            chance.choice(["client", "server"]),
            name=chance.choice([*NAMES, None]),
            status=status,
            **place,
            **person,
        )
    elif kind == 7:
        part = f"governance.{number}"
        sender.put(
            "action.decision",
            "policy",
            part,
            at,
            tool={"name": chance.choice(NAMES)},
            policy={"effect": "deny"},
            **place,
        )
    else:
        written(chance, sender, world, number)


def written(chance: random.Random, sender: Spans, world: int, number: int) -> None:
    """What an SDK writes. Its times are all different: of two at once the first to come is the first."""
    record: dict[str, Any] = {
        "id": f"{sender.submitter}-{number}",
        "type": chance.choice(["action", "action.intent", "action.decision", "action.outcome", "decision"]),
        "time": f"{EPOCH}.{100 + number:06d}Z",
        "tool": {"name": chance.choice(NAMES), "protocol": chance.choice(["mcp", "function"])},
        "trace": {
            "trace_id": trace(world * 10),
            "span_id": span(chance.randrange(1, 7)),
            "parent_span_id": span(chance.randrange(1, 7)),
        },
    }
    if chance.random() < 0.5:
        record["action_id"] = f"a{chance.randrange(2)}"
    if chance.random() < 0.5:
        record["tool"]["call_id"] = f"call_{chance.randrange(3)}"
    if record["type"] == "action.outcome":
        record["outcome"] = {"status": chance.choice(["success", "denied"])}
    sender.records.append((sender.submitter, json.dumps(record).encode()))


def worlds(seed: int) -> list[tuple[str, bytes]]:
    """Records of many worlds, each id once."""
    chance = random.Random(seed)
    made: dict[str, tuple[str, bytes]] = {}
    for world in range(1, WORLDS + 1):
        senders = [Spans(f"token:{world}-{name}") for name in "ab"]
        for number in range(RECORDS):
            put(chance, chance.choice(senders), world, number)
        for sender in senders:
            for submitter, record in sender.records:
                made.setdefault(json.loads(record)["id"], (submitter, record))
    return list(made.values())


def joined(records: list[tuple[str, bytes]]) -> Joined:
    engine = Joined()
    engine.take([prepared(record, submitter) for submitter, record in records])
    return engine


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_records_none_is_lost_nothing_is_made_up_and_their_order_is_nothing(seed: int):
    records = worlds(seed)
    engine = joined(records)

    [[own, intents, denials]] = engine.ask(
        "SELECT count(*) FILTER (type LIKE 'action%' OR (type = 'decision' AND tool_name IS NOT NULL)), count(*) FILTER (type = 'action.intent'), "
        "count(*) FILTER (policy_effect = 'deny' OR outcome_status = 'denied') FROM records"
    )
    [[stages, rows, denied]] = engine.ask(
        "SELECT sum(len(stages))::INT, count(*), count(*) FILTER (policy_effect = 'deny' OR outcome_status = 'denied') FROM actions"
    )
    assert stages == own, "every record of a call is in exactly one row"
    assert 0 < rows < own * 0.8, "and some of them are joined"
    assert intents > 0
    assert 0 < denied <= denials, "nobody is denied but by a record that says so"

    chance = random.Random(seed + 1_000)
    shuffled = chance.sample(records, len(records))
    one, other = (
        Counter(json.dumps(row, sort_keys=True) for row in each.ask(COLUMNS))
        for each in (engine, joined(shuffled))
    )
    assert one - other == other - one == Counter()


@pytest.mark.parametrize("seed", range(2))
def test_what_one_sender_writes_gives_the_same_rows_whoever_else_writes(seed: int):
    """But for the calls that two saw: those name both."""
    records = worlds(seed + 50)
    mine = [record for record in records if record[0].endswith("-a")]
    alone = joined(mine).ask(COLUMNS.replace("FROM", ", submitters AS who FROM"))
    among = joined(records).ask(
        COLUMNS.replace("FROM", ", submitters AS who FROM")
        + " WHERE submitter LIKE '%-a' AND len(submitters) = 1 AND NOT list_contains(conflicts, 'trace.parent_span_id')"
    )
    known = Counter(json.dumps(row, sort_keys=True) for row in alone)
    assert not Counter(json.dumps(row, sort_keys=True) for row in among) - known
    assert len(among) > len(alone) * 0.9
