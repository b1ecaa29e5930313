"""What docs/dialects.md shows, run as it is written against a real server."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.api.ingest import Dialect
from ledger.api.ingest_documented import EXAMPLE_TAKEN
from tests.ingest import test_agt, test_hermes, test_kubernetes, test_ogp, test_openclaw

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "dialects.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
AWAY = "http://127.0.0.1:9"


def block(section, language):
    """The section's block in that language."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", SECTIONS[section], re.MULTILINE | re.DOTALL)
    return found


@pytest.fixture
def run(server, tmp_path):
    """Runs a command with the two variables that every example uses, in a folder of its own."""

    def run(command, *, url=server.url, given=""):
        token = server.headers["Authorization"].removeprefix("Bearer ")
        environment = {**os.environ, "AGENT_LEDGER_URL": url, "AGENT_LEDGER_TOKEN": token}
        done = subprocess.run(
            command,
            input=given,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr or done.stdout
        return done.stdout

    run.folder = tmp_path
    return run


def rows(http, sql):
    return http.post("/v1/query", json={"sql": sql}).json()["rows"]


def test_the_table_names_every_dialect_and_the_answer_is_the_real_one():
    assert sorted(re.findall(r"^\| \[`(\w+)`\]", PAGE, re.MULTILINE)) == sorted(Dialect)
    assert json.loads(re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]) == EXAMPLE_TAKEN


def test_the_cloudevents_example_records_its_event(run, http):
    run([sys.executable, "-c", block("CloudEvents", "python")])
    [[original]] = rows(http, "SELECT source_original FROM records WHERE type = 'com.example.invoice.paid'")
    assert json.loads(original)["data"] == {"invoice": 1041}


def test_the_kubeconfig_sends_the_api_server_to_a_path_that_takes_its_events(http):
    [path] = re.findall(r"server: https://[^/]+(/\S+)", block("Kubernetes", "yaml"))
    answer = http.post(path, json=test_kubernetes.events(test_kubernetes.EXEC))
    assert (answer.status_code, answer.json()["appended"]) == (201, 1)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    ("section", "name", "body"),
    [
        ("AGT", "audit-export.json", [test_agt.CLOUDEVENT]),
        ("OGP", "message.json", json.loads(test_ogp.signed(test_ogp.MESSAGE))),
    ],
)
def test_the_commands_with_curl_record_the_file(run, section, name, body):
    (run.folder / name).write_text(json.dumps(body))
    assert json.loads(run(["sh", "-euc", block(section, "sh")]))["appended"] > 0


def test_hermes_script_records_a_hook_and_blocks_the_tool_when_it_cannot(run, http):
    script = run.folder / "ledger.py"
    script.write_text(block("Hermes", "python"))
    payload = json.dumps({name: value for name, value in test_hermes.MEANT.items() if name != "time"})
    assert run([sys.executable, str(script)], given=payload) == ""
    [[kind, ext]] = rows(http, "SELECT type, ext FROM records WHERE source_id = 'hermes'")
    assert (kind, "hermes.time" in ext) == ("action.intent", False)
    blocked = json.loads(run([sys.executable, str(script)], given=payload, url=AWAY))
    assert blocked["decision"] == "block"
    after = json.dumps(test_hermes.RAN)
    assert run([sys.executable, str(script)], given=after, url=AWAY) == ""
    assert set(re.findall(r"^  (\w+):", block("Hermes", "yaml"), re.MULTILINE)) <= set(
        re.findall(r"`(\w+)`", SECTIONS["Hermes"].split("| hook | record |")[1])
    )


HARNESS = """
import plugin from "./plugin.mjs";
const fired = %s;
const handlers = {};
plugin.register({ on: (hook, handler) => { handlers[hook] = handler; } });
const returned = [];
for (const { hook, event, ctx } of fired) returned.push((await handlers[hook](event, { ...ctx, getSessionExtension() {} })) ?? null);
console.log(JSON.stringify(returned));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_openclaws_plugin_records_each_call_once_and_blocks_the_tool_when_it_cannot(run, http):
    sdk = (
        run.folder / "node_modules" / "openclaw" / "plugin-sdk"
    )  # what OpenClaw gives a plugin: the identity
    sdk.mkdir(parents=True)
    (sdk / "plugin-entry.js").write_text("export const definePluginEntry = (entry) => entry;\n")
    (sdk.parent / "package.json").write_text(
        '{"name": "openclaw", "type": "module", "exports": {"./plugin-sdk/plugin-entry": "./plugin-sdk/plugin-entry.js"}}'
    )
    (run.folder / "plugin.mjs").write_text(block("OpenClaw", "js"))
    fired = [test_openclaw.BEGAN, test_openclaw.MEANT, test_openclaw.MEANT, test_openclaw.RAN]
    (run.folder / "harness.mjs").write_text(HARNESS % json.dumps(fired))
    assert json.loads(run(["node", "harness.mjs"])) == [None] * 4
    found = rows(http, "SELECT type FROM records WHERE source_id = 'openclaw' ORDER BY seq")
    assert [kind for [kind] in found] == ["request", "action.intent", "action.outcome"]
    told = json.loads(run(["node", "harness.mjs"], url=AWAY))
    assert [answer and answer["block"] for answer in told] == [None, True, True, None]
