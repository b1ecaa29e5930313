"""The gateway over HTTP, byte by byte: what passes, what does not, and what a hostile client or server gets out of it."""

import contextlib
import gzip
import json
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import httpx
import pytest

from ledger.gateway.serving import BODY_SECONDS, HEAD_SECONDS
from tests.faults.server import ROOT
from tests.gateway.running import gateway

CALL = b'{ "jsonrpc": "2.0",\n "id" : 7, "method":"tools/call", "params":{"name":"pay","arguments":{"sum":1.10,"of":1e2}}}'
ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
ANSWER = b'{"jsonrpc":"2.0","id":7,"result":{"content":[]}}'


class Scripted(BaseHTTPRequestHandler):
    """A server that says what the test wants, and keeps what it was sent."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.got.append((self.command, self.path, list(self.headers.items()), body))
        status, headers, pieces = self.server.says()
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Connection", "close")
        self.end_headers()
        try:
            for piece in pieces:
                if callable(piece):
                    piece()
                else:
                    self.wfile.write(piece)
                    self.wfile.flush()
        except OSError:
            self.server.left.set()
        self.close_connection = True

    do_GET = do_DELETE = do_OPTIONS = do_POST  # noqa: N815 - as http.server looks for them

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def scripted():
    with ThreadingHTTPServer(("127.0.0.1", 0), Scripted) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def quiet(scripted):
    scripted.got, scripted.left = [], threading.Event()
    saying(scripted, 200, {"Content-Type": "application/json"}, ANSWER)


def saying(server, status, headers, *pieces):
    server.says = lambda: (status, headers, pieces)


@pytest.fixture(scope="module")
def front(scripted, ledger_server, tmp_path_factory):
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "AGENT_LEDGER_URL": ledger_server.url,
        "AGENT_LEDGER_TOKEN": (ledger_server.data / "cli.token").read_text().strip(),
        "XDG_STATE_HOME": str(tmp_path_factory.mktemp("state")),
    }
    with gateway(environment, f"http://127.0.0.1:{scripted.server_port}/mcp", "--server", "bank") as (url, _):
        yield url


def post(url, body=CALL, **headers):
    given = {**ACCEPT, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return httpx.post(url, content=body, headers=given, trust_env=False, timeout=20)


def end(book):
    (call,) = book.calls()
    return call["outcome"]["outcome"]


# ---- what passes


def test_a_request_and_its_answer_pass_byte_for_byte_with_their_headers(scripted, front, book):
    odd = b' {"jsonrpc":"2.0","id":7,\r\n"result":{"content":[],"sum":1.10}}\n'
    headers = {
        "Content-Type": "application/json",
        "X-Server": "é".encode("latin-1").decode("latin-1"),
        "Set-Cookie": "a=b",
    }
    saying(scripted, 200, headers, odd)
    answer = post(
        front, Authorization="Bearer abc", X_Client="1", Mcp_Protocol_Version="2025-06-18", Cookie="c=d"
    )
    assert answer.content == odd
    assert (answer.headers["X-Server"], answer.headers["Set-Cookie"]) == ("é", "a=b")
    ((_, path, sent, body),) = scripted.got
    assert (path, body) == ("/mcp", CALL)
    got = {name.lower(): value for name, value in sent}
    assert (got["authorization"], got["x-client"], got["cookie"]) == ("Bearer abc", "1", "c=d")
    assert got["host"] == f"127.0.0.1:{scripted.server_port}"
    (call,) = book.calls()
    assert call["intent"]["tool"]["arguments"] == {"sum": 1.1, "of": 100.0}
    assert call["intent"]["tool"]["server"] == "bank"
    assert call["outcome"]["outcome"]["status"] == "success"


def test_what_is_recorded_is_what_was_sent_to_the_last_digit(front, ledger_server, book):
    post(front)
    (call,) = book.calls()
    stored = ledger_server.client().__enter__().get(f"/v1/records/{call['intent']['id']}").json()
    (arguments,) = [held["value"] for held in stored["contents"] if held["member"] == "tool.arguments"]
    assert arguments == '{"sum":1.10,"of":1e2}'


def test_one_clients_cookies_are_not_sent_with_anothers_request(scripted, front):
    saying(scripted, 200, {"Content-Type": "application/json", "Set-Cookie": "who=alice"}, ANSWER)
    post(front)
    post(front)
    assert [name for *_, headers, _ in scripted.got for name, _ in headers if name.lower() == "cookie"] == []


def test_a_stream_passes_as_it_comes_and_unchanged(scripted, front, book):
    pieces = [
        b"\xef\xbb\xbf: hello\r\n\r\nid: 41\nda",
        b'ta: {"jsonrpc":"2.0","method":"notifications/progress"}\n\nretry: 5\r\revent: message\rdata: {"jsonrpc":"2.0",',
        b'\rdata: "id":7,"result":{"content":[{"type":"text","text":"x"}]}}\r\r',
        b": bye\n\n",
    ]
    waits = threading.Event()
    saying(
        scripted, 200, {"Content-Type": "text/event-stream"}, *pieces[:2], lambda: waits.wait(10), *pieces[2:]
    )
    with httpx.stream("POST", front, content=CALL, headers=ACCEPT, trust_env=False, timeout=20) as answer:
        chunks = answer.iter_raw()
        begun = b""
        while len(begun) < len(pieces[0] + pieces[1]):
            begun += next(chunks)
        waits.set()  # only now does the server go on: the beginning has passed already
        assert begun + b"".join(chunks) == b"".join(pieces)
    assert end(book)["result"] == {"content": [{"type": "text", "text": "x"}]}


def test_a_batch_passes_whole_and_each_call_in_it_is_recorded(scripted, front, book):
    batch = b'[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}},{"jsonrpc":"2.0","id":"2","method":"tools/call","params":{"name":"b"}},{"jsonrpc":"2.0","method":"notifications/initialized"}]'
    answers = b'[{"jsonrpc":"2.0","id":"2","result":{"content":[]}},{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}]'
    saying(scripted, 200, {"Content-Type": "application/json"}, answers)
    assert post(front, batch).content == answers
    assert scripted.got[0][3] == batch
    ends = {call["intent"]["tool"]["name"]: call["outcome"]["outcome"] for call in book.calls()}
    assert (ends["a"]["status"], ends["a"]["error_type"], ends["b"]["status"]) == ("failure", "-1", "success")


def test_an_answer_that_comes_by_another_stream_of_the_session_is_that_calls(scripted, front, book):
    saying(scripted, 200, {"Content-Type": "text/event-stream"}, b"id: 1\ndata:\n\n")
    post(front, Mcp_Session_Id="s-1")
    saying(scripted, 200, {"Content-Type": "text/event-stream"}, b"id: 2\ndata: " + ANSWER + b"\n\n")
    headers = {"Accept": "text/event-stream", "Mcp-Session-Id": "s-1", "Last-Event-ID": "1"}
    httpx.get(front, headers=headers, trust_env=False)
    assert dict(scripted.got[-1][2])["last-event-id"] == "1"
    assert end(book)["status"] == "success"


def test_the_end_of_a_session_is_the_end_of_its_calls(scripted, front, book):
    saying(scripted, 200, {"Content-Type": "text/event-stream"}, b"id: 1\ndata:\n\n")
    post(front, Mcp_Session_Id="s-2")
    saying(scripted, 200, {"Content-Length": "0"})
    httpx.delete(front, headers={"Mcp-Session-Id": "s-2"}, trust_env=False)
    assert (end(book)["status"], end(book)["error_type"]) == ("unknown", "mcp.session_ended")


def test_the_transport_of_2024_passes_and_is_recorded(scripted, front, book):
    """HTTP with server-sent events: one stream for all answers, and an address of its own to post to."""
    posted = threading.Event()
    answered = [
        b"event: endpoint\ndata: /messages/?session_id=1\n\n",
        lambda: posted.wait(10),
        b"data: " + ANSWER + b"\n\n",
    ]
    base = front.removesuffix("/mcp")
    saying(scripted, 200, {"Content-Type": "text/event-stream"}, *answered)
    assert post(f"{base}/messages/?session_id=1").status_code == 404  # nobody has announced it yet
    with httpx.stream(
        "GET", front, headers={"Accept": "text/event-stream"}, trust_env=False, timeout=20
    ) as stream:
        chunks = stream.iter_raw()
        assert next(chunks) == answered[0]
        saying(scripted, 202, {"Content-Length": "0"})
        assert post(f"{base}/messages/?session_id=1").status_code == 202
        posted.set()
        assert b"".join(chunks) == answered[2]
    assert scripted.got[-1][1] == "/messages/?session_id=1"
    assert end(book)["status"] == "success"


@pytest.mark.parametrize("place", ["http://elsewhere.example/m", "//elsewhere.example/m", "https:/x", "m"])
def test_a_server_cannot_send_its_client_past_the_gateway(scripted, front, place):
    saying(
        scripted,
        200,
        {"Content-Type": "text/event-stream"},
        f"event: endpoint\ndata: {place}\n\n".encode(),
        b"x" * 9,
    )
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(front, headers={"Accept": "text/event-stream"}, trust_env=False)


def test_a_session_that_the_server_does_not_know_is_not_kept(scripted, front, book):
    saying(scripted, 404, {"Content-Length": "0"})
    for _ in range(2):  # the id of the first call would be in use
        assert post(front, Mcp_Session_Id="made-up").status_code == 404
    assert [call["outcome"]["outcome"]["error_type"] for call in book.calls()] == ["http.404", "http.404"]


# ---- what a hostile client gets


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[x"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/json; charset=utf-7"}, 415),
        ({"Content-Type": "application/json; charset=utf-16"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Mcp-Method": "ping"}, 400),
        ({"Mcp-Method": "tools/call", "Mcp-Name": "harmless"}, 400),
        ({"Mcp-Name": "=?base64?aGFybWxlc3M=?="}, 400),
    ],
)
def test_a_request_that_could_be_taken_for_another_goes_no_further(scripted, front, book, headers, status):
    answer = httpx.post(front, content=CALL, headers={**ACCEPT, **headers}, trust_env=False)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert scripted.got == []
    assert book.calls() == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Mcp-Method": "tools/call", "Mcp-Name": "pay"},
        {"Mcp-Name": "=?base64?cGF5?="},
        {"Content-Type": "application/json; charset=UTF-8"},
        {"Origin": "http://localhost:%d"},
    ],
)
def test_headers_that_agree_with_the_body_pass(scripted, front, headers):
    port = urlsplit(front).port
    given = {name: value.replace("%d", str(port)) for name, value in headers.items()}
    assert httpx.post(front, content=CALL, headers={**ACCEPT, **given}, trust_env=False).status_code == 200
    assert len(scripted.got) == 1


def test_a_header_that_is_there_twice_goes_no_further(scripted, front):
    for name in ("Mcp-Session-Id", "Mcp-Name", "Content-Type"):
        headers = [*ACCEPT.items(), (name, "pay"), (name, "other")]
        assert httpx.post(front, content=CALL, headers=headers, trust_env=False).status_code == 400
    assert scripted.got == []


def test_only_the_one_path_is_there(scripted, front):
    for url in (
        f"{front}/x",
        f"{front}?a=b",
        front.replace("/mcp", "/admin"),
        front.replace("/mcp", "/%6dcp"),
    ):
        assert post(url).status_code == 404
    assert httpx.put(front, content=CALL, headers=ACCEPT, trust_env=False).status_code == 405
    assert scripted.got == []


def test_a_body_where_none_belongs_does_not_reach_the_server(scripted, front):
    httpx.request("GET", front, content=CALL, headers=ACCEPT, trust_env=False)
    httpx.request("DELETE", front, content=CALL, headers=ACCEPT, trust_env=False)
    assert [body for *_, body in scripted.got] == [b"", b""]


def test_a_message_that_is_too_large_is_refused_before_it_is_all_there(front):
    def endless():
        for _ in range(4_000):
            yield b" " * 100_000

    with contextlib.suppress(
        httpx.WriteError
    ):  # the gateway closed the connection in the middle: as good a refusal
        answer = httpx.post(front, content=endless(), headers=ACCEPT, trust_env=False, timeout=60)
        assert answer.status_code == 413


def test_requests_that_hide_in_each_other_are_refused(scripted, front):
    """HTTP request smuggling: two lengths, or a length and chunks."""
    port = urlsplit(front).port
    for framing in (
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Content-Length: +5",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
            head = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n" % port
            wire.sendall(head + framing + b"\r\n\r\n0\r\n\r\nPOST /mcp HTTP/1.1\r\n")
            assert wire.recv(100).startswith((b"HTTP/1.1 400", b"HTTP/1.1 501"))
    assert scripted.got == []


def test_an_id_in_use_is_not_taken_twice(scripted, front, book):
    saying(scripted, 200, {"Content-Type": "text/event-stream"}, b"id: 1\ndata:\n\n")
    post(front, Mcp_Session_Id="s-3")
    again = post(front, CALL.replace(b"7", b'"7"'), Mcp_Session_Id="s-3")
    assert again.status_code == 400
    assert again.json()["id"] is None
    assert "without an answer" in again.json()["error"]["message"]
    assert len(scripted.got) == 1


# ---- what a hostile or broken server gets

IN_JSON = {"Content-Type": "application/json"}
TWO_RESULTS = b'{"jsonrpc":"2.0","id":7,"result":{"x":1},"result":{"x":2}}'
ASKS_FIRST = b'{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required"}}'


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ((401, {"WWW-Authenticate": 'Bearer realm="x"', "Content-Length": "0"}, b""), ("denied", "http.401")),
        ((403, {"Content-Length": "0"}, b""), ("denied", "http.403")),
        ((404, {"Content-Length": "0"}, b""), ("failure", "http.404")),
        ((500, {"Content-Length": "4"}, b"oops"), ("unknown", "http.500")),
        ((200, IN_JSON, b"{}"), ("unknown", "mcp.no_answer")),
        ((200, {"Content-Type": "text/event-stream"}, b": nothing\n\n"), ("unknown", "mcp.no_answer")),
        ((200, {"Content-Length": "1000"}, b"half"), ("unknown", "mcp.upstream_broke_off")),
        ((200, IN_JSON, TWO_RESULTS), ("unknown", "mcp.ambiguous_answer")),
        ((200, IN_JSON, ASKS_FIRST), ("unknown", "mcp.input_required")),
    ],
)
def test_what_came_of_a_call_is_recorded_as_far_as_it_is_known(scripted, front, book, says, expected):
    saying(scripted, *says)
    try:
        answer = post(front)
    except httpx.RemoteProtocolError:
        assert expected[1] == "mcp.upstream_broke_off"
    else:
        assert (answer.status_code, answer.content) == (says[0], says[2])
        assert answer.headers.get("WWW-Authenticate") == says[1].get("WWW-Authenticate")
    assert (end(book)["status"], end(book)["error_type"]) == expected


def test_a_list_of_tools_that_two_parsers_read_differently_is_recorded_and_leaves_no_digest(
    scripted, front, book
):
    def listing(tools):
        saying(scripted, 200, IN_JSON, b'{"jsonrpc":"2.0","id":1,"result":{"tools":[' + tools + b"]}}")
        post(front, b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}')

    def digest():
        saying(scripted, 200, IN_JSON, ANSWER)
        post(front)
        return book.calls()[-1]["intent"]["tool"].get("definition_digest")

    listing(b'{"name":"pay","description":"Pay."}')
    first = digest()
    listing(b'{"name":"pay","description":"Pay.","description":"Pay me."}')
    assert digest() is None
    listing(b'{"name":"pay","description":"Pay.","most":1e999}')
    assert first.startswith("sha256:")
    assert digest() not in {None, first}
    types = [record["type"] for record in book.all() if record["type"].startswith("mcp.")]
    assert types == ["mcp.tool_definition", "mcp.ambiguous_answer", "mcp.tool_definition_changed"]


def test_a_server_that_is_not_there_is_said_to_be(environment, book):
    with gateway(environment, "http://127.0.0.1:9/mcp") as (url, _):
        answer = post(url)
    assert (answer.status_code, answer.json()["id"], answer.json()["error"]["code"]) == (502, 7, -32012)
    assert (end(book)["status"], end(book)["error_type"]) == ("failure", "mcp.upstream_unreachable")


def test_a_redirect_is_not_followed_and_not_passed(scripted, front, book):
    saying(scripted, 307, {"Location": "http://127.0.0.1:9/mcp/", "Content-Length": "0"})
    answer = post(front, Authorization="Bearer abc")
    assert (answer.status_code, len(scripted.got)) == (502, 1)
    assert "location" not in answer.headers
    assert "redirects" in answer.json()["error"]["message"]


def test_an_answer_that_cannot_be_read_is_not_passed(scripted, front, book):
    packed = gzip.compress(ANSWER)
    saying(scripted, 200, {"Content-Type": "application/json", "Content-Encoding": "gzip"}, packed)
    assert post(front).status_code == 502
    assert dict(scripted.got[0][2])["accept-encoding"] == "identity"
    assert (end(book)["status"], end(book)["error_type"]) == ("unknown", "mcp.unfit_answer")


def test_an_answer_too_large_for_the_ledger_passes_and_is_recorded_by_its_hash(scripted, front, book):
    big = (
        b'{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"' + b"x" * 3_000_000 + b'"}]}}'
    )
    saying(scripted, 200, {"Content-Type": "application/json"}, big)
    assert post(front).content == big
    assert end(book)["status"] == "success"
    assert end(book)["result"]["mcp.too_large"]["bytes"] == len(big) - len(
        b'{"jsonrpc":"2.0","id":7,"result":}'
    )


def test_a_client_that_leaves_cancels_a_call_without_a_session_and_the_server_learns_of_it(
    scripted, front, book
):
    def drip():
        for _ in range(100):
            time.sleep(0.05)
            yield b": still\n\n"

    scripted.says = lambda: (200, {"Content-Type": "text/event-stream"}, drip())
    with httpx.stream("POST", front, content=CALL, headers=ACCEPT, trust_env=False, timeout=20) as answer:
        next(answer.iter_raw())
    assert (end(book)["status"], end(book)["error_type"]) == ("cancelled", "mcp.client_closed")
    assert scripted.left.wait(10)


def test_a_token_is_in_no_record_and_in_no_line_of_the_gateways_log(environment, scripted, book):
    saying(scripted, 307, {"Location": "/", "Content-Length": "0"})
    with gateway(environment, f"http://127.0.0.1:{scripted.server_port}/mcp") as (url, process):
        post(url, Authorization="Bearer opaque-token-of-somebody-0123456789")
        post(url, Authorization="Basic YWxpY2U6aHVudGVyMg==")
        process.terminate()
        said = process.stderr.read()
    everything = said + json.dumps(book.all())
    for secret in ("opaque-token", "YWxpY2U6aHVudGVyMg", "hunter2"):
        assert secret not in everything
    kinds = [call["intent"]["identity"]["credential"] for call in book.calls()]
    assert kinds[0]["thumbprint"].startswith("sha256:")
    assert kinds[1] == {"type": "basic"}


BEGUN = {"silent": b"", "half a head": b"POST /mcp HTTP/1.1\r\nHo"}


def test_who_begins_a_request_and_does_not_go_on_loses_the_connection(front):
    parts = urlsplit(front)
    with contextlib.ExitStack() as opened:
        held = []
        for said in BEGUN.values():
            held.append(opened.enter_context(socket.create_connection((parts.hostname, parts.port))))
            held[-1].sendall(said)
        started = time.monotonic()
        for connection in held:
            connection.settimeout(HEAD_SECONDS * 3)
            assert connection.recv(1024) == b""
        assert time.monotonic() - started > HEAD_SECONDS / 2
    answer = httpx.post(front, content=CALL, headers=ACCEPT, trust_env=False)
    assert answer.status_code == 200


@pytest.mark.soak
def test_a_body_that_does_not_come_in_time_ends_its_connection(front):
    parts = urlsplit(front)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{{"
    with socket.create_connection((parts.hostname, parts.port), BODY_SECONDS * 2) as connection:
        connection.sendall(head.encode())
        heard = b""
        while chunk := connection.recv(1024):
            heard += chunk
    assert not heard.startswith(b"HTTP/1.1 2")
