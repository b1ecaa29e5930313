"""A full queue says so, takes nothing half, and loses nothing that a client sends again."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api.samples import fresh
from tests.faults.server import Server

CLIENTS, EACH = 12, 6
CONTENT_CHARACTERS = 500_000


@pytest.fixture
def narrow(tmp_path):
    server = Server(tmp_path / "data", options=("--queue-mib", "1"))
    yield server
    assert server.stop() == 0


def test_who_finds_the_queue_full_is_told_when_to_come_back_and_then_gets_in(narrow):
    def post(record):
        refusals = 0
        with narrow.client() as client:
            while True:
                answer = client.post("/v1/records", json=record)
                if answer.status_code != 429:
                    return refusals, answer.status_code
                assert answer.json()["type"] == "urn:agent-ledger:problem:queue-full"
                assert int(answer.headers["retry-after"]) >= 1
                refusals += 1
                time.sleep(0.05)  # sooner than asked: it must hold out against that, too

    records = [
        fresh(request={"text": "x" * CONTENT_CHARACTERS}, tool={"name": "t"}) for _ in range(CLIENTS * EACH)
    ]
    with ThreadPoolExecutor(CLIENTS) as threads:
        answers = list(threads.map(post, records))
    assert {status for _, status in answers} == {201}
    assert sum(refusals for refusals, _ in answers) > 0, "the queue was never full: the test shows nothing"
    with narrow.client() as client:
        assert client.get("/v1/log").json()["size"] == len(records) + 1
        refused = [line for line in client.get("/metrics").text.splitlines() if 'code="queue-full"' in line]
    assert int(refused[0].rpartition(" ")[2]) == sum(refusals for refusals, _ in answers)
