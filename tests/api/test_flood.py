"""A flood of bodies as large as they may be: the server's memory levels off, and whoever is polite is never refused."""

import json
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from ledger.records.limits import BODY_BYTES
from tests.api.conftest import Api
from tests.api.samples import fresh
from tests.api.test_otlp_hostile import Memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")

BODY_MIB = BODY_BYTES // (1024 * 1024)
FLOODING = 20
FLOOD_S = 12.0
BOUND_MIB = (
    12 * BODY_MIB
)  # four bodies are its half of what may be in memory; what they become; without a bound it were 20 and more
LEVEL_MIB = 2 * BODY_MIB
LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def flooded(tmp_path):
    serving = Api(tmp_path / "data", forked=False)  # its memory is its own
    yield serving
    assert serving.stop() == 0


def large():
    """As large as a body may be, of records each of which is refused: so that none is on the disk, or kept for it."""
    line = json.dumps(fresh(time="yesterday", request={"text": "x" * 20_000})).encode()
    return b"\n".join([line] * (BODY_BYTES // (len(line) + 1)))


def test_memory_levels_off_under_a_flood_of_large_bodies_and_a_polite_client_is_never_refused(flooded):
    body, until = large(), time.monotonic() + FLOOD_S
    memory = Memory(flooded.process.pid)
    before = memory.now()
    ended = threading.Event()

    def flood(_):
        found = Counter()
        with flooded.as_("writer") as http:
            while not ended.is_set():
                answer = http.post("/v1/records", content=body, headers=LINES, timeout=60)
                found[answer.status_code] += 1
                time.sleep(0.1 * (answer.status_code == 429))
        return found

    polite, peaks = Counter(), []
    with ThreadPoolExecutor(FLOODING) as threads, flooded.client() as http:
        flooding = [threads.submit(flood, None) for _ in range(FLOODING)]
        while time.monotonic() < until:
            memory.forget_peak()
            polite[http.post("/v1/records", json=fresh(), timeout=60).status_code] += 1
            polite[http.post("/v1/records", json=[fresh() for _ in range(300)], timeout=60).status_code] += 1
            time.sleep(0.2)
            peaks.append(memory.peak())
        ended.set()
    answered = sum((each.result() for each in flooding), Counter())
    assert answered.keys() == {207, 429}, (
        "some are worked on, the others are refused and never wait without bound"
    )
    assert polite.keys() == {201}
    half = len(peaks) // 2
    assert max(peaks) - before < BOUND_MIB, peaks
    assert max(peaks[half:]) - max(peaks[:half]) < LEVEL_MIB, peaks
    with flooded.client() as http:
        numbers = http.get("/metrics").text
    assert 'agent_ledger_throttled_total{token="a-writer",code="queue-full"}' in numbers
    assert 'token="cli"' not in numbers
