"""fastmcp's client and server through the gateway, which is run by the project's own Python: they notice nothing."""

import asyncio
import os
import socket
import subprocess
import sys
import textwrap
import time

import pytest
from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from fastmcp.exceptions import ToolError

from tests.faults.server import ROOT

SERVER = """
    import asyncio, sys
    from fastmcp import Context, FastMCP

    server = FastMCP("desk")

    @server.tool
    def add(a: int, b: int) -> int:
        return a + b

    @server.tool
    def fail(why: str) -> str:
        raise ValueError(why)

    @server.tool
    async def wait(steps: int, ctx: Context) -> str:
        for step in range(steps):
            await ctx.report_progress(step, steps)
            await asyncio.sleep(0.02)
        return "waited"

    @server.resource("desk://note/{name}")
    def note(name: str) -> str:
        return f"{name}: call back"

    @server.prompt
    def greeting(name: str) -> str:
        return f"Greet {name}."

    if sys.argv[1] == "http":
        server.run(transport="http", port=int(sys.argv[2]), show_banner=False)
    else:
        server.run(show_banner=False)
"""


async def everything(transport):
    seen, steps = [], []

    async def progress(done, _total, _message):
        steps.append(done)

    async with Client(transport) as client:
        seen.append(sorted(tool.name for tool in await client.list_tools()))
        seen.append((await client.call_tool("add", {"a": 2, "b": 3})).data)
        with pytest.raises(ToolError):
            await client.call_tool("fail", {"why": "no"})
        seen.append((await client.call_tool("wait", {"steps": 3}, progress_handler=progress)).data)
        seen.append((await client.read_resource("desk://note/ada"))[0].text)
        seen.append((await client.get_prompt("greeting", {"name": "Ada"})).messages[0].content.text)
    return seen, steps


SEEN = ([["add", "fail", "wait"], 5, "waited", "ada: call back", "Greet Ada."], [0.0, 1.0, 2.0])
ALL = [
    ("add", "success"),
    ("fail", "failure"),
    ("greeting", "success"),
    ("resources/read", "success"),
    ("wait", "success"),
]


def run(transport):
    return asyncio.run(asyncio.wait_for(everything(transport), 60))


@pytest.fixture
def started(server, token, monkeypatch, tmp_path):
    """The server's file, and how a gateway is started in front of it."""
    for name, value in {
        "AGENT_LEDGER_URL": server.url,
        "AGENT_LEDGER_TOKEN": token,
        "PYTHONPATH": str(ROOT),
    }.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "desk.py"
    file.write_text(textwrap.dedent(SERVER))
    return str(file), [os.environ["AGENT_LEDGER_PYTHON"], "-m", "ledger.cli", "gateway"]


def recorded(logged):
    deadline = time.monotonic() + 20
    while True:
        found = logged("SELECT tool_name, outcome_status FROM actions")
        if (
            len(found) == len(ALL) and all(row["outcome_status"] for row in found)
        ) or time.monotonic() > deadline:
            return sorted((row["tool_name"], row["outcome_status"]) for row in found)
        time.sleep(0.1)


def test_fastmcp_over_stdio(started, logged):
    file, gateway = started
    arguments = [*gateway[1:], "--", sys.executable, file, "stdio"]
    assert run(StdioTransport(gateway[0], arguments, env=dict(os.environ))) == SEEN
    assert recorded(logged) == ALL


def test_fastmcp_over_streamable_http(started, logged):
    file, gateway = started
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        behind, front = one.getsockname()[1], other.getsockname()[1]
    upstream = ["--upstream", f"http://127.0.0.1:{behind}/mcp", "--port", str(front)]
    with (
        subprocess.Popen([sys.executable, file, "http", str(behind)]) as desk,
        subprocess.Popen([*gateway, *upstream], cwd=ROOT) as standing,
    ):
        try:
            for port in (behind, front):
                for _ in range(400):
                    try:
                        socket.create_connection(("127.0.0.1", port), 1).close()
                        break
                    except OSError:
                        time.sleep(0.05)
            assert run(StreamableHttpTransport(f"http://127.0.0.1:{front}/mcp")) == SEEN
            assert recorded(logged) == ALL
        finally:
            standing.terminate()
            desk.terminate()
