"""The MCP client in front of the storm's gateway, which it finds again after each kill. `python caller.py <gateway url>`."""

import asyncio
import signal
import sys
import time

from mcp import Client

CALL_S = 20.0


async def main(url: str) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    number = 0
    while not stopping.is_set():
        try:
            async with asyncio.timeout(CALL_S), Client(url) as client:
                for _ in range(20):
                    if stopping.is_set():
                        break
                    number += 1
                    await client.call_tool("read_file", {"path": f"gateway.{time.time_ns()}.{number}"})
        except Exception:  # noqa: BLE001 - it was killed in the middle: on with the next
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
