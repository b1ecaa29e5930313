"""With the agent's key the records are sealed, and an approval names the commitment that the intent holds."""

import asyncio
import subprocess
import sys

import pytest
from mcp import Client

from ledger.client import AgentKey
from tests.faults.server import ROOT, Server
from tests.gateway.conftest import Book
from tests.gateway.test_policy import serving_desk


@pytest.fixture(scope="module")
def sealing(tmp_path_factory):
    """A log that was granted an agent's key, and the key's file."""
    folder = tmp_path_factory.mktemp("sealing")
    server = Server(folder / "data")
    key = AgentKey.create(folder / "agent.key", "desk-1")
    grant = ["keys", "grant", key.key_id, key.public_key, "--data", str(folder / "data")]
    server.stop()
    subprocess.run([sys.executable, "-m", "ledger.cli", *grant], cwd=ROOT, check=True, timeout=60)
    server = Server(folder / "data")
    yield server, folder / "agent.key"
    server.stop()


def test_an_approval_names_the_commitment_that_the_sealed_intent_holds(sealing, through, tmp_path):
    server, key = sealing
    book = Book(server)
    verifier_key = server.client().get("/v1/log").json()["verifier_key"]
    with serving_desk() as desk:
        rules = tmp_path / "policy.toml"
        rules.write_text(
            f'[[require_approval]]\nrule = "r"\n[approval]\nurl = "http://127.0.0.1:{desk.server_port}/"\n'
        )
        started = through(
            "--policy", rules, "--key", key, "--verifier-key", verifier_key,
            AGENT_LEDGER_URL=server.url, AGENT_LEDGER_TOKEN=(server.data / "cli.token").read_text().strip(),
        )  # fmt: skip

        async def scenario():
            async with Client(started) as client:
                return await client.call_tool("add", {"a": 1, "b": 1})

        assert asyncio.run(asyncio.wait_for(scenario(), 60)).structured_content == {"result": 2}
    (call,) = book.calls()
    stored = server.client().get(f"/v1/records/{call['intent']['id']}").json()
    assert stored["entry"]["signature"]["key"] == "desk-1"
    approval = call["approval"]["approval"]
    assert approval["outcome"] == "approved"
    assert approval["arguments_commitment"] == stored["entry"]["record"]["tool"]["arguments"]
