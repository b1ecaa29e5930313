"""A load generator in a process of its own: so many connections, each sending its next request when the last is answered.

Written on asyncio's protocols rather than a client library: it shares the machine with the server it measures.
"""

import asyncio
import base64
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import uvloop


@dataclass
class Plan:
    """What to send: the bodies (base64, in a JSON list) in turn, or one body for ever when there is a single one."""

    url: str
    path: str
    token: str
    media_type: str
    bodies_file: str
    connections: int
    seconds: float


@dataclass
class Measured:
    """Requests answered with 2xx per second, and how long they took in milliseconds."""

    per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    requests: int
    refused: int


class _Connection(asyncio.Protocol):
    def __init__(self, load: "_Load") -> None:
        self.load, self.buffer, self.sent_at = load, b"", 0.0

    def connection_made(self, transport):
        self.transport = transport
        self.send()

    def send(self):
        body = self.load.next_body()
        if body is None:
            self.transport.close()
            return
        self.sent_at = time.perf_counter()
        self.transport.write(self.load.head % len(body) + body)

    def data_received(self, data):
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(self.buffer) < end + 4 + length:
            return
        self.load.answered(time.perf_counter() - self.sent_at, good=head[9:10] == b"2")
        self.buffer = b""
        self.send()

    def connection_lost(self, exc):  # noqa: ARG002
        self.load.left()


class _Load:
    def __init__(self, plan: Plan) -> None:
        self.bodies = list(map(base64.b64decode, json.loads(Path(plan.bodies_file).read_text())))
        self.given = 0
        self.open = plan.connections
        self.head = (
            f"POST {plan.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {plan.token}\r\n"
            f"Content-Type: {plan.media_type}\r\nContent-Length: ".encode()
            + b"%d\r\n\r\n"
        )
        self.until = time.perf_counter() + plan.seconds
        self.seconds, self.refused = [], 0
        self.done = asyncio.get_running_loop().create_future()

    def next_body(self):
        if time.perf_counter() > self.until or (len(self.bodies) > 1 and self.given >= len(self.bodies)):
            return None
        body = self.bodies[self.given % len(self.bodies)]
        self.given += 1
        return body

    def answered(self, seconds, *, good):
        self.refused += not good
        self.seconds.append(seconds)

    def left(self):
        self.open -= 1
        if not self.open and not self.done.done():
            self.done.set_result(None)


async def _run(plan: Plan) -> Measured:
    load = _Load(plan)
    parts = urlsplit(plan.url)
    began = time.perf_counter()
    for _ in range(plan.connections):
        await asyncio.get_running_loop().create_connection(
            lambda: _Connection(load), parts.hostname, parts.port
        )
    await load.done
    took = time.perf_counter() - began
    ordered = sorted(load.seconds)
    return Measured(
        (len(ordered) - load.refused) / took,
        statistics.median(ordered) * 1e3,
        ordered[int(len(ordered) * 0.99)] * 1e3,
        ordered[-1] * 1e3,
        len(ordered),
        load.refused,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(_run(Plan(**json.loads(sys.argv[1])))))))
