"""A real server in a process of its own, and the SDK against it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A ledger that is served during the whole session."""
    served = Server(tmp_path_factory.mktemp("served") / "data", origin="test.example/sdk")
    yield served
    served.stop()


def token(server: Server) -> str:
    return server.headers["Authorization"].removeprefix("Bearer ")


def entries(server: Server, since: int = 1) -> list[dict[str, Any]]:
    """Every entry's record with its contents in place, in the log's order."""
    with server.client() as client:
        size = client.get("/v1/log").json()["size"]
        return [_told(client.get(f"/v1/entries/{seq}").json()) for seq in range(since, size)]


def _told(stored: dict[str, Any]) -> dict[str, Any]:
    record = stored["entry"]["record"]
    for content in stored["contents"]:
        facet, _, name = content["member"].partition(".")
        record[facet][name] = json.loads(content["value"])
    names = {person["commitment"]: json.loads(person["value"]) for person in stored["persons"]}
    for facet, name in (("request", "user"), ("identity", "principal"), ("approval", "approver")):
        committed = record.get(facet, {}).get(name)
        if committed in names:
            record[facet][name] = names[committed]
    return record


def stages(server: Server, action_id: str) -> dict[str, dict[str, Any]]:
    """An action's records by type."""
    return {record["type"]: record for record in entries(server) if record.get("action_id") == action_id}
