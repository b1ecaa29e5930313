"""(m) What a commit costs where the log's key lives elsewhere: one record at a time, in turns, the key in a file, with `agent-ledger signer`, with OpenSSH's agent."""

import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.options import Options
from benchmarks.records import texts
from benchmarks.running import ratio
from ledger.core.note import sign_note
from ledger.log.keys import load_key
from ledger.log.log import Log
from ledger.records.prepare import prepare
from ledger.storage.layout import KEY

ORIGIN = "bench.example/signers"
FILE, SIGNER, OPENSSH = "a file", "`agent-ledger signer`", "OpenSSH's ssh-agent"
ROUNDS, COMMITS, SIGNATURES = 9, 200, 500
PATIENCE_S = 30.0


@contextmanager
def _running(socket: Path, *command: str | Path) -> Iterator[None]:
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + PATIENCE_S
    try:
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{command[0]} does not listen at {socket}")
            time.sleep(0.01)
        yield
    finally:
        process.terminate()
        process.wait()


def _homes(folder: Path, stack: ExitStack) -> dict[str, str]:
    """Of each way, where a new log's key lives; what holds it runs."""
    agent, key = folder / "signer.sock", folder / "signer.key"
    command = [sys.executable, "-m", "ledger.cli", "signer"]
    subprocess.run([*command, "init", key, "--origin", ORIGIN], check=True, capture_output=True)
    stack.enter_context(_running(agent, *command, "serve", key, agent))
    homes = {FILE: "file", SIGNER: f"ssh-agent:{agent}"}
    if shutil.which("ssh-agent"):
        agent, key = folder / "openssh.sock", folder / "id"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        stack.enter_context(_running(agent, "ssh-agent", "-D", "-a", agent))
        subprocess.run(["env", f"SSH_AUTH_SOCK={agent}", "ssh-add", "-q", key], check=True)
        homes[OPENSSH] = f"ssh-agent:{agent}"
    return homes


def _commits(log: Log, count: int) -> float:
    """Milliseconds of a commit of one record, in the median."""
    took = []
    for text in texts(count):
        item = prepare(
            text.encode(),
            submitter="token:bench",
            persons=log.persons,
            origin=ORIGIN,
            agent_key=log.agent_key,
        )
        settled = threading.Event()
        began = time.perf_counter()
        log.submit([item], atomic=False, done=lambda _, settled=settled: settled.set())
        settled.wait()
        took.append((time.perf_counter() - began) * 1e3)
    return statistics.median(took)


def _signatures(data: Path, count: int) -> float:
    """Milliseconds of a signature alone, in the median: asked for, made, checked where it is from outside."""
    signer, took = load_key(data / KEY), []
    for size in range(1, count + 1):
        text = f"{ORIGIN}\n{size}\nh9UMXqS06cZqY1DcnPgMhWQabcLU6G++7tynUvpM20w=\n"
        began = time.perf_counter()
        sign_note(text, signer)
        took.append((time.perf_counter() - began) * 1e3)
    return statistics.median(took)


def run(options: Options) -> dict:
    rounds, commits, signatures = (2, 30, 50) if options.quick else (ROUNDS, COMMITS, SIGNATURES)
    with tempfile.TemporaryDirectory(dir=options.folder) as place, ExitStack() as stack:
        folder = Path(place)
        homes = _homes(folder, stack)
        logs = {}
        for number, (name, home) in enumerate(homes.items()):
            Log.create(folder / f"log-{number}", ORIGIN, key=home)
            logs[name] = Log.open(folder / f"log-{number}")
            stack.callback(logs[name].close)
        took: dict[str, list[float]] = {name: [] for name in homes}
        for _ in range(rounds):
            for name, log in logs.items():
                took[name].append(_commits(log, commits))
        alone = {name: _signatures(folder / f"log-{n}", signatures) for n, name in enumerate(homes)}
    print("\n| the key lives in | a commit of one record, ms | of that with a file | a signature alone, ms |")
    print("|---|---|---|---|")
    for name, each in took.items():
        print(f"| {name} | {statistics.median(each):.2f} | {ratio(each, took[FILE])} | {alone[name]:.3f} |")
    return {"commit_ms": took, "signature_ms": alone}
