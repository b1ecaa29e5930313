"""The gateway on stdio, byte by byte."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.server import ROOT

PARROT = str(Path(__file__).with_name("parrot.py"))


class Wire:
    """A gateway with a careless server behind it, and what that heard."""

    def __init__(self, environment, folder, *options):
        self.heard_file = folder / "heard"
        self.heard_file.touch()
        command = [sys.executable, "-m", "ledger.cli", "gateway", *map(str, options), "--"]
        self.process = subprocess.Popen(
            [*command, sys.executable, PARROT, str(self.heard_file)],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def line(self):
        return self.process.stdout.readline()

    def ended(self):
        """Say no more, and wait for the end. Gives what was still said, and the exit status."""
        rest, words = self.process.communicate(timeout=60)
        return rest, self.process.returncode, words

    def heard(self):
        return self.heard_file.read_bytes()


@pytest.fixture
def wire(environment, tmp_path):
    opened = []

    def start(*options, **variables):
        opened.append(Wire({**environment, **variables}, tmp_path, *options))
        return opened[-1]

    yield start
    for one in opened:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def test_lines_pass_byte_for_byte_in_both_directions(wire, book):
    lines = [
        b' { "jsonrpc":"2.0", "id" : 1, "method":"echo", "params":{"n":1.50,"t":"\\u00e9\xc3\xa9"} }\n',
        b'{"jsonrpc":"2.0","id":2,"method":"ping"}\r\n',
        b'{"jsonrpc":"2.0","id":"x","result":{"roots":[]}}\n',
        b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1}}\n',
        b'{"jsonrpc":"2.0","id":3,"method":"echo"}',
    ]
    one = wire()
    one.send(lines[0])
    assert one.line() == lines[0].replace(b'"method"', b'"result":{},"was"')
    one.send(b"".join(lines[1:]))
    rest, status, _ = one.ended()
    assert rest == lines[4].replace(b'"method"', b'"result":{},"was"') + b"\n"
    assert status == 0
    assert sorted(one.heard().splitlines()) == sorted(line.rstrip(b"\n").rstrip(b"\r") for line in lines)
    assert [call["intent"]["tool"]["operation"] for call in book.calls()] == ["echo", "echo"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (
            b'{"jsonrpc":"2.0","id":1,"method":"ping","params":\r{"jsonrpc":"2.0","id":2,"method":"echo"}\r}',
            -32700,
        ),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"echo"}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","Method":"echo","params":{"name":"x"}}', -32600),
        (b"not json", -32700),
        (b"\xff\xfe", -32700),
        (b"\x00", -32700),
    ],
)
def test_what_could_hide_a_call_is_answered_by_the_gateway_and_not_heard_by_the_server(
    wire, book, line, code
):
    one = wire()
    one.send(line + b"\n")
    assert json.loads(one.line())["error"]["code"] == code
    one.ended()
    assert one.heard() == b""
    assert book.calls() == []


def test_a_line_without_end_is_bounded_and_what_follows_it_still_passes(wire):
    one = wire()
    for _ in range(40):
        one.send(b"x" * (1 << 20))
    one.send(b'\n{"jsonrpc":"2.0","id":1,"method":"echo"}\n')
    assert "at most" in json.loads(one.line())["error"]["message"]
    assert json.loads(one.line())["id"] == 1
    peak_kb = int(Path(f"/proc/{one.process.pid}/status").read_text().split("VmHWM:")[1].split()[0])
    one.ended()
    assert one.heard() == b'{"jsonrpc":"2.0","id":1,"method":"echo"}\n'
    assert peak_kb < 300_000


def test_an_answer_too_long_to_be_kept_passes_whole_and_is_recorded_as_unknown(wire, book):
    one = wire()
    one.send(b'{"jsonrpc":"2.0","id":1,"method":"huge"}\n')
    assert len(one.line()) > 40 << 20
    one.ended()
    assert book.calls()[0]["outcome"]["outcome"]["status"] == "unknown"


def test_an_id_in_use_is_not_taken_twice(wire, book):
    one = wire()
    one.send(b'{"jsonrpc":"2.0","id":1,"method":"silent"}\n{"jsonrpc":"2.0","id":"1","method":"echo"}\n')
    answer = json.loads(one.line())
    assert answer["id"] is None
    assert "without an answer" in answer["error"]["message"]
    one.ended()
    assert one.heard().count(b"\n") == 1


def test_a_late_answer_to_a_cancelled_call_is_recorded_as_that(wire, book):
    one = wire()
    one.send(b'{"jsonrpc":"2.0","id":1,"method":"silent"}\n')
    wait_for(lambda: b"silent" in one.heard())
    one.send(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}\n')
    wait_for(lambda: b"cancelled" in one.heard())
    one.send(b'{"jsonrpc":"2.0","id":2,"method":"echo","params":{"id":"1"}}\n')
    one.line()
    # The parrot says what it hears: here an answer to request 1.
    one.send(b'{"jsonrpc":"2.0","id":1,"result":{},"x":"echo"}\n')
    assert json.loads(one.line())["id"] == 1
    one.ended()
    (call,) = [call for call in book.calls() if call["intent"]["tool"]["operation"] == "silent"]
    assert call["outcome"]["outcome"]["status"] == "cancelled"
    assert call["mcp.late_answer"]["source"]["original"]["id"] == 1


def wait_for(condition, within_s=20):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_gateway_ends_as_its_server_ends(wire):
    one = wire()
    one.send(b'{"jsonrpc":"2.0","id":1,"method":"die"}\n')
    assert one.ended()[1] == 3
    one = wire()
    one.send(b'{"jsonrpc":"2.0","id":1,"method":"echo"}\n')
    one.line()
    one.process.send_signal(signal.SIGTERM)
    assert one.ended()[1] == 128 + signal.SIGTERM


def test_a_gateway_that_is_killed_leaves_intents_without_outcomes_and_takes_its_server_along(wire, book):
    one = wire()
    one.send(b'{"jsonrpc":"2.0","id":1,"method":"silent"}\n')
    wait_for(lambda: b"silent" in one.heard())
    children = Path(f"/proc/{one.process.pid}/task/{one.process.pid}/children").read_text().split()
    one.process.kill()
    one.process.wait()
    wait_for(lambda: not any(alive(int(child)) for child in children))
    (call,) = book.calls(within_s=0)
    assert set(call) == {"intent"}


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_calls_go_on_into_a_spool_while_the_ledger_is_away_and_reach_it_later(
    wire, environment, book, tmp_path
):
    one = wire("--spool", tmp_path / "spool", AGENT_LEDGER_URL="http://127.0.0.1:9")
    one.send(b'{"jsonrpc":"2.0","id":1,"method":"echo"}\n')
    assert json.loads(one.line())["id"] == 1
    one.ended()
    assert book.all() == []
    later = wire("--spool", tmp_path / "spool")
    later.send(b'{"jsonrpc":"2.0","id":2,"method":"echo"}\n')
    assert json.loads(later.line())["id"] == 2
    later.ended()
    assert [call["outcome"]["outcome"]["status"] for call in book.calls()] == ["success", "success"]


def test_gateways_that_share_a_spool_folder_each_take_a_part_of_their_own(wire, tmp_path):
    first, second = (wire("--spool", tmp_path / "spool") for _ in range(2))
    for one in (first, second):
        one.send(b'{"jsonrpc":"2.0","id":1,"method":"echo"}\n')
        assert json.loads(one.line())["id"] == 1
    for one in (first, second):
        one.ended()
    assert sorted(os.listdir(tmp_path / "spool")) == ["0", "1"]  # noqa: PTH208


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "which server?"),
        (("--upstream", "http://x", "--", "cmd"), "which server?"),
        (("--upstream", "ftp://x"), "http:// or https://"),
        (("--upstream", "http://user:pw@x/mcp"), "has a user or a password in it"),
        (("--", "/no/such/command"), "No such file"),
        (("--key", "x", "--", "true"), "--verifier-key"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(environment, options, says):
    command = [sys.executable, "-m", "ledger.cli", "gateway", *options]
    ended = subprocess.run(
        command, env=environment, input="", capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 2
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def test_where_no_client_is_at_the_other_end_the_gateway_says_so(environment):
    command = [sys.executable, "-m", "ledger.cli", "gateway", "--", "cat"]
    ended = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 2
    assert "must be pipes" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_gateway_needs_nothing_of_the_server():
    code = "import sys, ledger.cli.gateway, ledger.gateway.serving; print(sorted({'duckdb', 'fastapi', 'pyarrow'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_a_name_beside_a_denied_uri_does_not_let_it_pass(wire, book, tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text('[[deny]]\nrule = "r"\nmethods = ["resources/read"]\ntools = ["file:///etc/*"]\n')
    one = wire("--policy", policy)
    one.send(
        b'{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///etc/passwd","name":"x"}}\n'
    )
    assert "denied by policy" in json.loads(one.line())["error"]["message"]
    one.ended()
    assert b"passwd" not in one.heard()
    assert book.calls()[0]["outcome"]["outcome"]["status"] == "denied"
