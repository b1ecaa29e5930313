"""Half an hour with everything on: every way in, questions, verification, the scrub, seals, retention, compaction, backups, erasures, and
kill -9 every minute. `make soak ARGS="-k everything"`.

`SOAK_MINUTES` says how long; what was done so far is printed after each life. What one life of the server used is written down every few seconds, and may not grow from life to life.
"""

import base64
import contextlib
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from benchmarks.dialects import arrow, ndjson
from benchmarks.otlp import export
from benchmarks.records import record as full_record
from ledger.core.canonical import dumps
from ledger.core.ed25519 import generate
from ledger.core.entry import commitment, record_signing_input
from ledger.log.log import Log
from tests.faults.oracle import ORIGIN, check, check_backups
from tests.faults.server import ROOT, NotStarted, Server, told

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
BACKED_UP_WITHIN_S = 120
LIFE_S = float(os.environ.get("SOAK_LIFE_S", "60"))
BATCH = 50
SAMPLE_S = 5.0
WARM_S = LIFE_S / 2  # by then a life has loaded what it needs
ROTATE_ENTRIES = 5_000
AGENT = generate()
QUESTION = "SELECT count(*) AS n, max(seq) AS newest FROM records"
# Whatever these give may be gone: contents, or the whole entry. Nothing else may.
POLICIES = {
    "contents": "SELECT seq FROM records WHERE seq % 89 = 5",
    "entries": "SELECT seq FROM records WHERE seq % 97 = 3",
}
ERASED = 3  # places, after each life
BACKUPS = 3  # kept
SCRUB_MIB_S = 64
SCRUB = "agent_ledger_scrub_"
BUSY = {429, 503}


class Everything:
    """Clients that go on whatever the server does, and what they were told."""

    def __init__(self, seed: int, place: Path) -> None:
        self.sent: set[str] = set()
        self.acknowledged: dict[str, tuple[int, str]] = {}
        self.newest = 0
        self.spans = self.questions = self.verified = self.seals = self.erased = 0
        self.retired = self.compactions = self.backups = self.backups_failed = 0
        self.scrubbed = 0
        self.wrong: list[str] = []
        self.server: Server | None = None
        self.place = place
        # From 1,000 on: a trace id takes eight characters of a record's.
        self._chance, self._numbers = random.Random(seed), itertools.count(1_000)
        self._ended = threading.Event()
        writing = (self._ndjson, self._arrow, self._sealed, self._otlp)
        upkeep = (self._verify, self._seal, self._retain, self._compact, self._back_up, self._scrub)
        tasks = (*writing, self._ask, *upkeep)
        self._threads = [threading.Thread(target=self._again, args=(task,), daemon=True) for task in tasks]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive()

    def _again(self, task: Callable[[httpx.Client], None]) -> None:
        """One client: a connection for each life of the server."""
        while not self._ended.is_set():
            server = self.server
            if server is None:
                time.sleep(0.05)
                continue
            with server.client() as client, contextlib.suppress(httpx.HTTPError):
                while not self._ended.is_set() and self.server is server:
                    task(client)

    def _records(self) -> list[dict]:
        return [full_record(next(self._numbers), "soak") for _ in range(BATCH)]

    def _post(self, client: httpx.Client, names: list[str], body: bytes, media_type: str) -> None:
        self.sent.update(names)
        answer = client.post("/v1/records", content=body, headers={"Content-Type": media_type})
        if answer.status_code in BUSY:
            time.sleep(0.2)
        elif answer.status_code == 201:
            places = told(answer)
            self.acknowledged |= places
            self.newest = max(self.newest, *(seq for seq, _ in places.values()))
        else:
            self.wrong.append(f"{media_type}: {answer.status_code} {answer.text[:500]}")

    def _ndjson(self, client: httpx.Client) -> None:
        records = self._records()
        self._post(client, [item["id"] for item in records], ndjson(records), "application/x-ndjson")
        time.sleep(0.05)

    def _arrow(self, client: httpx.Client) -> None:
        records = self._records()
        self._post(
            client, [item["id"] for item in records], arrow(records), "application/vnd.apache.arrow.stream"
        )
        time.sleep(0.2)

    def _sealed(self, client: httpx.Client) -> None:
        name, salt, text = f"sealed-{next(self._numbers)}", os.urandom(16), b'"pay the bill"'
        body = {
            "id": name,
            "type": "action",
            "time": "2026-11-21T09:30:00.000001Z",
            "request": {"text": commitment(salt, text).hex()},
        }
        signature = base64.b64encode(AGENT.sign(record_signing_input(ORIGIN, dumps(body)))).decode()
        disclosed = [{"member": "request.text", "salt": salt.hex(), "value": "pay the bill"}]
        item = {"record": body, "signature": {"key": "agent", "sig": signature}, "disclosures": disclosed}
        self._post(client, [name], json.dumps(item).encode(), "application/json")
        time.sleep(0.1)

    def _otlp(self, client: httpx.Client) -> None:
        body = export(self._records())
        answer = client.post("/v1/traces", content=body, headers={"Content-Type": "application/x-protobuf"})
        if answer.status_code == 200:
            self.spans += BATCH
        elif answer.status_code not in BUSY:
            self.wrong.append(f"OTLP: {answer.status_code} {answer.text[:500]}")
        time.sleep(0.3)

    def _ask(self, client: httpx.Client) -> None:
        least = self.newest
        answer = client.post("/v1/query", json={"sql": QUESTION})
        if answer.status_code == 200:
            self.questions += 1
            [[_, newest]] = answer.json()["rows"]
            if newest is None or newest < least - 1:  # the newest may be one that a policy has taken
                self.wrong.append(
                    f"a question saw nothing above {newest}, {least} was acknowledged before it"
                )
        elif answer.status_code not in BUSY:
            self.wrong.append(f"a question: {answer.status_code} {answer.text[:500]}")
        time.sleep(1)

    def _verify(self, client: httpx.Client) -> None:
        job = client.post("/v1/verify", json={})
        if job.status_code != 202:
            time.sleep(1)
            return
        while (state := client.get(f"/v1/verify/{job.json()['id']}").json()).get("state") in {
            "queued",
            "running",
        }:
            time.sleep(0.5)
        self.verified += 1
        if state.get("report", {}).get("findings"):
            self.wrong.append(f"verification found {state['report']['findings'][:3]}")
        time.sleep(2)

    def _seal(self, client: httpx.Client) -> None:
        time.sleep(self._chance.uniform(5, 20))
        answer = client.post("/v1/seal", timeout=120)
        if answer.status_code == 200:
            self.seals += 1
        elif answer.status_code not in BUSY:
            self.wrong.append(f"a seal: {answer.status_code} {answer.text[:500]}")

    def _retain(self, client: httpx.Client) -> None:
        time.sleep(self._chance.uniform(3, 10))
        for removes, select in POLICIES.items():
            self._well(
                "a policy",
                client.put(f"/v1/retention/policies/{removes}", json={"removes": removes, "select": select}),
            )
        answer = client.post("/v1/retention/run", json={}, timeout=120)
        if self._well("retention", answer):
            self.retired += sum(plan["entries"] for plan in answer.json()["plans"])

    def _compact(self, client: httpx.Client) -> None:
        time.sleep(self._chance.uniform(3, 10))
        self._well("compaction", client.post("/v1/compact"))
        while (state := client.get("/v1/compact").json()).get("running"):
            time.sleep(0.5)
        if state.get("failed"):
            self.wrong.append(f"a compaction: {state['failed']}")
        self.compactions += state.get("result") is not None

    def _back_up(self, _: httpx.Client) -> None:
        """As cron does it: a process beside the server, which may be killed under it."""
        time.sleep(self._chance.uniform(5, 15))
        server = self.server
        if server is not None:
            self.back_up(server)

    def back_up(self, server: Server) -> None:
        """The command; it may fail where its server was killed meanwhile."""
        command = [sys.executable, "-m", "ledger.cli", "backup", str(self.place), "--keep", str(BACKUPS)]
        done = subprocess.run(
            [*command, "--data", str(server.data)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        self.backups += done.returncode == 0
        self.backups_failed += done.returncode != 0
        if done.returncode and (server is self.server or "Traceback" in done.stderr):
            self.wrong.append(f"a backup: {done.stderr[-500:]}")

    def _scrub(self, client: httpx.Client) -> None:
        time.sleep(2)
        said = dict(
            line.split() for line in client.get("/metrics").text.splitlines() if line.startswith(SCRUB)
        )
        self.scrubbed = max(self.scrubbed, int(float(said.get(f"{SCRUB}size", "0"))))
        if float(said.get(f"{SCRUB}findings", "0")):
            self.wrong.append(f"the scrub found {said[f'{SCRUB}findings']} things wrong")

    def _well(self, what: str, answer: httpx.Response) -> bool:
        if not answer.is_success and answer.status_code not in BUSY:
            self.wrong.append(f"{what}: {answer.status_code} {answer.text[:500]}")
        return answer.is_success

    def told(self) -> str:
        """What was done so far."""
        return (
            f"{len(self.acknowledged)} acknowledged, {self.spans} spans, {self.questions} questions, {self.verified} verifications, "
            f"{self.seals} seals, {self.retired} retired, {self.compactions} compactions, {self.erased} erased, {self.backups} backups "
            f"({self.backups_failed} cut off), {self.scrubbed} entries scrubbed, {len(self.wrong)} wrong"
        )


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the record of the run


def used(pid: int) -> dict[str, int]:
    """What a process holds: memory in KiB, descriptors, threads."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {
        "rss_kib": int(status["VmRSS"].split()[0]),
        "fds": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "threads": int(status["Threads"]),
    }


@pytest.mark.soak
@pytest.mark.timeout(MINUTES * 60 + 3600)
def test_everything_at_once_for_half_an_hour_loses_nothing_and_grows_nowhere(tmp_path):
    data = tmp_path / "data"
    Log.create(data, ORIGIN)
    log = Log.open(data)
    log.append_own(
        "log.access_granted",
        {"log.key_id": "agent", "log.public_key": base64.b64encode(AGENT.public).decode()},
    )
    log.close()
    seed = int(os.environ.get("FAULTS_SEED", str(time.time_ns())))
    _say(f"FAULTS_SEED={seed}")
    chance, everything = random.Random(seed), Everything(seed, tmp_path / "set")
    everything.start()
    lives, until = [], time.monotonic() + MINUTES * 60
    while time.monotonic() < until:
        lives.append(_live(data, everything, chance))
        _erase(data, everything, chance)
        _say(f"{time.strftime('%H:%M:%S')} {everything.told()}")
        _say(json.dumps(lives[-1]))
    everything.end()
    everything.server = Server(data)
    everything.back_up(everything.server)  # the others were made under fire
    assert everything.server.stop() == 0
    may_be_gone = {name for name, (seq, _) in everything.acknowledged.items() if seq % 97 == 3}
    found = check(data, everything.acknowledged, unsure=may_be_gone)
    backups = check_backups(tmp_path / "set")
    _say(f"{everything.told()}, {len(lives)} kills, {backups} backups are whole")
    assert everything.wrong == []
    assert found.keys() >= everything.acknowledged.keys() - may_be_gone
    done = (
        everything.spans,
        everything.questions,
        everything.retired,
        everything.compactions,
        everything.erased,
        backups,
    )
    assert min(len(everything.acknowledged), *done) > 0, done
    _flat(lives)


def _erase(data: Path, everything: Everything, chance: random.Random) -> None:
    """Between two lives: erasure is the log's, and no route leads to it yet."""
    log = Log.open(data)
    try:
        posted = [seq for name, (seq, _) in everything.acknowledged.items() if name.startswith("sealed-")]
        gone = log.removed
        left = [seq for seq in posted if seq not in gone.entries]
        places = [(seq, "request.text") for seq in chance.sample(left, min(ERASED, len(left)))]
        everything.erased += log.erase(places, by="token:soak", ground="asked").places if places else 0
    finally:
        log.close()


def _started(data: Path) -> Server:
    """As a supervisor does it, again and again: a backup that found no server has the folder until it is done."""
    until = time.monotonic() + BACKED_UP_WITHIN_S
    while True:
        try:
            return Server(
                data, options=("--rotate-entries", str(ROTATE_ENTRIES), "--scrub-mib-s", str(SCRUB_MIB_S))
            )
        except NotStarted as refused:
            if "[locked]" not in str(refused) or time.monotonic() > until:
                raise
            time.sleep(1)


def _live(data: Path, everything: Everything, chance: random.Random) -> dict[str, float]:
    """One life of the server, ended by kill -9; the median of what it used once it was warm."""
    begun = time.monotonic()
    server = _started(data)
    ready = time.monotonic() - begun
    everything.server = server
    samples, ends = [], time.monotonic() + chance.uniform(0.9, 1.1) * LIFE_S
    while time.monotonic() < ends:
        time.sleep(min(SAMPLE_S, LIFE_S / 10))
        assert server.process.poll() is None, server.said()
        if time.monotonic() > ends - WARM_S:
            samples.append(used(server.process.pid))
    everything.server = None
    server.kill()
    assert "Traceback" not in server.said(), server.said()
    return {"ready_s": round(ready, 2)} | {
        name: statistics.median(sample[name] for sample in samples) for name in samples[0]
    }


def _flat(lives: list[dict[str, float]]) -> None:
    """The last third of the lives used hardly more than the first third: the log is many times as long by then."""
    third = len(lives) // 3
    if not third:
        return
    for name in ("rss_kib", "fds", "threads"):
        first, last = (
            statistics.median(life[name] for life in some) for some in (lives[:third], lives[-third:])
        )
        assert last <= first * 1.5 + 16, f"{name} grew from {first} to {last}"
