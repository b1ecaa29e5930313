"""The ledger is away, slow, full, killed; the agent is killed: no tool runs without its intent, and the log has each record once."""

import asyncio
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from ledger.client import Ledger, LedgerAway, ProblemError, RecordsLost, Spool
from tests.client.conftest import entries, token
from tests.faults.server import ROOT, Server
from tests.project.tree import free_port

ORIGIN = "test.example/away"


@pytest.fixture
def place(tmp_path):
    """A data folder and a port: where a server comes and goes."""
    servers = []
    port = free_port()

    def serve() -> Server:
        servers.append(Server(tmp_path / "data", origin=ORIGIN, options=("--port", str(port))))
        return servers[-1]

    serve.running = servers
    yield serve
    for server in servers:
        server.stop()


def check_sources(records: list[dict]) -> None:
    """Each recorder's numbers are there from 0 on, in order, once, without a gap."""
    by_source: dict[str, list[int]] = {}
    for record in records:
        by_source.setdefault(record["source"]["id"], []).append(record["source"]["seq"])
    assert all(numbers == list(range(len(numbers))) for numbers in by_source.values())


def test_a_spool_takes_what_the_ledger_cannot_and_replays_it_in_order_once(place, tmp_path):
    server = place()
    with Ledger(server.url, token(server), away=Spool(tmp_path / "spool"), timeout_s=5) as ledger:
        with ledger.action("before"):
            pass
        ledger.flush()
        server.kill()
        for n in range(20):
            with ledger.action("during", arguments={"n": n}) as act:
                act.result = n
        with pytest.raises(LedgerAway):
            ledger.flush(0.2)
        server = place()
        ledger.flush(20)
        with ledger.action("after"):
            pass
    records = entries(server)
    assert len(records) == 2 * 22
    check_sources(records)
    assert [
        r["tool"]["arguments"]["n"] for r in records if r.get("tool", {}).get("name") == "during"
    ] == list(range(20))
    assert list((tmp_path / "spool").glob("*.spool")) == []


def test_what_a_closed_recorder_left_in_its_spool_is_sent_at_the_next_start(place, tmp_path):
    server = place()
    server.kill()
    with Ledger(server.url, token(server), away=Spool(tmp_path / "spool"), timeout_s=0.5) as ledger:
        with ledger.action("alone") as act:
            act.result = 1
        assert ledger.lost == 0
    server = place()
    with Ledger(server.url, token(server), away=Spool(tmp_path / "spool")) as ledger:
        ledger.flush(20)
    assert [record["type"] for record in entries(server)] == ["action.intent", "action.outcome"]


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.soak)])
def test_agents_and_the_ledger_are_killed_and_every_tool_that_ran_has_its_intent_once(place, tmp_path, seed):
    server = place()
    notes = tmp_path / "notes"
    arguments = [server.url, token(server), str(tmp_path / "spool"), str(notes)]
    for turn in range(2):
        agent = subprocess.Popen(
            [sys.executable, "-m", "tests.client.agent", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            ran = lines(notes)
            wait_until(lambda ran=ran: len(lines(notes)) > len(ran) + 20)
            server.kill()  # in the middle of whatever it does
            ran = lines(notes)
            wait_until(lambda ran=ran: len(lines(notes)) > len(ran) + 20)
            if (seed + turn) % 2:
                server = place()
                time.sleep(0.02 * seed)  # the spool is being replayed
        finally:
            agent.kill()
            agent.wait()
        if server.process.poll() is not None:
            server = place()
    with Ledger(
        server.url, token(server), source="last", away=Spool(tmp_path / "spool"), timeout_s=20
    ) as ledger:
        ledger.flush(30)
    records = entries(server)
    intents = Counter(record["action_id"] for record in records if record["type"] == "action.intent")
    assert set(lines(notes)) <= intents.keys()
    assert set(intents.values()) == {1}
    check_sources(records)
    assert list((tmp_path / "spool").glob("*.spool")) == []


def lines(path: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return path.read_text().split()
    return []


def wait_until(true, timeout_s: float = 30) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def test_a_full_spool_stops_tools_and_leaves_room_for_outcomes(tmp_path):
    spool = Spool(tmp_path / "spool", max_bytes=64 * 1024)
    ledger = Ledger(f"http://127.0.0.1:{free_port()}", "t", away=spool, timeout_s=1)
    running = []

    def fill() -> None:
        while True:
            running.append(ledger.action("step", arguments="x" * 2000).start())

    with pytest.raises(LedgerAway, match="is full"):
        fill()
    assert len(running) > 10
    for act in running[:5]:
        act.succeed()
    ledger.close()
    assert ledger.lost == 0


def test_blocking_tools_wait_for_a_ledger_that_restarts(place):
    server = place()
    with Ledger(server.url, token(server), timeout_s=20) as ledger:
        with ledger.action("one"):
            pass
        ledger.flush()
        server.kill()
        threading.Timer(0.5, place).start()
        with ledger.action("two"):
            pass
    records = entries(place.running[-1])
    assert [r["tool"]["name"] for r in records if "tool" in r] == ["one", "two"]
    check_sources(records)


def test_a_tool_that_was_blocked_did_not_run_and_the_log_says_so_later(place):
    server = place()
    with Ledger(server.url, token(server), timeout_s=0.5) as ledger:
        ledger.flush()
        server.kill()
        for _ in range(3):
            with pytest.raises(LedgerAway):
                ledger.action("blocked").start()
        began = time.monotonic()
        with pytest.raises(LedgerAway):
            ledger.action("at once").start()
        assert time.monotonic() - began < 0.4  # it has been away for long: nobody waits again
        server = place()
        ledger.flush(20)
        with ledger.action("good"):
            pass
    records = entries(server)
    check_sources(records)
    blocked = {r["action_id"] for r in records if r.get("tool", {}).get("name") == "blocked"}
    ends = {r["action_id"]: r["outcome"] for r in records if r["type"] == "action.outcome"}
    assert blocked
    assert all(ends[action]["status"] == "cancelled" for action in blocked)


def test_outcomes_that_are_lost_are_said_at_close_and_in_the_log_of_the_process(place, caplog):
    server = place()
    ledger = Ledger(server.url, token(server), timeout_s=0.5)
    act = ledger.action("step").start()
    server.kill()
    act.succeed()
    with caplog.at_level(logging.ERROR), pytest.raises(RecordsLost) as lost:
        ledger.close()
    assert (lost.value.lost, ledger.lost) == (1, 1)
    assert re.search(rf"{act.id}:outcome:\w+ is lost", caplog.text)


def test_what_comes_while_a_recorder_closes_is_recorded_or_its_loss_is_said(place, caplog, monkeypatch):
    server = place()
    ledger = Ledger(server.url, token(server), timeout_s=5)
    first, second = ledger.action("first").start(), ledger.action("second").start()
    exchange, look = ledger._sender._exchange, ledger._sender._exchange.look
    monkeypatch.setattr(exchange, "look", lambda: (first.succeed(), look()))
    ledger.close()
    second.succeed()
    ended = [r["action_id"] for r in entries(server) if r["type"] == "action.outcome"]
    assert ended == [first.id]
    assert re.search(rf"{second.id}:outcome:\w+ is lost: the ledger was closed", caplog.text)


def test_an_interrupt_while_a_recorder_closes_loses_nothing_in_silence(place, caplog, monkeypatch):
    server = place()
    ledger = Ledger(server.url, token(server), timeout_s=0.5)
    act = ledger.action("step").start()
    server.kill()
    act.succeed()

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ledger._sender, "flush", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ledger.close()
    assert ledger.lost == 1
    assert re.search(rf"{act.id}:outcome:\w+ is lost", caplog.text)


def test_a_record_that_is_refused_is_an_error_where_it_was_waited_for_and_said_where_not(place, caplog):
    server = place()
    ledger = Ledger(server.url, token(server))
    with pytest.raises(ProblemError) as refused:
        ledger.action("x", trace={"trace_id": "no hex"}).start()
    assert refused.value.code == "invalid-member"
    taken = ledger.record({"type": "note", "id": "n-1", "ext": {"a.b": 1}}, wait=True)
    assert taken == "n-1"
    with pytest.raises(ProblemError) as conflict:
        ledger.record({"type": "note", "id": "n-1", "ext": {"a.b": 2}}, wait=True)
    assert conflict.value.status == 409
    ledger.record({"type": "note", "id": "n-1", "ext": {"a.b": 3}})
    with caplog.at_level(logging.ERROR), pytest.raises(RecordsLost):
        ledger.close()
    assert "n-1 is lost" in caplog.text


def test_a_spooled_record_that_is_refused_is_kept_and_said_and_stops_nothing(place, tmp_path, caplog):
    server = place()
    server.kill()
    ledger = Ledger(server.url, token(server), away=Spool(tmp_path / "spool"), timeout_s=20)
    ledger.record({"type": "note", "id": "same", "time": "2026-01-01T00:00:00Z"}, wait=True)
    ledger.record({"type": "note", "id": "same", "time": "2027-01-01T00:00:00Z"}, wait=True)
    with ledger.action("after"):
        pass
    server = place()
    ledger.flush(20)
    with pytest.raises(RecordsLost):
        ledger.close()
    kept = [json.loads(line) for line in (tmp_path / "spool" / "refused.ndjson").read_text().splitlines()]
    assert [(line["problem"]["code"], json.loads(line["record"])["time"]) for line in kept] == [
        ("id-conflict", "2027-01-01T00:00:00Z")
    ]
    assert [record["type"] for record in entries(server)] == ["note", "action.intent", "action.outcome"]


class Busy(BaseHTTPRequestHandler):
    """Stands before a real ledger, and answers some posts itself."""

    protocol_version = "HTTP/1.1"
    behind: str
    full = 0  # so many first posts are answered with 429 and Retry-After
    nonsense: object = None  # what it says of each record, in the place of the ledger
    most = 1_000  # a post with more records is answered with 413
    times: list[float]
    groups: list[int]

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.command == "POST":
            self.times.append(time.monotonic())
            if len(self.times) <= self.full:
                problem = {"type": "urn:agent-ledger:problem:queue-full", "status": 429, "detail": "full"}
                return self.answer(429, json.dumps(problem).encode(), ("Retry-After", "1"))
            if len(body.splitlines()) > self.most:
                problem = {"type": "urn:agent-ledger:problem:body-too-large", "status": 413, "detail": "much"}
                return self.answer(413, json.dumps(problem).encode())
            self.groups.append(len(body.splitlines()))
        kept = {
            name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers
        }
        if self.nonsense and self.command == "POST":
            told = {"size": 1, "results": [self.nonsense] * len(body.splitlines())}
            return self.answer(200, json.dumps(told).encode())
        found = httpx.request(
            self.command, self.behind + self.path, content=body, headers=kept, trust_env=False
        )
        return self.answer(found.status_code, found.content)

    do_POST = do_GET  # noqa: N815

    def answer(self, status: int, data: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in [*headers, ("Content-Length", str(len(data)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@contextmanager
def standing_before(server: Server, **how: int):
    """The address of such a one, and what it saw."""
    handler = type("Handler", (Busy,), {"behind": server.url, "times": [], "groups": [], **how})
    busy = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=busy.serve_forever).start()
    try:
        yield f"http://127.0.0.1:{busy.server_port}", handler
    finally:
        busy.shutdown()
        busy.server_close()


def at_once(ledger: Ledger, count: int) -> None:
    threads = [threading.Thread(target=ledger.action("x").start) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_busy_ledger_is_given_the_time_it_asks_for_and_what_waits_goes_as_one_group(server):
    with standing_before(server, full=2) as (url, seen), Ledger(url, token(server), timeout_s=10) as ledger:
        at_once(ledger, 20)
        first, second, third = seen.times[:3]
        assert second - first >= 1
        assert third - second >= 1
        assert 20 in seen.groups[:2]


@pytest.mark.parametrize("nonsense", [{"id": "x"}, {"status": None}, {"seq": "7"}, "yes"])
def test_an_answer_that_does_not_say_where_a_record_is_lets_no_tool_run(server, nonsense):
    with standing_before(server, nonsense=nonsense) as (url, _):
        ledger = Ledger(url, token(server), timeout_s=2)
        with pytest.raises(LedgerAway, match="no ledger"):
            ledger.action("x").start()
        with suppress(RecordsLost):
            ledger.close()


def test_what_is_too_much_at_once_for_something_in_between_goes_in_parts(server):
    before = len(entries(server))
    with (
        standing_before(server, full=1, most=3) as (url, seen),
        Ledger(url, token(server), timeout_s=10) as ledger,
    ):
        at_once(ledger, 20)
        assert sum(seen.groups) == 20
        assert max(seen.groups) <= 3
    check_sources(entries(server)[before:])


def test_memory_is_bounded_and_what_no_longer_fits_is_refused_or_said(place, monkeypatch, caplog):
    monkeypatch.setattr("ledger.client.sender.WAITING_BYTES", 100_000)
    server = place()
    ledger = Ledger(server.url, token(server), timeout_s=3)
    running = [ledger.action("step").start() for _ in range(30)]
    server.kill()
    for act in running:
        act.succeed("x" * 10_000)
    with pytest.raises(LedgerAway, match="no more are kept"):
        ledger.action("step", arguments="x" * 99_000).start()
    assert ledger._sender._queue.bytes <= 200_000
    assert 10 <= ledger.lost < 30
    assert caplog.text.count("is lost") == ledger.lost
    server = place()
    ledger.flush(20)
    with pytest.raises(RecordsLost):
        ledger.close()
    ended = [record for record in entries(server) if record["type"] == "action.outcome"]
    assert len(ended) >= 30 - ledger.lost


def test_many_tasks_wait_for_a_ledger_that_hangs_without_holding_up_the_loop(place):
    server = place()

    async def step(ledger: Ledger, n: int) -> None:
        async with ledger.action("step", arguments={"n": n}) as act:
            act.result = n

    async def main() -> int:
        ticks = 0
        async with Ledger(server.url, token(server), timeout_s=30) as ledger:
            await step(ledger, 0)
            server.process.send_signal(signal.SIGSTOP)
            tasks = [asyncio.ensure_future(step(ledger, n)) for n in range(1, 200)]
            try:
                while ticks < 20:  # for ever, if anything of it waited in the loop
                    await asyncio.sleep(0.01)
                    ticks += 1
                assert not any(task.done() for task in tasks)
            finally:
                server.process.send_signal(signal.SIGCONT)
            await asyncio.gather(*tasks)
            await ledger.aflush()
        return ticks

    began = time.monotonic()
    assert asyncio.run(main()) == 20
    assert time.monotonic() - began < 25
    records = entries(server)
    assert len(records) == 400
    check_sources(records)


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_spool_takes_what_a_ledger_that_hangs_does_not_and_each_is_in_the_log_once(place, tmp_path, how):
    server = place()

    def step(ledger: Ledger) -> None:
        if how == "sync":
            ledger.action("step").start().succeed()
        else:
            asyncio.run(ledger.action("step").astart()).succeed()

    with Ledger(server.url, token(server), away=Spool(tmp_path / "spool"), timeout_s=4) as ledger:
        step(ledger)
        server.process.send_signal(signal.SIGSTOP)
        try:
            step(ledger)
            began = time.monotonic()
            for _ in range(5):
                step(ledger)
            assert time.monotonic() - began < 2  # nobody waits for it again
        finally:
            server.process.send_signal(signal.SIGCONT)
        ledger.flush(30)
    records = entries(server)
    assert len(records) == 14
    check_sources(records)


def test_what_is_queued_is_sent_at_exit_and_from_forked_and_spawned_children(place, tmp_path):
    server = place()
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, os, sys\n"
        "from ledger.client import Ledger\n"
        "ledger = Ledger(source='parent')\n"
        "def child(n):\n"
        "    with ledger.action('child') as act:\n"
        "        act.result = n\n"
        "if __name__ == '__main__':\n"
        "    with ledger.action('parent'):\n"
        "        pass\n"
        "    for method in ('fork', 'spawn'):\n"
        "        made = multiprocessing.get_context(method).Process(target=child, args=(1,))\n"
        "        made.start()\n"
        "        made.join()\n"
        "        assert made.exitcode == 0\n"
        "    ledger.request(text='last words')\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "AGENT_LEDGER_URL": server.url,
        "AGENT_LEDGER_TOKEN": token(server),
    }
    subprocess.run([sys.executable, str(script)], env=environment, check=True, timeout=60)
    records = entries(server)
    check_sources(records)
    assert len({record["source"]["id"] for record in records}) == 3
    assert Counter(record["type"] for record in records) == {
        "action.intent": 3,
        "action.outcome": 3,
        "request": 1,
    }


def test_a_forked_child_has_no_part_in_the_spool_and_does_not_hold_it_when_its_parent_is_gone(
    place, tmp_path
):
    server = place()
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys, time\n"
        "from ledger.client import Ledger, Spool\n"
        f"ledger = Ledger(source='parent', away=Spool({str(tmp_path / 'spool')!r}))\n"
        "with ledger.action('parent'):\n"
        "    pass\n"
        "ledger.flush()\n"
        "if os.fork() == 0:\n"
        "    with ledger.action('child'):\n"
        "        pass\n"
        "    ledger.flush()\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "os._exit(0)\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "AGENT_LEDGER_URL": server.url,
        "AGENT_LEDGER_TOKEN": token(server),
    }
    parent = subprocess.Popen(
        [sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert parent.stdout.readline() == b"ready\n"
        assert parent.wait(20) == 0
        with Ledger(server.url, token(server), away=Spool(tmp_path / "spool")):
            pass
    finally:
        os.killpg(parent.pid, signal.SIGKILL)
        parent.stdout.close()
    records = entries(server)
    check_sources(records)
    assert len({record["source"]["id"] for record in records}) == 2
    assert [r["tool"]["name"] for r in records if "tool" in r] == ["parent", "child"]
