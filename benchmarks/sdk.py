"""(e) What the SDK adds: an intent made durable by it, against the same record posted with bare httpx in turn; the spool; its import."""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from benchmarks.options import Options
from benchmarks.running import ratio
from benchmarks.servers import serving
from ledger.client import Ledger, Spool

THREADS = 32
NOBODY = "http://127.0.0.1:9"
ARGUMENTS = {"to": "ann@example.com", "subject": "invoice 1041", "body": "Paid. " * 50}
IMPORTS = {"the SDK": "from ledger.client import Ledger", "httpx": "import httpx", "nothing": "pass"}


def run(options: Options) -> dict:
    rounds, calls = (3, 100) if options.quick else (7, 300)
    with tempfile.TemporaryDirectory() as folder, serving("benchmarks.signed") as (url, token, _):
        os.environ["XDG_STATE_HOME"] = f"{folder}/state"
        headers = {"Authorization": f"Bearer {token}"}
        with (
            httpx.Client(base_url=url, headers=headers, trust_env=False) as bare,
            Ledger(url, token) as ledger,
            Ledger(NOBODY, "t", away=Spool(f"{folder}/spool"), timeout_s=0.1) as spooling,
        ):
            ways = {
                "SDK": lambda: ledger.action("send_email", arguments=ARGUMENTS).start(),
                "bare httpx": lambda: post(bare),
                "SDK, spooling": lambda: spooling.action("send_email", arguments=ARGUMENTS).start(),
            }
            taken: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(rounds):
                for name, way in ways.items():
                    taken[name].append(median_ms(way, calls))
            rates = [at_once(ways["SDK"], calls) for _ in range(rounds)]
    print(f"\n(e) one intent at a time, {rounds} rounds of {calls}\n\n| | p50 ms |\n|---|---|")
    for name, rows in taken.items():
        print(f"| {name} | {statistics.median(rows):.1f} |")
    print(f"\nSDK / bare httpx {ratio(taken['SDK'], taken['bare httpx'])}")
    print(f"{THREADS} threads at once: {statistics.median(rates):.0f} intents/s")
    shown = ", ".join(f"{name} {cpu_ms(statement, rounds):.0f} ms" for name, statement in IMPORTS.items())
    print(f"CPU of a Python that imports {shown}")
    return {"p50_ms": taken, "at_once_per_second": rates}


def post(client: httpx.Client) -> None:
    now = "2026-11-21T09:30:00Z"
    record = {"type": "action.intent", "time": now, "tool": {"name": "send_email", "arguments": ARGUMENTS}}
    client.post("/v1/records", json=record).raise_for_status()


def median_ms(way: Callable[[], object], calls: int) -> float:
    taken = []
    for _ in range(calls):
        began = time.perf_counter()
        way()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def at_once(way: Callable[[], object], calls: int) -> float:
    """Calls per second of many threads."""
    threads = [threading.Thread(target=lambda: [way() for _ in range(calls // 10)]) for _ in range(THREADS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return THREADS * (calls // 10) / (time.perf_counter() - began)


def cpu_ms(statement: str, rounds: int) -> float:
    """The least CPU time of a new Python that does this."""
    taken = []
    for _ in range(rounds):
        before = os.times()
        subprocess.run([sys.executable, "-c", statement], check=True, cwd=Path(__file__).parent.parent)
        after = os.times()
        taken.append(
            (after.children_user - before.children_user) + (after.children_system - before.children_system)
        )
    return min(taken) * 1000
