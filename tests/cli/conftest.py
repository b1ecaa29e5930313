"""A real server in a process of its own, and the real command against it."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.nursery import agent_ledger, plain
from tests.faults.server import Server

ROOT = Path(__file__).resolve().parent.parent.parent
ORIGIN = "test.example/cli"


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
        """Run the command as a user would, its output no terminal."""
        if not plain(environment):
            return subprocess.run(
                command(*arguments),
                input=stdin,
                capture_output=True,
                env=self.environment(**environment),
                timeout=timeout_s,
                check=False,
            )
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            given.write(stdin)
            given.seek(0)
            files = {"stdin": given.fileno(), "stdout": out.fileno(), "stderr": err.fileno()}
            process = agent_ledger(arguments, self.environment(**environment), **files)
            try:
                process.wait(timeout_s)
            finally:
                process.kill()
            said, complained = (
                os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0) for file in (out, err)
            )
            return subprocess.CompletedProcess(command(*arguments), process.wait(), said, complained)

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
def serving(ledger: Ledger, *options: str) -> Iterator[Ledger]:
    """Serve the folder, making its log where there is none; at the end stop the server and wait for it."""
    port = ledger.url.rpartition(":")[2]
    server = Server(
        ledger.data, origin=ORIGIN, environment=ledger.environment(), options=("--port", port, *options)
    )
    try:
        yield ledger
    finally:
        server.stop()


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger that is served during the whole session: tests add to it, and leave no trace that others trip over."""
    with serving(new_ledger(tmp_path_factory.mktemp("served"))) as served:
        yield served
