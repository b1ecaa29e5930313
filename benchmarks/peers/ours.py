"""The ledger in one process, without HTTP: from the records' bytes, and the write path alone."""

import gc
import sys
import threading
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.feeding import Facts, Lines, Plan, main
from ledger.api.serving import GC_OBJECTS, SWITCH_SECONDS
from ledger.core.errors import LedgerError
from ledger.log.log import Log
from ledger.records.prepare import prepare
from ledger.records.prepared import Prepared

ORIGIN, SUBMITTER = "bench.example/log", "token:bench"


def prepared(log: Log, lines: Lines) -> list[Prepared]:
    """What the server makes of a body before it asks for a place in the log."""
    return [
        prepare(line, submitter=SUBMITTER, persons=log.persons, origin=ORIGIN, agent_key=log.agent_key)
        for line in lines
    ]


def submit(log: Log, items: list[Prepared]) -> Callable[[], None]:
    """Queue these; what is returned waits until they are durable and signed.

    Raises:
        LedgerError: from what is returned: one of them was not written.
    """
    settled, outcomes = threading.Event(), []

    def done(results: list) -> None:
        outcomes.extend(results)
        settled.set()

    def wait() -> None:
        settled.wait()
        for outcome in outcomes:
            if isinstance(outcome, LedgerError):
                raise outcome

    log.submit(items, atomic=True, done=done)
    return wait


@contextmanager
def whole(folder: Path, plan: Plan, facts: Facts):  # noqa: ARG001
    with opened(folder) as log:
        yield lambda lines: submit(log, prepared(log, lines))()


@contextmanager
def write_path(folder: Path, plan: Plan, facts: Facts):  # noqa: ARG001
    with opened(folder) as log:
        lines = Path(plan.records_file).read_bytes().splitlines()
        ready = dict(zip(lines, prepared(log, lines), strict=True))
        yield lambda some: submit(log, [ready[line] for line in some])()


@contextmanager
def opened(folder: Path):
    gc.set_threshold(GC_OBJECTS)  # as the server does, both
    sys.setswitchinterval(SWITCH_SECONDS)
    Log.create(folder / "data", ORIGIN)
    log = Log.open(folder / "data")
    yield log
    log.close()


if __name__ == "__main__":
    main({"from bytes": whole, "prepared": write_path})
