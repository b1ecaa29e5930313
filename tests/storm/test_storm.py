"""Five frameworks and the MCP gateway at work on one ledger, and kill -9 for all of them, the ledger too.

Whatever was killed is started again with its own spool. At the end everything is stopped in order, and the log is compared with what the
tools themselves wrote down: nothing of that comes from the ledger. `make soak ARGS="-k storm"` makes the environments and runs it.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.server import ROOT, Server
from tests.gateway.running import free_port
from tests.storm.journal import calls

AGENTS = {
    "agent-framework": "TestChatCompletions",
    "azure-ai": "TestFoundry",
    "langchain": "TestResponses",
    "openai-agents": "TestChatCompletions",
    "pydantic-ai": "TestResponses",
}
KILLS = int(os.environ.get("STORM_KILLS", "30"))
STOP_S = 120.0
BETWEEN_S = (0.5, 2.5)
GATEWAY_IN_HAND_S = (
    5.0  # of a call that was begun so shortly before the gateway was killed nobody can say more
)


class Storm:
    """Processes by name, each of which can be killed and started again."""

    def __init__(self, folder: Path, environments: Path) -> None:
        self.folder, self.environments = folder, environments
        self.ledger_port, self.gateway_port, self.files_port = free_port(), free_port(), free_port()
        self.server = Server(folder / "log", options=["--port", str(self.ledger_port)])
        self.token = self.server.headers["Authorization"].removeprefix("Bearer ")
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "AGENT_LEDGER_URL": self.server.url,
            "AGENT_LEDGER_TOKEN": self.token,
            "XDG_STATE_HOME": str(folder / "state"),
            "PYTHONWARNINGS": "ignore",
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.kills: list[tuple[str, float]] = []
        self.model = subprocess.Popen(
            [sys.executable, "-m", "tests.storm.model"],
            stdout=subprocess.PIPE,
            env=self.environment,
            cwd=ROOT,
        )
        self.model_url = self.model.stdout.readline().decode().strip()
        self.start("files")
        for name in ("gateway", *AGENTS, "caller"):
            self.start(name)

    def start(self, name: str) -> None:
        words = (self.folder / f"{name}.said").open("ab")
        self.processes[name] = subprocess.Popen(
            self._command(name), env=self.environment, cwd=ROOT, stdout=words, stderr=words
        )
        words.close()

    def _command(self, name: str) -> list[str]:
        url = f"http://127.0.0.1:{self.gateway_port}/mcp"
        if name == "files":
            return [
                sys.executable,
                "-m",
                "tests.storm.files",
                str(self.folder / "gateway.journal"),
                str(self.files_port),
            ]
        if name == "caller":
            return [sys.executable, "-m", "tests.storm.caller", url]
        if name == "gateway":
            upstream = f"http://127.0.0.1:{self.files_port}/mcp"
            return [
                sys.executable, "-m", "ledger.cli", "gateway", "--upstream", upstream, "--port", str(self.gateway_port),
                "--spool", str(self.folder / "gateway.spool"), "--state", str(self.folder / "gateway.state"),
            ]  # fmt: skip
        (test,) = [
            path
            for path in (ROOT / "tests" / "frameworks" / name).glob("test_*.py")
            if AGENTS[name] in path.read_text()
        ]
        given = [str(test), AGENTS[name], name, str(self.folder), self.model_url, self.server.url, self.token]
        return [str(self.environments / name / "bin" / "python"), "-m", "tests.storm.agent", *given]

    def kill(self, name: str) -> None:
        """kill -9, and again from the start."""
        self.kills.append((name, time.time()))
        if name == "ledger":
            self.server.kill()
            time.sleep(random.uniform(0, 1))
            self.server = Server(self.folder / "log", options=["--port", str(self.ledger_port)])
            return
        self.processes[name].kill()
        self.processes[name].wait()
        self.start(name)

    def stop(self) -> dict[str, int]:
        """Stop who asks before who answers; the exit statuses."""
        status = {}
        for names in (("caller", *AGENTS), ("gateway",), ("files",)):
            for name in names:
                self.processes[name].send_signal(signal.SIGTERM)
            for name in names:
                status[name] = self.processes[name].wait(STOP_S)
        return status

    def end(self) -> None:
        for process in (*self.processes.values(), self.model):
            process.kill()
            process.wait()
        self.server.stop()

    def rows(self, path: str, question: dict) -> list[dict]:
        with self.server.client() as client:
            answer = (
                client.post(path, json={**question, "limit": 100_000}, timeout=300).raise_for_status().json()
            )
        assert not answer["truncated"]
        names = [column["name"] for column in answer["columns"]]
        return [dict(zip(names, row, strict=True)) for row in answer["rows"]]

    def said(self) -> str:
        return "\n".join(
            f"== {path.stem}\n{path.read_text()[-2_000:]}" for path in self.folder.glob("*.said")
        )


@pytest.fixture
def storm(tmp_path):
    place = os.environ.get("FRAMEWORK_VENVS")
    if not place:
        pytest.skip("FRAMEWORK_VENVS does not name the frameworks' environments: use make soak")
    running = Storm(tmp_path, Path(place).absolute())
    yield running
    running.end()


@pytest.mark.soak
@pytest.mark.timeout(1_500)
def test_every_tool_that_ran_has_its_intent_once_and_only_killed_calls_lack_an_outcome(storm):
    wait_until_all_work(storm)
    chance = random.Random(17)
    victims = ["ledger", "gateway", *AGENTS]
    for number in range(KILLS):
        time.sleep(chance.uniform(*BETWEEN_S))
        storm.kill(victims[number % len(victims)] if number < len(victims) else chance.choice(victims))
    wait_until_all_work(storm)
    status = storm.stop()
    assert {name: status[name] for name in (*AGENTS, "caller", "gateway")} == dict.fromkeys(
        (*AGENTS, "caller", "gateway"), 0
    ), storm.said()

    began, finished, told = (calls(storm.folder, what) for what in ("began", "finished", "told"))
    intents = storm.rows(
        "/v1/query", {"sql": "SELECT tool_arguments FROM records WHERE type = 'action.intent'"}
    )
    recorded = Counter(json.loads(row["tool_arguments"])["path"] for row in intents)
    assert set(began) - set(recorded) == set(), "a tool ran whose intent is not in the log"
    assert {call: n for call, n in recorded.items() if n > 1} == {}, "an intent is there twice"
    rows = storm.rows(
        "/v1/query", {"sql": "SELECT action_id, tool_arguments, outcome_status, facets_missing FROM actions"}
    )
    assert Counter(json.loads(row["tool_arguments"])["path"] for row in rows) == recorded
    assert sum((storm.folder / name).stat().st_size for name in spools(storm.folder)) == 0, (
        "a spool is not drained"
    )

    path_of = {row["action_id"]: json.loads(row["tool_arguments"])["path"] for row in rows}
    named = {
        path_of[row["action_id"]]
        for row in storm.rows("/v1/queries/intents-without-outcomes", {"parameters": {}})
    }
    assert named == {
        json.loads(row["tool_arguments"])["path"] for row in rows if row["outcome_status"] is None
    }
    assert named & set(told) == set(), "a call that ended in peace is named"
    by_gateway = {call for call in named if call.startswith("gateway.")}
    assert {call for call in set(began) - set(finished) if not call.startswith("gateway.")} <= named, (
        "a killed call is not named"
    )
    for name in AGENTS:
        lives = Counter(call.rsplit(".", 1)[0] for call in named if call.startswith(f"{name}."))
        assert set(lives.values()) <= {1}, "one agent makes one call at a time: one kill, one call"
        assert len(lives) <= sum(victim == name for victim, _ in storm.kills)
    at = [when for victim, when in storm.kills if victim == "gateway"]
    assert [
        call for call in by_gateway if not any(0 <= when - called(call) < GATEWAY_IN_HAND_S for when in at)
    ] == []
    report(storm, began, recorded, named)


def called(call: str) -> float:
    """When the gateway's client made a call, which is in its name."""
    return int(call.split(".")[1]) / 1e9


def spools(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.spool") if path.is_file()]


def wait_until_all_work(storm: Storm) -> None:
    """Until each has made a call from now on."""
    since, names = time.time(), {*AGENTS, "gateway"}
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        began = calls(storm.folder, "began")
        if names == {re.split(r"\.\d", call)[0] for call, when in began.items() if when > since}:
            return
        time.sleep(0.2)
    raise AssertionError(f"not all work:\n{storm.said()}")


def report(storm: Storm, began: dict, recorded: Counter, named: set) -> None:
    print(  # noqa: T201 - what was done, for who runs it
        f"\n{len(storm.kills)} kills: {dict(Counter(name for name, _ in storm.kills))}; {len(began)} calls began, {len(recorded)} intents, "
        f"{len(named)} without outcome"
    )
