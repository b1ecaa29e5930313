"""Where the time goes: reading a record, a group commit step by step, and what DuckDB's INSERT costs in the ways that were compared."""

import os
import resource
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

import duckdb
import pyarrow as pa

from benchmarks.options import Options
from benchmarks.records import texts
from ledger.log import sequencer
from ledger.log.log import Log
from ledger.log.plan import Plan
from ledger.records.prepare import prepare
from ledger.storage import hot as store
from ledger.storage.hot import Store

ORIGIN = "bench.example/log"
STEPS = (
    (sequencer.Sequencer, "_commit"),
    (Plan, "add"),
    (sequencer, "_check_again"),
    (sequencer.Sequencer, "_sign"),
    (Store, "append"),
    (store, "_rows_table"),
    (sequencer.Sequencer, "_advance"),
)
NESTED = 'STRUCT("member" VARCHAR, salt BLOB, "value" VARCHAR)[]'


def _watch(spent):
    for owner, name in STEPS:
        real = getattr(owner, name)

        def timed(*arguments, _real=real, _name=name, **named):
            began = time.perf_counter()
            try:
                return _real(*arguments, **named)
            finally:
                spent[_name].append((time.perf_counter() - began) * 1e3)

        setattr(owner, name, timed)


def _commits(log: Log, spent, size: int, groups: int) -> float:
    """Milliseconds of each step, in the median of the groups; gives the microseconds that reading a record takes."""
    lines = [line.encode() for line in texts(size * groups)]
    began = time.perf_counter()
    items = [
        prepare(line, submitter="token:bench", persons=log.persons, origin=ORIGIN, agent_key=log.agent_key)
        for line in lines
    ]
    reading = (time.perf_counter() - began) / len(lines) * 1e6
    spent.clear()
    for at in range(0, len(items), size):
        settled = threading.Event()
        log.submit(items[at : at + size], atomic=False, done=lambda _, settled=settled: settled.set())
        settled.wait()
    return reading


def _inserts(kind: str, rows: int, rounds: int, *, busy: bool = False) -> tuple[float, float]:
    """Median milliseconds and KiB written of an INSERT of `rows` rows, contents as a text or nested, beside a busy thread or alone."""
    stop = threading.Event()
    if busy:
        threading.Thread(target=lambda: [None for _ in iter(stop.is_set, True)], daemon=True).start()
    contents = [{"member": "tool.arguments", "salt": bytes(16), "value": "v" * 120}] * 4
    with tempfile.TemporaryDirectory() as folder:
        connection = duckdb.connect(
            f"{folder}/x.duckdb", config={"threads": 1, "checkpoint_threshold": "1TB"}
        )
        column = NESTED if kind == "nested" else "VARCHAR"
        connection.execute(f"CREATE TABLE e (seq UBIGINT, entry VARCHAR, contents {column})")
        took, written = [], []
        for _ in range(rounds):
            values = [contents] * rows if kind == "nested" else [os.urandom(340).hex()] * rows
            batch = pa.table(  # noqa: F841 - DuckDB finds it by its name
                {
                    "seq": range(rows),
                    "entry": [os.urandom(740).hex() for _ in range(rows)],
                    "contents": values,
                }
            )
            before, began = resource.getrusage(resource.RUSAGE_SELF).ru_oublock, time.perf_counter()
            connection.execute("INSERT INTO e SELECT * FROM batch")
            took.append((time.perf_counter() - began) * 1e3)
            written.append((resource.getrusage(resource.RUSAGE_SELF).ru_oublock - before) / 2)
        connection.close()
    stop.set()
    return statistics.median(took), statistics.median(written)


def run(options: Options) -> dict:
    spent, medians = defaultdict(list), {}
    rounds = 20 if options.quick else 60
    print("\nwhere the time goes\n\n| | ms | KiB written |\n|---|---|---|")
    for kind, rows, busy in (
        ("text", 32, False),
        ("nested", 32, False),
        ("text", 950, False),
        ("text", 950, True),
    ):
        took, written = _inserts(kind, rows, rounds if rows == 32 else rounds // 3, busy=busy)
        beside = " beside a thread that keeps the interpreter busy" if busy else ""
        print(f"| INSERT of {rows} rows, contents {kind}{beside} | {took:.2f} | {written:.0f} |")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "data"
        Log.create(folder, ORIGIN)
        log = Log.open(folder)
        _watch(spent)
        for size in (32, 500):
            reading = _commits(log, spent, size, rounds)
            print(f"| reading a record (µs, not ms) | {reading:.0f} | |")
            for _, name in STEPS:
                medians[f"{name}, group of {size}"] = statistics.median(spent[name])
                print(f"| a group of {size}: {name} | {statistics.median(spent[name]):.2f} | |")
        log.close()
    return {"medians_ms": medians}
