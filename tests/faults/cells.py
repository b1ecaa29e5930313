"""Every operation of every scenario, failed in every way: the cases, run one by one, and what became of each."""

import json
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from tests.faults.case import Broken, Case
from tests.faults.injector import Board, Mode, Operation
from tests.faults.nursery import Nursery
from tests.faults.scenarios import Scenario
from tests.faults.wire import Http, Pipe

MODES = {"write": tuple(Mode)[1:]}
OTHERS = tuple(mode for mode in Mode if mode not in {Mode.NONE, Mode.SHORT, Mode.TORN})
FIRST, EVERY = (
    6,
    97,
)  # of operations that are done again and again: the first, the last, and every so many between
UNCHANGED = {"chmod": (Mode.FAILED, Mode.KILL_BEFORE)}  # the disk holds the same afterwards


class Cell(NamedTuple):
    """One case: a life and its one fault."""

    wire: type[Http] | type[Pipe]
    scenario: Scenario
    operation: Operation
    mode: Mode


@dataclass
class Result:
    """What became of one case.

    Attributes:
        became: `unnoticed`, `refused` (sent again, taken), `stopped` (writing; restarted), `no start` (the next one did), `died`,
            `waited` (it was stopped and let go on), `not reached`, or `BROKEN`.
        told: what was said, in order.
        found: the oracle's line, or what was wrong.
    """

    wire: str
    scenario: str
    call: str
    kind: str
    ordinal: int
    mode: str
    became: str
    told: list[str]
    unreadable: list[str]
    acknowledged: int
    found: str

    def line(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))


def enumerate_operations(
    nursery: Nursery, wire: type[Http] | type[Pipe], scenario: Scenario
) -> list[Operation]:
    """What the scenario does where nothing fails."""
    folder, board = place(trace=True)
    case = Case(nursery, wire, folder, board, scenario.options)
    try:
        scenario.live(case)
        operations = board.trace()
        case.judge()
        if case.told:
            raise Broken(f"told although nothing failed: {case.told}")
    finally:
        case.close()
    shutil.rmtree(folder)
    return operations


def cells(
    wire: type[Http] | type[Pipe], scenario: Scenario, operations: Sequence[Operation]
) -> Iterator[Cell]:
    """Each operation with each way it can fail; of one that is done again and again (pages, a Parquet file's columns) some."""
    last = Counter((operation.call, operation.kind) for operation in operations)
    for operation in dict.fromkeys(operations):
        if (
            FIRST < operation.ordinal <= last[operation.call, operation.kind] - FIRST
            and operation.ordinal % EVERY
        ):
            continue
        for mode in MODES.get(operation.call, UNCHANGED.get(operation.call, OTHERS)):
            yield Cell(wire, scenario, operation, mode)


def sample(all_of: Sequence[Cell], count: int, seed: int) -> list[Cell]:
    """Some of them, of as many calls and files as can be."""
    chance = random.Random(seed)
    shuffled = chance.sample(all_of, len(all_of))
    seen: dict[tuple[str, str], int] = {}
    order = []
    for cell in shuffled:
        key = (cell.operation.call, cell.operation.kind)
        seen[key] = seen.get(key, 0) + 1
        order.append((seen[key], len(order), cell))
    return [cell for _, _, cell in sorted(order)[:count]]


def run(
    nursery: Nursery,
    wire: type[Http] | type[Pipe],
    scenario: Scenario,
    operation: Operation,
    mode: Mode,
    *,
    keep: bool = True,
) -> Result:
    """Live the scenario with this one fault, and judge.

    Args:
        nursery: where processes come from.
        wire: how they are reached.
        scenario: the life.
        operation: what fails in it.
        mode: how.
        keep: whether the folder of a case that went wrong stays.
    """
    folder, board = place()
    board.fail(operation.call, operation.kind, mode, ordinal=operation.ordinal)
    case = Case(nursery, wire, folder, board, scenario.options)
    found, fired = "", 0
    try:
        case.live(scenario.live)
        fired = board.fired
        found = case.judge()
        became = _became(case, mode) if fired else "not reached"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        found, became = f"{type(error).__name__}: {error} (evidence: {folder})", "BROKEN"
    finally:
        case.close()
    if became != "BROKEN" or not keep:
        shutil.rmtree(folder, ignore_errors=True)
    unreadable = [f"{why}: {told.words}" for told in case.told if (why := told.unreadable())]
    return Result(
        wire.name,
        scenario.name,
        *operation,
        mode.name.lower().replace("_", " "),
        became,
        [f"{told.where}: {told.words.replace(str(folder), '…')}" for told in case.told],
        [words.replace(str(folder), "…") for words in unreadable],
        len(case.client.acknowledged),
        found,
    )


def place(*, trace: bool = False, journal: bool = False) -> tuple[Path, Board]:
    """A folder for a case, and the board of its injector."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    (folder / "base").mkdir()
    return folder, Board(folder, folder / "base", trace=trace, journal=journal)


def _became(case: Case, mode: Mode) -> str:
    if mode == Mode.STOP:
        return "waited"
    if any(told.where == "start" for told in case.told):
        return "no start"
    if case.stopped:
        return "stopped"
    if any(told.where in {"answer", "restore"} for told in case.told):
        return "refused"
    return "died" if case.died else "unnoticed"
