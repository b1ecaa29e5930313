"""A server of the old SDK: `shop.py stdio`, or `shop.py sse PORT`, or `shop.py streamable-http PORT`."""

import asyncio
import sys

from mcp.server.fastmcp import Context, FastMCP

shop = FastMCP("shop", log_level="ERROR", port=int(sys.argv[2]) if len(sys.argv) > 2 else 8000)


@shop.tool()
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@shop.tool()
def fail(why: str) -> str:
    """Fail."""
    raise ValueError(why)


@shop.tool()
async def wait(steps: int, ctx: Context) -> str:
    """Take some time, and say how far it is."""
    for step in range(steps):
        await ctx.report_progress(step, steps)
        await asyncio.sleep(0.02)
    return "waited"


@shop.resource("shop://stock/{item}")
def stock(item: str) -> str:
    """What is there."""
    return f"{item}: 3"


@shop.prompt()
def greeting(name: str) -> str:
    """Greet."""
    return f"Greet {name}."


shop.run(sys.argv[1])
