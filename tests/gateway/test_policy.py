"""What the policy file lets pass, and what it does not; over stdio, with a real approval service."""

import asyncio
import gzip
import hashlib
import json
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mcp import Client, MCPError

from ledger.gateway.policy import Asked, PolicyError, load_policy
from tests.faults.server import ROOT


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario, 60))


@pytest.fixture
def policy(tmp_path):
    def write(text):
        path = tmp_path / "policy.toml"
        path.write_text(text)
        return path

    return write


# ---- rules


@pytest.mark.parametrize(
    ("rule", "name", "arguments", "effect"),
    [
        ('tools = ["delete_*"]', "delete_file", {}, "deny"),
        ('tools = ["delete_*"]', "Delete_File", {}, "deny"),
        ('tools = ["delete_*"]', "\uff44elete_file", {}, "deny"),  # a full-width d
        ('tools = ["delete_all"]', "delete_all ", {}, "deny"),
        ('tools = ["delete_all"]', "delete\u200b_all", {}, "deny"),
        ('tools = ["delete_all"]', "delete_all\0x", {}, "deny"),
        ('tools = ["*delete*"]', "\0delete", {}, "deny"),
        ('tools = ["delete_*"]', "undelete", {}, "allow"),
        ('arguments = { path = "/etc/*" }', "read", {"path": "/etc/passwd"}, "deny"),
        ('arguments = { path = "/etc/*" }', "read", {"PATH": "/etc/passwd"}, "deny"),
        ('arguments = { path = "/etc/*" }', "read", {"path": ["/tmp/a", "/etc/passwd"]}, "deny"),  # noqa: S108
        ('arguments = { path = "/etc/*" }', "read", {"path": "/home"}, "allow"),
        ('arguments = { path = "/etc/*" }', "read", {}, "allow"),
        ('arguments = { "to.country" = ["KP", "IR"] }', "pay", {"to": {"country": "ir"}}, "deny"),
        ('arguments = { "to.country" = ["KP", "IR"] }', "pay", {"to": [{"country": "FR"}]}, "allow"),
        ('arguments = { amount = "1000*" }', "pay", {"amount": 100000}, "deny"),
        ('servers = ["bank"]', "pay", {}, "deny"),
        ('servers = ["mail"]', "pay", {}, "allow"),
    ],
)
def test_a_rule_matches_what_it_says_in_any_case(policy, rule, name, arguments, effect):
    loaded = load_policy(policy(f'[[deny]]\nrule = "r"\n{rule}\n'))
    assert loaded.judge(Asked("tools/call", name, "bank", arguments)).effect == effect


def test_a_denial_comes_before_an_approval(policy):
    text = '[[require_approval]]\nrule = "a"\n[[deny]]\nrule = "d"\n[approval]\nurl = "http://127.0.0.1:9"\n'
    assert load_policy(policy(text)).judge(Asked("tools/call", "x", "", {})).rule == "d"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[deny]]\nrule = 'r'\ntool = ['x']\n", "unknown field `tool`"),
        ("[[deny]]\ntools = ['x']\n", "missing required field `rule`"),
        ("[[deny]\n", "Expected"),
        ("[[require_approval]]\nrule = 'r'\n", "needs [approval]"),
        ("[approval]\nurl = 'file:///x'\n", "http:// or https://"),
        ("[approval]\nurl = 'http://[x/'\n", "approval.url"),
        ("[approval]\nurl = 'http://x'\ntimeout_s = 0\n", "timeout_s"),
        ("default = 'deny'\n", "unknown field `default`"),
    ],
)
def test_a_policy_that_is_only_half_understood_is_refused(policy, text, says):
    with pytest.raises(PolicyError) as refused:
        load_policy(policy(text))
    assert says in str(refused.value)


def test_the_policy_of_the_page_is_one(policy):
    page = (ROOT / "docs" / "gateway.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    loaded = load_policy(policy(example))
    assert loaded.judge(Asked("tools/call", "drop_table", "bank", {})).rule == "no-deletes"
    assert loaded.judge(Asked("resources/read", "file:///etc/shadow", "x", {})).rule == "secrets"
    abroad = {"to": {"country": "IR"}}
    assert loaded.judge(Asked("tools/call", "pay", "bank", abroad)).effect == "require_approval"
    assert loaded.judge(Asked("tools/call", "pay", "shop", abroad)).effect == "allow"


# ---- in force


def test_a_denied_call_never_reaches_the_server_and_the_model_is_told_why(through, book, policy):
    rules = policy(
        'id = "p"\nversion = "3"\n[[deny]]\nrule = "no-echo"\ntools = ["echo"]\nreason = "not today"\n'
    )

    async def scenario():
        async with Client(through("--policy", rules)) as client:
            denied = await client.call_tool("echo", {"text": "x"})
            assert denied.is_error
            assert denied.content[0].text == "denied by policy, rule no-echo: not today"
            assert (await client.call_tool("add", {"a": 1, "b": 1})).structured_content == {"result": 2}

    run(scenario())
    calls = {call["intent"]["tool"]["name"]: call for call in book.calls()}
    assert calls["echo"]["intent"]["tool"]["arguments"] == {"text": "x"}
    assert calls["echo"]["decision"]["policy"]["effect"] == "deny"
    assert calls["echo"]["decision"]["policy"]["rule"] == "no-echo"
    assert calls["echo"]["outcome"]["outcome"]["status"] == "denied"
    assert calls["add"]["intent"]["policy"]["effect"] == "allow"
    assert calls["add"]["intent"]["policy"]["version"] == "3"


def test_a_denied_resource_is_an_error_of_the_protocol(through, book, policy):
    rules = policy('[[deny]]\nrule = "r"\nmethods = ["resources/read"]\ntools = ["shop://stock/*"]\n')

    async def scenario():
        async with Client(through("--policy", rules)) as client:
            with pytest.raises(MCPError, match="denied by policy, rule r"):
                await client.read_resource("shop://stock/pear")

    run(scenario())
    assert book.calls()[0]["outcome"]["outcome"]["status"] == "denied"


class Desk(BaseHTTPRequestHandler):
    """A person who approves small sums only, in their own time."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.headers["Authorization"], asked))
        time.sleep(self.server.thinks_s)
        answer = {"action_id": asked["action_id"], "approver": "alice@example.com", "id": "CHG-17"}
        answer["outcome"] = "approved" if asked["arguments"]["a"] < 100 else "rejected"
        body = self.server.says if self.server.says is not None else json.dumps(answer).encode()
        self.send_response(self.server.status)
        if self.server.compresses:
            body = gzip.compress(body)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def serving_desk():
    with ThreadingHTTPServer(("127.0.0.1", 0), Desk) as server:
        server.asked, server.thinks_s, server.says, server.status = [], 0, None, 200
        server.compresses = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def desk():
    with serving_desk() as server:
        yield server


@pytest.fixture
def asking(policy, desk, through):
    def parameters(timeout_s=20):
        rules = policy(
            f"""
            [[require_approval]]
            rule = "sums"
            tools = ["add"]
            [approval]
            url = "http://127.0.0.1:{desk.server_port}/decide"
            token_variable = "DESK_TOKEN"
            timeout_s = {timeout_s}
            """
        )
        return through("--policy", rules, "--agent-id", "sums", DESK_TOKEN="desk-secret")

    return parameters


def test_what_needs_approval_waits_for_it_and_everything_else_does_not(asking, desk, book):
    desk.thinks_s = 1

    async def scenario():
        async with Client(asking()) as client:
            waiting = asyncio.create_task(client.call_tool("add", {"a": 1, "b": 1}))
            await asyncio.sleep(0.2)
            assert (await client.call_tool("echo", {"text": "x"})).content[0].text == "x"
            assert not waiting.done()
            assert (await waiting).structured_content == {"result": 2}
            assert (await client.call_tool("token", {})).content[0].text == "none"

    run(scenario())
    (add,) = [call for call in book.calls() if call["intent"]["tool"]["name"] == "add"]
    approval = add["approval"]["approval"]
    assert (approval["outcome"], approval["approver"], approval["id"]) == (
        "approved",
        "alice@example.com",
        "CHG-17",
    )
    ((authorization, asked),) = desk.asked
    assert authorization == "Bearer desk-secret"
    assert (asked["tool"], asked["rule"], asked["agent"]["agent_name"]) == ("add", "sums", "mcp")
    assert approval["shown"] == asked
    commitment = hashlib.sha256(b"\x02" + bytes.fromhex(asked["salt"]) + b'{"a":1,"b":1}').hexdigest()
    assert approval["arguments_commitment"] == asked["arguments_commitment"] == commitment
    assert add["outcome"]["outcome"]["status"] == "success"
    assert add["approval"]["time"] < add["outcome"]["time"]


def expect_denied(parameters, says, a=1):
    async def scenario():
        async with Client(parameters) as client:
            denied = await client.call_tool("add", {"a": a, "b": 1})
            assert denied.is_error
            assert says in denied.content[0].text

    run(scenario())


def test_what_is_not_approved_does_not_run(asking, book):
    expect_denied(asking(), "it was not approved", a=100)
    (call,) = book.calls()
    assert call["approval"]["approval"]["outcome"] == "rejected"
    assert call["outcome"]["outcome"]["status"] == "denied"


def test_an_approval_that_does_not_come_in_time_is_a_denial(asking, desk, book):
    desk.thinks_s = 3
    expect_denied(asking(timeout_s=1), "nobody approved it within 1 s")
    (call,) = book.calls()
    assert call["approval"]["approval"]["outcome"] == "expired"
    assert call["outcome"]["outcome"]["status"] == "denied"


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (200, b"approved"),
        (200, b'{"outcome":"approved"}'),
        (200, b'{"outcome":"approved","approver":"a","action_id":"another"}'),
        (200, b'{"outcome":"maybe","approver":"a","action_id":"another"}'),
        (200, b"x" * 100_000),
        (204, b""),
        (302, b""),
        (500, b"{}"),
    ],
)
def test_no_proper_answer_is_no_approval(asking, desk, book, status, says):
    desk.status, desk.says = status, says
    expect_denied(asking(), "approval could not be asked for")
    assert len(desk.asked) == 1  # and nobody else was asked
    assert book.calls()[0]["approval"]["approval"]["outcome"] == "expired"


def test_an_approval_that_was_compressed_is_none_because_it_could_be_any_size(asking, desk, book):
    desk.compresses = True
    expect_denied(asking(), "an encoding that was not asked for")
    assert book.calls()[0]["approval"]["approval"]["outcome"] == "expired"


def test_a_policy_whose_approvals_token_is_missing_does_not_start(policy, environment):
    rules = policy('[approval]\nurl = "http://127.0.0.1:9"\ntoken_variable = "NOT_SET"\n')
    command = [sys.executable, "-m", "ledger.cli", "gateway", "--policy", str(rules), "--", "true"]
    ended = subprocess.run(
        command, env=environment, input="", capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 2
    assert "$NOT_SET holds no token" in ended.stderr
