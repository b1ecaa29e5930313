"""The power goes at any operation: what was acknowledged until then is there, the log starts, and takes again what it lost.

Which states a disk may come back with: power.py. Here some operations; `make faults` does all.
"""

import os
import random

import pytest

from tests.faults.cutting import cut, lived
from tests.faults.power import STATES
from tests.faults.scenarios import SCENARIOS

SEED = int(os.environ.get("FAULTS_SEED", "20261121"))
CUTS, OF_UPKEEP = 6, 2  # for each state


@pytest.mark.parametrize(
    "scenario", [each for each in SCENARIOS if each.cut], ids=lambda scenario: scenario.name
)
def test_a_power_cut_loses_nothing_acknowledged_and_the_log_starts(nursery, scenario):
    life = lived(nursery, scenario)
    chance = random.Random(SEED)
    results = [
        cut(nursery, life, number, kind, SEED)
        for kind in STATES
        for number in chance.sample(range(len(life.journal)), OF_UPKEEP if scenario.upkeep else CUTS)
    ]
    assert [result.found for result in results if result.became == "BROKEN"] == []
    assert [result.told for result in results if result.told] == [], "it starts at once"
    assert any(result.acknowledged for result in results)
