"""Several processes check stretches, this one among them; they are joined in order. Each process reads the disk itself.

A task is some stretches in a row, so that what goes through a pipe is little beside what was read; entries never do.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, Protocol

from ledger.audit.joiner import Checked, Joiner
from ledger.core.stretch import Hints

AHEAD = 3  # tasks that each process has or waits for
TASK_STRETCHES = 16  # a row group that two tasks share is decoded for both
FEW_STRETCHES = 8  # no more than these are not worth another process
# A spawned process gets the environment that this one has then, and what reads somebody's bytes is not to reach his agent.
WITHHELD = ("SSH_AUTH_SOCK", "AGENT_LEDGER_KEY", "AGENT_LEDGER_KEY_NEXT")

Opener = Callable[[], "Checker"]


class Checker(Protocol):
    """Whatever checks the stretch that begins at an entry."""

    def check(self, start: int, hints: Hints) -> Checked | str:
        """The stretch; or why it cannot be read."""

    def close(self) -> None:
        """Let go of what is open."""


def check_all(
    checker: Checker, opener: Opener, starts: Sequence[int], joiner: Joiner, processes: int
) -> None:
    """Check the stretches that begin at `starts`, and join them.

    Args:
        checker: checks them in this process.
        opener: makes one in another process; it is sent there.
        starts: in order.
        joiner: takes them.
        processes: how many to spread the work over, this one included.
    """
    verifier = joiner.verifier
    if processes == 1 or len(starts) <= FEW_STRETCHES:
        for start in starts:
            joiner.take(start, checker.check(start, verifier.hints(start)))
        return
    for name in WITHHELD:
        os.environ.pop(name, None)
    # A short log is spread as well: its tasks are shorter.
    size = max(1, min(TASK_STRETCHES, len(starts) // (2 * processes)))
    tasks = deque(starts[at : at + size] for at in range(0, len(starts), size))
    waiting: deque[tuple[Sequence[int], Future[list[Checked | str]]]] = deque()
    context = multiprocessing.get_context("spawn")  # a fork would share an open database
    with ProcessPoolExecutor(processes - 1, context, _start_worker, (opener,)) as pool:
        busy: set[Future[Any]] = set()
        while tasks or waiting:
            busy = {future for future in busy if not future.done()}
            while tasks and len(busy) < AHEAD * (processes - 1):
                task = tasks.popleft()
                waiting.append((task, pool.submit(_work, [(start, verifier.hints(start)) for start in task])))
                busy.add(waiting[-1][1])
            if tasks and not waiting[0][1].done():
                task = tasks.popleft()
                here: Future[list[Checked | str]] = Future()
                here.set_result([checker.check(start, verifier.hints(start)) for start in task])
                waiting.append((task, here))
                continue
            task, done = waiting.popleft()
            for start, checked in zip(task, done.result(), strict=True):
                joiner.take(start, checked)


_worker: dict[str, Checker] = {}


def _start_worker(opener: Opener) -> None:
    _worker["checker"] = opener()


def _work(stretches: Sequence[tuple[int, Hints]]) -> list[Checked | str]:
    checker = _worker["checker"]
    return [checker.check(start, hints) for start, hints in stretches]
