"""Any order of posting, sending again, sealing, erasing, retiring, compacting, backups, restores, stopping, killing: the log is what its clients were told.

The log runs in a process of its own, which is killed at any of its operations on the disk; the model is what a client keeps.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.faults.case import Case
from tests.faults.injector import Board, Mode
from tests.faults.nursery import Nursery
from tests.faults.oracle import record
from tests.faults.wire import Pipe

LIVES = int(os.environ.get("FAULTS_LIVES", "6"))
STEPS = int(os.environ.get("FAULTS_STEPS", "15"))
MEMBERS = ("request.text", "tool.arguments", "request.user")
USERS = ("alice@example.com", "bob@example.com", "carol@example.com")
FAULTS = (Mode.FAILED, Mode.PERSISTED, Mode.FULL, Mode.SHORT, Mode.TORN, Mode.KILL_BEFORE, Mode.KILL_AFTER)


class Lives(RuleBasedStateMachine):
    """What may happen to a log."""

    nursery: Nursery

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp(prefix="faults-"))
        (self.folder / "base").mkdir()
        self.board = Board(self.folder, self.folder / "base")
        self.case = Case(self.nursery, Pipe, self.folder, self.board, ("--rotate-entries", "8"))
        self.case.may_end = False
        self.number = 0
        self.case.start()

    @rule(count=st.integers(1, 9), user=st.sampled_from(USERS))
    def post(self, count, user):
        names = [f"record-{self.number + offset}" for offset in range(count)]
        self.number += count
        self.case.post(*(record(name, f"words of {name}", user) for name in names))

    @rule(data=st.data())
    @precondition(lambda self: self._left())
    def send_again(self, data):
        names = data.draw(st.lists(self._there(), min_size=1, max_size=9, unique=True))
        self.case.post(*(self.case.client.sent[name] for name in names))

    @rule(data=st.data(), member=st.sampled_from(MEMBERS))
    @precondition(lambda self: self._left())
    def erase(self, data, member):
        self.case.erase(data.draw(self._there()), member)

    @rule(data=st.data(), what=st.sampled_from(["contents", "entries"]))
    @precondition(lambda self: self._left())
    def retire(self, data, what):
        self.case.retire(what, *data.draw(st.lists(self._there(), min_size=1, max_size=5, unique=True)))

    @rule()
    def compact(self):
        self.case.ask("compact")

    @rule()
    def back_up(self):
        self.case.backup()

    @rule()
    def the_disk_is_gone(self):
        """Right after a backup: an older one is refused, because the anchor has seen more (tests/upkeep/test_restore.py)."""
        self.case.backup()
        self.case.restore()

    def _left(self):
        return sorted(self.case.client.acknowledged.keys() - self.case.client.retired)

    def _there(self):
        return st.sampled_from(self._left())

    @rule()
    def seal(self):
        self.case.ask("seal")

    @rule()
    def stop(self):
        self.case.stop()

    @rule()
    def kill(self):
        self.case.kill()

    @rule(after=st.integers(0, 40), mode=st.sampled_from(FAULTS))
    def something_will_break(self, after, mode):
        self.board.fail_after(after, mode)

    def teardown(self):
        if hasattr(self, "case"):
            try:
                self.case.judge()
                assert [why for told in self.case.told if (why := told.unreadable())] == []
            finally:
                self.case.close()
                shutil.rmtree(self.folder)


@pytest.mark.timeout(1800)
def test_whatever_happens_the_log_is_what_its_clients_were_told(nursery):
    machine = type("LivesHere", (Lives,), {"nursery": nursery})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=LIVES,
            stateful_step_count=STEPS,
            deadline=None,
            print_blob=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
