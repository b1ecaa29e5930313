"""Runs the load generator, and says what came of it."""

import base64
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.load import Measured, Plan
from benchmarks.servers import Served


def measure(
    server: Served,
    bodies: Sequence[str | bytes],
    *,
    connections: int,
    seconds: float,
    media_type: str = "application/x-ndjson",
    path: str = "/v1/records",
    requests: int | None = None,
    rate: float | None = None,
    samples: Path | None = None,
) -> Measured:
    """Press a server; see `benchmarks.load` for the two ways."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        encoded = (body.encode() if isinstance(body, str) else body for body in bodies)
        json.dump([base64.b64encode(body).decode() for body in encoded], file)
        file.flush()
        plan = Plan(
            server.url,
            path,
            server.token,
            media_type,
            file.name,
            connections,
            seconds,
            requests,
            rate,
            str(samples) if samples else None,
        )
        command = [sys.executable, "-m", "benchmarks.load", json.dumps(asdict(plan))]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).parent.parent
        )
        return Measured(**json.loads(done.stdout))


def ratio(ours: list[float], theirs: list[float]) -> str:
    """The median of the rounds' ratios, and their range."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
