"""(d) The same actions by each way in, in turn, to one ledger: NDJSON, an Arrow IPC stream, OTLP spans."""

import io
import json
import os
import statistics
import uuid
from pathlib import Path

import httpx
import pyarrow as pa

from benchmarks import otlp
from benchmarks.records import record
from benchmarks.running import measure, ratio
from benchmarks.servers import serving
from ledger.records.columns import COLUMNS

CLIENTS, BATCH = 4, 500
MARK = "@run-id@"


def run(*, quick: bool) -> None:
    rounds, seconds = (3, 3.0) if quick else (9, 5.0)
    # Bodies for each second are made beforehand, more than is taken; a round whose bodies run out is shorter, and as true.
    ways = {
        "NDJSON, records": ("/v1/records", "application/x-ndjson", ndjson, 50),
        "Arrow, records": ("/v1/records", "application/vnd.apache.arrow.stream", arrow, 80),
        "OTLP, spans": ("/v1/traces", "application/x-protobuf", otlp.export, 20),
    }
    templates = {
        name: written([record(number, MARK) for number in range(BATCH)])
        for name, (_, _, written, _) in ways.items()
    }
    results = {name: [] for name in ways}
    busy = {name: [] for name in ways}
    taken = {name: [] for name in ways}
    with serving("benchmarks.signed") as (url, token, pid):
        for number in range(rounds):
            # In turn, every other round the other way round: what else the machine does falls on all alike.
            for name in sorted(ways, reverse=bool(number % 2)):
                path, media_type, _, per_second = ways[name]
                bodies = [_renamed(templates[name]) for _ in range(int(per_second * seconds))]
                before, size = _cpu_seconds(pid), _size(url, token)
                measured = measure(
                    url,
                    token,
                    path,
                    bodies,
                    connections=CLIENTS,
                    seconds=seconds,
                    media_type=media_type,
                )
                results[name].append(measured)
                taken[name].append((_size(url, token) - size) / (measured.requests * BATCH))
                busy[name].append((measured.requests * BATCH) / (_cpu_seconds(pid) - before))
    _print(results, busy, taken, f"{rounds} rounds of {seconds:.0f} s")


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


def _size(url: str, token: str) -> int:
    """How many entries there are: what was answered is counted where it should be."""
    found = httpx.get(f"{url}/v1/log", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    return found.json()["size"]


def _cpu_seconds(pid: int) -> float:
    """What the server's process has used, on all cores: what else the machine does weighs less on it than on the clock."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _renamed(body: bytes) -> bytes:
    """The same body with ids that no other has. They are of one length, so that lengths and offsets in it stay true."""
    return body.replace(MARK.encode(), uuid.uuid4().hex[: len(MARK)].encode())


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
