"""A real server of its own process on loopback, as a client and an operator see it."""

import contextlib
import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from ledger.trust.local import digest, new_secret
from tests.faults.nursery import Forked, agent_ledger, plain

ORIGIN = "ledger.example/faults"
ROOT = Path(__file__).resolve().parent.parent.parent
READY_WITHIN_S = 180.0
LISTENS = re.compile(r" on (https?://\S+);")


class NotStarted(Exception):  # noqa: N818 - says what happened
    """The server ended before it was ready: its exit status and what it said."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"exit status {status}: {words}")
        self.status = status
        self.words = words


def started(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    words: int,
    *,
    python: str = sys.executable,
    forked: bool = True,
) -> "Forked | subprocess.Popen[bytes]":
    """The command, which says all that it says to one file; `forked` from a process that has it imported where nothing speaks against it."""
    unlike = {name: text for name, text in environment.items() if os.environ.get(name) != text}
    if forked and python == sys.executable and plain(unlike):
        with Path(os.devnull).open("rb") as nothing:
            return agent_ledger(arguments, environment, stdin=nothing.fileno(), stdout=words, stderr=words)
    command = [python, "-m", "ledger.cli", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=words, stderr=words
    )


class Server:
    """Start with `Server(folder)`; end with `stop` or `kill`."""

    def __init__(
        self,
        data: Path,
        *,
        origin: str = ORIGIN,
        environment: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        python: str = sys.executable,
        forked: bool = True,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        self.data, self._verify = data, verify
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the server
        arguments = ["serve", "--data", str(data), "--origin", origin, "--host", "127.0.0.1", "--port", "0"]
        whole = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
        self.process = started(
            [*arguments, *options], whole, self._words.fileno(), python=python, forked=forked
        )
        self.url = self._wait()
        self.headers = {"Authorization": f"Bearer {(data / 'cli.token').read_text().strip()}"}

    def _wait(self) -> str:
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise NotStarted(self.process.returncode, self.said())
            listens = LISTENS.search(self.said())
            if listens is not None:
                with contextlib.suppress(httpx.HTTPError):
                    httpx.get(f"{listens[1]}/readyz", trust_env=False, verify=self._verify).raise_for_status()
                    return listens[1]
            time.sleep(0.02)
        self.kill()
        raise NotStarted(-1, f"not ready after {READY_WITHIN_S} s: {self.said()}")

    def said(self) -> str:
        """Everything on its stdout and stderr."""
        descriptor = self._words.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")

    def client(self) -> httpx.Client:
        """A connection with the admin token."""
        return httpx.Client(
            base_url=self.url, headers=self.headers, timeout=30, trust_env=False, verify=self._verify
        )

    def post(self, *records: Mapping[str, Any]) -> httpx.Response:
        """Post one record as an object, several as an array."""
        with self.client() as client:
            return client.post("/v1/records", json=records[0] if len(records) == 1 else records)

    def grant(self, name: str, *roles: str, **more: Any) -> str:
        """A new token of this name; `more` goes into the body of the request."""
        secret = new_secret()
        credential = {"type": "bearer", "sha256": digest(secret).hex()}
        with self.client() as client:
            body = {"name": name, "roles": roles, "credential": credential, **more}
            client.post("/v1/access", json=body).raise_for_status()
        return secret

    def revoke(self, name: str) -> None:
        """Revoke a credential."""
        with self.client() as client:
            client.delete(f"/v1/access/{name}").raise_for_status()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode


def told(response: httpx.Response) -> dict[str, tuple[int, str]]:
    """id → (seq, leaf hash) of the records that a response acknowledges."""
    if response.status_code not in {200, 201, 207}:
        return {}
    body = response.json()
    results = body.get("results", [body])
    return {result["id"]: (result["seq"], result["leaf_hash"]) for result in results if "seq" in result}
