"""Answers that nobody reads are bounded in all, and it is who reads nothing that loses them."""

import contextlib
import json
import socket
import time
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.api.serving import DRAIN_SECONDS
from ledger.api.unread import Unread
from tests.api.samples import fresh

LIMIT = 1_000


class Connection:
    def __init__(self):
        self.dropped = False

    def drop(self):
        self.dropped = True


def test_who_holds_most_loses_what_waited_longest_and_the_others_nothing():
    unread, polite = Unread(LIMIT), Connection()
    unread.hold("polite", polite, 300)
    flood = [Connection() for _ in range(100)]
    for connection in flood:
        unread.hold("hog", connection, 200)
    assert not polite.dropped
    assert [connection.dropped for connection in flood] == [True] * 97 + [False] * 3
    assert unread.held_bytes == 900


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.booleans(), st.integers(0, 2 * LIMIT)),
        max_size=100,
    )
)
def test_all_together_are_never_more_than_the_limit_and_what_was_read_counts_no_more(steps):
    unread, waiting = Unread(LIMIT), {}
    for who, number, reads, size in steps:
        if reads or (who, number) in waiting:
            found = waiting.pop((who, number), (None, Connection(), 0))
            unread.let_go(who, found[1])
        else:
            waiting[who, number] = (who, Connection(), size)
            unread.hold(*waiting[who, number])
        waiting = {name: each for name, each in waiting.items() if not each[1].dropped}
        assert unread.held_bytes == sum(size for *_, size in waiting.values()) <= LIMIT
    for who, connection, _ in waiting.values():
        unread.let_go(who, connection)
    assert (unread.held_bytes, unread._of) == (0, {})


ANSWER_MB, MIN_ANSWER_MB, ANSWERS = (
    9,
    7,
    14,
)  # the kernel alone takes up to 4 MB for a client that reads nothing


def heard(connection):
    """How much of an answer comes when it is read in the end."""
    size = 0
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(1_000_000):
            size += len(chunk)
    return size


def test_a_client_that_asks_much_and_reads_nothing_loses_its_oldest_answers_and_no_other_does(server, http):
    for number in range(ANSWER_MB):
        text = chr(97 + number) * 1_000_000
        assert http.post("/v1/records", json=fresh(request={"text": text})).status_code == 201
    body = json.dumps(
        {"sql": f"SELECT request_text FROM records ORDER BY length(request_text) DESC LIMIT {ANSWER_MB}"}
    )
    parts = urlsplit(server.url)

    def ask(role):
        head = f"POST /v1/query HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.tokens[role]}\r\n"
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect((parts.hostname, parts.port))
        connection.sendall(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        connection.recv(1)  # it is being answered
        return connection

    with contextlib.ExitStack() as stack:
        polite = stack.enter_context(ask("admin"))
        began = time.monotonic()
        flood = [stack.enter_context(ask("content-reader")) for _ in range(ANSWERS)]
        whole = heard(polite)
        if time.monotonic() - began > DRAIN_SECONDS:
            pytest.skip("too slow a machine: by now each is given up for its own sake")
        assert whole > MIN_ANSWER_MB * 1_000_000
        assert heard(flood[0]) < whole - 100
        assert abs(heard(flood[-1]) - whole) < 100  # each says how long it took
