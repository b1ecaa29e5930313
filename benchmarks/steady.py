"""(i) Steady load at half the peak, through twenty rotations and seals: how long a commit takes, and every pause with what happened then.

A pause is a commit of more than 100 ms, or an answer that came more than 100 ms later than the median answer after it was due.
"""

import json
import statistics
import tempfile
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.disk import paced
from benchmarks.options import Options
from benchmarks.peers.feeding import spread
from benchmarks.plot import chart
from benchmarks.servers import serving
from benchmarks.shapes import SHAPES, Shape
from ledger.log.store import ROTATE_ENTRIES

ROTATIONS, FEW = 22, 5  # a few more than are asked for: a load at half the peak is never quite reached
PAUSE_S = 0.1
SHOWN = 20
WAL_BYTES = 2_200  # of a record with its contents, in the write-ahead log of a hot file
DISK_S = 60.0
Event = tuple[float, float, int, float, float]


@dataclass(frozen=True)
class Run:
    """What was offered, and what the clients (due, seconds) and the ledger (by kind: see `benchmarks.watched`) saw of it."""

    shape: Shape
    rate: float
    seconds: float
    rotate_entries: int
    answers: list[tuple[float, float]]
    events: dict[str, list[Event]]
    disk: list[tuple[float, float]]

    @property
    def commits(self) -> list[Event]:
        return self.events["commit"][1:]  # without that of the log's own first entry

    def kind(self, name: str) -> list[Event]:
        return self.events.get(name, [])


def run(options: Options) -> dict:
    seconds = 20.0 if options.quick else options.minutes * 60
    found = {}
    for shape in SHAPES:
        with serving("benchmarks.signed") as server:
            peak = shape.peak(server, 3.0 if options.quick else 10.0)
        rate = peak.per_second / 2
        entries = min(
            int(rate * shape.batch * seconds / (FEW if options.quick else ROTATIONS)), ROTATE_ENTRIES
        )
        with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
            data, samples = Path(temporary) / "data", Path(temporary) / "samples.json"
            with serving("benchmarks.watched", "--rotate-entries", str(entries), data=data) as server:
                measured = shape.offer(server, rate, seconds, samples=samples)
            answers = [tuple(row) for row in json.loads(samples.read_text())]
            events = json.loads(Path(f"{data}.watch.json").read_text())
            disk = _disk(Path(temporary), events["commit"][1:], min(seconds, DISK_S))
        steady = Run(shape, rate, seconds, entries, answers, events, disk)
        found[shape.name] = {"peak": asdict(peak), "answers": asdict(measured), **_told(steady)}
        _draw(steady, options.into / f"steady-{shape.batch}.svg")
        print(f"\n![commit latency over time](steady-{shape.batch}.svg)")
    return found


def _disk(folder: Path, commits: list[Event], seconds: float) -> list[tuple[float, float]]:
    """As many commits of the same bytes, and nothing else, on the same disk."""
    size = statistics.mean(size for _, _, size, *_ in commits)
    return paced(folder, int(size * WAL_BYTES), len(commits) / (commits[-1][1] - commits[0][0]), seconds)


def _told(run: Run) -> dict:
    commits, rotations, seals = run.commits, run.kind("rotation"), run.kind("seal")
    rows = {
        f"a commit ({len(commits)})": spread([(end - begin) * 1e3 for begin, end, *_ in commits]),
        "a commit, less what its thread waited for a core": spread(
            [(end - begin - waited) * 1e3 for begin, end, _, _, waited in commits]
        ),
        f"an answer, from when it was due ({len(run.answers)})": spread(
            [took * 1e3 for _, took in run.answers]
        ),
        f"the disk alone, as much at the same pace, written through ({len(run.disk)})": spread(
            [took * 1e3 for _, took in run.disk]
        ),
    }
    pauses = _pauses(run)
    print(
        f"\n(i) {run.shape.name.partition(',')[0]}, {run.rate * run.shape.batch:.0f} records/s for {run.seconds:.0f} s, half of the peak; "
        f"hot files of {run.rotate_entries} entries: {len(rotations)} rotations, {len(seals)} segments sealed\n"
    )
    print("| | p50 ms | p99 ms | p99.9 ms | max ms | p99.9 / p50 |\n|---|---|---|---|---|---|")
    for name, row in rows.items():
        print(
            f"| {name} | {row['p50_ms']:.2f} | {row['p99_ms']:.2f} | {row['p999_ms']:.2f} | {row['max_ms']:.1f} | "
            f"{row['p999_ms'] / row['p50_ms']:.1f} |"
        )
    print(
        f"\naims: 5 for a commit, no pause; a rotation took at most {_longest(rotations):.1f} ms (aim 50), "
        f"a seal {_longest(seals):.0f} ms"
    )
    print(f"pauses: {len(pauses)}" + "".join(f"\n- {pause}" for pause in pauses[:SHOWN]))
    # Each commit for itself: whoever doubts the percentiles has what they were made of.
    begin = commits[0][0]
    rounded = {
        kind: [
            [
                round(at - begin, 4),
                round((end - at) * 1e3, 3),
                size,
                round(ran * 1e3, 3),
                round(waited * 1e3, 3),
            ]
            for at, end, size, ran, waited in events
        ]
        for kind, events in run.events.items()
    }
    return {
        "spread": rows,
        "pauses": pauses,
        "rotate_entries": run.rotate_entries,
        "at_s, took_ms, size, ran_ms, waited_for_a_core_ms": rounded,
    }


def _longest(events: list[Event]) -> float:
    return max(((end - begin) * 1e3 for begin, end, *_ in events), default=0.0)


def _pauses(run: Run) -> list[str]:
    """What went on in each stretch in which somebody waited too long; stretches that touch are one."""
    late = statistics.median(took for _, took in run.answers) + PAUSE_S
    stretches = [(begin, end, "a commit") for begin, end, *_ in run.commits if end - begin > PAUSE_S]
    stretches += [(due, due + took, "an answer") for due, took in run.answers if took > late]
    joined: list[tuple[float, float, set[str]]] = []
    for begin, end, what in sorted(stretches):
        if joined and begin <= joined[-1][1]:
            start, before, kinds = joined.pop()
            joined.append((start, max(end, before), kinds | {what}))
        else:
            joined.append((begin, end, {what}))
    return [_explained(run, *stretch) for stretch in joined]


def _explained(run: Run, begin: float, end: float, kinds: set[str]) -> str:
    beside = [
        f"a {kind} of {(there - at) * 1e3:.0f} ms"
        for kind in ("rotation", "seal", "collection")
        for at, there, *_ in run.kind(kind)
        if at < end and there > begin
    ]
    during = [event for event in run.commits if event[0] < end and event[1] > begin]
    waited = sum(event[4] for event in during)
    asleep = max(0.0, sum(there - at - ran - without for at, there, _, ran, without in during))
    when = f"at {begin - run.commits[0][0]:.1f} s, {(end - begin) * 1e3:.0f} ms"
    what = f"{when}: {' and '.join(sorted(kinds))}"
    lacked = f"the sequencer {waited * 1e3:.0f} of them without a core, {asleep * 1e3:.0f} waiting for the disk or a lock"
    return f"{what}, {lacked}; beside it {', '.join(beside) or 'commits alone'}"


def _draw(run: Run, path: Path) -> None:
    first = run.commits[0][0]
    committed, waited = defaultdict(list), defaultdict(list)
    for begin, end, *_ in run.commits:
        committed[int(begin - first)].append((end - begin) * 1e3)
    for due, took in run.answers:
        waited[int(due - first)].append(took * 1e3)
    chart(
        path,
        f"Steady load at half the peak: {run.shape.name.partition(',')[0]}",
        "seconds",
        "ms",
        {
            "commit, slowest": [(second, max(took)) for second, took in sorted(committed.items())],
            "commit, median": [
                (second, statistics.median(took)) for second, took in sorted(committed.items())
            ],
            "answer, slowest": [(second, max(took)) for second, took in sorted(waited.items())],
        },
        marks=[begin - first for begin, *_ in run.kind("rotation")],
        spans=[(begin - first, end - first) for begin, end, *_ in run.kind("seal")],
        key="of each second; lines mark rotations, shades the sealing of segments",
    )
