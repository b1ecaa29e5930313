"""(f) One tool call through the gateway, intent durable and signed before it passes, against the same call without it, both transports."""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from itertools import chain

import httpx
from mcp import Client, StdioServerParameters

from benchmarks.options import Options
from benchmarks.servers import ROOT, serving
from tests.gateway.running import SHOP, gateway, shop

WARM_UP = 20
TARGET_MS = 10.0
ARGUMENTS = {"text": "a few words, as tools are told them " * 10}


def run(options: Options) -> dict:
    rounds, calls = (3, 60) if options.quick else (7, 300)
    with ExitStack() as stack:
        url, token, _ = stack.enter_context(serving("benchmarks.signed"))
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "AGENT_LEDGER_URL": url,
            "AGENT_LEDGER_TOKEN": token,
            "XDG_STATE_HOME": stack.enter_context(tempfile.TemporaryDirectory()),
        }
        post_ms = posting(url, token, calls)
        upstream = stack.enter_context(shop())
        front, _ = stack.enter_context(gateway(environment, upstream))
        rows = {
            "stdio": asyncio.run(compared(direct_stdio(), through_stdio(environment), rounds, calls)),
            "streamable HTTP": asyncio.run(compared(upstream, front, rounds, calls)),
        }
    print(f"\n(f) one call at a time, {rounds} rounds of {calls} calls, in turns\n")
    print(
        "| | direct p50 ms | gateway p50 ms | gateway p99 ms | adds at the median, ms (range of the rounds) |"
    )
    print("|---|---|---|---|---|")
    for name, (direct, through) in rows.items():
        added = [statistics.median(b) - statistics.median(a) for a, b in zip(direct, through, strict=True)]
        alone, flat = sorted(chain(*direct)), sorted(chain(*through))
        print(
            f"| {name} | {statistics.median(alone):.2f} | {statistics.median(flat):.2f} | {flat[len(flat) * 99 // 100]:.2f} "
            f"| {statistics.median(added):.2f} ({min(added):.2f} to {max(added):.2f}) |"
        )
    print(f"\none record posted to this ledger by itself, durable and signed: {post_ms:.2f} ms at the median")
    print(f"aim: less than {TARGET_MS:.0f} ms at the median")
    return {"post_ms": post_ms, "rows": rows}


def posting(url: str, token: str, calls: int) -> float:
    """How long this ledger takes for one record on this machine now: what no gateway can be faster than."""
    took = []
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False) as client:
        for _ in range(calls):
            record = {
                "type": "action.intent",
                "time": "2026-11-21T09:30:00Z",
                "tool": {"name": "echo", "arguments": ARGUMENTS},
            }
            began = time.perf_counter()
            client.post("/v1/records", json=record).raise_for_status()
            took.append((time.perf_counter() - began) * 1_000)
    return statistics.median(took)


def direct_stdio() -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable, args=[SHOP], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


def through_stdio(environment: dict[str, str]) -> StdioServerParameters:
    arguments = ["-m", "ledger.cli", "gateway", "--", sys.executable, SHOP]
    return StdioServerParameters(command=sys.executable, args=arguments, env=environment)


async def compared(direct, through, rounds: int, calls: int) -> tuple[list[list[float]], list[list[float]]]:
    """The milliseconds of each call by round, without and with the gateway, the rounds in turns."""
    found: tuple[list[list[float]], list[list[float]]] = ([], [])
    async with Client(direct, mode="2026-07-28") as one, Client(through, mode="2026-07-28") as other:
        for client in (one, other):
            await timed(client, WARM_UP)
        for _ in range(rounds):
            for client, into in zip((one, other), found, strict=True):
                into.append(await timed(client, calls))
    return found


async def timed(client: Client, calls: int) -> list[float]:
    took = []
    for _ in range(calls):
        began = time.perf_counter()
        answer = await client.call_tool("echo", ARGUMENTS)
        took.append((time.perf_counter() - began) * 1_000)
        assert not answer.is_error
    return took
