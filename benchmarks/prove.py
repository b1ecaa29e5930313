"""(m) What a browser finds of each kind of tampering in a whole log, and what it costs there: `python -m benchmarks prove`, or `python -m benchmarks.prove [ENTRIES]` alone.

The log is made here, its last tenth not sealed yet; the browser is Chromium, the server a real one. Each kind (`tests.console.kinds`) is planted in a copy of that log, on the disk, or
in what the server answers, or by writing the log anew with its own key; then the page reads all of it, or the record concerned. CPU is that of the page's own thread from the opening of
the page to its verdict, which says what it costs whatever else the machine does; the longest task is how long the page did not answer at worst.
"""

import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.options import Options
from tests.audit.sealed_log import filled
from tests.console import kinds
from tests.console.planting import Site, copied
from tests.console.proving import World
from tests.evidence.browser import chromium

ENTRIES, QUICK = 100_000, 6_000
GROUP = 500
WAIT_MS = 900_000
WATCH = "window.longest = 0; new PerformanceObserver((list) => list.getEntries().forEach((each) => { longest = Math.max(longest, each.duration) })).observe({type: 'longtask'})"
WHOLE = (*kinds.ON_THE_DISK, *kinds.DAMAGED, *kinds.IN_ANSWERS, *kinds.UNSIGNED)
RECORDS = (*kinds.RECORDS, *kinds.LIES_OF_RECORDS)


@dataclass
class Row:
    """What came of one kind: what the page called it and where, how it said so, whether that is what was done and where it was; seconds of CPU."""

    kind: str
    said: str
    where: str
    how: str
    right: bool
    cpu_s: float


def run(options: Options) -> dict:
    return main(QUICK if options.quick else ENTRIES)


def main(entries: int) -> dict:
    cuts = tuple(1 + GROUP * int(entries * part / GROUP) for part in (0.45, 0.9))  # where commits end
    with tempfile.TemporaryDirectory() as base, chromium() as driven:
        bench = Bench(Path(base), driven, entries, cuts)
        try:
            return bench.run()
        finally:
            bench.world.close()


class Bench:
    """The true log, a world in which copies of it take its place, and what came of each."""

    def __init__(self, base: Path, driven, entries: int, cuts: tuple[int, ...]) -> None:
        self.base, self.cuts, self.log = base, cuts, filled(entries, group=GROUP)
        self.world, self.rows = World(base, driven), []
        self.true = self.world.make("true", self.log, cuts)

    def run(self) -> dict:
        page = self.world.begin(self.true)
        page.set_default_timeout(WAIT_MS)
        self.metrics = page.context.new_cdp_session(page)
        self.metrics.send("Performance.enable", {"timeDomain": "threadTicks"})
        measured = self._measured(page)
        self.seen = page.evaluate("({...localStorage})")
        print(
            "| kind | what the page says | where | how it shows | right | CPU s |\n|---|---|---|---|---|---|"
        )
        for kind in WHOLE:
            self._planted(kind, self._of_the_log)
        for kind in RECORDS:
            self._planted(kind, self._of_a_record)
        for kind in kinds.OF_WITNESSES:
            self._planted(kind, self._of_witnesses)
        for kind in (*kinds.BEFORE_IT_WAS_SEEN, *kinds.AFTER_IT_WAS_SEEN):
            self._written_anew(kind)
        self._another_key()
        right = sum(row.right for row in self.rows)
        print(f"\n{right} of {len(self.rows)} kinds are called what they are, and the right entry is named.")
        return {"entries": len(self.log.rows), **measured, "rows": [vars(row) for row in self.rows]}

    def _measured(self, page) -> dict:
        page.evaluate(WATCH)
        before = self._cpu_s()
        said, findings = self.world.verify()
        spent_s, longest_ms = self._cpu_s() - before, page.evaluate("longest")
        if findings:
            raise SystemExit(f"the log that nobody touched: {said}")
        print(
            f"\nThe log that nobody touched: {said}; {spent_s:.1f} s of CPU, the longest task {longest_ms:.0f} ms.\n"
        )
        return {"cpu_s": spent_s, "longest_ms": longest_ms}

    def _cpu_s(self) -> float:
        told = {
            each["name"]: each["value"] for each in self.metrics.send("Performance.getMetrics")["metrics"]
        }
        return told["TaskDuration"]

    def _planted(self, kind: kinds.Kind, look) -> None:
        """Each in a copy of its own, at which a browser looks that has seen the true log."""
        data = copied(self.true, self._folder())
        site = Site(self.log, data, self.cuts, truth=self.world.truth)
        seq = kind.at(site)
        kind.plant(site, seq)
        before = self._opened(data, seen=True, lies=site.lie)
        found = look(seq)
        self._tell(kind.name, found, kind.says(seq), self._cpu_s() - before)

    def _written_anew(self, kind: kinds.Rewritten) -> None:
        seq = self.cuts[-1] + 14
        data = self.world.make("anew", kind.make(self.log, seq), self.cuts)
        after = kind in kinds.AFTER_IT_WAS_SEEN
        before = self._opened(data, seen=after)
        found = self._alarm() if after else self._of_the_log(seq)
        self._tell(kind.name, found, kind.says(seq), self._cpu_s() - before)

    def _another_key(self) -> None:
        data = self._folder() / "data"
        data.parent.mkdir()
        before = self._opened(data, seen=True)
        self._tell(
            "another log under its name, with another key",
            self._alarm(),
            [("Another key.", "the log")],
            self._cpu_s() - before,
        )

    def _opened(self, data: Path, *, seen: bool, lies=None) -> float:
        page = self.world.tab.page
        before = self.world.server.data
        self.world.serve(data)
        if before != self.true:
            shutil.rmtree(before.parent)
        self.world.remembers(self.seen if seen else {})
        if lies is not None:
            lies(page)
        spent_s = self._cpu_s()
        self.world.open("#/prove")
        page.get_by_role("region", name="What this browser knows").wait_for()
        return spent_s

    def _of_the_log(self, _: int) -> list[list[str]]:
        return self.world.verified()[1]

    def _of_a_record(self, seq: int) -> list[list[str]]:
        return [[what, f"entry {seq:,}", why] for what, why in self.world.proved(seq)]

    def _of_witnesses(self, _: int) -> list[list[str]]:
        return [[what, "the log", why] for what, why in self.world.of_witnesses()]

    def _alarm(self) -> list[list[str]]:
        bar = self.world.tab.page.locator("section.alarm p").first
        bar.wait_for()
        return [
            [
                bar.locator("b").inner_text(),
                "the log",
                re.sub(r" Found .*", "", bar.inner_text(), flags=re.DOTALL),
            ]
        ]

    def _tell(self, name: str, found: list[list[str]], expected: list[tuple[str, str]], cpu_s: float) -> None:
        shown = [(what, where, how) for what, where, how in found]
        right = all(any(_fits(each, one) for one in shown) for each in expected)
        what, where, how = shown[0] if shown else ("nothing", "", "")
        more = f"; {len(shown) - 1} more" if len(shown) > 1 else ""
        row = Row(name, what.rstrip("."), where + more, _short(how), right, cpu_s)
        self.rows.append(row)
        print(
            f"| {row.kind} | {row.said} | {row.where} | {row.how} | {'yes' if right else '**no**'} | {cpu_s:.1f} |",
            flush=True,
        )

    def _folder(self) -> Path:
        return self.base / f"copy-{len(self.rows)}"


def _fits(expected: tuple[str, str], shown: tuple[str, str, str]) -> bool:
    """What it is called and where, or a stretch with that entry in it; of a record, of what it is and by which words."""
    what, told = expected
    numbers = [int(each.replace(",", "")) for each in re.findall(r"[0-9][0-9,]*", f"{told} {shown[1]}")]
    within = len(numbers) == 3 and what == "unverifiable" and numbers[1] <= numbers[0] <= numbers[2]
    return what == shown[0] and (told == shown[1] or told in shown[2] or within)


def _short(text: str) -> str:
    said = " ".join(text.split()).replace("|", "/")
    said = re.sub(r"/\S+/|[0-9A-Za-z+/]{30,}=*", "…", said)
    return said if len(said) <= 170 else f"{said[:169]}…"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES)
