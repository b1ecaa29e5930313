"""Where nothing is sent, however it is named. Threat 39: names that resolve elsewhere, redirects, slow and endless answers."""

import ipaddress
import socket
import threading
import time

import pytest

from ledger.alerts import outbound
from ledger.alerts.outbound import DeliveryError, Rules, connect, parse_endpoint, post, refused, tls_context
from tests.alerts.receivers import Requests, certificate

PUBLIC = Rules(allow_private=False, tls=tls_context(None), timeout_s=5)
PRIVATE = PUBLIC._replace(allow_private=True)

NEVER = [
    "169.254.169.254",
    "169.254.1.1",
    "fe80::1",
    "fd00:ec2::254",
    "100.100.100.200",
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "::",
    "224.0.0.1",
    "ff02::1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
]
ON_REQUEST = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "2001:db8::1",
    "240.0.0.1",
]


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_refused_whatever_a_target_says(address):
    for allowed in (False, True):
        assert refused(ipaddress.ip_address(address), allow_private=allowed)


@pytest.mark.parametrize("address", ON_REQUEST)
def test_private_addresses_are_refused_in_every_spelling(address):
    assert refused(ipaddress.ip_address(address), allow_private=False)


def test_private_addresses_are_taken_where_the_target_says_so_and_public_ones_always():
    for address in ("127.0.0.1", "10.0.0.1", "::1", "fd12:3456::1"):
        assert refused(ipaddress.ip_address(address), allow_private=True) is None
    for address in ("8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8"):
        assert refused(ipaddress.ip_address(address), allow_private=False) is None


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "::1"]
)
def test_no_spelling_of_loopback_gets_through(host):
    canary = Requests()
    try:
        with pytest.raises(DeliveryError):
            connect(host, canary.port, PUBLIC)
        assert canary.got == []
    finally:
        canary.close()


def test_the_address_that_was_checked_is_the_one_connected_to_though_the_name_changes(monkeypatch):
    """DNS rebinding: the first answer is public, every later one is loopback."""
    canary = Requests()
    answers = iter([("203.0.113.1", True)])
    asked, connected = [], []

    def resolve(host, port, **_):
        address, _ = next(answers, ("127.0.0.1", False))
        asked.append(address)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    class Recorded(socket.socket):
        def connect(self, address):
            connected.append(address[0])
            raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(outbound.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(outbound.socket, "socket", Recorded)
    monkeypatch.setattr(
        outbound, "refused", lambda address, **_: None if str(address) == "203.0.113.1" else "private"
    )
    try:
        with pytest.raises(DeliveryError, match="Connection refused"):
            connect("rebound.example", canary.port, PUBLIC)
        assert (asked, connected) == (["203.0.113.1"], ["203.0.113.1"])
        with pytest.raises(DeliveryError, match="private"):
            connect("rebound.example", canary.port, PUBLIC)
        assert connected == ["203.0.113.1"]
    finally:
        monkeypatch.undo()
        assert canary.got == []
        canary.close()


def test_of_several_addresses_the_refused_ones_are_passed_over(monkeypatch):
    canary = Requests()
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, canary.port))
        for address in ("169.254.169.254", "127.0.0.1")
    ]
    monkeypatch.setattr(outbound.socket, "getaddrinfo", lambda *_, **__: found)
    with connect("two.example", canary.port, PRIVATE) as made:
        assert made.getpeername()[0] == "127.0.0.1"
    canary.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status):
    elsewhere = Requests()
    target = Requests([status], headers={"Location": f"http://127.0.0.1:{elsewhere.port}/canary"})
    try:
        with pytest.raises(DeliveryError, match="redirects are not followed"):
            post(parse_endpoint(f"http://127.0.0.1:{target.port}/", allow_private=True), b"{}", {}, PRIVATE)
        assert elsewhere.got == []
    finally:
        target.close()
        elsewhere.close()


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch):
    proxy, target = Requests(), Requests()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    try:
        post(parse_endpoint(f"http://127.0.0.1:{target.port}/", allow_private=True), b"{}", {}, PRIVATE)
        assert (len(target.taken()), proxy.got) == (1, [])
    finally:
        target.close()
        proxy.close()


def served(answer_with):
    """A socket that answers one request by a function."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = listener.accept()
        with connection:
            try:
                connection.recv(65536)
                answer_with(connection)
            except OSError:
                pass

    threading.Thread(target=serve, daemon=True).start()
    return listener, listener.getsockname()[1]


def test_an_answer_that_drips_is_ended_by_the_deadline():
    def drip(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            connection.sendall(b"x")
            time.sleep(0.2)

    listener, port = served(drip)
    started = time.monotonic()
    endpoint = parse_endpoint(f"http://127.0.0.1:{port}/", allow_private=True)
    with listener, pytest.raises(DeliveryError, match="no answer in time"):
        post(endpoint, b"{}", {}, PRIVATE._replace(timeout_s=1))
    assert time.monotonic() - started < 5


def test_of_an_endless_answer_little_is_read():
    sent = []

    def flood(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sent.append(connection.send(b"y" * 65536))

    listener, port = served(flood)
    with listener:
        endpoint = parse_endpoint(f"http://127.0.0.1:{port}/", allow_private=True)
        answer = post(endpoint, b"{}", {}, PRIVATE)
    assert len(answer.body) <= outbound.ANSWER_BYTES
    assert sum(sent) < 64 * 1024 * 1024


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x.example/",
        "file:///etc/passwd",
        "https://",
        "https://user:hunter2@x.example/",
        "https://x.example/#part",
        "https://x.example:99999/",
        "http://x.example/",
        "https://x.example/ y",
        "https://x.example/\r\nX-Evil: 1",
        "https://exämple.example/",
        "x.example",
    ],
)
def test_a_url_that_is_no_good_is_refused_and_not_quoted(url):
    with pytest.raises(ValueError, match=r"URL|http://") as refusal:
        parse_endpoint(url, allow_private=False)
    assert "hunter2" not in str(refusal.value)


def test_a_certificate_is_verified_by_authority_and_by_name(tmp_path):
    context, cert = certificate(tmp_path, "localhost")
    target = Requests(tls=context)
    trusted = PRIVATE._replace(tls=tls_context(str(cert)))
    good = parse_endpoint(f"https://localhost:{target.port}/", allow_private=True)
    other_name = parse_endpoint(f"https://127.0.0.1:{target.port}/", allow_private=True)
    try:
        assert post(good, b"{}", {}, trusted).status == 200
        with pytest.raises(DeliveryError, match=r"self-signed|self signed|unable to get"):
            post(good, b"{}", {}, PRIVATE)
        with pytest.raises(DeliveryError, match="TLS"):
            post(other_name, b"{}", {}, trusted)
        assert len(target.taken()) == 1
    finally:
        target.close()


def test_a_name_that_does_not_resolve_is_said_so():
    with pytest.raises(DeliveryError, match="does not resolve"):
        connect("nowhere.invalid", 443, PUBLIC)
