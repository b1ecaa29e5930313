"""Memory does not grow with the log: what was written is let go of when its hot file is sealed."""

import json
import os
import sys
import time

import pytest

from tests.api.conftest import Api
from tests.api.samples import fresh
from tests.api.test_otlp_hostile import Memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")

BATCH, CONTENT_BYTES = 250, 20_000
ROTATE_ENTRIES = 1_000
BATCHES = 32  # 8,000 records in 8 hot files; what they hold would be 160 MB
LEVEL_MIB = 60  # two hot files, and a batch on its way
SEALED_WITHIN_S = 60


@pytest.fixture
def rotating(tmp_path):
    serving = Api(tmp_path / "data", forked=False, options=("--rotate-entries", str(ROTATE_ENTRIES)))
    yield serving
    assert serving.stop() == 0


def batch():
    """Contents that do not compress: what is kept of them is their size."""
    texts = (os.urandom(CONTENT_BYTES // 2).hex() for _ in range(BATCH))
    return "\n".join(json.dumps(fresh(request={"text": text})) for text in texts)


def sealed(http):
    segments = http.get("/v1/segments").json()["segments"]
    return max((segment["end"] for segment in segments), default=0)


def test_memory_levels_off_while_the_log_grows_by_many_times_what_a_hot_file_holds(rotating):
    memory = Memory(rotating.process.pid)
    found = []
    with rotating.client() as http:
        for number in range(1, BATCHES + 1):
            answer = http.post(
                "/v1/records", content=batch(), headers={"Content-Type": "application/x-ndjson"}
            )
            assert (answer.status_code, answer.json()["appended"]) == (201, BATCH)
            if number % (ROTATE_ENTRIES // BATCH) == 0:
                until = time.monotonic() + SEALED_WITHIN_S
                while sealed(http) < (number - 1) * BATCH and time.monotonic() < until:
                    time.sleep(0.1)
                found.append(memory.now())
        assert sealed(http) >= (BATCHES - 1) * BATCH
    warm = len(found) // 2
    assert max(found[warm:]) - max(found[:warm]) < LEVEL_MIB, found
