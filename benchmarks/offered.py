"""(h) Latency against offered load: requests fall due at fixed times and are timed from then, so that a stall counts for all who wait."""

from dataclasses import asdict

from benchmarks.options import Options
from benchmarks.plot import chart
from benchmarks.servers import serving
from benchmarks.shapes import SHAPES

SHARES = (0.1, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def run(options: Options) -> dict:
    seconds, shares = (2.0, (0.25, 0.5, 0.9)) if options.quick else (20.0, SHARES)
    found = {}
    for shape in SHAPES:
        with serving("benchmarks.signed") as server:
            peak = shape.peak(server, seconds)
            rows = {share: shape.offer(server, peak.per_second * share, seconds) for share in shares}
        print(
            f"\n(h) {shape.name.partition(',')[0]}, {seconds:.0f} s at each load; peak {peak.per_second * shape.batch:.0f} records/s\n"
        )
        print(
            "| offered, of the peak | records/s | p50 ms | p99 ms | p99.9 ms | max ms | refused | never sent |"
        )
        print("|---|---|---|---|---|---|---|---|")
        for share, row in rows.items():
            print(
                f"| {share:.2f} | {share * peak.per_second * shape.batch:.0f} | {row.p50_ms:.1f} | {row.p99_ms:.1f} | "
                f"{row.p999_ms:.1f} | {row.max_ms:.0f} | {row.refused} | {row.missed} |"
            )
        chart(
            options.into / f"offered-{shape.batch}.svg",
            f"Latency against offered load: {shape.name.partition(',')[0]}",
            "records offered per second",
            "ms from when it was due to its answer",
            {
                name: [
                    (share * peak.per_second * shape.batch, getattr(row, field))
                    for share, row in rows.items()
                ]
                for name, field in (("median", "p50_ms"), ("p99", "p99_ms"), ("p99.9", "p999_ms"))
            },
        )
        print(f"\n![latency against offered load](offered-{shape.batch}.svg)")
        found[shape.name] = {
            "peak": asdict(peak),
            "rows": {share: asdict(row) for share, row in rows.items()},
        }
    return found
