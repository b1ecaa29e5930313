"""(a) NDJSON batches over HTTP: signed, the same service unsigned, and a plain FastAPI + DuckDB insert of the same JSON."""

from dataclasses import asdict

from benchmarks.options import Options
from benchmarks.records import batches
from benchmarks.running import measure, ratio
from benchmarks.servers import serving

CLIENTS, BATCH = 4, 500


def run(options: Options) -> dict:
    rounds, seconds = (2, 3.0) if options.quick else (5, 6.0)
    results = {"signed": [], "unsigned": [], "plain": []}
    with (
        serving("benchmarks.signed") as signed,
        serving("benchmarks.unsigned") as unsigned,
        serving("benchmarks.plain") as plain,
    ):
        servers = {"signed": signed, "unsigned": unsigned, "plain": plain}
        for _ in range(rounds):
            for name, server in servers.items():
                bodies = batches(int(60 * seconds), BATCH)
                results[name].append(measure(server, bodies, connections=CLIENTS, seconds=seconds))
    print(
        f"\n(a) batches of {BATCH} records as NDJSON, {CLIENTS} clients, {rounds} rounds of {seconds:.0f} s\n"
    )
    print("| | records/s | batch p50 ms | batch p99 ms | refused |\n|---|---|---|---|---|")
    for name, rows in results.items():
        middle = sorted(rows, key=lambda row: row.per_second)[len(rows) // 2]
        print(
            f"| {name} | {middle.per_second * BATCH:.0f} | {middle.p50_ms:.0f} | {middle.p99_ms:.0f} | {middle.refused} |"
        )
    rates = {name: [m.per_second for m in rows] for name, rows in results.items()}
    print(f"\nsigned / unsigned {ratio(rates['signed'], rates['unsigned'])}; aim 0.8")
    print(f"signed / plain {ratio(rates['signed'], rates['plain'])}; aim 2")
    return {name: [asdict(row) for row in rows] for name, rows in results.items()}
