"""A real server of its own process on loopback, as a client and an operator see it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

ORIGIN = "ledger.example/faults"
ROOT = Path(__file__).resolve().parent.parent.parent
READY_WITHIN_S = 60.0


class NotStarted(Exception):  # noqa: N818 - says what happened
    """The server ended before it was ready: its exit status and what it said."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"exit status {status}: {words}")
        self.status = status
        self.words = words


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
    ) -> None:
        self.data = data
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the server
        command = [python, "-m", "ledger.cli", "serve", "--data", str(data), "--origin", origin]
        self.process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", "0", *options],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._words,
            stderr=self._words,
        )
        self.url = self._wait()
        self.headers = {"Authorization": f"Bearer {(data / 'cli.token').read_text().strip()}"}

    def _wait(self) -> str:
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise NotStarted(self.process.returncode, self.said())
            try:
                serving = json.loads((self.data / "serving.json").read_bytes())
                if serving["pid"] == self.process.pid:
                    httpx.get(f"{serving['url']}/readyz", trust_env=False).raise_for_status()
                    return str(serving["url"])
            except (OSError, ValueError, httpx.HTTPError):
                pass
            time.sleep(0.02)
        self.kill()
        raise NotStarted(-1, f"not ready after {READY_WITHIN_S} s: {self.said()}")

    def said(self) -> str:
        """Everything on its stdout and stderr."""
        descriptor = self._words.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")

    def client(self) -> httpx.Client:
        """A connection with the admin token."""
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=30, trust_env=False)

    def post(self, *records: Mapping[str, Any]) -> httpx.Response:
        """Post one record as an object, several as an array."""
        with self.client() as client:
            return client.post("/v1/records", json=records[0] if len(records) == 1 else records)

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
