"""The ledger of the demo: `agent-ledger serve` as anybody would start it, on loopback, in a folder of the checkout."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from ledger.cli.target import CLI_TOKEN, SERVING
from ledger.client.http import LedgerClient
from ledger.trust.local import digest, new_secret

HOST = "127.0.0.1"
PORT = 8731
ORIGIN = "demo.example/office"
READY_WITHIN_S = 30.0
STOPPED_WITHIN_S = 15.0


class DemoError(Exception):
    """Ends the demo with a sentence instead of a stack trace."""


class Service:
    """A running ledger. Leaving the `with` block stops it."""

    def __init__(self, data: Path, port: int | None = None) -> None:
        self.data = data
        self.token_file = data / CLI_TOKEN
        self.words = data.parent / "serve.log"
        self.url = ""
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it and wait until it is ready.

        Raises:
            DemoError: it ended or did not get ready; with its own last words.
        """
        self.data.parent.mkdir(parents=True, exist_ok=True)
        serve = [sys.executable, "-m", "ledger.cli", "serve", "--data", str(self.data), "--origin", ORIGIN]
        with self.words.open("wb") as words:
            self._process = subprocess.Popen(
                [*serve, "--host", HOST, "--port", str(_port(self._port))],
                stdout=words,
                stderr=words,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the demo, which then stops the ledger in order
                env={
                    name: value for name, value in os.environ.items() if not name.startswith("AGENT_LEDGER_")
                },  # they are about another ledger
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_for_end(self) -> None:
        """Keep serving until the ledger ends or somebody presses Ctrl-C."""
        if self._process is not None:
            self._process.wait()

    def admin_token(self) -> str:
        """The token that the first start left for this machine's command line."""
        return self.token_file.read_text(encoding="ascii").strip()

    def agent_token(self, name: str) -> str:
        """A fresh token that may write and nothing else: an agent needs no more."""
        secret = new_secret()
        bearer = {"type": "bearer", "sha256": digest(secret).hex()}
        with LedgerClient(self.url, self.admin_token()) as client:
            if any(each["name"] == name for each in client.ask("GET", "/v1/access")["credentials"]):
                client.ask("DELETE", f"/v1/access/{name}")
            client.ask("POST", "/v1/access", {"name": name, "roles": ["writer"], "credential": bearer})
        return secret

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise DemoError(f"the ledger did not start: {self._last_words()}")
            self.url = self._listening()
            if self.url and _ready(self.url):
                return
            time.sleep(0.05)
        raise DemoError(f"the ledger is not ready after {READY_WITHIN_S:.0f} s: {self._last_words()}")

    def _listening(self) -> str:
        """Where this very process listens, once it does."""
        try:
            serving = json.loads((self.data / SERVING).read_bytes())
        except (OSError, ValueError):
            return ""
        return (
            str(serving["url"]) if self._process is not None and serving["pid"] == self._process.pid else ""
        )

    def _last_words(self) -> str:
        lines = self.words.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return "\n".join(lines[-3:]) or "it said nothing"


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _port(wanted: int | None) -> int:
    """The port that was asked for; else the usual one where it is free; else 0, which is any."""
    if wanted is not None:
        return wanted
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, PORT))
        except OSError:
            return 0
    return PORT
