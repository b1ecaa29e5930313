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

import httpx

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def serving(module: str):
    """Run `python -m <module> <folder>` until it answers; gives (url, token, pid)."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "data"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            [sys.executable, "-m", module, str(folder)], cwd=ROOT, env=environment
        ) as process:
            try:
                url = _url(folder, process)
                token = folder / "cli.token"
                yield url, token.read_text().strip() if token.exists() else "none", process.pid
            finally:
                process.send_signal(signal.SIGTERM)


def _url(folder: Path, process: subprocess.Popen) -> str:
    for _ in range(600):
        try:
            url = json.loads((folder / "serving.json").read_text())["url"]
            httpx.get(f"{url}/healthz", trust_env=False)
        except (OSError, ValueError, httpx.HTTPError):
            if process.poll() is not None:
                raise SystemExit("a server did not start") from None
            time.sleep(0.05)
        else:
            return url
    raise SystemExit("a server did not answer")
