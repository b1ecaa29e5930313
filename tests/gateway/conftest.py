"""A real ledger, and how these tests read what is in it."""

import json
import os
import sys
import time
from pathlib import Path

import pytest
from mcp import StdioServerParameters

from tests.faults.server import ROOT, Server

SHOP = str(Path(__file__).with_name("shop.py"))


class Book:
    """A running ledger, read from where it stood when the test began."""

    def __init__(self, server):
        self.server = server
        self._client = server.client()
        self._start = self._size()

    def _size(self):
        return self._client.get("/v1/log").json()["size"]

    def all(self):
        """The records since the test began, with their contents put back in their places."""
        return [self._whole(seq) for seq in range(self._start, self._size())]

    def _whole(self, seq):
        stored = self._client.get(f"/v1/entries/{seq}").json()
        record = stored["entry"]["record"]
        for held in stored["contents"]:
            facet, _, member = held["member"].partition(".")
            record[facet][member] = json.loads(held["value"])
        people = {person["commitment"]: json.loads(person["value"]) for person in stored["persons"]}
        for facet in record.values():
            for member, value in facet.items() if isinstance(facet, dict) else ():
                if isinstance(value, str) and value in people:
                    facet[member] = people[value]
        return record

    def calls(self, within_s=10):
        """The records of each action by stage, once all actions have ended: what came of a call is sent in the background."""
        deadline = time.monotonic() + within_s
        while True:
            found = {}
            for record in self.all():
                if "action_id" in record:
                    found.setdefault(record["action_id"], {})[record["type"].removeprefix("action.")] = record
            # What came late of a test before has no intent here.
            found = {action: call for action, call in found.items() if "intent" in call}
            if all("outcome" in call for call in found.values()) or time.monotonic() > deadline:
                return list(found.values())
            time.sleep(0.05)


@pytest.fixture(scope="session")
def ledger_server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("gateway") / "data")
    yield server
    server.stop()


@pytest.fixture
def book(ledger_server):
    return Book(ledger_server)


@pytest.fixture
def environment(ledger_server, tmp_path):
    """What a gateway of this test is started with."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "AGENT_LEDGER_URL": ledger_server.url,
        "AGENT_LEDGER_TOKEN": (ledger_server.data / "cli.token").read_text().strip(),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }


@pytest.fixture
def through(environment):
    """How a client starts the shop behind a gateway."""

    def parameters(*options, command=(sys.executable, SHOP), **variables):
        arguments = ["-m", "ledger.cli", "gateway", *map(str, options), "--", *command]
        return StdioServerParameters(command=sys.executable, args=arguments, env={**environment, **variables})

    return parameters
