"""(d) The same actions by each way in, in turn, to one ledger: NDJSON, an Arrow IPC stream, OTLP spans."""

import io
import json
import statistics
from dataclasses import asdict

import httpx
import pyarrow as pa

from benchmarks import otlp
from benchmarks.load import MARK
from benchmarks.options import Options
from benchmarks.records import record
from benchmarks.running import measure, ratio
from benchmarks.servers import Served, serving
from ledger.records.columns import COLUMNS

CLIENTS, BATCH = 4, 500


def run(options: Options) -> dict:
    rounds, seconds = (3, 3.0) if options.quick else (9, 5.0)
    ways = {
        "NDJSON, records": ("/v1/records", "application/x-ndjson", ndjson),
        "Arrow, records": ("/v1/records", "application/vnd.apache.arrow.stream", arrow),
        "OTLP, spans": ("/v1/traces", "application/x-protobuf", otlp.export),
    }
    templates = {
        name: written([record(number, MARK.decode()) for number in range(BATCH)])
        for name, (_, _, written) in ways.items()
    }
    results = {name: [] for name in ways}
    busy = {name: [] for name in ways}
    taken = {name: [] for name in ways}
    with serving("benchmarks.signed") as server:
        for number in range(rounds):
            # In turn, every other round the other way round: what else the machine does falls on all alike.
            for name in sorted(ways, reverse=bool(number % 2)):
                path, media_type, _ = ways[name]
                before, size = server.cpu_seconds(), _size(server)
                measured = measure(
                    server,
                    [templates[name]],
                    path=path,
                    connections=CLIENTS,
                    seconds=seconds,
                    media_type=media_type,
                )
                results[name].append(measured)
                taken[name].append((_size(server) - size) / (measured.requests * BATCH))
                busy[name].append((measured.requests * BATCH) / (server.cpu_seconds() - before))
    _print(results, busy, taken, f"{rounds} rounds of {seconds:.0f} s")
    rows = {name: [asdict(row) for row in measured] for name, measured in results.items()}
    return {"rows": rows, "per_cpu_second": busy, "entries_for_each": taken}


def _print(results, busy, taken, how_long: str) -> None:
    print(f"\n(d) batches of {BATCH}, {CLIENTS} clients, {how_long}\n")
    print(
        "| | per second | batch p50 ms | batch p99 ms | ratio | per CPU second | ratio | entries for each |"
    )
    print("|---|---|---|---|---|---|---|---|")
    rates = {name: [m.per_second for m in rows] for name, rows in results.items()}
    first = next(iter(rates))
    for name, rows in results.items():
        middle = sorted(rows, key=lambda row: row.per_second)[len(rows) // 2]
        print(
            f"| {name} | {middle.per_second * BATCH:.0f} | {middle.p50_ms:.0f} | {middle.p99_ms:.0f} | "
            f"{ratio(rates[name], rates[first])} | {statistics.median(busy[name]):.0f} | "
            f"{ratio(busy[name], busy[first])} | {statistics.median(taken[name]):.2f} |"
        )
    print("\nratios are to NDJSON, round by round; aim: Arrow 1.3")


def _size(server: Served) -> int:
    """How many entries there are: what was answered is counted where it should be."""
    found = httpx.get(
        f"{server.url}/v1/log", headers={"Authorization": f"Bearer {server.token}"}, trust_env=False
    )
    return found.json()["size"]


def ndjson(records: list[dict]) -> bytes:
    return "\n".join(map(json.dumps, records)).encode()


def arrow(records: list[dict]) -> bytes:
    """One column for each member that these records have, text and integers as the schema has them, nothing compressed."""
    columns = {}
    for column in COLUMNS.values():
        values = [_at(row, column.path) for row in records]
        if column.kind == "commitment" or values.count(None) == len(values):
            continue
        if column.json:
            values = [json.dumps(value) for value in values]
        columns[column.name] = pa.array(values, pa.int64() if column.shape == "int64" else pa.string())
    table = pa.table(columns)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _at(value: object, path: str) -> object:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
