"""What alerts remember: all of a stretch or nothing, a place for each target, and no more than is needed."""

import os
import subprocess
import sys

import pytest

from ledger.alerts import state as module
from ledger.alerts.alert import Alert
from ledger.alerts.state import FILE, State
from ledger.core.errors import Code, LedgerError
from tests.faults.server import ROOT


@pytest.fixture
def state(tmp_path):
    made = State(tmp_path)
    yield made
    made.close()


def alert(number):
    return Alert(
        0,
        f"alert_{number}",
        "r",
        "match",
        "low",
        number,
        "00",
        "2026-11-21T09:30:00.000000Z",
        {"n": number},
        None,
    )


def test_what_fails_within_a_transaction_leaves_nothing_and_the_next_one_does(state):
    state.begin_rule("r", "d", 0, 0)

    def fail():
        with state.transaction():
            state.see("r", b"key")
            state.add(alert(1), recorded=True)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with state.transaction():
        assert state.see("r", b"key"), "it was not remembered"
    assert (state.newest(), state.rules()["r"].raised) == (0, 0)


def test_the_same_alert_is_kept_once(state):
    state.begin_rule("r", "d", 0, 0)
    assert state.add(alert(1), recorded=True)
    assert not state.add(alert(1), recorded=True)
    assert (len(state.shown(10)), state.rules()["r"].raised) == (1, 1)


def test_each_target_has_a_place_of_its_own_and_a_new_one_begins_now(state):
    state.keep_targets(["a", "b"])
    for number in range(5):
        state.add(alert(number), recorded=True)
    state.heard("a", 3, "now", 3)
    assert [each.number for each in state.next_for("a", 10)] == [4, 5]
    assert [each.number for each in state.next_for("b", 2)] == [1, 2]
    state.keep_targets(["b", "c"])
    assert state.targets().keys() == {"b", "c"}
    assert state.next_for("c", 10) == []
    state.heard("b", 2, "now", 2)
    state.heard("b", 1, "now", 0)
    assert state.targets()["b"].position == 2, "a place never goes back"


def test_what_everybody_has_heard_goes_but_for_the_newest_and_what_waits_stays(state, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 2)
    state.keep_targets(["a", "slow"])
    for number in range(10):
        state.add(alert(number), recorded=True)
    state.heard("a", 10, "now", 10)
    state.heard("slow", 5, "now", 5)
    state.prune()
    assert [each.number for each in state.shown(100)] == [10, 9, 8, 7, 6]
    state.heard("slow", 10, "now", 5)
    state.prune()
    assert [each.number for each in state.shown(100)] == [10, 9]


def test_what_waits_is_bounded_and_what_is_missed_is_counted(state, monkeypatch):
    monkeypatch.setattr(module, "WAITING", 3)
    state.keep_targets(["dead"])
    for number in range(10):
        state.add(alert(number), recorded=True)
    state.prune()
    assert state.targets()["dead"].missed == 7
    assert [each.number for each in state.next_for("dead", 10)] == [8, 9, 10]


def test_a_file_that_is_no_database_is_told_of(tmp_path):
    (tmp_path / FILE).write_bytes(b"x" * 8192)
    with pytest.raises(LedgerError, match="rules begin anew") as refusal:
        State(tmp_path)
    assert refusal.value.code == Code.STORAGE_FAILED


FULL = """
import resource, signal, sys
from pathlib import Path
from ledger.alerts.state import State
from ledger.core.errors import LedgerError
state = State(Path(sys.argv[1]))
state.begin_rule("r", "d", 0, 0)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
failed = 0
for number in range(40):
    try:
        with state.transaction():
            for key in range(200):
                state.see("r", b"%d-%d-" % (number, key) + b"k" * 200)
    except LedgerError:
        failed += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
with state.transaction():
    state.see("r", b"after")
print(failed)
"""


def test_a_disk_that_was_full_is_written_on_when_there_is_room(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
    again = State(tmp_path)
    assert not again.see("r", b"after")
    again.close()
