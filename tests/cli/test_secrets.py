"""Secrets go in by files and variables, and come out nowhere: no command line, no log line, no error, no metric, no trace."""

import base64
import contextlib
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from ledger.cli.lazy import COMMANDS, load
from tests.api.samples import fresh
from tests.cli.conftest import ROOT, Ledger, new_ledger
from tests.faults.server import Server
from tests.telemetry.test_export import collector  # noqa: F401 - a fixture

SECRET = re.compile(r"token|secret|passw|passphrase|credential|key|auth")
PUBLIC = {"vkey", "verifier_key", "record_key", "public_key", "key_id"}  # nobody's secret
NAMED = {("init", "key"), ("keys revoke", "key")}  # says where the key lives, names a key by its id


def commands():
    for name in COMMANDS:
        command = load(name)
        yield name, command
        for below, each in getattr(command, "commands", {}).items():
            yield f"{name} {below}", each


def test_no_command_takes_a_secret_as_an_argument_only_files_with_one():
    named = {
        (name, parameter.name): parameter
        for name, command in commands()
        for parameter in command.params
        if SECRET.search(parameter.name)
    }
    assert ("sql", "token_file") in named
    assert [
        (name, of)
        for (name, of), parameter in named.items()
        if parameter.type_descriptor.annotation not in {Path, bool}
        and parameter.name not in PUBLIC
        and (name, of) not in NAMED
    ] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", "0", "--url", "https://me:hunter2@ledger.example"),
        ("gateway", "--upstream", "http://me:hunter2@127.0.0.1:1/mcp"),
        ("serve", "--otlp-endpoint", "http://me:hunter2@127.0.0.1:1"),
        ("serve", "--objects", "s3://b", "--objects-endpoint", "http://me:hunter2@127.0.0.1:1"),
    ],
    ids=["url", "upstream", "otlp", "objects"],
)
def test_a_password_in_a_url_is_refused_and_not_repeated(tmp_path, arguments):
    ledger = new_ledger(tmp_path)
    port = ("--port", "0") if arguments[0] == "serve" else ()
    ended = ledger.run(*arguments, *port)
    assert ended.returncode == 2, ended.stderr
    assert b"password" in ended.stderr
    assert b"hunter2" not in ended.stderr + ended.stdout


def processes(first):
    """A process and all below it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = {first}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def told(process):
    """What any user may read of a process, and what its own may read of those that run what analysts write."""
    said = b""
    with contextlib.suppress(OSError):
        said = Path(f"/proc/{process}/cmdline").read_bytes()
    return said


WEBHOOK = "whsec_" + base64.b64encode(bytes(range(32))).decode()
ALERTS = """
[[rule]]
name = "new-tool"
kind = "first-seen"
member = "tool.name"
[[target]]
name = "soc"
kind = "webhook"
url = "https://127.0.0.1:1/hidden-path"
allow_private = true
secret_env = "SOC_SECRET"
"""


@pytest.fixture
def served(tmp_path, collector):  # noqa: F811 - as above
    (tmp_path / "alerts.toml").write_text(ALERTS)
    options = ("--alerts", tmp_path / "alerts.toml", "--otlp-endpoint", collector.url, "--access-log")
    server = Server(  # its own command line and environment are looked at
        tmp_path / "data",
        forked=False,
        options=[str(option) for option in options],
        environment={"SOC_SECRET": WEBHOOK, "AWS_SECRET_ACCESS_KEY": "aws-" + "s" * 36},
    )
    server.collected = collector.received
    yield server
    assert server.stop() == 0


def test_no_secret_of_a_server_or_a_command_is_in_a_process_list_a_log_an_answer_a_metric_or_a_trace(
    served, tmp_path
):
    admin = served.headers["Authorization"].partition(" ")[2]
    writer, guessed = served.grant("writer", "writer"), "alt_" + "g" * 43
    secrets = [admin, writer, guessed, WEBHOOK, WEBHOOK[6:], "aws-" + "s" * 36]
    seen, answers = b"", []
    for secret in (admin, writer, guessed):
        with httpx.Client(base_url=served.url, trust_env=False, timeout=30) as client:
            bearer = {"Authorization": f"Bearer {secret}"}
            answers += [
                client.post("/v1/records", json=fresh(), headers=bearer),
                client.post("/v1/query", json={"sql": "SELECT 1 AS one"}, headers=bearer),
                client.get("/v1/access", headers=bearer),
                client.get("/metrics", headers=bearer),
                client.get("/v1/log", headers={"Authorization": f"Basic {secret}"}),
                client.get("/v1/log", headers={"X-Token": secret, "Cookie": f"t={secret}"}),
            ]
    query = [sys.executable, "-m", "ledger.cli", "sql", "SELECT count(*) AS n FROM records"]
    environment = Ledger(served.data, served.url, tmp_path).environment(AGENT_LEDGER_TOKEN=admin)
    with subprocess.Popen(
        query, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as command:
        while command.poll() is None:
            for process in processes(served.process.pid) | processes(command.pid):
                seen += told(process)
            time.sleep(0.05)
        seen += command.stdout.read()
    assert command.returncode == 0, seen
    workers = processes(served.process.pid) - {served.process.pid}
    assert workers
    for worker in workers:
        with contextlib.suppress(OSError):
            seen += Path(f"/proc/{worker}/environ").read_bytes()
    deadline = time.monotonic() + 30
    while not served.collected["/v1/traces"] and time.monotonic() < deadline:
        time.sleep(0.1)
    seen += b"".join(body for bodies in served.collected.values() for body in bodies)
    assert served.collected["/v1/traces"]
    seen += "".join(answer.text + str(answer.headers) for answer in answers).encode() + served.said().encode()
    assert '"path": "/v1/query"' in served.said()  # the access log is on
    assert [secret for secret in secrets if secret.encode() in seen] == []
    assert {answer.status_code for answer in answers} >= {200, 201, 401, 403}


def test_what_holds_a_secret_is_for_its_user_alone_from_the_start(tmp_path):
    made = new_ledger(tmp_path)
    assert made.run("init").returncode == 0
    for path in made.data.rglob("*"):
        if path.is_file() and path.name in {"log.key", "cli.token"}:
            assert path.stat().st_mode & 0o077 == 0, path
    assert made.data.stat().st_mode & 0o077 == 0
