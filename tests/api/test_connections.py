"""Many connections that ask nothing keep nobody out: threat 31."""

import resource
import socket
import time
from urllib.parse import urlsplit

import pytest

from ledger.api.serving import CONNECTIONS
from tests.api.samples import fresh


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def opened(server, said):
    parts = urlsplit(server.url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=30)
    connection.sendall(said)
    return connection


REFUSED = b"POST /v1/records HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{"


@pytest.mark.parametrize("said", [b"", b"GET /v1/lo", REFUSED], ids=["silent", "half a head", "refused"])
def test_who_opens_more_connections_than_there_may_be_and_asks_nothing_keeps_nobody_out(
    server, http, many_files, said
):
    assert http.get("/v1/log").status_code == 200
    held = []
    try:
        while len(held) < CONNECTIONS + 200:
            held.append(opened(server, said))
        time.sleep(0.5)
        with server.client() as other:
            assert other.post("/v1/records", json=fresh()).status_code == 201
            assert other.get("/v1/log").status_code == 200
        assert (
            http.get("/healthz").status_code == 200
        )  # or its old connection was ended, and httpx makes another
    finally:
        for connection in held:
            connection.close()
