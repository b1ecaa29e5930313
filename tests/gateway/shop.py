"""The server behind the gateway in these tests: a real one, of the official SDK. `python shop.py [stdio | http PORT]`."""

import asyncio
import os
import sys
from typing import Annotated

from mcp.server.mcpserver import Context, Elicit, MCPServer, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel

shop = MCPServer("shop", version="1.2", log_level="ERROR")


@shop.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@shop.tool()
def echo(text: str) -> str:
    """Say it again."""
    return text


@shop.tool()
def fail(why: str) -> str:
    """Fail."""
    raise ToolError(why)


@shop.tool()
def die() -> str:
    """End the server in the middle of the call."""
    os._exit(7)


@shop.tool()
async def wait(seconds: float, ctx: Context) -> str:
    """Take some time, and say how far it is."""
    for step in range(10):
        await ctx.report_progress(step, 10)
        await asyncio.sleep(seconds / 10)
    return "waited"


@shop.tool()
def token() -> str:
    """Say what the server was given of the ledger's credentials."""
    return os.environ.get("AGENT_LEDGER_TOKEN", "none")


class Answer(BaseModel):
    name: str


def who() -> Elicit[Answer]:
    return Elicit("who is it?", Answer)


@shop.tool()
async def ask(answer: Annotated[Answer, Resolve(who)]) -> str:
    """Ask the client's user."""
    return f"it is {answer.name}"


@shop.resource("shop://stock/{item}")
def stock(item: str) -> str:
    return f"{item}: 3"


@shop.prompt()
def greeting(name: str) -> str:
    return f"Greet {name}."


if __name__ == "__main__":
    if sys.argv[1:2] == ["http"]:
        shop.run(
            "streamable-http", host="127.0.0.1", port=int(sys.argv[2]), json_response="--json" in sys.argv
        )
    else:
        shop.run("stdio")
