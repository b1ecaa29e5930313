"""A load generator in a process of its own, written on asyncio's protocols rather than a client library: it shares the machine with
the server it measures. Two ways to press:

    closed   so many connections, each sending its next request once the last is answered: how much a server can take
    open     requests fall due at fixed times, whether or not those before were answered, and each is timed from when it was due: how
             long clients wait who do not wait for each other. A server that stalls cannot slow the clock it is measured by.
"""

import asyncio
import base64
import json
import math
import sys
import time
import uuid
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from benchmarks.peers.feeding import spread

MARK = b"@run-id@"  # in a body: becomes an id that no other request has, of the same length


@dataclass
class Plan:
    """What to send: the bodies (base64, in a JSON list) in turn, for ever where there is one, or where they hold a mark.

    `requests` is the most that are sent; `rate` is in requests a second; None presses in the closed way. `samples_file` takes when each request was due, and how long it took.
    """

    url: str
    path: str
    token: str
    media_type: str
    bodies_file: str
    connections: int
    seconds: float
    requests: int | None = None
    rate: float | None = None
    samples_file: str | None = None


@dataclass
class Measured:
    """Requests answered with 2xx per second, and how long they took in milliseconds; `missed` fell due and were never sent."""

    per_second: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    requests: int
    refused: int
    missed: int


class _Connection(asyncio.Protocol):
    def __init__(self, load: "_Load") -> None:
        self.load, self.buffer, self.due = load, b"", None

    def connection_made(self, transport):
        self.transport = transport
        self.load.free(self)

    def send(self, due, body):
        self.due = due
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
        due, self.buffer, self.due = self.due, b"", None
        self.load.answered(due, good=head[9:10] == b"2")
        self.load.free(self)

    def connection_lost(self, exc):  # noqa: ARG002
        if self.due is not None:
            self.load.answered(self.due, good=False)
        self.load.left(self)


class _Load:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.bodies = list(map(base64.b64decode, json.loads(Path(plan.bodies_file).read_text())))
        endless = len(self.bodies) == 1 or MARK in self.bodies[0]
        self.most = plan.requests or (math.inf if endless else len(self.bodies))
        self.given = 0
        self.open, self.over = 0, False
        self.head = (
            f"POST {plan.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {plan.token}\r\n"
            f"Content-Type: {plan.media_type}\r\nContent-Length: ".encode()
            + b"%d\r\n\r\n"
        )
        self.until = time.perf_counter() + plan.seconds
        self.samples, self.refused = [], 0
        self.idle, self.waiting = [], deque()
        self.done = asyncio.get_running_loop().create_future()

    def next_body(self):
        if self.given >= self.most:
            return None
        body = self.bodies[self.given % len(self.bodies)]
        self.given += 1
        return body.replace(MARK, uuid.uuid4().hex[: len(MARK)].encode())

    def free(self, connection):
        """A connection can send: what is due, or in the closed way at once."""
        now = time.perf_counter()
        if now > self.until:
            connection.transport.close()
        elif self.waiting:
            connection.send(self.waiting.popleft(), self.next_body())
        elif self.plan.rate is not None and not self.over:
            self.idle.append(connection)
        elif self.plan.rate is None and (body := self.next_body()) is not None:
            connection.send(now, body)
        else:
            connection.transport.close()

    async def press(self):
        """Send what there is to send; returns once it is answered."""
        if self.plan.rate is None:
            for _ in range(self.plan.connections):
                await self.connect()
        else:
            await self.fall_due()
        self.over = True
        for connection in list(self.idle):
            connection.transport.close()
        if self.open:
            await self.done

    async def connect(self):
        parts = urlsplit(self.plan.url)
        self.open += 1
        await asyncio.get_running_loop().create_connection(
            lambda: _Connection(self), parts.hostname, parts.port
        )

    async def fall_due(self):
        """A connection is made where none is free: a server closes those that nobody uses."""
        began, number, making = time.perf_counter(), 0, set()
        while (due := began + number / self.plan.rate) < self.until:
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            self.waiting.append(due)
            if self.idle:
                self.idle.pop().send(self.waiting.popleft(), self.next_body())
            elif self.open < self.plan.connections:
                made = asyncio.ensure_future(self.connect())
                making.add(made)
                made.add_done_callback(making.discard)
            number += 1
        await asyncio.gather(*making)

    def answered(self, due, *, good):
        self.refused += not good
        self.samples.append((due, time.perf_counter() - due))

    def left(self, connection):
        self.open -= 1
        if connection in self.idle:
            self.idle.remove(connection)
        if self.over and not self.open and not self.done.done():
            self.done.set_result(None)


async def _run(plan: Plan) -> tuple[Measured, list]:
    load = _Load(plan)
    began = time.perf_counter()
    await load.press()
    good = len(load.samples) - load.refused
    measured = Measured(
        good / (time.perf_counter() - began),
        **spread([seconds * 1e3 for _, seconds in load.samples]),
        requests=len(load.samples),
        refused=load.refused,
        missed=len(load.waiting),
    )
    return measured, load.samples


def main() -> None:
    plan = Plan(**json.loads(sys.argv[1]))
    measured, samples = uvloop.run(_run(plan))
    if plan.samples_file is not None:
        Path(plan.samples_file).write_text(json.dumps(samples))
    print(json.dumps(asdict(measured)))


if __name__ == "__main__":
    main()
