"""Receivers on loopback: what a target sends, as somebody else reads it."""

import contextlib
import socket
import socketserver
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Requests:
    """An HTTP server that keeps what it was sent. `answers` are the statuses to give, one each; then 204."""

    def __init__(self, answers=(), *, tls=None, headers=None, body=b"", delay_s=0.0, port=0):
        self.got, self.answers, self.headers, self.body, self.delay_s = (
            [],
            list(answers),
            headers or {},
            body,
            delay_s,
        )
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["Content-Length"])
                data = self.rfile.read(length)
                if len(data) < length:  # its sender was killed while it spoke
                    self.close_connection = True
                    return
                with outer.lock:
                    status = outer.answers.pop(0) if outer.answers else 200
                    outer.got.append((status, self.path, dict(self.headers.items()), data))
                time.sleep(outer.delay_s)
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    for name, value in outer.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(outer.body)))
                    self.end_headers()
                    self.wfile.write(outer.body)

            do_GET = do_POST  # noqa: N815 - the handler's own name

            def log_message(self, *_):
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self.thread.start()

    def taken(self):
        """The requests that were answered with 2xx: path, headers in lower case, body."""
        with self.lock:
            return [
                (path, {name.lower(): value for name, value in headers.items()}, data)
                for status, path, headers, data in self.got
                if 200 <= status < 300
            ]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Stream:
    """A syslog receiver over TCP, with or without TLS: the bytes of each connection."""

    def __init__(self, tls=None):
        self.connections = []
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                received = bytearray()
                outer.connections.append((self.request, received))
                with contextlib.suppress(OSError, ssl.SSLError):
                    while data := self.request.recv(65536):
                        received.extend(data)

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def messages(self):
        """The frames of all connections (RFC 6587, octet counting)."""
        found = []
        for _, received in self.connections:
            rest = bytes(received)
            while rest:
                length, _, rest = rest.partition(b" ")
                found.append(rest[: int(length)])
                rest = rest[int(length) :]
        return found

    def hang_up(self):
        for connection, _ in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def certificate(folder, *names):
    """A certificate for these DNS names and 127.0.0.1, its own authority: the server's context and the file to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    alternatives = [x509.DNSName(each) for each in names]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, secret = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, secret)
    return context, cert


def until(condition, within_s=60.0):
    """Wait until something is so."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not become so"
        time.sleep(0.02)
    return found
