"""(g) Peers side by side: the same records, batches and writers for all, in turn, each in a process and a folder of its own."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.options import Options
from benchmarks.peers.catalog import LEDGER, PEERS, Peer
from benchmarks.peers.environments import ROOT, CannotRunError, command
from benchmarks.peers.feeding import Plan
from benchmarks.records import batches, texts
from benchmarks.running import measure, ratio
from benchmarks.servers import serving

SHAPES = ((1, 32), (32, 8), (500, 4))  # records in a batch, writers
ALONE = (32, 1)  # how syncs are counted: one writer, so that no two share one
WRITES_THROUGH = re.compile(r"\b(?:fsync|fdatasync|msync|sync_file_range)\(|O_D?SYNC")
PATIENCE_S = 300
OVER_HTTP = "**Agent Ledger**, over HTTP"
Row = dict[str, object]


def run(options: Options) -> dict:
    rounds, seconds, records = (1, 2.0, 20_000) if options.quick else (3, 6.0, 200_000)
    chosen = [peer for peer in PEERS if not options.only or any(word in peer.name for word in options.only)]
    found: dict[str, dict] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        scratch = Path(temporary)
        scratch.chmod(0o755)  # PostgreSQL runs as another user, and must reach its folder in it
        given = scratch / "records.ndjson"
        given.write_text("\n".join(texts(records)))
        syncs = {peer.name: _syncs(peer, options, given, scratch) for peer in chosen}
        for batch, writers in SHAPES:
            rows: dict[str, list[Row]] = {peer.name: [] for peer in chosen}
            for number in range(rounds):
                # In turn, every other round the other way round: what else the machine does falls on all alike.
                for peer in sorted(chosen, key=PEERS.index, reverse=bool(number % 2)):
                    plan = Plan(peer.form, str(given), "", batch, writers, seconds)
                    rows[peer.name].append(_measured(peer, plan, options, scratch))
                if not options.only:
                    rows.setdefault(OVER_HTTP, []).append(_over_http(batch, writers, seconds, records))
            found[f"{batch} x {writers}"] = rows
            _print(batch, writers, rows, f"{rounds} rounds of at most {seconds:.0f} s or {records} records")
    _print_said(chosen, syncs)
    return {"rows": found, "syncs_per_batch": syncs, "shapes": SHAPES}


def _measured(peer: Peer, plan: Plan, options: Options, scratch: Path, around: Sequence[str] = ()) -> Row:
    """Run a peer once in an empty folder; `why` instead of numbers where it cannot."""
    folder = scratch / "peer"
    folder.mkdir(mode=0o755)
    try:
        words = [
            *around,
            *command(peer, options.installed),
            json.dumps({**asdict(plan), "folder": str(folder)}),
        ]
        # What a peer keeps in a home, it keeps here.
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "XDG_STATE_HOME": str(folder),
        }
        os.sync()  # nobody pays for what another left unwritten
        done = subprocess.run(
            words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        if done.returncode:
            return {"why": (done.stderr.strip().splitlines() or ["it failed"])[-1]}
        row = json.loads(done.stdout.splitlines()[-1])
        return {**row, "bytes_per_record": _used(folder) / row["records"]}
    except CannotRunError as error:
        return {"why": str(error)}
    except subprocess.TimeoutExpired:
        return {"why": f"it had not ended after {PATIENCE_S} s"}
    finally:
        shutil.rmtree(folder)


def _used(folder: Path) -> int:
    """Bytes that the folder's files take on the disk."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


def _syncs(peer: Peer, options: Options, given: Path, scratch: Path) -> float | str:
    """How often a batch of one writer is written through to the disk: what the peer says of itself, checked."""
    batch, writers = ALONE
    plan = Plan(peer.form, str(given), "", batch, writers, 1.0)
    if shutil.which("strace") is None:
        return "no strace"
    with tempfile.NamedTemporaryFile("r") as trace:
        calls = "trace=fsync,fdatasync,msync,sync_file_range,openat"
        row = _measured(peer, plan, options, scratch, ["strace", "-f", "-qq", "-e", calls, "-o", trace.name])
        if "why" in row:
            return str(row["why"])
        counted = row.get("syncs") or sum(bool(WRITES_THROUGH.search(line)) for line in trace)
    return counted / (row["records"] / batch)


def _over_http(batch: int, writers: int, seconds: float, records: int) -> Row:
    with serving("benchmarks.signed") as server:
        before = server.cpu_seconds()
        measured = measure(server, batches(records // batch, batch), connections=writers, seconds=seconds)
        used = server.cpu_seconds() - before
    rate = measured.per_second * batch
    return {
        **asdict(measured),
        "records": rate,
        "seconds": 1.0,
        "cpu_us": used / (measured.requests * batch) * 1e6,
    }


def _rate(row: Row) -> float:
    return row["records"] / row["seconds"]


def _print(batch: int, writers: int, rows: dict[str, list[Row]], how_long: str) -> None:
    print(f"\n(g) batches of {batch}, {writers} writers, {how_long}\n")
    print(
        "| | records/s | the ledger in process is faster by | over HTTP by | CPU µs per record | batch p50 ms | batch p99 ms | max ms | bytes per record |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, measured in rows.items():
        why = next((row["why"] for row in measured if "why" in row), None)
        if why is not None:
            print(f"| {name} | not here: {why} | | | | | | | |")
            continue
        middle = sorted(measured, key=_rate)[len(measured) // 2]
        size = f"{middle['bytes_per_record']:.0f}" if "bytes_per_record" in middle else ""
        print(
            f"| {name} | {_rate(middle):.0f} | {_faster(rows, LEDGER.name, name)} | {_faster(rows, OVER_HTTP, name)} | {middle['cpu_us']:.0f} | {middle['p50_ms']:.1f} | {middle['p99_ms']:.1f} | "
            f"{middle['max_ms']:.0f} | {size} |"
        )


def _faster(rows: dict[str, list[Row]], one: str, other: str) -> str:
    if one == other or one not in rows or any("why" in row for row in (*rows[one], *rows[other])):
        return ""
    return ratio([_rate(row) for row in rows[one]], [_rate(row) for row in rows[other]])


def _print_said(chosen: list[Peer], syncs: dict[str, float | str]) -> None:
    print(
        f"\nsyncs: of a batch of {ALONE[0]} by one writer, counted with strace (PostgreSQL: by its own WAL counter)\n"
    )
    print("| | durable when a write returns | syncs | what shows tampering |\n|---|---|---|---|")
    for peer in chosen:
        count = syncs[peer.name]
        shown = count if isinstance(count, str) else f"{count:.2f}"
        print(f"| {peer.name} | {peer.durable} | {shown} | {peer.evident} |")
