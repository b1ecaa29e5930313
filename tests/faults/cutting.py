"""The power goes after each operation of a scenario: one life is lived and journalled, then its disk is cut again and again."""

import random
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.case import Case, Client, Removal
from tests.faults.cells import Result, place
from tests.faults.injector import Board
from tests.faults.nursery import Nursery
from tests.faults.power import Disk, Done, put, read_journal
from tests.faults.scenarios import Scenario
from tests.faults.wire import Pipe


@dataclass(frozen=True)
class Lived:
    """A scenario that was lived without a fault.

    Attributes:
        journal: every operation on its disk.
        client: what its client sent, and was told when.
    """

    scenario: Scenario
    journal: Sequence[Done]
    client: Client


def lived(nursery: Nursery, scenario: Scenario) -> Lived:
    """Live it."""
    folder, board = place(journal=True)
    case = Case(nursery, Pipe, folder, board, scenario.options)
    try:
        scenario.live(case)
        case.stop()
        return Lived(scenario, read_journal(board.journal_path), case.client)
    finally:
        case.close()
        shutil.rmtree(folder)


def _keep_removals(client: Client, removals: Sequence[Removal], end: int) -> None:
    """What its clients had been told is gone; what they had asked for, and had no answer to, may be gone or not."""
    before = Removal(0, 0, {}, set())
    for removal in removals:
        if removal.end > end:
            if removal.begin < end:
                names = {n for n in removal.gone if removal.gone[n] != before.gone.get(n)}
                client.unsure = names | (removal.retired - before.retired)
            break
        before = removal
    client.gone, client.retired = before.gone, before.retired


def cut(nursery: Nursery, life: Lived, number: int, kind: str, seed: int = 0) -> Result:
    """Let the power go after operation `number`, bring the disk back in a state of `kind` (power.STATES), start and judge."""
    disk = Disk()
    for done in life.journal[: number + 1]:
        disk.play(done)
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    put(disk.state(kind, random.Random(f"{seed} {number}")), folder / "base")
    last = life.journal[number]
    case = Case(nursery, Pipe, folder, Board(folder, folder / "base"), life.scenario.options)
    names = {name for end, names in life.client.at if end <= last.end for name in names}
    case.client.sent = life.client.sent
    case.client.acknowledged = {name: life.client.acknowledged[name] for name in names}
    _keep_removals(case.client, life.client.removals, last.end)
    try:
        case.start()
        case.stop()
        became = "no start" if case.told else "restarted"
        found = case.judge()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        became, found = (
            "BROKEN",
            f"after operation {number}: {type(error).__name__}: {error} (evidence: {folder})",
        )
    finally:
        case.close()
    if became != "BROKEN":
        shutil.rmtree(folder)
    told = [f"{told.where}: {told.words}" for told in case.told]
    unreadable = [f"{why}: {told.words}" for told in case.told if (why := told.unreadable())]
    return Result(
        wire=Pipe.name,
        scenario=life.scenario.name,
        call=last.call,
        kind="".join("#" if c.isdigit() else c for c in last.path),
        ordinal=number,
        mode=f"power: {kind}",
        became=became,
        told=told,
        unreadable=unreadable,
        acknowledged=len(names),
        found=found,
    )
