"""The official TypeScript SDK's client and server through the gateway. It is fetched by npm: part of `make soak`."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.gateway.running import free_port, gateway

SOURCE = Path(__file__).with_name("typescript")
ENDS = {"success": 15, "failure": 1, "cancelled": 1}

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def sdk(tmp_path_factory):
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not here")
    folder = tmp_path_factory.mktemp("typescript") / "sdk"
    shutil.copytree(SOURCE, folder)
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False, timeout=240)
    if done.returncode:
        pytest.skip(f"the SDK cannot be fetched: {done.stderr[-200:]}")
    return folder


def seen(sdk, environment, *arguments):
    command = ["node", str(sdk / "client.mjs"), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ends(book):
    return Counter(call["outcome"]["outcome"]["status"] for call in book.calls())


def test_stdio(sdk, environment, book):
    server = ["node", sdk / "server.mjs", "stdio"]
    through = [sys.executable, "-m", "ledger.cli", "gateway", "--", *server]
    assert seen(sdk, environment, "stdio", *through) == seen(sdk, environment, "stdio", *server)
    assert ends(book) == ENDS


def test_streamable_http(sdk, environment, book):
    port = free_port()
    with subprocess.Popen(["node", sdk / "server.mjs", "http", str(port)]) as server:
        try:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            upstream = f"http://127.0.0.1:{port}/mcp"
            with gateway(environment, upstream) as (front, _):
                assert seen(sdk, environment, "http", front) == seen(sdk, environment, "http", upstream)
        finally:
            server.kill()
    assert ends(book) == ENDS
