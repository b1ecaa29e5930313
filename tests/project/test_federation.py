"""docs/federation.md as two people do it who have nothing else: two homes, two servers, one handshake, and then one of them records nothing, or lies."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from ledger.client import Ledger
from ledger.client.calls import Calls
from tests.project.test_readme import install, shell, wait_for
from tests.project.tree import ROOT, free_port

PAGE = (ROOT / "docs" / "federation.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n# (alice|bob|both)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SCRIPTS = dict(re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
MESSAGE = b"What is in the third quarter?"
pytestmark = pytest.mark.soak


class Person:
    """Somebody with a home, who does what the page says."""

    def __init__(self, home, name, peer):
        home.mkdir()
        self.home, self.name, self.peer = home, name, peer
        self.fingerprint, self.token, self.url, self.running = "", "", "", []
        install(home)

    def does(self, script, *, status=0):
        named = f"export ME={self.name} PEER={self.peer} FINGERPRINT='{self.fingerprint}'"
        done = subprocess.run(
            shell(f"{self.environment()}\n{named}\n{script}", self.home),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done.stdout

    def starts(self, script):
        command = shell(f"{self.environment()}\nexec {script}", self.home)
        self.running.append(subprocess.Popen(command, cwd=self.home, stderr=subprocess.DEVNULL))

    def environment(self):
        """Of an agent, once there is a token; its ledger is not at the port that is usual."""
        told = f"export PYTHONPATH='{ROOT}'"
        return f"{told} AGENT_LEDGER_URL={self.url} AGENT_LEDGER_TOKEN={self.token}" if self.token else told

    def serves(self, block):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.starts(f"{block.strip()} --port {port}")
        wait_for(f"{self.url}/readyz")
        self.token = self.does("agent-ledger token create agent --role writer").strip()

    def calls(self):
        ledger = Ledger(self.url, self.token, source=f"{self.name}-agent")
        return Calls(ledger, f"{self.name}.example/log", (self.home / "peers.keys").read_text().split())

    def one_sided(self):
        self.token, kept = "", self.token  # as its operator
        answer = json.loads(self.does("agent-ledger query one-sided-calls --param in_flight_s=0"))
        self.token = kept
        names = [column["name"] for column in answer["columns"]]
        rows = [dict(zip(names, row, strict=True)) for row in answer["rows"]]
        return [
            (row["direction"], row["recorded_by"], row["state"], row["problem"])
            for row in rows
            if row["peer"] == f"{self.peer}.example/log"
        ]

    def stops(self):
        for process in reversed(self.running):
            process.terminate()
            process.wait(30)
        self.running.clear()


def sends(sender, file, other):
    shutil.copy(sender.home / file, other.home / file)


def script(person, name, *arguments):
    (person.home / name).write_text(textwrap.dedent(SCRIPTS[name]))
    return f"{sys.executable} {name} {' '.join(arguments)}"


@pytest.fixture
def people(tmp_path):
    made = Person(tmp_path / "alice", "alice", "bob"), Person(tmp_path / "bob", "bob", "alice")
    yield made
    for each in made:
        each.stops()


class Silent(BaseHTTPRequestHandler):
    """bob's agent with its recorder off."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"It is empty.")

    def log_message(self, *_):
        pass


def test_two_owners_do_what_the_page_says_and_each_finds_what_the_other_did_not_record_or_lied_about(people):
    alice, bob = people
    (_, invite), (_, accept), (_, serve), (_, prove), (_, give), (_, take) = BLOCKS
    assert [who for who, _ in BLOCKS] == ["both", "both", "both", "alice", "bob", "alice"]
    for one, other in (people, people[::-1]):
        other.fingerprint = re.findall(r'"fingerprint": "([0-9a-f ]+)"', one.does(invite))[-1]
        sends(one, f"{one.name}.invitation", other)
    for each in people:
        each.does(accept)
        each.serves(serve)
    port = free_port()
    bob.starts(script(bob, "answer.py", str(port)))
    address = f"http://127.0.0.1:{port}"
    wait_for_post(address)  # the first call that bob receives and alice did not record
    assert alice.does(script(alice, "ask.py", address)) == "verified\n"
    alice.token, kept = "", alice.token
    printed = alice.does(prove)
    alice.token = kept
    assert '"rows": []' in printed or '"rows":[]' in printed
    assert '"held": 1' in printed
    assert '"peers": 1' in printed

    silent = HTTPServer(("127.0.0.1", 0), Silent)
    threading.Thread(target=silent.serve_forever, daemon=True).start()
    assert alice.does(script(alice, "ask.py", f"http://127.0.0.1:{silent.server_port}")) == "none\n"
    silent.shutdown()
    assert alice.one_sided() == [("sent", "us", "missing", None)]
    assert bob.one_sided() == [("received", "us", "missing", None)]

    asking, answering = bob.calls(), alice.calls()  # and the other way round: alice's side lies
    true = asking.send("alice.example/log", MESSAGE)
    earlier = answering.receive(true.told, MESSAGE)
    assert true.answered(earlier.told).receipt == "verified"
    lied_to = asking.send("alice.example/log", MESSAGE)
    assert lied_to.answered(earlier.told).problem == "another-call"
    for each in (asking, answering):
        each.ledger.close()
    assert bob.one_sided()[1:] == [("sent", "us", "refused", "another-call")]

    bob.token = alice.token = ""
    bob.does(give)
    sends(bob, "for-alice.zip", alice)
    taken = json.loads(alice.does(take).partition("}")[0] + "}")
    assert {name: taken[name] for name in ("known", "confirmed", "only_theirs", "refused")} == {
        "known": 2,
        "confirmed": 0,
        "only_theirs": 2,
        "refused": 0,
    }
    assert sorted(alice.one_sided()) == [
        ("received", "them", "missing", None),
        ("sent", "them", "missing", None),
        ("sent", "us", "missing", None),
    ]
    proves_offline(people)


def wait_for_post(address):
    for _ in range(200):
        try:
            assert httpx.post(address, content=b"hello", trust_env=False).is_success
        except httpx.TransportError:
            threading.Event().wait(0.05)
        else:
            return
    pytest.fail(f"{address} did not answer")


def proves_offline(people):
    """Nothing runs any more: alice's receipt of what bob recorded, and what somebody says of her evidence who has nothing but both keys."""
    alice, bob = people
    seqs = json.loads(
        alice.does("agent-ledger sql \"SELECT seq FROM records WHERE type = 'call.confirmed'\"")
    )
    alice.does(f"agent-ledger calls receipt {seqs['rows'][0][0]} bobs.receipt")
    for each in people:
        each.stops()
    assert json.loads(alice.does("agent-ledger receipt check bobs.receipt"))["origin"] == "bob.example/log"
    keys = [(each.home / "peers.keys").read_text().strip() for each in (bob, alice)]  # alice's, bob's
    told = f"agent-ledger verify dispute.zip --vkey '{keys[0]}' --peer '{keys[1]}'"
    report = json.loads(alice.does(told))
    assert (report["verdict"], report["peers"], report["peers_not_checked"]) == ("holds", 1, 0)
    stranger = keys[1].replace("bob.example", "eve.example")
    alice.does(f"agent-ledger verify dispute.zip --vkey '{keys[0]}' --peer '{stranger}'", status=2)
