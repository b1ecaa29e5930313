"""`make faults`: each operation of each scenario failed in each way, and the power cut after each. Ends with 1 where a record was lost or nobody
was told readably.

    python -m tests.faults [--only SCENARIO] [--wire log|server] [--sample N --seed S] [--workers N] [--results FILE] [--page FILE] [--no-run]

Results are appended to a file, one JSON object a line; `--page` writes the tables of all that stands there between the marks of a page.
"""

import argparse
import collections
import functools
import json
import queue
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.faults.cells import Result, cells, enumerate_operations, run, sample
from tests.faults.cutting import cut, lived
from tests.faults.injector import compiled
from tests.faults.nursery import Nursery
from tests.faults.power import STATES
from tests.faults.scenarios import SCENARIOS
from tests.faults.table import write_page
from tests.faults.wire import Http, Pipe

Job = Callable[[Nursery], Result]
WIRES = {wire.name: wire for wire in (Http, Pipe)}


def main() -> int:
    """Run; print what is broken as it is found."""
    options = _options()
    if not options.no_run:
        with tempfile.TemporaryDirectory() as place:
            library = compiled(Path(place))
            if library is None:
                sys.exit("a C compiler is needed to make a disk fail")
            jobs = _jobs(options, library)
            _run_all(jobs, library, options.workers, options.results)
    results = [Result(**json.loads(line)) for line in options.results.read_text().splitlines()]
    if options.page:
        write_page(options.page, results, SCENARIOS)
    return _summary(results)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - what a command prints


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--only", choices=[scenario.name for scenario in SCENARIOS])
    parser.add_argument("--wire", choices=WIRES, default=Pipe.name)
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("faults.jsonl"))
    parser.add_argument("--page", type=Path)
    parser.add_argument("--no-run", action="store_true")
    return parser.parse_args()


def _jobs(options: argparse.Namespace, library: Path) -> Sequence[Job]:
    wire, chance = WIRES[options.wire], random.Random(options.seed)
    failing, cutting = [], []
    with Nursery(library) as nursery:
        for scenario in SCENARIOS:
            if options.only not in {None, scenario.name} or (scenario.upkeep and wire is not Pipe):
                continue
            failing += cells(wire, scenario, enumerate_operations(nursery, wire, scenario))
            if not scenario.cut:
                continue
            life = lived(nursery, scenario)
            cutting += [
                functools.partial(cut, life=life, number=number, kind=kind, seed=options.seed)
                for number in range(len(life.journal))
                for kind in STATES
            ]
    count = options.sample or len(failing)
    chosen = sample(failing, count, options.seed) if options.sample else failing
    if options.sample:
        cutting = chance.sample(cutting, min(len(cutting), count // 4))
    _say(f"{len(chosen)} of {len(failing)} faults, {len(cutting)} power cuts, seed {options.seed}")
    return [*(functools.partial(_run, cell=cell) for cell in chosen), *cutting]


def _run(nursery: Nursery, *, cell: tuple) -> Result:
    return run(nursery, *cell)


def _run_all(jobs: Sequence[Job], library: Path, workers: int, to: Path) -> None:
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    writing = threading.Lock()

    def work() -> None:
        with Nursery(library) as nursery:
            while True:
                try:
                    result = waiting.get_nowait()(nursery)
                except queue.Empty:
                    return
                with writing, to.open("a") as file:
                    file.write(result.line() + "\n")
                if result.became == "BROKEN" or result.unreadable:
                    _say(result.line())
                if waiting.qsize() % 100 == 0:
                    _say(f"{waiting.qsize()} left")

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _summary(results: Sequence[Result]) -> int:
    counted = collections.Counter(result.became for result in results)
    unreadable = sum(bool(result.unreadable) for result in results)
    _say(f"{dict(counted)} {unreadable} with a message that nobody can read")
    return 1 if counted["BROKEN"] or unreadable or not results else 0


if __name__ == "__main__":
    sys.exit(main())
