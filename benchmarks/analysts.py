"""(l) Ingest while eight analysts ask: how long a request takes from when it was due, with nobody asking and with eight who run heavy SQL one after the other.

In turn in one run, on one log of a million mixed records. What is offered is a tenth of the peak that was measured just before, with nobody asking, and then half of it. The server has
its two workers: two statements run, the others queue. Each analyst goes through the statements in an order of its own; every round's records make
the views over them anew. An answer may be of an earlier size where records come too fast: by how much each says, and the table.
"""

import itertools
import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx

from benchmarks.asking import Ledger, problem_of
from benchmarks.load import Measured
from benchmarks.logs import MIXED, clone, filled, kept
from benchmarks.options import Options
from benchmarks.running import ratio
from benchmarks.servers import Served, serving
from benchmarks.shapes import SHAPES, Shape

ANALYSTS = 8
AIM = 1.5
PARTS = (0.1, 0.5)  # of the peak
STATEMENTS = (
    "SELECT count(*) FROM records WHERE regexp_matches(outcome_result, '(collect|partner)[.]example')",
    "SELECT tool_name, count(DISTINCT tool_arguments), max(length(outcome_result)) FROM actions GROUP BY tool_name",
    "SELECT request_conversation_id, list(tool_name ORDER BY time), count(*) AS n FROM actions GROUP BY ALL ORDER BY n DESC LIMIT 100",
    """SELECT submitter, source_id, max(gap) FROM (
        SELECT submitter, source_id, source_seq - lag(source_seq) OVER (PARTITION BY submitter, source_id ORDER BY source_seq) AS gap FROM records
    ) GROUP BY ALL ORDER BY 3 DESC LIMIT 100""",
    "SELECT * FROM sessions ORDER BY consequences_after_untrusted DESC LIMIT 1000",
    "SELECT done_how, done_where, count(*) FROM denials GROUP BY ALL",
    "SELECT source_tool, sink_tool, count(*), max(len(carried)) FROM flows GROUP BY ALL",
    "SELECT day, quantile_cont(n, 0.99) FROM (SELECT date_trunc('day', time) AS day, identity_principal, count(*) AS n FROM actions GROUP BY ALL) GROUP BY ALL",
)


@dataclass
class Said:
    """What analysts were told: how long each answer took, how many entries the log had more, and why others got none."""

    seconds: list[float] = field(default_factory=list)
    behind: list[int] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def words(self) -> str:
        if not self.seconds:
            answered = "none answered"
        else:
            middle, most = statistics.median(self.seconds), max(self.seconds)
            answered = (
                f"{len(self.seconds)} answered, in {middle:.1f} s ({most:.1f} at most), "
                f"{statistics.median(self.behind):,.0f} entries behind ({max(self.behind):,} at most)"
            )
        return ", ".join([answered, *(f"{count} {code}" for code, count in self.refused.items())])


@dataclass
class Rounds:
    """Of one rate, in requests a second."""

    rate: float
    alone: list[Measured] = field(default_factory=list)
    asked: list[Measured] = field(default_factory=list)
    said: Said = field(default_factory=Said)


def run(options: Options) -> dict:
    size, rounds, seconds = (30_000, 2, 5.0) if options.quick else (1_000_000, 3, 20.0)
    found: dict[str, dict] = {}
    with kept(options) as cache:
        filled(cache / f"mixed-{size}", size, MIXED)
        for shape in SHAPES:
            for part in PARTS:
                name = f"{shape.name}, {part:g} of the peak"
                if options.only and not any(wanted in name for wanted in options.only):
                    continue
                with tempfile.TemporaryDirectory(dir=cache) as temporary:
                    clone(cache / f"mixed-{size}", Path(temporary) / "data")
                    with serving("benchmarks.signed", data=Path(temporary) / "data") as server:
                        with Ledger(server) as ledger:
                            ledger.value("SELECT count(*) FROM actions")
                        measured = Rounds(shape.peak(server, seconds / 2).per_second * part)
                        _measure(server, shape, measured, rounds, seconds)
                found[name] = asdict(measured)
                _print(name, measured, shape.batch, f"{rounds} rounds of {seconds:.0f} s")
    return found


def _measure(server: Served, shape: Shape, measured: Rounds, rounds: int, seconds: float) -> None:
    for _ in range(rounds):
        _settled(server)
        measured.alone.append(shape.offer(server, measured.rate, seconds))
        with asking(server, measured.said):
            measured.asked.append(shape.offer(server, measured.rate, seconds))


def _settled(server: Served) -> None:
    """Wait until the ledger has taken in what came: nobody's work of the round before is left."""
    with Ledger(server) as ledger:
        while "Ledger-Behind" in ledger.sql("SELECT count(*) FROM actions").headers:
            time.sleep(1.0)


@contextmanager
def asking(server: Served, said: Said) -> Iterator[None]:
    """Analysts at work; what they are told is kept."""
    over = threading.Event()
    threads = [threading.Thread(target=_ask, args=(server, number, said, over)) for number in range(ANALYSTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _ask(server: Served, number: int, said: Said, over: threading.Event) -> None:
    statements = list(STATEMENTS)
    random.Random(number).shuffle(statements)
    headers = {"Authorization": f"Bearer {server.token}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=120.0) as client:
        for sql in itertools.cycle(statements):
            if over.is_set():
                return
            began = time.perf_counter()
            answer = client.post("/v1/query", json={"sql": sql})
            if answer.status_code == 200:
                said.seconds.append(time.perf_counter() - began)
                said.behind.append(int(answer.headers.get("Ledger-Behind", "0")))
            else:
                said.refused[problem_of(answer)] += 1
                time.sleep(1.0)


def _print(name: str, measured: Rounds, batch: int, how: str) -> None:
    print(f"\n(l) {name}, {measured.rate * batch:.0f} records/s; {how} in turn\n")
    print("| | p50 ms | p99 ms | p99.9 ms | max ms | refused | never sent |\n|---|---|---|---|---|---|---|")
    for title, rows in (("nobody asks", measured.alone), (f"{ANALYSTS} analysts ask", measured.asked)):
        middle = {
            field: statistics.median(getattr(row, field) for row in rows)
            for field in ("p50_ms", "p99_ms", "p999_ms")
        }
        print(
            f"| {title} | {middle['p50_ms']:.2f} | {middle['p99_ms']:.2f} | {middle['p999_ms']:.1f} | {max(row.max_ms for row in rows):.0f} | "
            f"{sum(row.refused for row in rows)} | {sum(row.missed for row in rows)} |"
        )
    of = {
        field: ratio(*([getattr(row, field) for row in rows] for rows in (measured.asked, measured.alone)))
        for field in ("p50_ms", "p99_ms")
    }
    print(
        f"\nratio of p50 {of['p50_ms']}, of p99 {of['p99_ms']} (aim {AIM}); statements: {measured.said.words()}"
    )
