"""Each call that changes the disk fails, in each way: nothing acknowledged is lost, and whoever reads the message can work with it.

Here a sample of them; `make faults` does all, docs/faults.md has the table.
"""

import os
import random

import pytest

from tests.faults.cells import cells, enumerate_operations, run, sample
from tests.faults.scenarios import SCENARIOS
from tests.faults.wire import Http, Pipe

SEED = int(os.environ.get("FAULTS_SEED", "20261121"))
COUNT = {Pipe: 10, Http: 3}  # for each scenario
OF_UPKEEP = 3  # these live longer
BOTH = [
    (wire, scenario) for scenario in SCENARIOS for wire in (Pipe, Http) if wire is Pipe or not scenario.upkeep
]


@pytest.mark.parametrize(("wire", "scenario"), BOTH, ids=lambda one: one.name)
def test_no_fault_loses_what_was_acknowledged_and_each_is_told_readably(nursery, wire, scenario):
    possible = list(cells(wire, scenario, enumerate_operations(nursery, wire, scenario)))
    assert len(possible) > 100
    count = OF_UPKEEP if scenario.upkeep else COUNT[wire]
    results = [run(nursery, *cell) for cell in sample(possible, count, SEED)]
    assert [result.found for result in results if result.became == "BROKEN"] == []
    assert [result.unreadable for result in results if result.unreadable] == []
    assert sum(result.became != "not reached" for result in results) > len(results) / 2


def test_every_call_and_file_of_a_life_is_in_a_sample_that_is_large_enough(nursery):
    [scenario, *_] = SCENARIOS
    possible = list(cells(Pipe, scenario, enumerate_operations(nursery, Pipe, scenario)))
    kinds = {(cell.operation.call, cell.operation.kind) for cell in possible}
    chosen = sample(possible, len(kinds), random.randrange(1_000_000))
    assert {(cell.operation.call, cell.operation.kind) for cell in chosen} == kinds
