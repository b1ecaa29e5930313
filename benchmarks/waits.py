"""(o) What a commit waits for beside processes that keep every core busy, by the disk alone: as often written through as single records commit.

In turns in one run: alone, beside three processes that are nice, and beside three that stand back as query workers do (`ledger.storage.background`).
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.disk import paced
from benchmarks.options import Options
from benchmarks.servers import ROOT

COMMIT_BYTES, PER_SECOND = 16_384, 150.0
BUSY = 3  # two workers and the builder
NICE = "import os; os.nice(10)"
BACK = "from ledger.storage.background import stand_back; stand_back(10)"
COUNT = "\nwhile True: sum(range(20_000))"
STARTED_S = 0.5


@dataclass(frozen=True)
class Way:
    name: str
    beside: str | None


@dataclass
class Took:
    """Of one way: each write's seconds."""

    seconds: list[float] = field(default_factory=list)

    def ms(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1e3


WAYS = (
    Way("nothing", None),
    Way("three that are nice", NICE),
    Way("three that stand back", BACK),
)


def run(options: Options) -> dict:
    rounds, seconds = (1, 1.0) if options.quick else (5, 8.0)
    found = {way.name: Took() for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            with _busy(way.beside):
                pairs = paced(options.folder, COMMIT_BYTES, PER_SECOND, seconds)
            found[way.name].seconds += [took for _, took in pairs]
    _print(found, rounds, seconds)
    return {name: took.seconds for name, took in found.items()}


@contextmanager
def _busy(program: str | None) -> Iterator[None]:
    """Processes in a group of their own and our session, as the server's are."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running: Sequence[subprocess.Popen[bytes]] = [
        subprocess.Popen([sys.executable, "-c", program + COUNT], env=environment, process_group=0)
        for _ in range(BUSY if program is not None else 0)
    ]
    try:
        time.sleep(STARTED_S)
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def _print(found: dict[str, Took], rounds: int, seconds: float) -> None:
    how = f"{COMMIT_BYTES // 1024} KiB and a slot of the anchor, {PER_SECOND:.0f} times a second; {rounds} rounds of {seconds:.0f} s in turn"
    print(f"\n(o) Written through: {how}\n")
    print("| beside | p50 ms | p99 ms | p99.9 ms | max ms |\n|---|---|---|---|---|")
    for name, took in found.items():
        print(
            f"| {name} | {took.ms(0.5):.2f} | {took.ms(0.99):.2f} | {took.ms(0.999):.1f} | {took.ms(1):.0f} |"
        )
