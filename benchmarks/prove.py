"""python -m benchmarks.prove [ENTRIES]: how long a browser takes to check a whole log, by default of 100,000 entries, and what each kind of tampering looks like in it.

The log is made here, with its last tenth not sealed yet; the browser is Chromium, the server a real one. The CPU time of the page's own thread says what the check costs whatever
else the machine does; the longest task is how long the page did not answer at worst.
"""

import sys
import tempfile
from pathlib import Path

from tests.audit.sealed_log import filled
from tests.console.proving import World, execute
from tests.evidence.browser import chromium

ENTRIES = 100_000
GROUP = 500
WAIT_MS = 900_000
WATCH = "window.longest = 0; new PerformanceObserver((list) => list.getEntries().forEach((each) => { longest = Math.max(longest, each.duration) })).observe({type: 'longtask'})"


def main(entries):
    half, cut = (1 + GROUP * int(entries * part / GROUP) for part in (0.45, 0.9))  # where commits end
    with tempfile.TemporaryDirectory() as base, chromium() as driven:
        world = World(Path(base), driven)
        try:
            data = world.make("log", filled(entries, group=GROUP), (half, cut))
            world.serve(data)
            _measured(world)
            _tampered(world, data, half, cut)
        finally:
            world.close()


def _measured(world):
    page = world.open("#/prove")
    page.set_default_timeout(WAIT_MS)
    metrics = page.context.new_cdp_session(page)
    metrics.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.evaluate(WATCH)
    before = _cpu_s(metrics)
    said, findings = world.verify()
    spent_s = _cpu_s(metrics) - before
    print(f"{said}; {len(findings)} findings\n")
    print(f"{page.locator('section.verdict > p').last.inner_text()}\n")
    print("| | |\n|---|---|")
    print(f"| CPU of the page's thread | {spent_s:.1f} s |")
    print(f"| longest task | {page.evaluate('longest'):.0f} ms |\n")


def _cpu_s(metrics):
    told = {each["name"]: each["value"] for each in metrics.send("Performance.getMetrics")["metrics"]}
    return told["TaskDuration"]


def _tampered(world, data, start, cut):
    world.server.stop()
    hashes = data / "segments" / f"{start:016}" / "hashes"
    flipped = bytearray(hashes.read_bytes())
    flipped[32 * 7_000] ^= 1
    hashes.write_bytes(flipped)
    execute(
        data, f"UPDATE entries SET entry = replace(entry, 'send_money', 'send_m0ney') WHERE seq = {cut + 99}"
    )
    world.serve(data)
    world.open("#/prove")
    said, findings = world.verify()
    print(f"A stored hash changed, and an entry: {said}")
    for kind, place in findings:
        print(f"- {kind}: {place}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES)
