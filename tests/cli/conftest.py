"""A real server in a process of its own, and the real command against it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ORIGIN = "test.example/cli"
START_S = 60.0
STOP_S = 60.0


class Ledger(NamedTuple):
    """A data folder, and the address at which a server serves it when one does."""

    data: Path
    url: str
    state: Path

    def environment(self, **more: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AGENT_LEDGER")}
        return inherited | {
            "PYTHONPATH": str(ROOT),
            "AGENT_LEDGER_DATA": str(self.data),
            "AGENT_LEDGER_URL": self.url,
            "XDG_STATE_HOME": str(self.state),
            **more,
        }

    def run(
        self, *arguments: str | Path, stdin: bytes = b"", timeout_s: float = 120, **environment: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the command as a user would, its output in pipes."""
        return subprocess.run(
            command(*arguments),
            input=stdin,
            capture_output=True,
            env=self.environment(**environment),
            timeout=timeout_s,
            check=False,
        )

    def seen_by(self, state: Path) -> "Ledger":
        """The same ledger for somebody who remembers other things."""
        return self._replace(state=state)


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "ledger.cli", *map(str, arguments)]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def new_ledger(folder: Path) -> Ledger:
    return Ledger(folder / "data", f"http://127.0.0.1:{free_port()}", folder / "state")


@contextmanager
def serving(ledger: Ledger) -> Iterator[Ledger]:
    """Serve the folder, making its log where there is none; at the end stop the server and wait for it."""
    port = ledger.url.rpartition(":")[2]
    ledger.data.parent.mkdir(parents=True, exist_ok=True)
    with (ledger.data.parent / "server.log").open("ab") as log:
        server = subprocess.Popen(
            command("serve", "--port", port, "--origin", ORIGIN),
            env=ledger.environment(),
            stdout=log,
            stderr=log,
        )
        try:
            wait_until_ready(ledger, server)
            yield ledger
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(STOP_S)


def wait_until_ready(ledger: Ledger, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and server.poll() is None:
        try:
            if httpx.get(f"{ledger.url}/readyz", trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    pytest.fail(f"no server: {(ledger.data.parent / 'server.log').read_text()[-2000:]}")


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger that is served during the whole session: tests add to it, and leave no trace that others trip over."""
    with serving(new_ledger(tmp_path_factory.mktemp("served"))) as served:
        yield served
