"""A peer has rotated its log's key: recorders and commands that know the key of the handshake learn the next one, from their own ledger or with the file itself."""

import contextlib
from dataclasses import replace

import pytest

from ledger.client import Ledger, Spool
from ledger.client.calls import HEADER, Calls
from ledger.client.given import given_statements
from ledger.core.crossing import Told, format_told
from ledger.core.keyhistory import parse_history
from ledger.core.note import format_vkey
from ledger.core.peerkeys import ADDED, FOLLOWED
from ledger.core.receipt import format_receipt, parse_receipt
from ledger.evidence.bundle import make
from ledger.evidence.gather import Request, gather
from ledger.log.log import Log
from tests.evidence.crossed import BOB, SALT
from tests.evidence.followed import NEXT
from tests.faults.server import Server
from tests.log.conftest import post

MESSAGE = b"what is in the third quarter?"


class Bob:
    """bob's log, with a record of a call from alice."""

    def __init__(self, data):
        Log.create(data, BOB.key.name)
        self.log = Log.open(data)

    def called(self, number):
        """The receipt of a new entry: `call.sent` to alice, as it goes along with the call."""
        call = f"{number:032x}"
        record = {
            "id": call,
            "type": "call.sent",
            "time": "2026-11-21T09:30:00Z",
            "ext": {"call.id": call, "call.peer": "alice.example/log"},
        }
        (answer,) = post(self.log, record)
        held = parse_receipt(self.log.receipt(answer.seq))
        receipt = format_receipt(replace(held, extra=self.log.entry(answer.seq)))
        return {HEADER: format_told(Told(call, self.log.origin, SALT, receipt))}


@pytest.fixture
def bob(tmp_path):
    made = Bob(tmp_path / "bob")
    yield made
    made.log.close()


def accept(data, bob, *, followed_too):
    """alice's log accepts bob's first key, and follows it as far as he proves."""
    Log.create(data, "alice.example/log")
    with contextlib.closing(Log.open(data)) as log:
        log.append_own(ADDED, {"log.peer": "bob", "log.peer_log": format_vkey(bob.log.keys.first)})
        if followed_too:
            (peer,) = log.standing.peers.peers.values()
            for ext in peer.next_steps(bob.log.key_proof()):
                log.append_own(FOLLOWED, ext)


def test_a_recorder_learns_the_next_key_from_its_own_ledger_by_proof_and_an_old_one_counts_no_more(
    bob, tmp_path
):
    before = bob.called(1)
    bob.log.rotate_key(by="token:admin")
    bob.log.revoke_key(bob.log.keys.first, 1, by="token:admin")
    after = bob.called(2)
    accept(tmp_path / "alice", bob, followed_too=True)
    server = Server(tmp_path / "alice", origin="alice.example/log")
    try:
        secret = server.grant("agent", "writer")
        with contextlib.closing(Ledger(server.url, secret, source="alice")) as ledger:
            first = format_vkey(bob.log.keys.first)
            stranger = Calls(ledger, "alice.example/log", [format_vkey(NEXT.key)])
            calls = Calls(ledger, "alice.example/log", [first])
            verdicts = [
                each.receive(told, MESSAGE).verdict for each in (stranger, calls) for told in (after, before)
            ]
            for each in (stranger, calls):
                each.close()
        with server.client() as client:
            (peer,) = client.get("/v1/peers").json()["peers"]
    finally:
        server.stop()
    unknown, revoked = ("refused", "unknown-signer"), ("refused", "unknown-signer")
    assert [(each.receipt, each.problem) for each in verdicts] == [
        unknown,
        unknown,
        ("refused", "another-message"),  # whose it is, is known: only what it says is not of this message
        revoked,
    ]
    assert (peer["name"], peer["verifier_key"], peer["current_key"]) == (
        "bob",
        first,
        format_vkey(bob.log.keys.current),
    )
    assert parse_history(peer["proof"].encode(), bob.log.keys.first) == bob.log.keys


def test_a_recorder_whose_ledger_follows_nobody_or_is_away_goes_on_with_what_it_knows(bob, tmp_path):
    before = bob.called(1)
    bob.log.rotate_key(by="token:admin")
    after = bob.called(2)
    ledger = Ledger("http://127.0.0.1:9", "nothing", away=Spool(tmp_path / "spool"), timeout_s=0.4)
    calls = Calls(ledger, "alice.example/log", [format_vkey(bob.log.keys.first)])
    said = [calls.receive(told, MESSAGE).verdict.problem for told in (before, after)]
    ledger.close()
    assert said == ["another-message", "unknown-signer"]


def evidence_file(log, path, seqs):
    gathered = gather(log, Request(by="bob", seqs=seqs), None)
    with make(gathered, "2026-11-22T00:00:00.000000Z").file as file:
        path.write_bytes(file.read())
    return path


def test_evidence_of_a_peer_is_read_under_the_key_of_the_handshake_and_what_a_revoked_key_signed_is_not(
    bob, tmp_path
):
    first = bob.log.keys.first
    bob.called(1)
    early = evidence_file(bob.log, tmp_path / "early.zip", [1])
    bob.log.rotate_key(by="token:admin")
    bob.called(2)
    late = evidence_file(bob.log, tmp_path / "late.zip", [1, bob.log.head().size - 1])
    bob.log.revoke_key(first, 1, by="token:admin")
    for keys in ([first], [bob.log.keys.current]):
        report, statements = given_statements(late, keys)
        assert (report.findings, len(statements)) == ([], 2)
    report, statements = given_statements(early, [first])
    assert (report.findings, len(statements)) == ([], 1)
    known = parse_history(bob.log.key_proof(), first)
    report, statements = given_statements(late, [known])  # which another key signed for
    assert (report.findings, len(statements)) == ([], 2)
    report, statements = given_statements(early, [known])
    assert ([each.kind for each in report.findings], statements) == (["checkpoint"], [])
