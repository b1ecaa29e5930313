"""Threat 46, from outside: kill -9 at random moments of a server under load loses nothing that it acknowledged."""

import itertools
import random
import threading
import time
from pathlib import Path

import httpx
import pytest

from ledger.log.log import Log
from tests.faults.oracle import ORIGIN, check, record
from tests.faults.server import Server, told

CLIENTS = 4
LONGEST_S = 0.8
RETRY_RECORDS = 100
RETRY_ANSWERED = 200


class Load:
    """Clients that post until the server is gone, and remember what they sent and what they were told."""

    def __init__(self, server: Server, names: "itertools.count[int]", chance: random.Random) -> None:
        self.sent: dict[str, dict] = {}
        self.told: dict[str, tuple[int, str]] = {}
        self._server, self._names = server, names
        self._threads = [
            threading.Thread(target=self._post, args=(random.Random(chance.random()),))
            for _ in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until every client has noticed."""
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _post(self, chance: random.Random) -> None:
        with self._server.client() as client:
            while True:
                group = [record(f"rec-{next(self._names)}") for _ in range(chance.choice((1, 1, 1, 7, 40)))]
                self.sent |= {item["id"]: item for item in group}
                try:
                    answer = client.post("/v1/records", json=group[0] if len(group) == 1 else group)
                except httpx.HTTPError:
                    return
                assert answer.status_code == 201, answer.text
                self.told |= told(answer)


def rounds(data: Path, count: int, seed: int) -> tuple[int, int]:
    """Kill the server `count` times. Returns how many records were posted, and how many of these were there but not acknowledged."""
    chance, names = random.Random(seed), itertools.count()
    sent: dict[str, dict] = {}
    acknowledged: dict[str, tuple[int, str]] = {}
    unanswered_but_there = 0
    for _ in range(count):
        server = Server(data)
        load = Load(server, names, chance)
        time.sleep(chance.uniform(0.02, LONGEST_S))
        server.kill()
        load.join()
        assert acknowledged.keys().isdisjoint(load.told)
        found = check(data, acknowledged | load.told)
        acknowledged |= load.told | retry(data, load, found, chance)
        sent |= load.sent
        unanswered_but_there += len(found.keys() & (load.sent.keys() - load.told.keys()))
    assert check(data, acknowledged).keys() == sent.keys() == acknowledged.keys()
    return len(sent), unanswered_but_there


def retry(data: Path, load: Load, found: dict[str, int], chance: random.Random) -> dict[str, tuple[int, str]]:
    """Every client sends again what it has no answer for, and some of the rest: what was there gets its old answer."""
    server = Server(data)
    answers: dict[str, tuple[int, str]] = {}
    answered = chance.sample(sorted(load.told), min(RETRY_ANSWERED, len(load.told)))
    names = [*(load.sent.keys() - load.told.keys()), *answered]
    for low in range(0, len(names), RETRY_RECORDS):
        response = server.post(*(load.sent[name] for name in names[low : low + RETRY_RECORDS]))
        assert response.status_code in {200, 201}, response.text
        results = response.json().get("results", [response.json()])
        assert {result["id"] for result in results if result["existing"]} == found.keys() & {
            result["id"] for result in results
        }
        answers |= told(response)
    assert server.stop() == 0, server.said()
    assert {name: answers[name] for name in answered} == {name: load.told[name] for name in answered}
    return answers


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    Log.create(folder, ORIGIN)
    return folder


def test_ten_kills_lose_nothing_acknowledged_and_a_retry_gets_the_old_answer(data: Path):
    posted, _ = rounds(data, 10, seed=46)
    assert posted > 100


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_hundred_kills_lose_nothing_acknowledged_and_a_retry_gets_the_old_answer(data: Path):
    posted, there = rounds(data, 100, seed=time.time_ns())
    assert posted > 1_000
    print(f"{posted} records posted, {there} were there after a kill without having been acknowledged")  # noqa: T201
