"""What importing the SDK brings into an agent's process: little, and nothing of a server or of a framework."""

import json
import subprocess
import sys

import pytest

from tests.faults.server import ROOT

UNWANTED = {
    "duckdb", "pyarrow", "fastapi", "starlette", "uvicorn", "uvloop", "pydantic", "opentelemetry", "google", "zstandard", "typer", "rich"
}  # fmt: skip
LATER = {
    "httpx",
    "asyncio",
    "ssl",
}  # they take longer than the rest: who makes a connection, or awaits, imports them


def loaded(statement: str) -> set[str]:
    script = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))\n"
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True, timeout=60
    )
    return {name.partition(".")[0] for name in json.loads(ran.stdout)}


def test_the_package_alone_loads_nothing():
    assert "msgspec" not in loaded("import ledger.client")


@pytest.mark.parametrize(
    "statement",
    [
        "from ledger.client import Ledger, Spool, AgentKey, LedgerAway, ForkError, RecordsLost, ProblemError",
        "from ledger.client import context",
    ],
)
def test_the_sdk_loads_nothing_of_a_server_and_no_framework(statement):
    assert loaded(statement) & (UNWANTED | LATER) == set()


def test_a_ledger_at_work_loads_no_more_than_its_http_client():
    work = "import ledger.client\nfrom ledger.client import LedgerAway, Ledger\nl = Ledger('http://127.0.0.1:9', 't', timeout_s=0.1)\n"
    tried = "try:\n    l.action('x').start()\nexcept LedgerAway:\n    pass\n"
    # httpx brings these, where they are installed.
    assert loaded(work + tried) & (UNWANTED - {"rich", "zstandard"}) == set()


def test_a_name_that_does_not_exist_is_an_attribute_error():
    import ledger.client  # noqa: PLC0415 - as a user does

    with pytest.raises(AttributeError, match="Legder"):
        ledger.client.Legder  # noqa: B018
    assert set(ledger.client.__all__) == set(ledger.client._HOMES)
    assert all(getattr(ledger.client, name) for name in ledger.client.__all__)
