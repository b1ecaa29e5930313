"""What a hostile client writes: kept as it was sent, on every way out, and nobody else's questions suffer from it."""

import contextlib
import json
import socket
import time
from urllib.parse import urlsplit

import pytest

from ledger.api.serving import DRAIN_SECONDS
from tests.api.samples import fresh

JSON = {"Content-Type": "application/json"}


def asked(http, sql, **parameters):
    answer = http.post("/v1/query", json={"sql": sql, "parameters": parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"]


def test_texts_that_look_alike_stay_two(http):  # threat 25
    names = ["caf\u00e9", "cafe\u0301", "\u202ecaf\u00e9", "caf\u00e9\u2028", "caf\u00e9\ufdd0"]
    for name in names:
        record = fresh(tool={"name": name, "arguments": {name: name}})
        stored = http.post("/v1/records", json=record).json()
        entry = http.get(f"/v1/entries/{stored['seq']}").json()
        assert entry["entry"]["record"]["tool"]["name"] == name
        assert json.loads(entry["contents"][-1]["value"]) == {name: name}
        assert asked(http, "SELECT id FROM records WHERE tool_name = $name", name=name) == [[record["id"]]]


def test_a_text_with_nul_is_not_cut_at_it(http):
    record = fresh(
        tool={"name": "send\0money", "arguments": {"to\0": "bob\0eve"}}, request={"user": "eve\0bob"}
    )
    stored = http.post("/v1/records", json=record).json()
    assert http.get(f"/v1/entries/{stored['seq']}").json()["entry"]["record"]["tool"]["name"] == "send\0money"
    sql = "SELECT tool_name, request_user, tool_arguments FROM records WHERE seq = $seq"
    [[name, user, arguments]] = asked(http, sql, seq=stored["seq"])
    assert (name, user) == ("send\0money", "eve\0bob")
    assert json.loads(arguments) == {"to\0": "bob\0eve"}
    assert asked(http, "SELECT count(*) FROM records WHERE tool_name = 'send'") == [[0]]


NUMBERS = (
    '{"big":1e400,"zero":-0,"long":123456789012345678901234567890,"one":1.0,"deep":'
    + "[" * 180
    + "]" * 180
    + "}"
)


def test_a_content_that_parsers_read_differently_stays_the_text_it_is(http):  # threat 27
    record = fresh(tool={"name": "t"})
    body = json.dumps(record).replace('{"name": "t"}', '{"name": "t", "arguments": ' + NUMBERS + "}")
    answer = http.post("/v1/records", content=body, headers=JSON)
    assert answer.status_code == 201
    [content] = [
        content
        for content in http.get(f"/v1/entries/{answer.json()['seq']}").json()["contents"]
        if content["member"] == "tool.arguments"
    ]
    assert content["value"] == NUMBERS
    assert asked(http, "SELECT tool_arguments FROM records WHERE id = $id", id=record["id"]) == [[NUMBERS]]
    assert asked(http, "SELECT count(*) FROM actions WHERE tool_arguments->>'big' = '1e400'") == [[1]]


SMUGGLED = {
    "both lengths": "Content-Length: {n}\r\nTransfer-Encoding: chunked",
    "both, the other way round": "Transfer-Encoding: chunked\r\nContent-Length: {n}",
    "two lengths": "Content-Length: 5\r\nContent-Length: {n}",
    "a signed length": "Content-Length: +{n}",
    "an unknown coding": "Transfer-Encoding: xchunked",
    "chunked but not last": "Transfer-Encoding: chunked, identity",
    "a vertical tab": "Transfer-Encoding: \x0bchunked",
    "a space before the colon": "Content-Length : {n}",
    "a folded line": "Content-Length:\r\n {n}",
    "a bare line feed": "X: y\nContent-Length: {n}",
}


@pytest.mark.parametrize("framing", SMUGGLED)
def test_a_request_whose_end_two_servers_could_see_differently_is_refused(server, framing):
    body = json.dumps(fresh())
    head = (
        f"POST /v1/records HTTP/1.1\r\nHost: x\r\nAuthorization: {server.headers['Authorization']}\r\n"
        f"{SMUGGLED[framing].format(n=len(body))}\r\n\r\n"
    )
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall((head + body).encode())
        heard = b""
        while chunk := connection.recv(65_536):
            heard += chunk
    assert heard.startswith(b"HTTP/1.1 400 ")
    assert heard.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("framing", [b"2\r\n{}\r\n0\r\nX: ", b"2;x="])
def test_what_stands_beside_a_body_without_end_is_cut_off(server, framing):
    """A trailer, or a chunk's extension: neither is a part of the body that is counted."""
    head = b"POST /v1/records HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    parts, sent = urlsplit(server.url), 0
    with (
        socket.create_connection((parts.hostname, parts.port), timeout=10) as connection,
        contextlib.suppress(OSError),
    ):
        connection.sendall(head + framing)
        while sent < 64:
            connection.sendall(b"a" * 1_000_000)
            sent += 1
    assert sent < 64


def test_a_body_of_chunks_of_one_byte_is_one(server, http):
    body = json.dumps(fresh()).encode() + b" " * 100_000
    answer = http.post("/v1/records", content=(body[at : at + 1] for at in range(len(body))), headers=JSON)
    assert answer.status_code == 201


@pytest.mark.parametrize("length", ["Content-Length: {n}\r\n", "Transfer-Encoding: chunked\r\n", ""])
@pytest.mark.parametrize("upgrade", ["h2c", "websocket"])
def test_what_follows_a_request_for_another_protocol_is_no_request(server, length, upgrade):
    """A proxy that passes `Upgrade` on has read a body there, written by a client: not the next client's request, with headers of the proxy's."""
    token = f"Authorization: {server.headers['Authorization']}\r\n"
    inner = f"GET /v1/log HTTP/1.1\r\nHost: x\r\n{token}\r\n"
    head = f"GET /v1/log HTTP/1.1\r\nHost: x\r\n{token}Connection: Upgrade\r\nUpgrade: {upgrade}\r\n{length.format(n=len(inner))}\r\n"
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(head.encode())
        time.sleep(0.05)  # it comes by itself, as what a proxy passes on may
        heard = b""
        with contextlib.suppress(ConnectionError):
            connection.sendall(inner.encode())
            while chunk := connection.recv(65_536):
                heard += chunk
    assert heard.startswith(b"HTTP/1.1 400 " if length else b"HTTP/1.1 200 ")
    assert heard.count(b"HTTP/1.1") == 1


def test_a_body_that_looks_like_a_request_is_a_body(server):
    inner = f"GET /v1/log HTTP/1.1\r\nHost: x\r\nAuthorization: {server.headers['Authorization']}\r\n\r\n"
    head = (
        f"POST /v1/records HTTP/1.1\r\nHost: x\r\nContent-Length: {len(inner)}\r\nConnection: close\r\n\r\n"
    )
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall((head + inner).encode())
        heard = b""
        while chunk := connection.recv(65_536):
            heard += chunk
    assert heard.startswith(b"HTTP/1.1 401 ")
    assert heard.count(b"HTTP/1.1") == 1


LONG_ANSWER_MB = 12  # the kernel alone takes up to 4 of them for a client that reads nothing


def test_an_answer_that_nobody_reads_is_given_up(server, http):  # threat 31
    for number in range(LONG_ANSWER_MB):
        text = chr(97 + number) * 1_000_000
        assert http.post("/v1/records", json=fresh(request={"text": text})).status_code == 201
    body = json.dumps({"sql": "SELECT request_text FROM records WHERE length(request_text) > 900000"})
    head = f"POST /v1/query HTTP/1.1\r\nHost: x\r\nAuthorization: {server.headers['Authorization']}\r\n"
    parts = urlsplit(server.url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect((parts.hostname, parts.port))
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        time.sleep(DRAIN_SECONDS + 3)
        heard = 0
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(65_536):
                heard += len(chunk)
    assert 0 < heard < LONG_ANSWER_MB * 1_000_000


def test_an_answer_that_is_read_slowly_arrives(server, http):
    body = json.dumps({"sql": "SELECT repeat('x', 3000000)"})
    head = f"POST /v1/query HTTP/1.1\r\nHost: x\r\nAuthorization: {server.headers['Authorization']}\r\n"
    parts = urlsplit(server.url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.settimeout(30)
        connection.connect((parts.hostname, parts.port))
        connection.sendall(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        heard, until = 0, time.monotonic() + DRAIN_SECONDS + 2
        while chunk := connection.recv(65_536):
            heard += len(chunk)
            if time.monotonic() < until:
                time.sleep(0.3)
    assert heard > 3_000_000
