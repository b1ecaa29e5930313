"""Somebody with the disk, the database and the log's own key rewrites history. Threats 2, 5 and 6.

The ledger, its witness and the command line are processes of their own. What was kept before the rewrite, each alone, finds it: what a witness saw, the
checkpoint that a client remembers, a receipt. Each time the log's own signatures become a proof that anybody can check, without a network. With none of them
the verdict never says more than "not anchored".
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from ledger.core.errors import LedgerError
from ledger.core.fork import parse_fork, verify_fork
from ledger.core.note import parse_note
from ledger.core.witnessing import origin_hash
from ledger.log.log import Log
from tests.alerts.receivers import until
from tests.cli.conftest import ROOT
from tests.faults.server import Server
from tests.log.conftest import post
from tests.witness.pair import ORIGIN, RECORD, Pair, Stopped

TRUE, REWRITTEN = 7, 12
NO_NETWORK = """
import sys

def refuse(event, arguments):
    if event.startswith("socket."):
        raise OSError(f"there is no network here: {event}")

sys.addaudithook(refuse)
"""


def paid(amount: int) -> dict:
    return RECORD | {"ext": {"test.amount": amount}}


class Rewritten(Pair):
    """A log that was witnessed, seen and receipted; another history of it, signed with its key, now stands in its place."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.auditor, self.receipt = folder / "auditor", folder / "receipt"
        with self.server.client() as client:
            sent = client.post("/v1/records?witnessed=true", json=[paid(amount) for amount in range(TRUE)])
        assert sent.json()["witnessed"], sent.text
        seq = sent.json()["results"][-1]["seq"]
        seen = self.run("verify", "--vkey", self.key, state=self.auditor)
        assert seen.returncode == 0, seen.stderr
        assert self.run("receipt", "get", str(seq), "-o", self.receipt).returncode == 0
        self.server.stop()
        self._rewrite()
        self.server = self.rule()

    def _rewrite(self) -> None:
        data, forged = self.ledger.data, self.folder / "forged"
        forged.mkdir(mode=0o700)
        for name in ("log.key", "cli.token"):
            shutil.copy2(data / name, forged / name)
        Log.create(forged, ORIGIN)
        log = Log.open(forged)
        post(log, *[paid(1_000_000) for _ in range(REWRITTEN)])
        log.close()
        for ending in ("", ".head"):
            true, false = Path(f"{data}{ending}"), Path(f"{forged}{ending}")
            true.rename(self.folder / f"true{ending}")
            false.rename(true)

    def rule(self) -> Server:
        """The rewritten log at the true one's address. Who rewrote it asks no witness."""
        port = self.ledger.url.rpartition(":")[2]
        return Server(
            self.ledger.data, origin=ORIGIN, environment=self.ledger.environment(), options=("--port", port)
        )

    def verified(self, *arguments, state):
        """What the command line says of the running log: exit status and answer."""
        found = self.run("verify", *arguments, state=state)
        return found.returncode, json.loads(found.stdout), found.stderr.decode()

    def alone(self, folder: Path, **more) -> dict[str, str]:
        """An environment in which no process can make a socket."""
        (folder / "none").mkdir(exist_ok=True)
        (folder / "none/sitecustomize.py").write_text(NO_NETWORK)
        return {"PYTHONPATH": f"{folder / 'none'}{os.pathsep}{ROOT}", **more}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    made = Rewritten(tmp_path_factory.mktemp("rewritten"))
    yield made
    made.stop()


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def convinces_anybody(log: Rewritten, proof: Path, folder: Path) -> None:
    """A stranger's process, without a network, a memory or a log, is handed the file and the log's key."""
    carried = folder / "carried" / "fork.proof"
    carried.parent.mkdir()
    shutil.copy2(proof, carried)
    stranger = log.ledger._replace(data=folder / "no-data", state=folder / "stranger")
    said = stranger.run("verify", carried, "--vkey", log.key, **log.alone(folder))
    assert said.returncode == 1, said.stderr
    told = json.loads(said.stdout)
    assert (told["verdict"], told["origin"], told["key_from"]) == ("forked", ORIGIN, "you")
    assert len(set(told["roots"])) == 2
    assert b"has signed two histories" in said.stderr
    assert not stranger.state.exists()


def test_with_nothing_kept_outside_the_verdict_is_consistent_and_not_anchored(log, tmp_path):
    status, said, words = log.verified("--vkey", log.key, state=tmp_path / "nobody")
    assert status == 0
    for part in ("client", "stored"):
        assert said[part]["verdict"] == "consistent with itself, not anchored"
        assert (said[part]["anchored_to"], said[part]["findings"]) == (0, [])
    assert "fork_proof" not in said
    assert "could have cut or rewritten it" in words


def test_a_client_that_remembers_a_checkpoint_finds_it_and_has_the_proof(log, tmp_path):
    before = contents(log.auditor)
    status, said, words = log.verified("--no-stored", state=log.auditor)
    assert (status, {each["kind"] for each in said["client"]["findings"]}) == (1, {"forked"})
    assert said["fork_proof"] in words
    convinces_anybody(log, Path(said["fork_proof"]), tmp_path)
    assert before.items() <= contents(log.auditor).items()  # what it remembers was not replaced


def test_who_has_a_receipt_finds_it_and_has_the_proof(log, tmp_path):
    status, said, _ = log.verified("--receipt", log.receipt, state=tmp_path / "nobody")
    assert (status, {each["kind"] for each in said["client"]["findings"]}) == (1, {"forked"})
    assert {each["kind"] for each in said["stored"]["findings"]} == {"forked"}
    convinces_anybody(log, Path(said["fork_proof"]), tmp_path)


def test_a_receipt_alone_still_proves_its_entry_without_any_log(log, tmp_path):
    checked = log.run(
        "receipt", "check", log.receipt, "--vkey", log.key, state=tmp_path, **log.alone(tmp_path)
    )
    assert checked.returncode == 0, checked.stderr


def test_who_asks_for_the_witnesss_word_does_not_get_it(log, tmp_path):
    status, said, _ = log.verified("--no-stored", "--policy", log.policy, state=tmp_path / "nobody")
    assert status == 1
    assert "the quorum others has not cosigned" in json.dumps(said["client"]["findings"])


def test_who_asks_the_witness_what_it_saw_finds_it_and_has_the_proof(log, tmp_path):
    seen = tmp_path / "seen.checkpoint"
    seen.write_bytes(
        httpx.get(f"{log.witness.url}/{origin_hash(ORIGIN)}/checkpoint", trust_env=False).content
    )
    assert int(parse_note(seen.read_bytes()).text.split("\n")[1]) > TRUE
    status, said, _ = log.verified("--no-stored", "-c", seen, state=tmp_path / "nobody")
    assert (status, {each["kind"] for each in said["client"]["findings"]}) == (1, {"forked"})
    convinces_anybody(log, Path(said["fork_proof"]), tmp_path)


def test_a_proof_that_was_altered_or_is_of_one_history_proves_nothing(log):
    path = next(log.folder.rglob("auditor/**/fork.proof"))
    whole, size = (
        json.loads(path.read_bytes()),
        verify_fork(parse_fork(path.read_bytes()), log.key).older.size,
    )
    older, root = whole["older"], whole["root"]
    for altered in (
        {"newer": older, "consistency": []},
        {"root": root[:-6] + "AAAAA="},
        {"older": older.replace(f"\n{size}\n", f"\n{size + 1}\n", 1)},
        {"consistency": []},
    ):
        with pytest.raises(LedgerError):
            verify_fork(parse_fork(json.dumps(whole | altered, sort_keys=True).encode()), log.key)


def test_the_process_without_a_network_can_make_no_socket(log, tmp_path):
    said = subprocess.run(
        [sys.executable, "-c", "import socket; socket.socket()"],
        env={**os.environ, **log.alone(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert b"there is no network here" in said.stderr


def test_the_witness_stops_the_rewritten_log_which_then_holds_the_proof_against_itself(log, tmp_path):
    log.server.stop()
    options = ("--port", "0", "--witness-policy", str(log.policy), "--witness-private")
    served = Stopped(log.ledger.data, origin=ORIGIN, environment=log.ledger.environment(), options=options)
    until(lambda: served.post(RECORD).status_code == 503, 30)
    assert "refused the proof that the log extends what it saw" in served.post(RECORD).json()["detail"]
    served.stop()
    [proof] = log.ledger.data.glob("contradictions/*/fork.proof")
    convinces_anybody(log, proof, tmp_path)
    log.server = served
