"""The local signer: what it signs, what it never signs, whom it hears, and that everything which signs works with it."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.audit.fsck import verify_folder
from ledger.cli.exits import CommandError
from ledger.cli.keyhome import check_key, home, move
from ledger.client.evidence import verify_evidence
from ledger.core.ed25519 import SigningKey, generate
from ledger.core.entry import record_signing_input
from ledger.core.errors import Code, LedgerError
from ledger.core.invitation import open_invitation, sign_invitation
from ledger.core.note import COSIGNATURE_V1, ED25519, Cosigner, VerifierKey
from ledger.evidence.bundle import make
from ledger.evidence.gather import Request, gather
from ledger.log import environment, sshwire
from ledger.log.keys import home_of, load_key
from ledger.log.log import Log
from ledger.log.secret import parse_secret
from ledger.log.sshagent import SshAgentKey, held_keys
from ledger.signer.rule import TITLES, kind_of
from ledger.signer.serving import CONNECTIONS, MAX_REQUEST_BYTES, Listening, Signer
from ledger.upkeep.backup import back_up
from ledger.upkeep.load import load
from ledger.upkeep.transfer import dump
from tests.cli.conftest import ROOT, command
from tests.log.conftest import post, record
from tests.project.tree import python
from tests.signer.agents import Told, run, wait_for

ORIGIN = "ledger.example/signed"
SEED = b"\x09" * 32
KEY = VerifierKey.derive(ORIGIN, ED25519, SigningKey(SEED).public)
ROOT_HASH = "h9UMXqS06cZqY1DcnPgMhWQabcLU6G++7tynUvpM20w="
CHECKPOINT = f"{ORIGIN}\n5\n{ROOT_HASH}\n"
MANIFEST = f"agent-ledger segment v1\n{ORIGIN}\n{{}}\n"


# ---- what it signs


def test_it_signs_a_checkpoint_and_each_kind_of_manifest_of_its_log():
    assert kind_of(CHECKPOINT.encode(), ORIGIN) == "checkpoint"
    for title in TITLES:
        assert kind_of(f'{title}\n{ORIGIN}\n{{"a":1}}\n'.encode(), ORIGIN) == title


def test_its_titles_are_those_of_all_notes_that_a_log_signs():
    found = {
        title for path, text in python("ledger") for title in re.findall(r'"(agent-ledger [a-z]+ v1)"', text)
    }
    assert found - TITLES == {"agent-ledger verification v1"}  # which a verifier signs, with a key of its own
    assert found >= TITLES


NEVER = {
    "nothing": b"",
    "bytes that are no text": b"\xff\xfe" * 20,
    "a login, as ssh asks for one": b"\0\0\0\x20" + bytes(32) + b"2\0\0\0\x04root\0\0\0\x0essh-connection",
    "a file, as ssh-keygen -Y sign does": b"SSHSIG\0\0\0\x04file\0\0\0\0\0\0\0\x06sha512" + bytes(64),
    "a record in an agent's name": record_signing_input(ORIGIN, b'{"type":"note"}'),
    "a cosignature": f"cosignature/v1\ntime 7\n{CHECKPOINT}".encode(),
    "another log's checkpoint": CHECKPOINT.replace("signed", "other").encode(),
    "a checkpoint with a longer name": CHECKPOINT.replace("signed", "signed2").encode(),
    "another log's manifest": MANIFEST.replace("signed", "other").encode(),
    "a manifest that names both": MANIFEST.replace("\n{", "\nledger.example/other\n{").encode(),
    "a checkpoint with an extension": f"{CHECKPOINT}more\n".encode(),
    "a checkpoint without its last newline": CHECKPOINT[:-1].encode(),
    "a checkpoint with an empty line": f"{CHECKPOINT}\n".encode(),
    "a size with a zero before it": CHECKPOINT.replace("\n5\n", "\n05\n").encode(),
    "a size with a plus": CHECKPOINT.replace("\n5\n", "\n+5\n").encode(),
    "a root of 31 bytes": f"{ORIGIN}\n5\n{'A' * 42}==\n".encode(),
    "a manifest of an unknown kind": MANIFEST.replace("segment", "anything").encode(),
    "a manifest of a later version": MANIFEST.replace("v1", "v2").encode(),
    "a verification record": MANIFEST.replace("segment", "verification").encode(),
    "a manifest that is no object": MANIFEST.replace("{}", "[]").encode(),
    "a manifest that is not canonical": MANIFEST.replace("{}", '{"b":1, "a":2}').encode(),
    "a manifest with more after it": f"{MANIFEST}x\n".encode(),
    "a whole note": f"{CHECKPOINT}\n\u2014 {ORIGIN} AAAAAAAA\n".encode(),
    "a megabyte and more": MANIFEST.replace("{}", '{"a":"' + "x" * 1_000_000 + '"}').encode(),
}


@pytest.mark.parametrize("message", NEVER.values(), ids=NEVER)
def test_it_never_signs(message: bytes):
    with pytest.raises(ValueError):
        kind_of(message, ORIGIN)
    answer = Signer(KEY, SEED).answer(sshwire.format_sign_request(KEY.public, message)[4:])
    assert answer == b"\0\0\0\1\5"


def test_what_is_asked_of_another_key_or_in_another_message_is_refused():
    asked = Signer(KEY, SEED)
    good = sshwire.format_sign_request(KEY.public, CHECKPOINT.encode())[4:]
    assert asked.answer(good)[4] == sshwire.SIGN_RESPONSE
    other = sshwire.format_sign_request(generate().public, CHECKPOINT.encode())[4:]
    rsa = b"\x0d\0\0\0\x0b\0\0\0\x07ssh-rsa" + b"\0\0\0\x01x\0\0\0\0"
    adding = b"\x11\0\0\0\x0bssh-ed25519"  # SSH_AGENTC_ADD_IDENTITY
    removing, locking, extension = b"\x13", b"\x16\0\0\0\0", b"\x1b\0\0\0\x05query"
    cut = [good[:at] for at in range(1, len(good))]
    for request in (b"", other, rsa, adding, removing, locking, extension, good + b"x", *cut):
        assert asked.answer(request) == b"\0\0\0\1\5", request


# ---- whom it hears


@contextlib.contextmanager
def listening(path: Path, *users: int) -> Iterator[Signer]:
    signer = Signer(KEY, SEED)
    heard = Listening(signer, path, users=users)
    thread = threading.Thread(target=heard.serve)
    thread.start()
    try:
        yield signer
    finally:
        heard.close()
        thread.join(10)
        assert not thread.is_alive()
        assert not path.exists()


def test_its_socket_is_its_owners_alone_and_answers_as_openssh_does(place: Path):
    path = place / "s.sock"
    with listening(path) as signer:
        assert path.stat().st_mode & 0o777 == 0o600
        assert [each.public for each in held_keys(path)] == [KEY.public]
        assert SshAgentKey(path, KEY.public).sign(CHECKPOINT.encode()) == SigningKey(SEED).sign(
            CHECKPOINT.encode()
        )
        if shutil.which("ssh-add") is not None:
            assert run("ssh-add", "-L", SSH_AUTH_SOCK=str(path)).split()[2] == ORIGIN
        assert signer.signed == {"checkpoint": 1}


def test_only_who_is_named_is_heard_whoever_can_reach_the_socket(place: Path):
    with listening(place / "mine.sock", os.getuid()):
        assert (place / "mine.sock").stat().st_mode & 0o777 == 0o666
        assert held_keys(place / "mine.sock")
    with listening(place / "theirs.sock", os.getuid() + 1):
        for question in (lambda: held_keys(place / "theirs.sock"), lambda: sign(place / "theirs.sock")):
            with pytest.raises(LedgerError) as refusal:
                question()
            assert refusal.value.code is Code.SIGNER_FAILED


def sign(path: Path) -> bytes:
    return SshAgentKey(path, KEY.public).sign(CHECKPOINT.encode())


def test_no_client_stops_it_for_the_others(place: Path):
    path = place / "s.sock"
    with listening(path):
        for sent in (
            b"",
            b"\0",
            b"\xff" * 8,
            b"\0\0\0\0",
            (MAX_REQUEST_BYTES + 1).to_bytes(4, "big"),
            b"GET /",
        ):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                client.sendall(sent)
                with contextlib.suppress(OSError):  # it may have hung up already
                    client.shutdown(socket.SHUT_WR)
                    assert client.recv(100) == b""
        held = [socket.socket(socket.AF_UNIX) for _ in range(CONNECTIONS - 1)]
        for client in held:  # who says nothing takes up no more than one place
            client.connect(str(path))
        assert sign(path)
        for client in held:
            client.close()


def test_a_socket_that_nobody_listens_at_is_replaced_and_one_in_use_is_not(place: Path):
    path = place / "s.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with listening(path):
        with pytest.raises(LedgerError) as refusal:
            Listening(Signer(KEY, SEED), path)
        assert refusal.value.code is Code.LOCKED
        assert sign(path)


# ---- the process


@pytest.fixture
def process(place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`agent-ledger signer serve`, at `place/s.sock`, with the key `place/signer.key`."""
    run(*command("signer", "init", place / "signer.key", "--origin", ORIGIN), PYTHONPATH=str(ROOT))
    serving = subprocess.Popen(
        command("signer", "serve", place / "signer.key", place / "s.sock"),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
    )
    wait_for(place / "s.sock")
    yield serving
    serving.kill()
    serving.communicate()


def test_everything_that_signs_works_with_it_and_the_logs_folder_has_no_secret(
    place: Path, tmp_path: Path, process: subprocess.Popen[bytes]
):
    data = tmp_path / "data"
    Log.create(data, ORIGIN, key=f"ssh-agent:{place / 's.sock'}")
    log = Log.open(data)
    post(log, *(record(number) for number in range(5)))
    log.seal()
    made = back_up(data, tmp_path / "set", log.seal, with_key=True)
    key = log.signer.key
    with make(gather(log, Request(by="ann", seqs=[1, 2]), None), "2026-11-22T00:00:00.000000Z").file as file:
        (tmp_path / "evidence.zip").write_bytes(file.read())
    assert verify_evidence(tmp_path / "evidence.zip", key).verdict == "holds"
    log.erase([(1, "request.text")], by="ann", ground="asked for")
    log.renew(log.segments()[0], log.removed)
    witness = VerifierKey.derive("w.example/w", COSIGNATURE_V1, generate().public)
    assert open_invitation(sign_invitation(log.signer, witness, "https://w.example/")).log == key
    dump(log, tmp_path / "dump")
    log.close()
    load(tmp_path / "dump", tmp_path / "loaded", vkey=key, key=data / "log.key", sealed=True)
    for folder in (data, tmp_path / "loaded"):
        assert not verify_folder(folder, vkey=key).findings
    assert home_of(made.folder / "log.key").startswith("ssh-agent:")
    seed = (place / "signer.key").read_text().split("+", 4)[4].strip().encode()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or seed not in path.read_bytes(), path
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert set(re.findall(rb"\d ([^,\n]+)", said.partition(b"stopped; ")[2])) == {
        b"checkpoint",
        b"agent-ledger segment v1",
        b"agent-ledger backup v1",
        b"agent-ledger evidence v1",
        b"agent-ledger invitation v1",
    }
    assert b"refused" not in said


def test_no_process_of_the_same_user_reads_its_memory():
    program = (
        "import ctypes, resource\n"
        "from ledger.signer.memory import close_memory\n"
        "close_memory()\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))\n"
    )
    assert run(sys.executable, "-c", program, PYTHONPATH=str(ROOT)).split() == ["0", "0", "0"]


def test_a_log_that_has_its_key_in_the_folder_moves_it_out(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    data, path = tmp_path / "data", place / "s.sock"
    Log.create(data, ORIGIN)
    secret = (data / "log.key").read_text()
    with listening(path), pytest.raises(CommandError, match="another key lives there"):
        move(f"ssh-agent:{path}", data=data)
    assert (data / "log.key").read_text() == secret
    monkeypatch.setenv("AGENT_LEDGER_KEY", secret)
    move("environment", data=data)
    home(data=data, as_json=True)
    with pytest.raises(CommandError, match="yourself"):
        move("file", data=data)
    log = Log.open(data)
    post(log, record(1))
    log.close()
    monkeypatch.setattr(environment, "_taken", {})
    with pytest.raises(LedgerError, match="AGENT_LEDGER_KEY does not hold it"):
        home(data=data)
    held, seed = parse_secret(secret, "")
    agent = Told(path, SigningKey(seed))
    (data / "log.key").write_text(secret)
    move(f"ssh-agent:{path}", data=data)
    home(data=data, as_json=True)
    agent.key = SigningKey(SEED)
    with pytest.raises(CommandError, match="does not hold"):
        home(data=data)
    agent.close()
    assert "PRIVATE" not in "".join(capfd.readouterr())
    check_key(data / "log.key")  # as a server does at its start
    assert f"records are refused for now: the signer at {path} is away" in " ".join(
        capfd.readouterr().err.split()
    )
    assert home_of(data / "log.key") == f"ssh-agent:{path}"
    assert load_key(data / "log.key").key == held
    assert {each.name for each in data.iterdir() if each.name.startswith("log.key")} == {"log.key"}


def test_the_signer_and_a_cosigner_share_the_check_of_what_comes_from_outside(place: Path):
    """A witness's key may live there too, and this signer refuses to be one: it is a log's."""
    with listening(place / "s.sock"), pytest.raises(LedgerError) as refusal:
        Cosigner("w.example/w", SshAgentKey(place / "s.sock", KEY.public), 7).line(CHECKPOINT)
    assert refusal.value.code is Code.SIGNER_FAILED
