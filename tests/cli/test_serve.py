"""`agent-ledger serve` as its operator meets it: a port that is taken, an address that is none, Ctrl-C."""

import signal
import socket
import subprocess
import time

import pytest

from tests.cli.conftest import command, new_ledger, wait_until_ready


def test_a_port_that_is_taken_is_refused_in_one_line_and_nothing_is_made(tmp_path):
    ledger = new_ledger(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        ended = ledger.run("serve", "--port", str(other.getsockname()[1]))
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"error: cannot listen on 127.0.0.1:")
    assert ended.stderr.count(b"\n") == 1
    assert not ledger.data.exists()


def test_an_address_that_is_not_here_is_refused_in_one_line(tmp_path):
    ended = new_ledger(tmp_path).run("serve", "--host", "192.0.2.1", "--port", "0")
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"error: cannot listen on 192.0.2.1:0: ")
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_is_told_to_end_ends_well_and_says_where_it_stopped(tmp_path, sign):
    ledger = new_ledger(tmp_path)
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command("serve", "--port", ledger.url.rpartition(":")[2]), env=ledger.environment(), stderr=log
        )
    wait_until_ready(ledger, server)
    until = time.monotonic() + 10
    while not (ledger.data / "serving.json").exists() and time.monotonic() < until:
        time.sleep(0.01)
    server.send_signal(sign)
    assert server.wait(30) == 0
    assert (tmp_path / "server.log").read_text().splitlines()[-1] == "stopped at size 1"
    assert not (ledger.data / "serving.json").exists()
