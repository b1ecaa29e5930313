"""(k) Each named question, over HTTP against the same SQL on a plain DuckDB file with the same tables, in turn.

The log is mixed (`benchmarks.mixed`): the ledger takes it in, then a hundredth more comes, so that answers are put together from sealed tables and what came
since. The plain file is written once, of what the ledger itself answers (`SELECT *` of each table, in Arrow), and opened with the workers' settings: one
thread, the same memory. `sessions`, `denials` and the other views are plain tables there. Both give at most 10,000 rows as an Arrow table; the ledger once
more as JSON, parsed. An answer with another number of rows ends the run. What is asked with which values: `benchmarks.asking`.
"""

import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from benchmarks.asking import ARROW, JSON, TABLES, VALUES, Ledger, copied, parameters, plainly
from benchmarks.logs import MIXED, clone, filled, kept
from benchmarks.mixed import SESSIONS_IN_A_CHUNK, texts
from benchmarks.options import Options
from benchmarks.servers import serving
from ledger.forensics.catalog import load_queries
from ledger.forensics.service import MAX_ROWS

BATCH = 500
SINCE = 100  # the log grows by a hundredth after its tables were made
AIM, NONE_ABOVE = 1.5, 3.0
NOTHING = "SELECT 1"


class Asked(NamedTuple):
    """A question, and what it is asked with."""

    name: str
    given: dict[str, Any]
    sql: str
    bound: dict[str, Any]

    def of(self, ledger: Ledger, media: str) -> bytes:
        if self.name == NOTHING:
            return ledger.sql(self.sql, media=media).content
        return ledger.named(self.name, self.given, media=media).content


@dataclass
class Row:
    """What came of one: rows of the answer, and milliseconds of each round."""

    rows: int
    ledger: list[float] = field(default_factory=list)
    json: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)

    def ratio(self, side: str) -> float:
        return statistics.median(getattr(self, side)) / statistics.median(self.plain)


def run(options: Options) -> dict:
    size, rounds = (30_000, 3) if options.quick else (1_000_000, 7)
    with kept(options) as cache, tempfile.TemporaryDirectory(dir=cache) as temporary:
        clone(filled(cache / f"mixed-{size}", size, MIXED), Path(temporary) / "data")
        with serving("benchmarks.signed", data=Path(temporary) / "data") as server, Ledger(server) as ledger:
            began = time.perf_counter()
            ledger.value("SELECT count(*) FROM actions")
            taken_in_s = time.perf_counter() - began
            _tell(f"taken in after {taken_in_s:.0f} s")
            _grow(ledger, size // SINCE)
            counts = {name: ledger.value(f"SELECT count(*) FROM {name}") for name in TABLES}
            with copied(ledger, Path(temporary) / "plain.duckdb") as plain:
                _tell("copied into a plain file")
                found = _compared(ledger, plain, rounds)
    _print(found, counts, taken_in_s, rounds)
    return {
        "taken_in_s": taken_in_s,
        "counts": counts,
        "ms": {name: asdict(row) for name, row in found.items()},
    }


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _grow(ledger: Ledger, more: int) -> None:
    """By that many records, of sessions that the log has not."""
    newest = ledger.value(
        "SELECT max(regexp_extract(request_conversation_id, '[0-9]+')::BIGINT) FROM records"
    )
    lines: list[str] = []
    for chunk in itertools.count(newest // SESSIONS_IN_A_CHUNK + 1):
        lines += [line for _, line in texts(chunk)]
        if len(lines) >= more:
            break
    for low in range(0, more, BATCH):
        ledger.post(lines[low : min(low + BATCH, more)])


def _compared(ledger: Ledger, plain: duckdb.DuckDBPyConnection, rounds: int) -> dict[str, Row]:
    values = {name: plain.execute(sql).fetchall()[0][0] for name, sql in VALUES.items()}
    questions = [Asked(NOTHING, {}, NOTHING, {})]
    for query in load_queries().values():
        given = parameters(query, values)
        questions.append(Asked(query.name, given, plainly(query), query.bind(given)))
    found: dict[str, Row] = {}
    sides: dict[str, Callable[[Asked], int]] = {
        "ledger": lambda asked: pa.ipc.open_stream(asked.of(ledger, ARROW)).read_all().num_rows,
        "json": lambda asked: len(json.loads(asked.of(ledger, JSON))["rows"]),
        "plain": lambda asked: min(
            plain.execute(asked.sql, asked.bound or None).to_arrow_table().num_rows, MAX_ROWS
        ),
    }
    for number in range(rounds + 1):  # the first is to warm both
        for asked in questions:
            # Every other round the other way round: what else the machine does falls on all alike.
            for side, of in list(sides.items())[:: -1 if number % 2 else 1]:
                began = time.perf_counter()
                rows = of(asked)
                milliseconds = (time.perf_counter() - began) * 1e3
                row = found.setdefault(asked.name, Row(rows))
                if rows != row.rows:
                    raise SystemExit(f"{asked.name}: {row.rows} rows and {rows}")
                if number:
                    getattr(row, side).append(milliseconds)
        _tell(f"round {number} of {rounds}")
    return found


def _print(found: dict[str, Row], counts: dict[str, int], taken_in_s: float, rounds: int) -> None:
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    print(f"\n(k) {told}; taken in for queries {taken_in_s:.0f} s after the start; {rounds} rounds in turn\n")
    print(
        "| question | rows | over HTTP ms | plain DuckDB ms | ratio | as JSON ms | ratio |\n|---|---|---|---|---|---|---|"
    )
    nothing = found.pop(NOTHING)
    for name, row in found.items():
        print(
            f"| {name} | {row.rows:,} | {_middle(row.ledger)} | {_middle(row.plain)} | {row.ratio('ledger'):.2f} | "
            f"{_middle(row.json)} | {row.ratio('json'):.2f} |"
        )
    for side, title in (("ledger", "in Arrow"), ("json", "as JSON")):
        ratios = sorted(row.ratio(side) for row in found.values())
        print(
            f"\n{title}: median {statistics.median(ratios):.2f} (aim {AIM}), worst {ratios[-1]:.2f} (aim {NONE_ABOVE:g}), "
            f"above that {sum(ratio > NONE_ABOVE for ratio in ratios)} of {len(ratios)}"
        )
    print(f"\n`{NOTHING}` over HTTP, which is what a round trip takes: {_middle(nothing.ledger)} ms")
    found[NOTHING] = nothing


def _middle(values: list[float]) -> str:
    return f"{statistics.median(values):.1f}"
