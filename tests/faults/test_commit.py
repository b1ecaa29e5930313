"""Threats 46 and 47, step by step: a commit that breaks anywhere loses nothing that was acknowledged, and nobody is told a lie.

Each step of `Sequencer._commit` fails once before it did its work and once after it, or the process ends there. One oracle judges.
"""

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from ledger.core.errors import Code, LedgerError
from ledger.log.log import Log
from ledger.log.plan import Plan
from ledger.log.store import Store
from ledger.storage.anchor import HeadAnchor
from tests.faults.oracle import ORIGIN, check, record
from tests.log.conftest import post

ROOT = Path(__file__).resolve().parent.parent.parent
APPEND, ADVANCE = (Store, "append"), (HeadAnchor, "advance")

CRASHING = """
import os, sys
from pathlib import Path
from ledger.storage.anchor import HeadAnchor
from ledger.log.log import Log
from ledger.log.plan import Plan
from ledger.log.store import Store
from tests.faults.oracle import record
from tests.log.conftest import post

data, step, when = Path(sys.argv[1]), *sys.argv[2:]
log = Log.open(data)
for name in ("first", "second"):
    [answer] = post(log, record(name))
    print(name, answer.seq, answer.leaf_hash.hex(), flush=True)
owner = {"append": Store, "advance": HeadAnchor}[step]
real = getattr(owner, step)

def crash(*arguments):
    if when == "after":
        real(*arguments)
    os._exit(9)

setattr(owner, step, crash)
post(log, record("third"), record("fourth"))
print("not reached")
"""


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    Log.create(folder, ORIGIN)
    return folder


@pytest.mark.parametrize(
    ("step", "when", "there"),
    [
        ("append", "before", False),
        ("append", "after", True),
        ("advance", "before", True),
        ("advance", "after", True),
    ],
)
def test_a_process_that_ends_at_a_step_leaves_all_of_a_group_or_nothing(data, step, when, there):
    program = [sys.executable, "-c", CRASHING, str(data), step, when]
    ended = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (9, "")
    told = {name: (int(seq), answered) for name, seq, answered in map(str.split, ended.stdout.splitlines())}
    assert set(told) == {"first", "second"}
    found = check(data, told)
    assert found == {"first": 1, "second": 2} | ({"third": 3, "fourth": 4} if there else {})

    log = Log.open(data)
    again = post(log, *(record(name) for name in ("first", "second", "third", "fourth")))
    log.close()
    assert [answer.seq for answer in again] == [1, 2, 3, 4]
    assert [answer.existing for answer in again] == [True, True, there, there]
    check(data, {answer.id: (answer.seq, answer.leaf_hash.hex()) for answer in again})


def fail(monkeypatch, step, when, error):
    """Let one call of a step fail, before or after it did its work."""
    owner, name = step
    real, calls = getattr(owner, name), []

    def failing(*arguments):
        calls.append(when)
        if len(calls) > 1:
            return real(*arguments)
        if when == "after":
            real(*arguments)
        raise error

    monkeypatch.setattr(owner, name, failing)


def settle(log, *names):
    """What the clients heard: id → place, or id → the code of the refusal."""
    try:
        answers = post(log, *(record(name) for name in names))
    except LedgerError as error:
        return dict.fromkeys(names, error.code)
    return {
        name: answer.code if isinstance(answer, LedgerError) else (answer.seq, answer.leaf_hash.hex())
        for name, answer in zip(names, answers, strict=True)
    }


def acknowledged(*heard):
    return {name: told for answers in heard for name, told in answers.items() if isinstance(told, tuple)}


class _Broken:
    """A database connection whose statements fail in the way DuckDB's do."""

    def __init__(self, real, error, persisted):
        self.real, self.error, self.persisted = real, error, persisted

    def execute(self, sql, *arguments):
        # DuckDB finds tables by their names in the frame that calls it.
        batch = sys._getframe(1).f_locals.get("batch")  # noqa: F841
        people = sys._getframe(1).f_locals.get("people")  # noqa: F841
        if sql == "COMMIT" or sql.startswith("INSERT INTO entries"):
            if self.persisted and sql == "COMMIT":
                self.real.execute(sql, *arguments)
            if sql == "COMMIT" or not self.persisted:
                raise self.error
        return self.real.execute(sql, *arguments)

    def __getattr__(self, name):
        return getattr(self.real, name)


@pytest.mark.parametrize(
    "error",
    [
        duckdb.IOException("Could not write to file"),
        duckdb.FatalException("fsync failed"),
        duckdb.TransactionException("Failed to commit"),
        MemoryError("out of memory"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_transaction_that_failed_is_refused_and_the_next_one_is_taken(data, error):
    log = Log.open(data)
    first = settle(log, "first")
    log._store._writing._writer = _Broken(log._store._writing._writer, error, persisted=False)
    assert settle(log, "second", "third") == {"second": Code.STORAGE_FAILED, "third": Code.STORAGE_FAILED}
    last = settle(log, "second", "fourth")
    log.close()
    assert acknowledged(last) == last
    assert check(data, acknowledged(first, last)) == {"first": 1, "second": 2, "fourth": 3}


def test_a_transaction_that_failed_but_is_there_is_acknowledged_once_it_is_written_anew(data, monkeypatch):
    log = Log.open(data)
    first = settle(log, "first")
    folded = []
    monkeypatch.setattr(Store, "fold", lambda store, real=Store.fold: folded.append(1) or real(store))
    # A person who is new makes it a transaction of two tables: its COMMIT is a statement of its own, and can fail afterwards.
    newcomer = record("second") | {"request": {"user": "bob@example.com", "text": "x"}}
    log._store._writing._writer = _Broken(
        log._store._writing._writer, duckdb.FatalException("checkpoint failed"), persisted=True
    )
    [answer] = post(log, newcomer)
    assert folded == [1]
    third = settle(log, "third")
    log.close()
    told = acknowledged(first, third) | {"second": (answer.seq, answer.leaf_hash.hex())}
    assert check(data, told) == {"first": 1, "second": 2, "third": 3}


def test_a_transaction_that_is_there_but_cannot_be_written_anew_stops_the_log(data, monkeypatch):
    log = Log.open(data)
    first = settle(log, "first")

    def full(store):
        raise LedgerError(Code.STORAGE_FAILED, "the disk is full")

    monkeypatch.setattr(Store, "fold", full)
    newcomer = record("second") | {"request": {"user": "bob@example.com", "text": "x"}}
    log._store._writing._writer = _Broken(
        log._store._writing._writer, duckdb.FatalException("checkpoint failed"), persisted=True
    )
    [answer] = post(log, newcomer)
    assert answer.code == Code.LOG_STOPPED
    assert settle(log, "third") == {"third": Code.LOG_STOPPED}
    log.close()
    monkeypatch.undo()
    assert check(data, first) == {"first": 1, "second": 2}


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_anchor_that_cannot_be_advanced_stops_the_log_and_a_restart_goes_on(data, monkeypatch, when):
    log = Log.open(data)
    first = settle(log, "first")
    fail(monkeypatch, ADVANCE, when, OSError(5, "Input/output error"))
    assert settle(log, "second") == {"second": Code.LOG_STOPPED}
    assert settle(log, "third") == {"third": Code.LOG_STOPPED}
    assert log.head().size == 2, "what was not acknowledged is not shown either"
    assert log.status()["stopped"] is not None
    log.close()
    monkeypatch.undo()
    assert check(data, first) == {"first": 1, "second": 2}
    log = Log.open(data)
    [again] = post(log, record("second"))
    log.close()
    assert (again.seq, again.existing) == (2, True)


def test_an_entry_that_changed_in_memory_before_it_was_signed_is_not_signed(data, monkeypatch):
    """Threat 48."""
    log = Log.open(data)
    first = settle(log, "first")
    real = Plan.finish

    def flip(plan):
        real(plan)
        row = plan.rows[0]
        entry = bytearray(row.entry)
        entry[len(entry) // 2] ^= 1
        plan.rows[0] = row._replace(entry=bytes(entry))

    monkeypatch.setattr(Plan, "finish", flip)
    assert settle(log, "second") == {"second": Code.STORAGE_FAILED}
    monkeypatch.undo()
    second = settle(log, "second")
    log.close()
    assert check(data, acknowledged(first, second)) == {"first": 1, "second": 2}
