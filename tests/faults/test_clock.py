"""Clocks that step and processes that are stopped: an order in time that never goes back, and nothing lost."""

import signal
import threading
import time
from datetime import datetime, timedelta

import pytest

from ledger.log.log import Log
from tests.faults.injector import Board
from tests.faults.oracle import ORIGIN, check, record
from tests.faults.server import told

DAY_S = 86_400
STOPPED_S = 2.0


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    Log.create(folder, ORIGIN)
    return folder


def recorded(answer):
    body = answer.json()
    return datetime.fromisoformat(body.get("results", [body])[0]["recorded_at"])


def test_a_clock_that_steps_forth_and_back_never_takes_the_log_back_in_time(data, serve, injector, tmp_path):
    board = Board(tmp_path, data)
    server = serve(data, environment=board.environment(injector))
    answers = [server.post(record("now"))]
    for step, days in enumerate((1, -1, 3650, -3650, 0, -30_000)):
        board.move_clock(days * DAY_S)
        answers.append(server.post(record(f"step-{step}")))
    times = [recorded(answer) for answer in answers]
    assert times == sorted(times)
    assert times[3] - times[0] > timedelta(days=3649), "a clock that is ahead is believed"
    assert times[3:] == [times[3]] * 4, "and then it is held until it is past"
    with server.client() as client:
        assert "agent_ledger_held_clock_total 4" in client.get("/metrics").text
    assert server.stop() == 0
    check(data, {name: place for answer in answers for name, place in told(answer).items()})


def test_a_start_before_the_newest_entry_goes_on_from_there(data, serve, injector, tmp_path):
    board = Board(tmp_path, data)
    board.move_clock(DAY_S)
    server = serve(data, environment=board.environment(injector))
    first = server.post(record("tomorrow"))
    server.kill()
    board.move_clock(-DAY_S)
    server = serve(data, environment=board.environment(injector))
    second = server.post(record("yesterday"))
    assert recorded(second) == recorded(first)
    server.kill()
    check(data, told(first) | told(second))


def test_a_server_that_was_stopped_answers_when_it_goes_on(data, serve):
    server = serve(data)
    acknowledged = told(server.post(record("before")))
    server.process.send_signal(signal.SIGSTOP)
    resumed = time.monotonic() + STOPPED_S
    with server.client() as client:
        request = client.build_request("POST", "/v1/records", json=record("meanwhile"))
        threading.Timer(STOPPED_S, server.process.send_signal, [signal.SIGCONT]).start()
        answer = client.send(request)
    assert time.monotonic() >= resumed
    assert answer.status_code == 201
    acknowledged |= told(answer)
    assert server.stop() == 0
    check(data, acknowledged)
