"""Feeds one peer: so many writers, each sending its next batch once the last is as durable as the peer makes it.

The standard library alone: this runs in the peer's own environment, as `python -m benchmarks.peers.<peer> <Plan as JSON>`, and
prints what it measured as one line of JSON. `benchmarks/peers/go/feeding` does the same for peers in Go.
"""

import gc
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

Lines = list[bytes]
Write = Callable[[Lines], object]


@dataclass(frozen=True)
class Plan:
    """What to write: the lines of `records_file`, or as many of them as `seconds` allow, into the empty `folder`."""

    form: str
    records_file: str
    folder: str
    batch: int
    writers: int
    seconds: float


Facts = dict[str, object]
Form = Callable[[Path, Plan, Facts], AbstractContextManager[Write]]


def main(forms: Mapping[str, Form]) -> None:
    """Open the form that the plan names, feed it, and say what came of it; a form may add facts of its own."""
    plan = Plan(**json.loads(sys.argv[1]))
    lines = Path(plan.records_file).read_bytes().splitlines()
    batches = [lines[low:high] for low, high in pairwise([*range(0, len(lines), plan.batch), len(lines)])]
    facts: Facts = {}
    gc.collect()
    gc.freeze()  # what stands here before the first write is nothing that a peer would walk through
    with forms[plan.form](Path(plan.folder), plan, facts) as write:
        before = cpu_seconds()
        took, seconds, written = feed(write, iter(batches), plan)
        own = cpu_seconds()
    used = (
        own[0] - before[0] + cpu_seconds()[1] - before[1]
    )  # a server of its own is counted once it has ended
    gc.unfreeze()  # or DuckDB's binding tells of leaks when it goes
    print(
        json.dumps(
            {"records": written, "seconds": seconds, "cpu_us": used / written * 1e6, **spread(took), **facts}
        )
    )


def cpu_seconds() -> tuple[float, float]:
    """What this process has used on all cores, and what those that it started and that have ended have."""
    used = os.times()
    return used.user + used.system, used.children_user + used.children_system


def feed(write: Write, batches: Iterator[Lines], plan: Plan) -> tuple[list[float], float, int]:
    """Milliseconds of each batch, seconds of all, and how many records were written."""
    taking, took, counts, failures = threading.Lock(), [], [], []
    began = time.perf_counter()

    def work() -> None:
        try:
            while time.perf_counter() - began < plan.seconds:
                with taking:
                    batch = next(batches, None)
                if batch is None:
                    return
                start = time.perf_counter()
                write(batch)
                took.append((time.perf_counter() - start) * 1e3)
                counts.append(len(batch))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the run has failed
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(plan.writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return took, time.perf_counter() - began, sum(counts)


def spread(took: list[float]) -> dict[str, float]:
    """The percentiles that all tables show."""
    ordered = sorted(took)
    at = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}
    found = {name: ordered[min(int(len(ordered) * share), len(ordered) - 1)] for name, share in at.items()}
    return {**found, "max_ms": ordered[-1]}


class Group:
    """Group commit: one thread takes all batches that wait, and `commit` makes them durable at once."""

    def __init__(self, commit: Callable[[list], object]) -> None:
        self._commit, self._waiting = commit, queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def write(self, rows: list) -> None:
        """Return when these rows are committed.

        Raises:
            BaseException: what `commit` raised.
        """
        settled, failure = threading.Event(), []
        self._waiting.put((rows, settled, failure))
        settled.wait()
        if failure:
            raise failure[0]

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            group = [first]
            while not self._waiting.empty():
                group.append(self._waiting.get())
            last = group[-1] is None
            group = [one for one in group if one is not None]
            try:
                self._commit([row for rows, _, _ in group for row in rows])
            except BaseException as error:  # noqa: BLE001 - the writers raise it
                for _, _, failure in group:
                    failure.append(error)
            for _, settled, _ in group:
                settled.set()
            if last:
                return

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join()
