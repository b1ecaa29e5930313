"""What a server lives through while one thing breaks: short lives in which every step happens that touches the disk."""

from collections.abc import Callable
from typing import NamedTuple

from tests.faults.case import Case
from tests.faults.oracle import record


class Scenario(NamedTuple):
    """A life.

    Attributes:
        name: in the table.
        says: what happens in it.
        live: lives it.
        options: of `agent-ledger serve`.
        upkeep: something is done that is asked of the log's own process alone (writer.py).
        cut: the power may go at any moment of it: what is on the disk is the log all the time.
    """

    name: str
    says: str
    live: Callable[[Case], None]
    options: tuple[str, ...] = ()
    upkeep: bool = False
    cut: bool = True


def _commit(case: Case) -> None:
    case.start()  # makes the log
    case.post(record("one"))
    case.post(*(record(f"seven-{n}") for n in range(7)))
    case.post(record("long", "x" * 40_000, "carol@example.com"))
    case.kill()
    case.start()  # replays the WAL
    case.post(record("one"), record("after-a-kill", user="dave@example.com"))
    case.stop()  # folds it
    case.start()
    case.post(record("after-a-stop"))
    case.post(record("again"), record("and-again"))


def _seal(case: Case) -> None:
    case.start()
    case.post(*(record(f"seven-{n}") for n in range(7)))  # the hot file is full: it is left to the sealer
    case.ask("seal")
    case.post(record("one"), record("two", user="dave@example.com"))
    case.stop()  # folds what will be sealed
    case.start()
    case.post(*(record(f"next-{n}", "x" * 1_000) for n in range(5)), record("seven-3"))
    case.ask("seal")
    case.post(record("in-between"))
    case.kill()
    case.start()
    case.post(*(record(f"last-{n}") for n in range(6)), record("next-2", "x" * 1_000))
    case.kill()  # while it is sealed, perhaps
    case.start()
    case.ask("seal")
    case.post(record("end"), record("last-1"))


def _fill(case: Case) -> None:
    """Two segments, and something hot."""
    case.start()
    case.post(*(record(f"one-{n}") for n in range(3)), record("bobs", user="bob@example.com"))
    case.ask("seal")
    case.post(
        *(record(f"two-{n}", "x" * 1_000) for n in range(3)), record("carols", user="carol@example.com")
    )
    case.ask("seal")
    case.post(record("hot"), record("hot-bobs", user="bob@example.com"))


def _erase(case: Case) -> None:
    _fill(case)
    case.erase("one-1", "request.text")
    case.erase("bobs", "request.user")
    case.erase("hot", "tool.arguments")
    case.ask("compact")
    case.post(record("after"))
    case.erase("two-0", "request.text")
    case.erase("one-1", "tool.arguments")
    case.kill()  # said, and not done
    case.start()
    case.ask("compact")
    case.post(record("end"), record("one-1"))
    case.stop()
    case.start()
    case.post(record("last"))


def _retain(case: Case) -> None:
    _fill(case)
    case.retire("contents", "one-0", "one-1", "two-2")
    case.ask("compact")
    case.post(record("after"))
    case.retire("entries", "one-0", "two-0", "two-1")
    case.kill()  # said, and not done
    case.start()
    case.ask("compact")
    case.post(record("end"), record("one-1"))
    case.stop()
    case.start()
    case.post(record("last"))


def _restore(case: Case) -> None:
    _fill(case)
    case.backup()
    case.post(record("after"))
    case.erase("one-1", "request.text")
    case.ask("compact")
    case.backup()  # the first is linked to, but for what was made anew
    case.restore()
    case.start()
    case.post(record("restored"), record("one-2"))
    case.ask("seal")
    case.backup()
    case.post(record("end"))


SCENARIOS = (
    Scenario(
        "commit",
        "a first start, group commits, kill -9, a start that replays, a stop that folds, a start, commits",
        _commit,
    ),
    Scenario(
        "seal",
        "hot files of six entries: rotation, two seals, a folded file sealed, kill -9 beside a seal, what is sealed sent again",
        _seal,
        ("--rotate-entries", "6"),
    ),
    Scenario(
        "erase",
        "contents and a person erased, sealed and hot, made anew; kill -9 between saying and doing",
        _erase,
        upkeep=True,
    ),
    Scenario(
        "retain",
        "a policy takes contents, then entries, made anew; kill -9 between saying and doing; what is retired sent again",
        _retain,
        upkeep=True,
    ),
    Scenario(
        "restore",
        "a backup, an erasure, a backup that links to the first; the disk is gone, the log is restored and goes on, and is backed up again",
        _restore,
        upkeep=True,
        cut=False,
    ),
)
