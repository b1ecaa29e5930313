"""Two owners, two ledgers, two witnesses, one handshake: federation without a common administrator."""

import contextlib
import json
import time

import pytest

from ledger.client import Ledger
from ledger.client.calls import Calls
from ledger.core.ed25519 import SigningKey
from ledger.core.errors import LedgerError
from ledger.core.invitation import is_fingerprint_of, open_invitation, sign_invitation
from ledger.core.note import COSIGNATURE_V1, NoteSigner, VerifierKey, open_note, parse_vkey
from ledger.log.log import Log
from tests.alerts.receivers import until
from tests.cli.conftest import free_port, new_ledger
from tests.faults.server import Server
from tests.witness.conftest import WitnessServer


class Owner:
    """Somebody with a ledger and a witness, who runs commands."""

    def __init__(self, folder, name):
        folder.mkdir()
        self.folder, self.name, self.port = folder, name, free_port()
        self.ledger, self.origin = new_ledger(folder), f"{name}.example/log"
        self.witness = self.server = None
        self.run("init", "--origin", self.origin)
        self.run("witness", "init", "--name", f"{name}.example/witness")

    def run(self, *arguments, status=0):
        done = self.ledger.run(*arguments, AGENT_LEDGER_WITNESS=str(self.folder / "w"))
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout) if done.stdout else done.stderr.decode()

    def invite(self):
        file = self.folder / "invitation"
        return file, self.run("witness", "invite", file, "--witness-url", f"http://127.0.0.1:{self.port}")

    def serve(self):
        self.witness = WitnessServer(self.folder / "w", port=self.port)
        policy = self.ledger.data / "peers.policy"
        port = self.ledger.url.rpartition(":")[2]
        self.server = Server(
            self.ledger.data,
            origin=self.origin,
            environment=self.ledger.environment(AGENT_LEDGER_WITNESS=str(self.folder / "w")),
            options=("--witness-policy", str(policy), "--witness-private", "--port", port),
        )

    def get(self, path):
        with self.server.client() as client:
            return client.get(path)

    def calls(self, *keys):
        ledger = Ledger(
            self.server.url, self.server.grant(f"agent-{time.time_ns()}", "writer"), source=self.name
        )
        return Calls(ledger, self.origin, keys)

    def key(self, name="current_key"):
        return self.get("/v1/keys").json()["keys"][0 if name == "first" else -1]["verifier_key"]

    def kill(self):
        for process in (self.server, self.witness):
            process.kill()

    def stop(self):
        for process in (self.server, self.witness):
            if process is not None:
                process.stop()


@pytest.fixture
def owners(tmp_path):
    made = Owner(tmp_path / "alice", "alice"), Owner(tmp_path / "bob", "bob")
    yield made
    for owner in made:
        owner.stop()


@pytest.mark.soak
def test_two_owners_witness_each_other_after_one_handshake_until_one_revokes_it(owners):
    alice, bob = owners
    (from_alice, hers), (from_bob, his) = alice.invite(), bob.invite()
    bob.run("witness", "accept", "alice", from_alice, "--yes", hers["fingerprint"])
    alice.run("witness", "accept", "bob", from_bob, "--yes", his["fingerprint"].replace(" ", "").upper())
    for owner in owners:
        owner.serve()
    for one, other in (owners, owners[::-1]):
        note = until(
            lambda one=one: (got := one.get("/witnessed/checkpoint")).status_code == 200 and got.content, 30
        )
        log = parse_vkey(one.get("/v1/log").json()["verifier_key"])
        assert open_note(note, [log, other.witness.key]).verified_keys == (log, other.witness.key)
    recorded = [alice.get(f"/v1/entries/{seq}").json()["entry"]["record"] for seq in (1, 2)]
    assert [each["type"] for each in recorded] == ["log.witness_invited", "log.witness_added"]
    assert recorded[1]["ext"]["log.fingerprint"] == his["fingerprint"]
    assert recorded[1]["ext"]["log.witness"] == str(bob.witness.key)
    alice.stop()
    alice.run("witness", "revoke", "bob")
    assert alice.run("witness", "peers") == []
    alice.serve()
    assert alice.get("/v1/witnesses").json()["witnesses"] == []
    assert alice.get("/v1/entries/3").json()["entry"]["record"]["type"] == "log.witness_removed"
    bob.server.post({"type": "note", "time": "2026-11-21T09:30:00Z"})
    refused = until(lambda: bob.get("/v1/witnesses").json()["witnesses"][0]["problem"], 30)
    assert refused == "it answered 404"
    [log] = alice.run("witness", "list")
    assert (log["origin"], log["keys"], log["size"] > 0) == (bob.origin, [], True)


@pytest.mark.soak
def test_when_one_owner_rotates_her_key_the_other_follows_by_himself_and_records_each_step(owners):
    alice, bob = owners
    (from_alice, hers), (from_bob, his) = alice.invite(), bob.invite()
    bob.run("witness", "accept", "alice", from_alice, "--yes", hers["fingerprint"])
    alice.run("witness", "accept", "bob", from_bob, "--yes", his["fingerprint"])
    for owner in owners:
        owner.serve()
    first = alice.key("first")
    asking, answering = alice.calls(bob.key("first")), bob.calls(first)
    called(asking, answering)
    for _ in range(2):
        alice.run("keys", "rotate")
        signs = alice.key()
        until(lambda signs=signs: bob.get("/v1/peers").json()["peers"][0]["current_key"] == signs, 30)
        head = alice.get("/v1/log").json()["size"]
        until(lambda head=head: alice.get("/v1/witnesses").json()["witnessed_size"] >= head, 30)
        bob.kill()  # it is all on the disk
        bob.serve()
        asking.close()
        answering.close()
        asking, answering = alice.calls(bob.key("first")), bob.calls(first)
        called(asking, answering)
    alice.run("keys", "revoke", first, "--from", "1", "--reason", "a disk was sold")
    until(lambda: "revoked" in [each["log.peer_change"] for each in followed(bob)], 30)
    assert [(each["log.peer"], each["log.peer_log"]) for each in followed(bob)] == [("alice", first)] * 3
    keys = [each["verifier_key"] for each in alice.get("/v1/keys").json()["keys"]]
    assert [each["log.peer_key"] for each in followed(bob)] == [*keys[1:], first]
    # Of three calls the first was confirmed by a receipt under the key that is revoked from before it.
    checked = bob.run("calls", "check", status=1)
    assert (checked["held"], [each["code"] for each in checked["findings"]]) == (2, ["unknown-signer"])
    assert bob.run("witness", "peers")[0]["current_key"] == keys[-1]
    offline(bob, keys, checked["findings"][0]["seq"])


def called(asking, answering):
    """A call from one to the other, whose receipt the other verifies, and back."""
    sent = asking.send(answering.log, b"what is in the third quarter?")
    received = answering.receive(sent.told, b"what is in the third quarter?")
    verdict = sent.answered(received.told)
    asking.ledger.flush()
    assert (received.verdict.receipt, verdict.receipt) == ("verified", "verified"), (received, verdict)


def followed(owner):
    """What his log says of the keys that he followed."""
    sql = "SELECT ext FROM records WHERE type = 'log.peer_key_followed' ORDER BY seq"
    rows = owner.run("sql", sql)["rows"]
    return [json.loads(each) if isinstance(each, str) else each for (each,) in rows]


def offline(bob, keys, refused):
    """What bob shows others, who know any key of alice's log, when nothing runs any more."""
    rows = bob.run(
        "sql", f"SELECT seq FROM records WHERE type = 'call.received' AND seq <> {refused} ORDER BY seq"
    )["rows"]
    receipt, path = bob.folder / "alices.receipt", bob.folder / "dispute.zip"
    bob.run("calls", "receipt", str(rows[-1][0]), receipt)
    sql = f"SELECT seq FROM records WHERE (type LIKE 'call.%' AND seq <> {refused}) OR type = 'log.peer_key_followed'"
    bob.run("evidence", path, "--sql", sql)
    own = bob.key("first")
    bob.stop()
    assert bob.run("receipt", "check", receipt)["origin"] == "alice.example/log"
    for key in keys:
        report = bob.run("verify", path, "--vkey", own, "--peer", key)
        assert (report["verdict"], report["peers"], report["peers_not_checked"]) == ("holds", 2, 0)


def test_a_proof_that_comes_by_hand_is_followed_too_and_another_is_refused(owners):
    alice, bob = owners
    (from_alice, hers), proof = alice.invite(), alice.folder / "keys.json"
    bob.run("witness", "accept", "alice", from_alice, "--yes", hers["fingerprint"])
    with contextlib.closing(Log.open(alice.ledger.data)) as log:
        log.rotate_key(by="token:admin")
        proof.write_bytes(log.key_proof())
        signs = str(log.keys.current)
    bob.run("witness", "follow", proof)
    assert bob.run("witness", "peers")[0]["current_key"] == signs
    proof.write_bytes(proof.read_bytes().replace(b"index 2", b"index 1"))
    bob.run("witness", "follow", proof, status=2)
    assert bob.run("witness", "peers")[0]["current_key"] == signs


def test_a_fingerprint_that_is_not_read_out_so_is_refused_and_nothing_is_done(owners, tmp_path):
    alice, bob = owners
    file, _ = bob.invite()
    _, own = alice.invite()
    for wrong in ("", own["fingerprint"], "0000 0000 0000 0000 0000 0000 0000 0000"):
        said = alice.run("witness", "accept", "bob", file, "--yes", wrong, status=2)
        assert "nothing was done" in said
        assert (
            open_invitation(file.read_bytes()).fingerprint not in said
        )  # whoever is told it compares nothing
    assert "nobody can be asked here" in alice.run("witness", "accept", "bob", file, status=2)
    assert alice.run("witness", "peers") == []
    assert not (alice.ledger.data / "peers.policy").exists()
    assert "your own invitation" in alice.run(
        "witness", "accept", "me", alice.folder / "invitation", "--yes", own["fingerprint"], status=2
    )


SIGNER = NoteSigner("ledger.example/a", SigningKey(b"\x01" * 32))
WITNESS = VerifierKey.derive("witness.example/a", COSIGNATURE_V1, SigningKey(b"\x02" * 32).public)


def test_an_invitation_is_no_other_ones_and_none_that_was_changed():
    note = sign_invitation(SIGNER, WITNESS, "https://witness.example/")
    own = open_invitation(note)
    assert is_fingerprint_of(own, own.fingerprint)
    other = VerifierKey.derive("witness.example/a", COSIGNATURE_V1, SigningKey(b"\x03" * 32).public)
    assert not is_fingerprint_of(own, open_invitation(sign_invitation(SIGNER, other, own.url)).fingerprint)
    for position in range(len(note)):
        changed = bytearray(note)
        changed[position] ^= 1
        with pytest.raises(LedgerError):
            open_invitation(bytes(changed))


def test_a_witness_with_the_logs_own_key_is_not_invited_with():
    own = VerifierKey.derive("witness.example/a", COSIGNATURE_V1, SIGNER.key.public)
    with pytest.raises(LedgerError, match="the log's own key"):
        sign_invitation(SIGNER, own, "https://witness.example/")
