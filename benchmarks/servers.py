"""The servers that are compared, each a process of its own on loopback."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

ROOT = Path(__file__).resolve().parent.parent


class Served(NamedTuple):
    """A server that answers; `started_s` is how long that took it."""

    url: str
    token: str
    pid: int
    started_s: float

    def cpu_seconds(self) -> float:
        """What the server's process has used, on all cores: what else the machine does weighs less on it than on the clock."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(module: str, *arguments: str, data: Path | None = None):
    """Run `python -m <module> <data folder> <arguments>` until it answers; its folder is a new one, and goes, where none is given."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = data or Path(temporary) / "data"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        began = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-m", module, str(folder), *arguments],
            cwd=ROOT,
            env=environment,
            stdout=sys.stderr,
        ) as process:
            try:
                url = _url(folder, process)
                started = time.perf_counter() - began
                token = folder / "cli.token"
                yield Served(
                    url, token.read_text().strip() if token.exists() else "none", process.pid, started
                )
            finally:
                process.send_signal(signal.SIGTERM)


def _url(folder: Path, process: subprocess.Popen) -> str:
    for _ in range(6_000):
        try:
            url = json.loads((folder / "serving.json").read_text())["url"]
            httpx.get(f"{url}/healthz", trust_env=False)
        except (OSError, ValueError, httpx.HTTPError):
            if process.poll() is not None:
                raise SystemExit("a server did not start") from None
            time.sleep(0.01)
        else:
            return url
    raise SystemExit("a server did not answer")
