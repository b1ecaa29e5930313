"""What every framework's tests have: a real ledger, a scripted model, no network beyond loopback."""

import ipaddress
import os
import re
import runpy
import socket
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.client import Ledger
from tests.faults.server import ROOT, Server
from tests.frameworks.model_server import ModelServer

pytest.register_assert_rewrite("tests.frameworks.claims")
PAGES = ROOT / "docs" / "frameworks"
Rows = Callable[..., list[dict[str, Any]]]


def _local(host: str) -> bool:
    if host in {"localhost", ""}:
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever would leave this machine is refused, and fails the test."""
    asked: list[str] = []
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def refuse(host: object) -> None:
        if isinstance(host, (str, bytes)) and not _local(os.fsdecode(host)):
            asked.append(os.fsdecode(host))
            raise OSError(f"the tests are offline: {host!r} was refused")

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            refuse(address[0])
        connect(self, address)

    def guarded_resolve(host: Any, *rest: Any, **options: Any) -> Any:
        refuse(host)
        return resolve(host, *rest, **options)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_resolve)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    yield
    assert asked == [], "the framework called home"


@pytest.fixture(autouse=True)
def _seen_nothing_before(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the SDK remembers of one test's ledger is nothing to the next one's, which has the same name."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def model() -> Iterator[ModelServer]:
    """A model without scripts yet; it fails the test if it is asked what no script answers."""
    with ModelServer() as server:
        yield server
    assert server.unscripted == []


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A ledger of the test's own, run by the project's own Python."""
    python = os.environ.get("AGENT_LEDGER_PYTHON")
    if python is None:
        pytest.fail("AGENT_LEDGER_PYTHON does not name the project's Python: use make test-frameworks")
    running = Server(tmp_path / "log", python=python)
    yield running
    running.stop()


@pytest.fixture
def token(server: Server) -> str:
    return server.headers["Authorization"].removeprefix("Bearer ")


@pytest.fixture
def ledger(server: Server, token: str) -> Iterator[Ledger]:
    """The SDK, speaking to that ledger; it blocks a tool whose intent it cannot record."""
    with Ledger(server.url, token, source="test-agent") as ledger:
        yield ledger


@pytest.fixture
def page(
    server: Server, token: str, model: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """`page("langchain")` runs the first code of docs/frameworks/langchain.md, as it stands there, and gives its names.

    `page("langchain", 1, ledger=ledger)` runs the second, which has the name `ledger` from elsewhere.
    """
    for name, value in {
        "AGENT_LEDGER_URL": server.url,
        "AGENT_LEDGER_TOKEN": token,
        "OPENAI_BASE_URL": model.url,
        "OPENAI_API_KEY": "none",
    }.items():
        monkeypatch.setenv(name, value)

    def run(name: str, block: int = 0, **given: Any) -> dict[str, Any]:
        text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
        code = re.findall(r"(?<=\n\n)    .*\n(?:    .*\n|\n(?=    ))*", text)[block]
        copied = tmp_path / f"copied_{block}.py"
        copied.write_text(textwrap.dedent(code), encoding="utf-8")
        return runpy.run_path(str(copied), given, "__main__")

    return run


@pytest.fixture
def logged(server: Server) -> Rows:
    """`logged(sql)`: rows of what the ledger holds at this moment, as dicts. Usable inside a tool."""

    def ask(sql: str) -> list[dict[str, Any]]:
        with server.client() as client:
            answer = client.post("/v1/query", json={"sql": sql}).raise_for_status().json()
        names = [column["name"] for column in answer["columns"]]
        return [dict(zip(names, row, strict=True)) for row in answer["rows"]]

    return ask


@pytest.fixture
def rows(ledger: Ledger, logged: Rows) -> Rows:
    """The same, after everything the SDK has queued was sent."""

    def ask(sql: str) -> list[dict[str, Any]]:
        ledger.flush(20)
        return logged(sql)

    return ask
