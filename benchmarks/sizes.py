"""(j) Cost against the size of the log: peak ingest through a rotation and seal, restart, memory, bytes on the disk, verification."""

import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.logs import clone, filled, kept, sizes_of
from benchmarks.options import Options
from benchmarks.records import template
from benchmarks.running import measure, ratio
from benchmarks.servers import serving
from ledger.audit.fsck import verify_folder
from ledger.core.report import Level
from ledger.log.store import ROTATE_ENTRIES

BATCH, CLIENTS = 500, 4
REFERENCE = (
    1  # which of the sizes others are compared with: that of 100,000, past a first rotation's doorstep
)
KINDS = ("VmRSS", "RssAnon", "RssFile")


def run(options: Options) -> dict:
    sizes, rounds, records, rotate = (
        ((1_000, 10_000, 30_000), 1, 10_000, 4_000)
        if options.quick
        else (
            tuple(10**power for power in range(4, 9) if 10**power <= options.largest),
            3,
            500_000,
            ROTATE_ENTRIES,
        )
    )
    measured: dict[int, dict[str, list]] = {size: defaultdict(list) for size in sizes}
    disk, verified = {}, {}
    with kept(options) as cache:
        data = None
        for size in sizes:
            data = filled(cache / f"log-{size}", size, of=data, rotate_entries=rotate)
            disk[size] = sizes_of(data)
            verified[size] = _verified(data)
        for number in range(rounds):
            # In turn, every other round the other way round: what else the machine does falls on all alike.
            for size in sorted(sizes, reverse=bool(number % 2)):
                with tempfile.TemporaryDirectory(
                    dir=cache
                ) as temporary:  # beside it: links do not reach another disk
                    copy = Path(temporary) / "data"
                    clone(cache / f"log-{size}", copy)
                    _measure(copy, records, rotate, measured[size])
    _print(measured, disk, verified, f"{rounds} rounds of {records} records, hot files of {rotate}")
    return {"measured": measured, "disk_bytes": disk, "entries_verified_per_second": verified}


def _measure(data: Path, records: int, rotate: int, found: dict[str, list]) -> None:
    with serving("benchmarks.signed", "--rotate-entries", str(rotate), data=data) as server:
        found["started_s"].append(server.started_s)
        found["idle"].append(_memory(server.pid))
        load = measure(
            server, [template(BATCH)], connections=CLIENTS, seconds=600.0, requests=records // BATCH
        )
        found["loaded"].append(_memory(server.pid))
    found["per_second"].append(load.per_second * BATCH)
    found["p99_ms"].append(load.p99_ms)
    found["max_ms"].append(load.max_ms)


def _memory(pid: int) -> dict[str, int]:
    """Bytes in memory: all, those that are the process's own, those that are files mapped and can be dropped."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {kind: int(lines[kind].split()[0]) * 1024 for kind in KINDS}


def _verified(data: Path) -> dict[str, float]:
    """Entries a second, by level, spread over all cores."""
    found = {}
    for level in (Level.FILES, Level.HASHES, Level.EVERYTHING):
        if level is Level.FILES and not any((data / "segments").glob("[0-9]*")):
            continue
        began = time.perf_counter()
        report = verify_folder(data, level=level, processes=os.cpu_count())
        if report.findings:
            raise SystemExit(f"the log that was filled does not verify: {report.findings[0]}")
        found[level.value] = report.size / (time.perf_counter() - began)
    return found


def _print(measured: dict, disk: dict, verified: dict, how: str) -> None:
    print(f"\n(j) against the size of the log: batches of {BATCH}, {CLIENTS} clients; {how}\n")
    print(
        "| entries | records/s | of that at the reference | batch p99 ms | max ms | start s | own memory MiB, idle | and loaded | mapped MiB |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    reference = list(measured)[REFERENCE]
    for size, rows in measured.items():
        of = ratio(rows["per_second"], measured[reference]["per_second"])
        idle, loaded = rows["idle"][-1], rows["loaded"][-1]
        print(
            f"| {size:,} | {_middle(rows['per_second']):.0f} | {of} | {_middle(rows['p99_ms']):.0f} | {max(rows['max_ms']):.0f} | "
            f"{_middle(rows['started_s']):.2f} | {idle['RssAnon'] >> 20} | {loaded['RssAnon'] >> 20} | {loaded['RssFile'] >> 20} |"
        )
    kinds = sorted({kind for sizes in disk.values() for kind in sizes})
    print(
        f"\nbytes for each entry on the disk; aim of the ratio above: 0.9 (reference {reference:,}), of a start: 5 s\n"
    )
    print(f"| entries | {' | '.join(kinds)} | all |\n|{'---|' * (len(kinds) + 2)}")
    for size, sizes in disk.items():
        each = " | ".join(f"{sizes.get(kind, 0) / size:.1f}" for kind in kinds)
        print(f"| {size:,} | {each} | {sum(sizes.values()) / size:.0f} |")
    print(
        f"\nverified, entries a second, {os.cpu_count()} processes\n\n| entries | files | hashes | everything |\n|---|---|---|---|"
    )
    for size, rates in verified.items():
        print(
            f"| {size:,} | "
            + " | ".join(
                f"{rates[level]:.0f}" if level in rates else "" for level in ("files", "hashes", "everything")
            )
            + " |"
        )


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
