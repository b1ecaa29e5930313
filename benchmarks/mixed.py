"""A mixed log: four teams' agents at work for months, with what each named question looks for somewhere in it. The same chunk is always the same records.

A session is one conversation: invoices that are read and paid, mail that is answered, code that is changed, customers that other agents look after, and
jobs that run by night. Half of its actions are one record, the others come in stages. Some results bring in text that tells an agent what to do, and
some agents do it; policies deny, ask for approval, fail; people approve too fast, too late, for themselves; records are lost, repeated and late.
"""

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from benchmarks.sessions import CHIEFS, KINDS, Session

SESSIONS_IN_A_CHUNK = 40
BEGIN = datetime(2026, 8, 10, tzinfo=UTC)  # a Monday
SESSIONS_A_DAY = 480
WORKING = range(SESSIONS_A_DAY // 25, SESSIONS_A_DAY - SESSIONS_A_DAY // 25)  # the others are by night
PEOPLE = tuple(f"person{number}@example.com" for number in range(120))
EVERYBODY = PEOPLE + CHIEFS


class Team(NamedTuple):
    """Who does sessions of a kind: the credential that writes them, agents, how often, of a hundred."""

    submitter: str
    agents: tuple[str, ...]
    share: int


TEAMS = {
    "pay": Team("token:finance", ("payer", "bookkeeper"), 25),
    "mail": Team("token:office", ("secretary", "planner", "researcher"), 30),
    "code": Team("token:engineering", ("coder", "reviewer", "releaser"), 20),
    "care": Team("token:care", ("receptionist", "case-worker"), 20),
    "nightly": Team("token:office", ("reporter",), 5),
}


def texts(chunk: int) -> list[tuple[str, str]]:
    """The records of a chunk in the order of their time, each with who submits it."""
    counted: Counter[str] = Counter()
    told: list[tuple[str, str, dict[str, Any]]] = []
    for number in range(chunk * SESSIONS_IN_A_CHUNK, (chunk + 1) * SESSIONS_IN_A_CHUNK):
        session = _session(number, chunk)
        told += [(record["time"], session.submitter, record) for record in session.records]
    told.sort(key=lambda row: row[0])
    chance = random.Random(chunk)
    lines = []
    for _, submitter, record in told:
        source = record["source"]["id"]
        counted[source] += 2 if chance.random() < 1 / 4_000 else 1  # one is lost now and then
        record["source"]["seq"] = counted[source]
        lines.append((submitter, json.dumps(record)))
    return lines


def _session(number: int, chunk: int) -> Session:
    chance = random.Random(f"session {number}")
    [kind] = chance.choices(list(TEAMS), [team.share for team in TEAMS.values()])
    team = TEAMS[kind]
    # Now and then an agent that was not there before.
    agent = (
        f"temp-{number // 300}" if kind == "mail" and chance.random() < 0.02 else chance.choice(team.agents)
    )
    session = Session(
        chance,
        number,
        kind,
        agent=agent,
        user=chance.choice(PEOPLE),
        begin=_begin(number, chance, by_night=kind == "nightly"),
        source=f"{agent}-{chunk}",
        submitter="token:laptop" if chance.random() < 0.01 else team.submitter,
    )
    KINDS[kind](session)
    return session


def _begin(number: int, chance: random.Random, *, by_night: bool) -> datetime:
    """On a working day, most of them between seven and seven."""
    day, place = divmod(number, SESSIONS_A_DAY)
    weekday = day // 5 * 7 + day % 5
    if by_night:
        hours = 20 + 3 * place / SESSIONS_A_DAY
    elif place in WORKING:
        hours = 7 + 12 * (place - WORKING.start) / len(WORKING)
    else:
        hours = place / WORKING.start * 7 if place < WORKING.start else 19.5 + (SESSIONS_A_DAY - place) / 20
    return BEGIN + timedelta(days=weekday, hours=hours, seconds=chance.uniform(0, 60))
