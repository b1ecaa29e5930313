"""The log's key is rotated where it lives: with OpenSSH's agent, with the local signer, in the environment. Without a stop, and whatever dies."""

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ledger.audit.fsck import verify_folder
from ledger.core.errors import LedgerError
from ledger.core.keyhistory import parse_history
from ledger.core.note import open_note, parse_vkey
from ledger.core.receipt import parse_receipt, verify_receipt
from ledger.log.keys import create_key, home_of, load_key
from ledger.log.log import Log
from ledger.storage.layout import KEY, KEY_NEXT
from tests.cli.conftest import ROOT, Ledger, command, new_ledger
from tests.faults.server import NotStarted, Server
from tests.log.conftest import post, record
from tests.log.rotating import STEPS, cut_at_each_step
from tests.signer.agents import OpenSSH, wait_for

ORIGIN = "ledger.example/homes"


class Agents:
    """OpenSSH's agent with both keys."""

    def __init__(self, place: Path) -> None:
        self.agent = OpenSSH(place, keys=2)
        self.home = f"ssh-agent:{self.agent.path}#{self.agent.fingerprints()[0]}"
        self.next_home: str | None = None  # the other key that it holds
        self.before: Mapping[str, str] = {}
        self.after: Mapping[str, str] = {}

    def end(self) -> None:
        self.agent.kill()


class Signers:
    """Two local signers: each holds one key."""

    next_home: str | None

    def __init__(self, place: Path) -> None:
        self.before: Mapping[str, str] = {}
        self.after: Mapping[str, str] = {}
        self.processes = []
        for name in ("old", "new"):
            create_key(place / name, ORIGIN)
            socket = place / f"{name}.sock"
            arguments = command("signer", "serve", place / name, socket)
            self.processes.append(subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.DEVNULL))
            wait_for(socket)
        self.home, self.next_home = (f"ssh-agent:{place / name}.sock" for name in ("old", "new"))

    def end(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
            process.wait()


class Environment:
    """The environment, which has both keys while it is rotated and the next one alone afterwards."""

    def __init__(self, place: Path) -> None:
        for name in ("old", "new"):
            create_key(place / name, ORIGIN)
        old, new = ((place / name).read_text() for name in ("old", "new"))
        self.home, self.next_home = "environment", None
        self.before = {"AGENT_LEDGER_KEY": old, "AGENT_LEDGER_KEY_NEXT": new}
        self.after = {"AGENT_LEDGER_KEY": new}

    def end(self) -> None:
        pass


KINDS = {"OpenSSH": Agents, "local signer": Signers, "environment": Environment}
Home = Agents | Signers | Environment


@pytest.fixture(
    params=[pytest.param(kind, marks=[] if kind == "local signer" else pytest.mark.soak) for kind in KINDS]
)
def home(request: pytest.FixtureRequest, place: Path) -> Iterator[Home]:
    made = KINDS[request.param](place)
    yield made
    made.end()


def told(made: Ledger, *arguments: str, **environment: str) -> dict:
    done = made.run(*arguments, "--json", **environment)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def served(made: Ledger, secrets: Mapping[str, str]) -> Server:
    """A server where the command looks for it."""
    port = made.url.rpartition(":")[2]
    environment = made.environment(**secrets)
    return Server(made.data, origin=ORIGIN, environment=environment, options=("--port", port))


def written(server: Server, *numbers: int) -> list[tuple[bytes, bytes]]:
    """Receipts of so many new records, each with its entry."""
    kept = []
    with server.client() as client:
        for number in numbers:
            posted = server.post(record(number))
            assert posted.status_code == 201, posted.text
            seq = posted.json()["seq"]
            receipt = client.get(f"/v1/entries/{seq}/receipt?entry=true").content
            kept.append((receipt, parse_receipt(receipt).extra or b""))
    return kept


def test_a_key_is_rotated_where_it_lives_under_a_running_server_and_all_receipts_verify_after_a_start(
    home: Home, tmp_path: Path
):
    made = new_ledger(tmp_path)
    first = told(made, "init", "--origin", ORIGIN, "--key", home.home, **home.before)["verifier_key"]
    server = served(made, home.before)
    try:
        kept = written(server, 0, 1)
        if home.next_home is not None:
            prepared = told(made, "keys", "rotate", "--prepare", "--home", home.next_home)["next_key"]
        else:
            prepared = told(made, "keys", "rotate", "--prepare")["next_key"]
        assert prepared != first
        assert told(made, "keys", "rotate", "--reason", "a year has passed")["current_key"] == prepared
        kept += written(server, 2, 3)
        assert server.stop() == 0
        assert str(load_key(made.data / KEY).key) == prepared
        assert home_of(made.data / KEY) == (home.next_home or home.home).partition("#")[0]
        server = served(made, home.after)
        kept += written(server, 4)
        with server.client() as client:
            proof = client.get("/v1/keys").json()["proof"].encode()
    finally:
        server.stop()
    for known in (first, prepared):
        keys = parse_history(proof, parse_vkey(known))
        assert [str(key) for key in keys.keys] == [first, prepared]
        for receipt, entry in kept:
            keys.open(parse_receipt(receipt).checkpoint_note)
            verify_receipt(receipt, entry, keys.keys, ORIGIN)
    assert verify_folder(made.data, vkey=parse_vkey(first)).findings == ()
    assert not [
        path for path in made.data.rglob("*") if path.is_file() and b"PRIVATE+KEY" in path.read_bytes()
    ]


@pytest.mark.parametrize("kind", ["OpenSSH", "environment"])
def test_wherever_a_rotation_dies_the_key_that_signs_is_the_one_that_the_log_names(
    kind: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    home = KINDS[kind](place)
    for name, text in home.before.items():
        monkeypatch.setenv(name, text)
    data = tmp_path / "at" / "data"
    data.parent.mkdir()
    Log.create(data, ORIGIN, key=home.home)
    try:
        with contextlib.closing(Log.open(data)) as log:
            post(log, record(0))
            keys = cut_at_each_step(log, data, tmp_path, monkeypatch)
        assert keys["old"] != keys["new"]
        for step, named in STEPS.items():
            left = tmp_path / step / "data"
            with contextlib.closing(Log.open(left)) as log:
                assert log.keys.current == keys[named] == log.signer.key == load_key(left / KEY).key, step
                assert not isinstance(post(log, record(1))[0], LedgerError)
                open_note(log.head().note, [keys[named]])
                if named == "old":
                    log.rotate_key(by="token:admin")
                    assert log.keys.current == keys["new"]
                    assert not isinstance(post(log, record(2))[0], LedgerError)
            assert verify_folder(left).findings == (), step
    finally:
        home.end()


def test_after_a_crash_within_a_rotation_a_server_starts_with_the_next_key_alone_and_not_without_it(
    place: Path, tmp_path: Path
):
    home, made = Environment(place), new_ledger(tmp_path)
    told(made, "init", "--origin", ORIGIN, "--key", home.home, **home.before)
    before = (made.data / KEY).read_bytes()
    told(made, "keys", "rotate", **home.before)
    (made.data / KEY).rename(made.data / KEY_NEXT)  # as where it dies before the key is in its place
    (made.data / KEY).write_bytes(before)
    (made.data / KEY).chmod(0o600)
    with pytest.raises(NotStarted, match="AGENT_LEDGER_KEY does not hold it"):
        served(made, {"AGENT_LEDGER_KEY": home.before["AGENT_LEDGER_KEY"]})
    server = served(made, home.after)
    try:
        assert written(server, 0)
    finally:
        server.stop()


def test_the_next_key_that_no_home_has_leaves_the_log_as_it_was(openssh: OpenSSH, tmp_path: Path):
    made = new_ledger(tmp_path)
    home = f"ssh-agent:{openssh.path}"
    told(made, "init", "--origin", ORIGIN, "--key", home)
    for arguments in (("--prepare",), ("--prepare", "--home", home), ("--home", home)):
        done = made.run("keys", "rotate", *arguments)
        assert done.returncode == 2, done.stderr
        assert not (made.data / KEY_NEXT).exists()
    log = Log.open(made.data)
    try:
        assert not isinstance(post(log, record(0))[0], LedgerError)
    finally:
        log.close()
