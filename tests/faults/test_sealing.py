"""Each step of sealing (ledger/log/sealing.py, docs/adr/0014) fails, fails although it was done, and is the last thing before and after a kill.

The step's own call on the disk is what fails, in a real process; afterwards everything acknowledged is there, sealed, and is found when it is sent again.
"""

import pytest

from tests.faults.cells import run
from tests.faults.injector import Mode, Operation
from tests.faults.scenarios import SCENARIOS
from tests.faults.wire import Pipe

SEAL = next(scenario for scenario in SCENARIOS if scenario.name == "seal")
BUILDING = "data/segments/.building-#"
STEPS = {
    "build: a file is synced": Operation("sync", f"{BUILDING}/entries.parquet", 1),
    "build: a file is written": Operation("write", f"{BUILDING}/contents.parquet", 1),
    "sign: the manifest gets its name": Operation("rename", f"{BUILDING}/.manifest-#.new", 1),
    "persons: synced": Operation("sync", "data/persons.sqlite-wal", 2),
    "ids: the run gets its name": Operation("rename", "data/ids/.#-#.ids.new", 1),
    "name: the segment gets its name": Operation("rename", BUILDING, 1),
    "name: the folder of segments is synced": Operation("sync", "data/segments", 1),
    "remove: the hot file goes": Operation("rename", "data/hot/#.duckdb", 1),
    "remove: its WAL goes": Operation("unlink", "data/hot/#.duckdb.wal", 1),
    "remove: the folder of hot files is synced": Operation("sync", "data/hot", 4),
    "prepare: the next hot file gets its name": Operation("link", "data/hot/#.duckdb", 1),
}


@pytest.mark.parametrize(
    "mode",
    [Mode.FAILED, Mode.PERSISTED, Mode.KILL_BEFORE, Mode.KILL_AFTER],
    ids=lambda mode: mode.name.lower(),
)
@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_sealing_that_breaks_loses_nothing_and_is_done_again(nursery, step, mode):
    result = run(nursery, Pipe, SEAL, STEPS[step], mode)
    assert result.became not in {"BROKEN", "not reached"}, result.found
    assert result.unreadable == []
    assert result.acknowledged > 7
