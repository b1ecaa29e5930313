"""The client takes nothing that answers at an address for a ledger, and nothing without bound."""

import gzip
import shutil
import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import zstandard

from ledger.client.http import LedgerClient, ProblemError, UnreachableError
from ledger.client.questions import Question

JSON = "application/json"
PROBLEM = b'{"type":"urn:agent-ledger:problem:queue-full","title":"t","status":429,"detail":"d","record":3}'


@contextmanager
def answering(status: int, body: bytes, wrapped: ssl.SSLContext | None = None, **headers: str):
    """A server that gives one answer to everything, and what it was asked."""
    asked: list[tuple[str, str, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.command, self.path, dict(self.headers)))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    if wrapped is not None:
        server.socket = wrapped.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with LedgerClient(f"http://127.0.0.1:{server.server_port}", "alt_secret") as client:
            yield client, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


CALLS = [
    lambda client: client.log(),
    lambda client: client.entry(1),
    lambda client: client.record("a"),
    lambda client: client.queries(),
    lambda client: client.table(Question("SELECT 1", None, {})),
    lambda client: client.post_records(b"{}", "application/json"),
    lambda client: client.verification("/v1/verify/1"),
    lambda client: client.start_verification(),
]


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b"[]", b"null", b'{"size":"1"}', b"[" * 100_000, b"\xff"]
)
@pytest.mark.parametrize("status", [200, 404, 500])
def test_what_is_no_ledger_is_told_from_one(status, body):
    with answering(status, body, Content_Type=JSON) as (client, _):
        for call in CALLS:
            with pytest.raises(UnreachableError, match="is no ledger"):
                call(client)


def test_a_refusal_comes_with_its_code_its_words_and_when_to_try_again():
    with answering(429, PROBLEM, Retry_After="7") as (client, _), pytest.raises(ProblemError) as caught:
        client.log()
    problem = caught.value
    assert (problem.status, problem.code, problem.detail) == (429, "queue-full", "d")
    assert (problem.members["record"], problem.retry_after_s) == (3, 7.0)


@pytest.mark.parametrize(("text", "seconds"), [("", None), ("soon", None), ("-1", None), ("9" * 400, 60.0)])
def test_no_server_makes_a_client_wait_for_ever(text, seconds):
    with answering(429, PROBLEM, Retry_After=text) as (client, _), pytest.raises(ProblemError) as caught:
        client.log()
    assert caught.value.retry_after_s == seconds


def test_a_token_follows_no_redirect():
    with answering(302, b"", Location="http://127.0.0.1:9/") as (client, asked):
        with pytest.raises(UnreachableError):
            client.log()
        assert [path for _, path, _ in asked] == ["/v1/log"]


def test_a_verification_is_asked_about_at_the_ledger_alone():
    elsewhere = "http://127.0.0.1:9/v1/verify/1"
    with answering(202, b"{}", Location=elsewhere) as (client, _), pytest.raises(UnreachableError):
        client.start_verification()


def test_an_answer_without_end_is_cut_off():
    with (
        answering(200, b"x" * 1001) as (client, _),
        LedgerClient(client.url, max_answer_bytes=1000) as bounded,
        pytest.raises(UnreachableError, match="more than 1,000 bytes"),
    ):
        bounded.file("checkpoint")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd", "br", "gzip, zstd", "GZIP"])
@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_that_was_compressed_is_not_decoded_because_it_could_be_any_size(tmp_path, status, coding):
    """32 KiB of zstd are a gigabyte, which a decoder hands over before anybody counts."""
    bomb = zstandard.compress(bytes(8_000_000)) if "zstd" in coding else gzip.compress(bytes(8_000_000))

    def listen(client):
        with client.listening("/v1/records/stream", params={}, headers={}, silence_s=5) as pieces:
            return list(pieces)

    def save(client):
        with (tmp_path / "saved").open("wb") as file:
            client.save("/v1/evidence", {}, file, timeout_s=5)

    with answering(status, bomb, Content_Encoding=coding) as (client, asked):
        for call in (LedgerClient.log, listen, save):
            with pytest.raises(UnreachableError, match="which it was not asked for"):
                call(client)
    assert {headers["Accept-Encoding"] for _, _, headers in asked} == {"identity"}
    assert (tmp_path / "saved").read_bytes() == b""


def test_an_id_stays_one_part_of_the_path():
    with answering(404, b"") as (client, asked):
        for call in (lambda: client.record("a/b?c#d"), lambda: client.query(Question("", "../log", {}))):
            with pytest.raises(UnreachableError):
                call()
    assert [path for _, path, _ in asked] == ["/v1/records/a%2Fb%3Fc%23d", "/v1/queries/..%2Flog"]
    assert all(headers["Authorization"] == "Bearer alt_secret" for _, _, headers in asked)


@pytest.mark.parametrize("url", ["", "ledger", "ftp://x", "http://", "file:///etc/passwd"])
def test_what_is_no_address_is_refused_before_anything_is_sent(url):
    with pytest.raises(ValueError, match="is no URL"):
        LedgerClient(url)


@pytest.mark.parametrize("url", ["http://x/v1", "http://x/v1/records", "http://x/behind/v1/traces"])
def test_a_route_of_the_ledger_is_not_taken_for_its_address(url):
    with pytest.raises(ValueError, match="before /v1"):
        LedgerClient(url)
    LedgerClient("http://x/v12").close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_an_authority_of_ones_own_is_trusted_where_it_is_named(tmp_path, monkeypatch):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    making = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost"
    named = ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
    subprocess.run([*making.split(), *named], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with answering(503, PROBLEM, wrapped=context) as (client, _):
        url = client.url.replace("http://127.0.0.1", "https://localhost")
        with (
            LedgerClient(url) as stranger,
            pytest.raises(UnreachableError, match="is not shown to be your ledger: self-signed certificate"),
        ):
            stranger.log()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with LedgerClient(url) as trusting, pytest.raises(ProblemError):
            trusting.log()


def test_where_nothing_listens_the_error_says_what_to_do():
    with (
        LedgerClient("http://127.0.0.1:9") as client,
        pytest.raises(UnreachableError, match="agent-ledger serve"),
    ):
        client.log()
