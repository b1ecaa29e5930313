"""`agent-ledger serve` as its operator meets it: a port that is taken, an address that is none, Ctrl-C."""

import signal
import socket

import pytest

from tests.cli.conftest import new_ledger
from tests.faults.server import Server


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
    server = Server(tmp_path / "data")
    server.process.send_signal(sign)
    assert server.process.wait(30) == 0
    assert server.said().splitlines()[-1] == "stopped at size 1"
    assert not (server.data / "serving.json").exists()


def test_a_collector_that_is_no_url_is_refused_and_nothing_is_made(tmp_path):
    ledger = new_ledger(tmp_path)
    ended = ledger.run("serve", "--port", "0", "--otlp-endpoint", "http://[collector")
    assert (ended.returncode, ended.stderr.count(b"\n")) == (2, 1)
    assert b"the OTLP endpoint is a collector's base URL" in ended.stderr
    assert not ledger.data.exists()
