"""The shop over HTTP, and a gateway in front of it: real processes."""

import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.faults.server import ROOT

SHOP = str(Path(__file__).with_name("shop.py"))
WITHIN_S = 60


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@contextmanager
def shop(*options, script=SHOP, path="/mcp"):
    """Gives the shop's URL."""
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, script, "http", str(port), *options], env=environment) as process:
        try:
            url = f"http://127.0.0.1:{port}{path}"
            deadline = time.monotonic() + WITHIN_S
            while True:
                try:
                    httpx.request("OPTIONS", url, trust_env=False)
                    break
                except httpx.HTTPError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)
            yield url
        finally:
            process.kill()


@contextmanager
def gateway(environment, upstream, *options):
    """Gives the gateway's URL and its process."""
    command = [sys.executable, "-m", "ledger.cli", "gateway", "--upstream", upstream, *map(str, options)]
    with subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            said = process.stderr.readline()
            found = re.search(r"http://\S+", said)
            if found is None:
                raise AssertionError(said + process.stderr.read())
            yield found[0], process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
            process.stderr.close()
