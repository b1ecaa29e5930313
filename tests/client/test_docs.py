"""docs/sdk.md, run as it is written: its commands, then its Python from top to bottom."""

import os
import re
import subprocess
import sys

import pytest

from tests.client.conftest import entries, token
from tests.faults.server import ROOT, Server

PAGE = (ROOT / "docs" / "sdk.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SHELL = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The log after everything on the page was done."""
    folder = tmp_path_factory.mktemp("page")
    Server(folder / "data", origin="test.example/page").stop()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "AGENT_LEDGER_DATA": str(folder / "data"),
        "XDG_STATE_HOME": str(folder / "state"),
    }

    def run(*command: str) -> str:
        ran = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    (commands,) = SHELL
    create, grant = commands.splitlines()
    script = f'python() {{ {sys.executable} "$@"; }}\nagent-ledger() {{ python -m ledger.cli "$@"; }}\n'
    environment["PUBLIC_KEY"] = run("bash", "-euc", script + create).strip()
    run("bash", "-euc", script + grant)
    server = Server(folder / "data", origin="test.example/page")
    environment["AGENT_LEDGER_URL"], environment["AGENT_LEDGER_TOKEN"] = server.url, token(server)
    with server.client() as client:
        environment["VERIFIER_KEY"] = client.get("/v1/log").json()["verifier_key"]
    run(sys.executable, "-c", "\n".join(PYTHON))
    yield server
    server.stop()


def test_everything_on_the_page_is_recorded_by_the_end_of_its_process(recorded):
    records = entries(recorded)
    intents = {record["action_id"]: record for record in records if record["type"] == "action.intent"}
    outcomes = {record["action_id"]: record for record in records if record["type"] == "action.outcome"}
    names = [record["tool"]["name"] for record in intents.values()]
    assert names == ["send_email", "read", "pay", "pay", "read", "rotate_logs", "plan", "read", "step", "pay"]
    assert intents.keys() == outcomes.keys()
    statuses = [outcomes[action]["outcome"]["status"] for action in intents]
    assert statuses == ["success"] * 3 + ["denied"] + ["success"] * 6


def test_what_the_page_says_of_context_and_carrying_is_so(recorded):
    intents = {
        record["tool"]["name"]: record for record in entries(recorded) if record["type"] == "action.intent"
    }
    assert intents["read"]["trace"]["parent_action_id"] == intents["plan"]["action_id"]
    assert intents["step"]["trace"]["parent_action_id"] == intents["plan"]["action_id"]
    assert intents["step"]["trace"]["parent_span_id"] == intents["plan"]["trace"]["span_id"]
    asked = [
        record
        for record in entries(recorded)
        if record.get("request", {}).get("conversation_id") == "c-7" and "tool" in record
    ]
    assert asked[0]["identity"]["principal"] == "ann@example.com"
    assert asked[0]["decision"]["response_id"] == "resp_1"


def test_the_sealed_action_of_the_page_withholds_what_it_says(recorded):
    sealed = [r for r in entries(recorded) if r.get("tool", {}).get("arguments") == {"to": "Ann"}]
    stored = recorded.client().get(f"/v1/records/{sealed[0]['id']}").json()
    assert stored["withheld"] == ["request.text"]
    assert stored["entry"]["signature"]["key"] == "finance-agent-1"
