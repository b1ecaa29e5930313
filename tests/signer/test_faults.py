"""An agent that is away, hangs, lies or talks nonsense: the log acknowledges nothing, says why, and goes on when it is back."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ledger.audit.fsck import verify_folder
from ledger.core.checkpoint import open_checkpoint
from ledger.core.ed25519 import SigningKey
from ledger.core.errors import Code, LedgerError
from ledger.core.note import parse_vkey
from ledger.log import sealing, sshagent, sshwire
from ledger.log.log import Log
from ledger.storage.build import Build
from tests.cli.conftest import Ledger, new_ledger
from tests.faults.server import Server
from tests.faults.server import told as acknowledged
from tests.log.conftest import ORIGIN, post, record
from tests.signer.agents import Behaviour, OpenSSH, Told, honest, short_folder

WRONG: dict[str, Behaviour] = {
    "another key's signature": lambda request, _: sshwire.format_signature(
        SigningKey(b"\x08" * 32).sign(sshwire.parse_sign_request(request[1:]).data)
    ),
    "a signature of something else": lambda _, answer: sshwire.format_signature(
        SigningKey(b"\x07" * 32).sign(answer)
    ),
    "zeros": lambda *_: sshwire.format_signature(bytes(64)),
    "a signature of 63 bytes": lambda *_: sshwire.format_signature(bytes(63)),
    "a signature of another kind": lambda *_: sshwire.format_message(
        sshwire.SIGN_RESPONSE, b"\0\0\0\x07ssh-rsa" + b"\0\0\0\x40" + bytes(64)
    ),
    "bytes after the signature": lambda _, answer: (len(answer) - 3).to_bytes(4, "big") + answer[4:] + b"\0",
    "a string longer than the message": lambda *_: b"\0\0\0\x05\x0e\xff\xff\xff\xff",
    "an empty message": lambda *_: b"\0\0\0\0",
    "a kind alone": lambda *_: b"\0\0\0\x01\x0e",
    "a refusal": lambda *_: b"\0\0\0\x01\x05",
    "the answer to another question": lambda *_: sshwire.format_identities([]),
    "4 GiB": lambda *_: b"\xff\xff\xff\xff" + bytes(1000),
    "HTTP": lambda *_: b"HTTP/1.1 200 OK\r\n\r\n",
    "half an answer": lambda _, answer: answer[:40],
    "nothing, hanging up": lambda *_: None,
}


@pytest.fixture
def log(tmp_path: Path, told: Told):
    Log.create(tmp_path / "data", ORIGIN, key=f"ssh-agent:{told.path}")
    opened = Log.open(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def one_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Log, Told]]:
    """A log whose records are not told apart by what went wrong before."""
    with short_folder() as place:
        agent, data = Told(place / "told.sock"), tmp_path_factory.mktemp("one") / "data"
        Log.create(data, ORIGIN, key=f"ssh-agent:{agent.path}")
        opened = Log.open(data)
        yield opened, agent
        opened.close()
        agent.close()


def refused(log: Log, *values: dict) -> LedgerError:
    answers = post(log, *values)
    assert {answer.code for answer in answers} == {Code.SIGNER_FAILED}
    assert answers[0].members["retry_after"] >= 1
    return answers[0]


@pytest.mark.parametrize("behaviour", WRONG.values(), ids=WRONG)
def test_a_wrong_answer_acknowledges_nothing_and_writes_nothing_and_the_next_right_one_goes_on(
    behaviour: Behaviour, one_for_all: tuple[Log, Told]
):
    log, told = one_for_all
    before = log.head()
    first, second, third = (record(10 * before.size + number) for number in range(3))
    told.behaviour = behaviour
    refused(log, first, second)
    assert log.head() == before
    assert log.find(first["id"]) is None
    assert log.status()["unsigned"]
    told.behaviour = honest
    answers = post(log, first, third)
    assert [(each.seq, each.existing) for each in answers] == [(before.size, False), (before.size + 1, False)]
    assert log.status()["unsigned"] is None
    assert open_checkpoint(log.head().note, [parse_vkey(log.vkey)], ORIGIN).size == before.size + 2


def test_an_agent_that_hangs_is_waited_for_so_long_and_its_late_answer_is_nobodys(
    log: Log, told: Told, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sshagent, "TIMEOUT_S", 0.2)
    late, gone = threading.Event(), threading.Event()

    def hang(_request: bytes, answer: bytes) -> bytes:
        late.wait(20)
        gone.set()
        return answer

    told.behaviour = hang
    began = time.monotonic()
    assert "within 0.2 s" in refused(log, record(1)).detail
    assert time.monotonic() - began < 5
    told.behaviour = honest
    (first,) = post(log, record(2))
    late.set()
    assert gone.wait(20)
    (second,) = post(log, record(1))
    assert (first.seq, second.seq) == (1, 2)


def test_an_agent_that_trickles_is_not_waited_for_longer(
    told: Told, log: Log, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sshagent, "TIMEOUT_S", 0.2)
    path = told.path.with_name("slow.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def trickle() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"\0\0\1\0")
                for _ in range(40):
                    time.sleep(0.05)
                    try:
                        connection.sendall(b"\x0e")
                    except OSError:
                        return

        threading.Thread(target=trickle, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(LedgerError, match=r"within 0\.2 s"):
            sshagent.SshAgentKey(path, told.key.public).sign(b"x")
        assert time.monotonic() - began < 1.5


def test_a_log_opens_reads_and_closes_while_its_agent_is_away(tmp_path: Path, openssh: OpenSSH):
    data = tmp_path / "data"
    Log.create(data, ORIGIN, key=f"ssh-agent:{openssh.path}")
    log = Log.open(data)
    post(log, record(1))
    log.close()
    openssh.kill()
    log = Log.open(data)
    assert log.stored(1).seq == 1
    detail = refused(log, record(2)).detail
    assert "is away" in detail
    assert "start it again" in detail
    with pytest.raises(LedgerError) as sealing:
        log.seal()
    assert "is away" in sealing.value.detail
    openssh.start()
    (answer,) = post(log, record(2))
    assert answer.seq == 2
    assert log.seal() == 3
    log.close()


def test_what_was_built_while_the_agent_is_away_waits_for_it_and_is_not_built_again(
    log: Log, told: Told, monkeypatch: pytest.MonkeyPatch
):
    built, build = [], Build.run
    monkeypatch.setattr(Build, "run", lambda self, rows: built.append(self) or build(self, rows))
    monkeypatch.setattr(sealing, "RETRY_S", 0.05)
    asked = threading.Semaphore(0)

    def away(*_: bytes) -> None:
        asked.release()

    post(log, record(1))
    told.behaviour = away
    for _ in range(2):
        with pytest.raises(LedgerError, match="hung up"):
            log.seal()
    for _ in range(5):
        assert asked.acquire(timeout=20)
    assert len(built) == 1
    told.behaviour = honest
    deadline = time.monotonic() + 20
    while log.sealing().sealed < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert log.seal() == 2
    assert len(built) == 1
    assert log.sealing().failed is None


def test_a_log_closes_while_what_was_built_waits_for_the_agent_and_the_next_start_seals_it(
    told: Told, tmp_path: Path
):
    Log.create(tmp_path / "data", ORIGIN, key=f"ssh-agent:{told.path}")
    log = Log.open(tmp_path / "data")
    post(log, record(1))
    told.behaviour = lambda *_: None
    with pytest.raises(LedgerError):
        log.seal()
    log.close()
    told.behaviour = honest
    again = Log.open(tmp_path / "data")
    assert again.seal() == 2
    again.close()
    assert verify_folder(tmp_path / "data").findings == ()


def test_every_message_an_agent_is_asked_to_sign_is_a_note_of_this_log_and_no_size_is_kept_twice(
    log: Log, told: Told
):
    """What was signed and did not arrive is kept nowhere: of every size the log has one checkpoint."""
    for number in range(12):
        told.behaviour = WRONG["half an answer"] if number % 3 == 0 else honest
        post(log, record(number))
        told.behaviour = honest
        post(log, record(number), record(100 + number))
    log.seal()
    assert {data.split(b"\n")[0] for data in told.signed} == {ORIGIN.encode(), b"agent-ledger segment v1"}
    kept = [log.head().note] + [segment.manifest.checkpoint for segment in log.segments()]
    assert {note.split(b"\n")[1] for note in kept} == {str(log.head().size).encode()}
    assert len(set(kept)) == 1


# ---- a server, under load


def served(folder: Path, openssh: OpenSSH) -> tuple[Ledger, Server]:
    made = new_ledger(folder)
    done = made.run("init", "--origin", ORIGIN, "--key", f"ssh-agent:{openssh.path}")
    assert done.returncode == 0, done.stderr
    return made, Server(made.data, origin=ORIGIN, environment=made.environment())


def test_an_agent_killed_under_load_costs_no_acknowledged_record_and_the_server_goes_on_by_itself(
    tmp_path: Path, openssh: OpenSSH
):
    made, server = served(tmp_path, openssh)
    kept: dict[str, tuple[int, str]] = {}
    statuses: list[tuple[int, str]] = []
    ending = threading.Event()

    def load(writer: int) -> None:
        number = 0
        with server.client() as client:
            while not ending.is_set():
                body = record(number) | {"id": f"w{writer}-{number}"}
                answer = client.post("/v1/records", json=body)
                statuses.append((answer.status_code, answer.json().get("type", "")))
                kept.update(acknowledged(answer))
                if answer.status_code < 500:
                    number += 1
                else:
                    assert int(answer.headers["Retry-After"]) >= 1
                    time.sleep(0.01)

    writers = [threading.Thread(target=load, args=(writer,)) for writer in range(3)]
    try:
        for writer in writers:
            writer.start()
        for _ in range(3):
            grown(kept)
            openssh.kill()
            until_refused(statuses)
            openssh.start()
        grown(kept)
        ending.set()
        for writer in writers:
            writer.join(30)
        assert {status for status in statuses if status[0] >= 500} == {
            (503, "urn:agent-ledger:problem:signer-failed")
        }
        with server.client() as client:
            for name, (seq, leaf) in kept.items():
                found = client.get(f"/v1/records/{name}").json()
                assert (found["seq"], found["leaf_hash"]) == (seq, leaf)
    finally:
        ending.set()
        server.stop()
    assert not verify_folder(made.data).findings


def ready(server: Server) -> str:
    return str(httpx.get(f"{server.url}/readyz", trust_env=False).json()["status"])


def grown(kept: dict[str, tuple[int, str]], more: int = 15, seconds: float = 60) -> None:
    """Until so many more are acknowledged."""
    wanted, deadline = len(kept) + more, time.monotonic() + seconds
    while len(kept) < wanted:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def until_refused(statuses: list[tuple[int, str]], seconds: float = 60) -> None:
    """Until somebody has been refused since."""
    seen, deadline = len(statuses), time.monotonic() + seconds
    while not any(status >= 500 for status, _ in statuses[seen:]):
        assert time.monotonic() < deadline
        time.sleep(0.005)
