"""A log in this process that has witnesses, and witnesses that behave as they like."""

import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ledger.core.checkpoint import parse_checkpoint
from ledger.core.ed25519 import SigningKey
from ledger.core.note import Cosigner, parse_note
from ledger.core.witnessing import KEYS_PATH, parse_add_checkpoint
from ledger.log.log import Log
from ledger.witness.rounds import Witnesses
from ledger.witness.settings import read_settings
from tests.alerts.receivers import until
from tests.log.conftest import prepared, submit


class Actor:
    """An HTTP server that answers `add-checkpoint` by a function: (request, cosigner) → (status, media type, body)."""

    def __init__(self, act, *, name="actor.example/w", seed=b"\x21"):
        self.act, self.name, self.signing_key = act, name, SigningKey(seed * 32)
        self.key = Cosigner(name, self.signing_key, 0).key
        self.got = []
        self.keys_status = 404  # as who has never heard of them
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((self.path, body))
                if self.path.endswith(KEYS_PATH):
                    answer(self, outer.keys_status, "text/plain", b"\n")
                    return
                with contextlib.suppress(OSError):
                    outer.act(outer, self, parse_add_checkpoint(body))

            def do_GET(self):
                with contextlib.suppress(OSError):
                    answer(self, 404, "text/plain", b"no\n")

            def log_message(self, *_):
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def line(self, request, seconds=None, signing_key=None, text=None):
        cosigner = Cosigner(
            self.name, signing_key or self.signing_key, int(time.time()) if seconds is None else seconds
        )
        return cosigner.line(text or parse_note(request.note).text)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def answer(handler, status, media_type, body, **headers):
    handler.send_response(status)
    handler.send_header("Content-Type", media_type)
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def honest(actor, handler, request):
    answer(handler, 200, "text/plain", actor.line(request).encode())


class Asking:
    """A log whose checkpoints are submitted to witnesses: (name, key, url) of each, and a quorum."""

    def __init__(self, folder, origin, witnesses, quorum, *, data=None, **options):
        self.data = data or folder / "data"
        if not self.data.exists():
            Log.create(self.data, origin)
        self.log = Log.open(self.data)
        policy = folder / "policy"
        lines = [f"witness {name} {key} {url}\n" for name, key, url in witnesses]
        policy.write_text(f"log {self.log.vkey}\n{''.join(lines)}{quorum}\n")
        settings = read_settings(policy, allow_private=True, **options)
        self.witnesses = Witnesses(self.log, settings._replace(every_s=0.05), self.data)
        self.published = []
        self.closed = False

    def start(self):
        self.witnesses.start(self.published.append)
        return self

    def post(self, count=1):
        base = self.log.head().size
        records = [
            prepared(
                self.log,
                {"id": f"r-{base}-{n}", "type": "note", "time": "2026-11-21T09:30:00Z"},
                "token:test",
            )
            for n in range(count)
        ]
        return submit(self.log, records)

    def until_witnessed(self, size=None):
        wanted = self.log.head().size if size is None else size
        return until(lambda: (found := self.witnesses.newest()) and found.size >= wanted and found, 30)

    def problem(self, name):
        return next(each["problem"] for each in self.witnesses.status()["witnesses"] if each["name"] == name)

    def close(self):
        if not self.closed:
            self.closed = True
            self.witnesses.close()
            self.log.close()


def size_of(note):
    return parse_checkpoint(parse_note(note).text).size
