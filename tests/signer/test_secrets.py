"""Where the key is in the environment, or with an agent, no process that the server starts has either of them, and no SQL, message or log line tells."""

import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ledger.audit.spread import WITHHELD, check_all
from ledger.log.keys import create_key
from tests.cli.conftest import new_ledger
from tests.faults.server import Server
from tests.log.conftest import record

ORIGIN = "ledger.example/secrets"
SOCKET = "/run/user/4711/of-somebody/agent.sock"
CURIOUS = (
    "SELECT getenv('AGENT_LEDGER_KEY')",
    "SELECT getenv('SSH_AUTH_SOCK')",
    "SELECT * FROM read_text('/proc/self/environ')",
    "SELECT * FROM read_text('/proc/{pid}/environ')",
    "SELECT * FROM read_blob('/proc/{pid}/environ')",
    "SELECT * FROM glob('{data}/*')",
    "SELECT * FROM read_text('{data}/log.key')",
)


def shown(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it has ended
        return b""


def descendants(pid: int) -> set[int]:
    found = {int(each) for each in shown(pid, f"task/{pid}/children").split()}
    for task in Path(f"/proc/{pid}/task").glob("*"):  # each thread has children of its own
        found |= {int(each) for each in shown(pid, f"task/{task.name}/children").split()}
    return found | {more for each in found for more in descendants(each)}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="there is no /proc here")
def test_no_child_of_the_server_no_answer_and_no_line_has_the_key_or_the_way_to_an_agent(tmp_path: Path):
    create_key(tmp_path / "kept", ORIGIN)
    secret = (tmp_path / "kept").read_text().strip()
    seed = secret.split("+", 4)[4].encode()  # base64, in which there may be a + too
    made = new_ledger(tmp_path)
    server = Server(  # its own command line and environment are looked at
        made.data,
        forked=False,
        origin=ORIGIN,
        environment=made.environment(AGENT_LEDGER_KEY=secret, SSH_AUTH_SOCK=SOCKET),
        options=("--access-log",),
    )
    children: dict[int, tuple[bytes, bytes]] = {}
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            for pid in descendants(server.process.pid):
                if (environ := shown(pid, "environ")) or pid not in children:
                    children[pid] = environ, shown(pid, "cmdline")
            time.sleep(0.03)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        server.post(*(record(number) for number in range(3)))
        answers = []
        with server.client() as client:
            for sql in CURIOUS:
                asked = sql.format(pid=server.process.pid, data=made.data)
                answer = client.post("/v1/query", json={"sql": asked})
                assert answer.status_code == 422, sql
                answers.append(answer.content)
            assert client.post("/v1/query", json={"sql": "SELECT count(*) FROM records"}).status_code == 200
            assert client.post("/v1/seal").status_code < 300
            answers.append(client.get("/metrics").content)
            answers.append(client.get("/v1/log").content)
        environ, cmdline = shown(server.process.pid, "environ"), shown(server.process.pid, "cmdline")
    finally:
        ended.set()
        watching.join()
        server.stop()
    modules = {b"ledger.forensics.worker", b"ledger.storage.worker"}
    assert {each for each in modules if any(each in line for _, line in children.values())} == modules
    for place in (
        environ,
        cmdline,
        server.said().encode(),
        *answers,
        *(b"".join(c) for c in children.values()),
    ):
        assert seed not in place
    assert SOCKET.encode() in environ  # which is the server's own: it has not been taken from it
    for told, _ in children.values():
        assert SOCKET.encode() not in told
        assert b"AGENT_LEDGER_KEY" not in told
    for path in made.data.rglob("*"):
        assert not path.is_file() or seed not in path.read_bytes(), path


class Telling:
    """In the place of a checker of stretches: what its process has in its environment."""

    def check(self, _start: int, _hints: object) -> str:
        time.sleep(0.01)
        told = {name for name in os.environ if name in WITHHELD}
        return f"{os.getpid()} {told or 'nothing'}"

    def close(self) -> None: ...


def test_no_process_that_verifies_beside_another_has_them(monkeypatch: pytest.MonkeyPatch):
    for name in WITHHELD:
        monkeypatch.setenv(name, "secret")
    told: list[str] = []
    joiner = SimpleNamespace(
        verifier=SimpleNamespace(hints=lambda _: None), take=lambda _, checked: told.append(checked)
    )
    check_all(Telling(), Telling, range(200), joiner, 2)
    assert {each.partition(" ")[2] for each in told} == {"nothing"}
    assert len({each.partition(" ")[0] for each in told}) == 2
