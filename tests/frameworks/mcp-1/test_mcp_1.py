"""Clients and servers of the older protocols through the gateway, which is run by the project's own Python: they notice nothing."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from pydantic import AnyUrl

from tests.faults.server import ROOT

SHOP = str(Path(__file__).with_name("shop.py"))
SEEN = [
    "shop",
    "add fail wait",
    "5",
    True,
    "waited",
    "shop: pear: 3",
    "Greet Ada.",
    [str(n) for n in range(10)],
]


async def everything(streams):
    async with ClientSession(streams[0], streams[1]) as session:
        begun = await session.initialize()
        seen = [begun.serverInfo.name, " ".join(tool.name for tool in (await session.list_tools()).tools)]
        seen.append((await session.call_tool("add", {"a": 2, "b": 3})).content[0].text)
        seen.append((await session.call_tool("fail", {"why": "no stock"})).isError)
        seen.append((await session.call_tool("wait", {"steps": 3})).content[0].text)
        seen.append(f"shop: {(await session.read_resource(AnyUrl('shop://stock/pear'))).contents[0].text}")
        seen.append((await session.get_prompt("greeting", {"name": "Ada"})).messages[0].content.text)
        many = await asyncio.gather(*[session.call_tool("add", {"a": n, "b": 0}) for n in range(10)])
        seen.append([one.content[0].text for one in many])
        return seen


def run(client):
    async def scenario():
        async with client as streams:
            return await everything(streams)

    return asyncio.run(asyncio.wait_for(scenario(), 60))


@pytest.fixture
def command(server, token, monkeypatch):
    """How the gateway is started; its environment is that of this process."""
    monkeypatch.setenv("AGENT_LEDGER_URL", server.url)
    monkeypatch.setenv("AGENT_LEDGER_TOKEN", token)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return [os.environ["AGENT_LEDGER_PYTHON"], "-m", "ledger.cli", "gateway"]


def recorded(logged):
    deadline = time.monotonic() + 20
    while True:
        found = logged("SELECT tool_operation, outcome_status FROM actions")
        if (len(found) == 15 and all(row["outcome_status"] for row in found)) or time.monotonic() > deadline:
            return sorted((row["tool_operation"], row["outcome_status"]) for row in found)
        time.sleep(0.1)


ALL = sorted(
    [("tools/call", "success")] * 12
    + [("tools/call", "failure"), ("resources/read", "success"), ("prompts/get", "success")]
)


def test_stdio(command, logged):
    started = [*command, "--", sys.executable, SHOP, "stdio"]
    parameters = StdioServerParameters(command=started[0], args=started[1:], env=dict(os.environ))
    assert run(stdio_client(parameters)) == SEEN
    assert recorded(logged) == ALL


@contextmanager
def listening(command, port):
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            for _ in range(400):
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield
        finally:
            process.terminate()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.mark.parametrize(
    ("transport", "path", "client"),
    [("sse", "/sse", sse_client), ("streamable-http", "/mcp/", streamablehttp_client)],
)
def test_http(command, logged, transport, path, client):
    behind, front = free_port(), free_port()
    upstream = f"http://127.0.0.1:{behind}{path}"
    with (
        listening([sys.executable, SHOP, transport, str(behind)], behind),
        listening([*command, "--upstream", upstream, "--port", str(front)], front),
    ):
        assert run(client(f"http://127.0.0.1:{front}{path}")) == SEEN
        assert recorded(logged) == ALL
