"""(b) One record per request from 32 clients, each durable and signed before its answer, against an empty FastAPI route."""

from dataclasses import asdict

from benchmarks.options import Options
from benchmarks.records import texts
from benchmarks.running import measure, ratio
from benchmarks.servers import serving

CLIENTS = 32


def run(options: Options) -> dict:
    rounds, seconds = (2, 2.0) if options.quick else (5, 6.0)
    ours, empty = [], []
    with serving("benchmarks.signed") as signed, serving("benchmarks.plain") as plain:
        for _ in range(rounds):
            bodies = texts(int(6_000 * seconds))
            for into, server, path, some in (
                (ours, signed, "/v1/records", bodies),
                (empty, plain, "/empty", bodies[:1]),
            ):
                into.append(
                    measure(
                        server,
                        some,
                        path=path,
                        connections=CLIENTS,
                        seconds=seconds,
                        media_type="application/json",
                    )
                )
    print(f"\n(b) single records, {CLIENTS} clients, {rounds} rounds of {seconds:.0f} s\n")
    print("| | requests/s | p50 ms | p99 ms | max ms | refused |\n|---|---|---|---|---|---|")
    for name, rows in (("durable, signed", ours), ("empty route", empty)):
        best = sorted(rows, key=lambda row: row.per_second)[len(rows) // 2]
        print(
            f"| {name} | {best.per_second:.0f} | {best.p50_ms:.1f} | {best.p99_ms:.1f} | {best.max_ms:.1f} | {best.refused} |"
        )
    print(f"\nratio {ratio([m.per_second for m in ours], [m.per_second for m in empty])}; aim 0.4")
    return {"signed": [asdict(row) for row in ours], "empty": [asdict(row) for row in empty]}
