"""The ledger as it is, with a watch on it: when each group commit, rotation, seal and long garbage collection began and ended, how large
it was, how long its thread ran, and how long it was ready to run and the machine had no core for it.

Written to `<data folder>.watch.json` when it stops; times are `time.perf_counter`'s, which the load generator reads too.
"""

import functools
import gc
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from benchmarks.signed import serve
from ledger.log.sealing import Sealer
from ledger.log.sequencer import Sequencer
from ledger.log.store import Store

LONG_COLLECTION_S = 0.005
events: dict[str, list[tuple[float, float, int, float, float]]] = defaultdict(list)


def used() -> tuple[float, float]:
    """Seconds that this thread ran on a core, and seconds that it was ready to and had none."""
    ran, waited, _ = Path("/proc/thread-self/schedstat").read_text().split()
    return int(ran) / 1e9, int(waited) / 1e9


def watch(owner: type, name: str, kind: str, count: Callable[..., int]) -> None:
    """Note each call of a method, and a number that says how large it was."""
    real = getattr(owner, name)

    @functools.wraps(real)
    def timed(self, *arguments, **named):
        (ran, waited), began = used(), time.perf_counter()
        result = real(self, *arguments, **named)
        ended, now = time.perf_counter(), used()
        events[kind].append((began, ended, count(*arguments), now[0] - ran, now[1] - waited))
        return result

    setattr(owner, name, timed)


def collections(phase: str, info: dict[str, int], began: list[float] = []) -> None:  # noqa: B006 - kept from one call to the next
    now = time.perf_counter()
    if phase == "start":
        began[:] = [now]
    elif now - began[0] > LONG_COLLECTION_S:
        events["collection"].append((began[0], now, info["generation"], now - began[0], 0.0))


if __name__ == "__main__":
    watch(Sequencer, "_commit", "commit", lambda group: sum(len(submission.items) for submission in group))
    watch(Store, "rotate", "rotation", lambda *_: 1)
    watch(Sealer, "_seal", "seal", lambda full: full.end - full.start)
    gc.callbacks.append(collections)
    try:
        serve()
    finally:
        Path(f"{sys.argv[3]}.watch.json").write_text(json.dumps(events))
