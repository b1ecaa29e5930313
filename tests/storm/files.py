"""The MCP server behind the storm's gateway. `python files.py <journal> <port>`."""

import asyncio
import sys
from pathlib import Path

from mcp.server.mcpserver import MCPServer

from tests.storm.journal import Journal

WORK_S = 0.03
journal = Journal(Path(sys.argv[1]))
files = MCPServer("files", log_level="ERROR")


@files.tool()
async def read_file(path: str) -> str:
    """Read a file."""
    journal.write("began", path)
    await asyncio.sleep(WORK_S)
    journal.write("finished", path)
    return f"{path} is empty"


if __name__ == "__main__":
    files.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
