"""`serve --alerts`: the whole way, on a real server that is killed; and what an operator sees of it."""

import base64
import json
import os
import random
import re
import socket
import subprocess
import sys
import time

import httpx
import pytest

from ledger.forensics.catalog import load_queries
from tests.alerts.receivers import Requests, until
from tests.faults.server import ROOT, NotStarted, Server

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
RULE = '[[rule]]\nname = "new-tool"\nkind = "first-seen"\nmember = "tool.name"\nper_minute = 10000\n'
ENVIRONMENT = {"SOC_SECRET": SECRET}


def webhook(name, port, more=""):
    return f'[[target]]\nname = "{name}"\nkind = "webhook"\nurl = "http://127.0.0.1:{port}/canary-path"\nallow_private = true\nsecret_env = "SOC_SECRET"\n{more}'


def serve(folder, text):
    file = folder / "alerts.toml"
    file.write_text(text)
    return Server(folder / "data", options=("--alerts", str(file)), environment=ENVIRONMENT)


def actions(*tools):
    return [
        {
            "id": f"id-{tool}",
            "type": "action",
            "time": "2026-11-21T09:30:00Z",
            "tool": {"name": tool, "arguments": "canary-content"},
        }
        for tool in tools
    ]


def ids(receiver):
    return [json.loads(data)["data"]["id"] for _, _, data in receiver.taken()]


def tools(receiver):
    return [json.loads(data)["data"]["facts"]["tool.name"] for _, _, data in receiver.taken()]


@pytest.fixture
def receiver():
    made = Requests()
    yield made
    made.close()


def test_no_alert_is_lost_however_often_the_server_is_killed(tmp_path, receiver):
    """kill -9 at any moment: while rules look, while the log is written, while a webhook is answered."""
    receiver.delay_s = 0.01
    text = RULE + webhook("soc", receiver.port)
    expected, chance = [], random.Random(7)
    receiver.answers = [chance.choice([200] * 9 + [500]) for _ in range(60)]
    for life in range(6):
        server = serve(tmp_path, text)
        try:
            for part in range(4):
                names = [f"t-{life}-{part}-{number}" for number in range(10)]
                assert server.post(*actions(*names)).status_code == 201
                expected += names
                time.sleep(chance.uniform(0, 0.25))
        finally:
            server.kill()
    server = serve(tmp_path, text)
    try:
        until(lambda: set(tools(receiver)) == set(expected), 90)
        with server.client() as client:
            status = client.get("/v1/alerts").json()
            assert status["rules"][0]["raised"] == len(expected)
            until(lambda: client.get("/v1/alerts").json()["targets"][0]["waiting"] == 0)
            entries = client.post(
                "/v1/query",
                json={
                    "sql": "SELECT count(*), count(DISTINCT id) FROM records WHERE type = 'log.alert_raised'"
                },
            ).json()["rows"]
        assert entries == [[len(expected), len(expected)]], "each alert stands in the log, once"
    finally:
        assert server.stop() == 0
    assert len(set(ids(receiver))) == len(expected), "one id for one find, in whatever life it was delivered"


def test_a_dead_target_holds_up_no_other_and_its_lag_is_seen_and_made_up_for(tmp_path, receiver):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = serve(tmp_path, RULE + webhook("soc", receiver.port) + webhook("dead", port))
    try:
        server.post(*actions("a", "b", "c"))
        until(lambda: tools(receiver) == ["a", "b", "c"])
        with server.client() as client:
            by_name = until(lambda: _when_failed(client))
            assert (by_name["soc"]["waiting"], by_name["soc"]["delivered"]) == (0, 3)
            assert (by_name["dead"]["waiting"], by_name["dead"]["delivered"]) == (3, 0)
            assert by_name["dead"]["problem"] == "127.0.0.1: Connection refused"
            metrics = client.get("/metrics").text
            assert 'agent_ledger_alerts_waiting{target="dead"} 3' in metrics
            assert 'agent_ledger_alerts_delivered_total{target="soc"} 3' in metrics
            assert 'agent_ledger_alerts_raised_total{rule="new-tool"} 3' in metrics
            assert re.search(r'agent_ledger_alerts_failures_total\{target="dead"\} [1-9]', metrics)
        late = Requests(port=port)
        try:
            until(lambda: tools(late) == ["a", "b", "c"])
        finally:
            late.close()
    finally:
        assert server.stop() == 0


def _when_failed(client):
    by_name = {each["name"]: each for each in client.get("/v1/alerts").json()["targets"]}
    return by_name if by_name["dead"]["failures"] else None


def test_a_target_that_refuses_is_tried_later_each_time_and_gets_it_in_order(tmp_path, receiver):
    receiver.answers = [503, 500, 200]
    server = serve(tmp_path, RULE + webhook("soc", receiver.port))
    try:
        started = time.monotonic()
        server.post(*actions("a", "b"))
        until(lambda: tools(receiver) == ["a", "b"])
        assert time.monotonic() - started > 0.5 + 1  # half of one second, half of two
        first, second, third, _ = receiver.got
        assert first[2]["webhook-id"] == second[2]["webhook-id"] == third[2]["webhook-id"]
    finally:
        assert server.stop() == 0


def test_a_server_ends_though_a_target_does_not_answer(tmp_path, receiver):
    receiver.delay_s = 30
    server = serve(tmp_path, RULE + webhook("soc", receiver.port, "timeout_s = 60\n"))
    server.post(*actions("a"))
    until(lambda: receiver.got)
    started = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < 15


def test_neither_words_nor_answers_hold_a_secret_an_address_or_a_content(tmp_path):
    refusing = Requests([500] * 100, body=b"canary-answer")
    server = serve(tmp_path, RULE + webhook("soc", refusing.port, 'authorization_env = "SOC_SECRET"\n'))
    try:
        server.post(*actions("a"))
        until(lambda: len(refusing.got) >= 2)
        with server.client() as client:
            shown = client.get("/v1/alerts").text + client.get("/metrics").text
    finally:
        server.stop()
        refusing.close()
    for secret in (SECRET, SECRET[6:], "canary"):
        assert secret not in server.said() + shown
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("alerts.sqlite*"))
    assert b"canary" not in kept
    assert SECRET.encode() not in kept
    assert (tmp_path / "data" / "alerts.sqlite").stat().st_mode & 0o077 == 0


def test_a_standing_query_is_asked_of_the_log_itself(tmp_path, receiver):
    rule = '[[rule]]\nname = "denials"\nkind = "query"\nquery = "what-followed-a-denial"\nevery_minutes = 0.05\ncolumns = ["tool_name"]\n'
    server = serve(tmp_path, rule + webhook("soc", receiver.port))
    try:
        server.post(*actions("before"))
        time.sleep(6)  # its first run, which is what was there
        denied = {
            "id": "d",
            "type": "action",
            "time": "2026-11-21T09:31:00Z",
            "tool": {"name": "pay"},
            "policy": {"effect": "deny"},
        }
        seq = server.post(denied).json()["seq"]
        until(receiver.taken, 60)
        ((_, _, data),) = receiver.taken()
        alert = json.loads(data)["data"]
        assert (alert["kind"], alert["seq"]) == ("query", seq)
        assert alert["because"]["row"]["tool_name"] == "pay"
        with server.client() as client:
            sql = "SELECT ext->>'log.queries', request_text FROM records WHERE type = 'log.query_run' AND ext::VARCHAR LIKE '%alert:denials%'"
            [[facts, words]] = client.post("/v1/query", json={"sql": sql}).json()["rows"]
        [run] = [run for run in json.loads(facts) if run["by"] == "alert:denials"]
        told = (run["query"], run["outcome"], run["contents"])
        assert told == ("what-followed-a-denial", "answered", False), "its first run alone, of several"
        [said] = [said for said in json.loads(words) if said]
        assert said["sql"] == load_queries()["what-followed-a-denial"].sql
        assert said["parameters"]["minutes"] == 30
    finally:
        assert server.stop() == 0


def test_who_may_read_sees_alerts_and_a_server_without_rules_has_none(tmp_path):
    server = Server(tmp_path / "data")
    try:
        with server.client() as client:
            assert client.get("/v1/alerts").json() == {
                "rules": [],
                "targets": [],
                "failed": None,
                "alerts": [],
            }
            assert httpx.get(f"{server.url}/v1/alerts", trust_env=False).status_code == 401
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (RULE + webhook("soc", 9).replace("SOC_SECRET", "MISSING"), "MISSING is not set"),
        (RULE.replace("tool.name", "tool.nam"), "line"),
        ('[[rule]]\nname="q"\nkind="query"\nquery="no-such"\n' + webhook("soc", 9), "no-such"),
        (
            '[[rule]]\nname="q"\nkind="query"\nquery="what-followed-a-denial"\ncolumns=["nope"]\n'
            + webhook("soc", 9),
            "nope",
        ),
        (
            '[[rule]]\nname="i"\nkind="indicators"\nfile="/nonexistent"\n' + webhook("soc", 9),
            "cannot be read",
        ),
    ],
    ids=["secret", "member", "query", "column", "list"],
)
def test_a_file_that_is_no_good_is_refused_at_the_start_in_one_line(tmp_path, text, says):
    with pytest.raises(NotStarted) as ended:
        serve(tmp_path, text)
    assert ended.value.status == 2
    assert says in ended.value.words
    assert "Traceback" not in ended.value.words
    checked = command("check", tmp_path / "alerts.toml")
    assert (checked.returncode, says in checked.stderr) == (2, True)


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "ledger.cli", "alerts", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_command_checks_a_file_and_sends_each_target_a_test(tmp_path, receiver):
    file = tmp_path / "alerts.toml"
    file.write_text(RULE + webhook("soc", receiver.port) + webhook("dead", 9))
    checked = command("check", file)
    assert checked.returncode == 0, checked.stderr
    assert [each["name"] for each in json.loads(checked.stdout)["targets"]] == ["soc", "dead"]
    assert receiver.got == []
    sent = command("test", file, "--target", "soc")
    assert (sent.returncode, json.loads(sent.stdout)) == (0, {"soc": None})
    assert json.loads(receiver.taken()[0][2])["data"]["kind"] == "test"
    failed = command("test", file)
    assert failed.returncode == 3
    assert json.loads(failed.stdout)["dead"] == "127.0.0.1: Connection refused"
    assert command("test", file, "--target", "none").returncode == 2
