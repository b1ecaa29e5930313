"""The load generator, against a server whose stall is known."""

import http.server
import itertools
import threading
import time

import pytest

from benchmarks.running import measure
from benchmarks.servers import Served

RATE, SECONDS, STALL_S = 50.0, 2.0, 0.6


@pytest.fixture
def stalling():
    """A server that answers at once, but for one stall, in which nobody is answered."""
    numbers, alone = itertools.count(), threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            with alone:
                if next(numbers) == 20:
                    time.sleep(STALL_S)
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Served(f"http://127.0.0.1:{server.server_port}", "t", 0, 0.0)
        server.shutdown()


def test_in_an_open_load_a_stall_counts_for_everybody_who_fell_due_in_it(stalling):
    found = measure(stalling, [b"x"], connections=8, seconds=SECONDS, rate=RATE)
    assert found.requests + found.missed == RATE * SECONDS
    assert (
        found.p99_ms > STALL_S * 1e3 / 2
    )  # some thirty of the hundred fell due in it, with eight connections to wait on


def test_in_a_closed_load_a_stall_counts_once_for_each_connection(stalling):
    found = measure(stalling, [b"x"], connections=1, seconds=2 * SECONDS)
    assert found.max_ms >= STALL_S * 1e3
    assert found.p99_ms < STALL_S * 1e3 / 2
