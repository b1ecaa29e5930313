"""torchwood, by others: its witness cosigns and refuses our logs, its VerifyProof judges our receipts. make test-interop. Threats 6, 16."""

import json
import shutil
from pathlib import Path

import pytest

from ledger.core import canonical
from ledger.core.checkpoint import open_checkpoint
from ledger.core.ed25519 import SigningKey
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import NoteSigner, open_note
from ledger.core.policy import parse_policy
from ledger.core.quorum import verify_witnessed
from ledger.core.receipt import format_receipt, parse_receipt
from ledger.log.keys import create_key
from tests.alerts.receivers import until
from tests.cli.conftest import new_ledger
from tests.faults.server import Server
from tests.interop.conftest import ORIGIN
from tests.witness.pair import RECORD, Stopped

pytestmark = pytest.mark.interop

NOT_IN_THE_TREE = "record inclusion proof verification failed"
POLICY_NOT_MET = "policy components satisfied"


def unwitnessed(receipt, witness):
    """A receipt without the lines of its witness."""
    lines = receipt.splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith(f"\N{EM DASH} {witness.name} ".encode()))


@pytest.mark.parametrize("witness_by", ["us", "torchwood"])
def test_torchwood_proves_our_entries_by_our_receipts_under_the_same_policy(
    witness_by, request, run, tmp_path
):
    ledger = request.getfixturevalue({"us": "witnessed", "torchwood": "lite"}[witness_by])
    seqs = ledger.post(7)
    entry, proof, complete = (tmp_path / name for name in ("entry", "proof", "complete"))
    for seq in (0, seqs[0], seqs[-1]):
        with ledger.server.client() as client:
            entry.write_bytes(canonical.dumps(client.get(f"/v1/entries/{seq}").json()["entry"]))
        proof.write_bytes(ledger.get(f"/v1/entries/{seq}/receipt"))
        assert ledger.ledger.run("receipt", "get", str(seq), "-o", complete).returncode == 0
        for receipt in (proof, complete):  # complete: with the entry in its extra line
            judged = run("spicy", ledger.policy, entry, receipt)
            assert judged.returncode == 0, judged.stderr


def test_torchwood_refuses_what_was_changed_in_a_receipt_or_is_another_logs(lite, run, tmp_path):
    seqs = lite.post(5)
    entry, proof, policy = (tmp_path / name for name in ("entry", "proof", "policy"))
    with lite.server.client() as client:
        whole = canonical.dumps(client.get(f"/v1/entries/{seqs[2]}").json()["entry"])
    receipt, asked = lite.get(f"/v1/entries/{seqs[2]}/receipt"), lite.policy.read_text()
    held = parse_receipt(receipt)
    another = str(NoteSigner(ORIGIN, SigningKey(b"\x07" * 32)).key)
    own_line = unwitnessed(receipt, lite.witness.key)

    def judge(given=receipt, covered=whole, by=asked):
        entry.write_bytes(covered)
        proof.write_bytes(given)
        policy.write_text(by)
        judged = run("spicy", policy, entry, proof)
        return judged.returncode, judged.stderr

    assert judge() == (0, "")
    for given, why in (
        (receipt.replace(f"index {seqs[2]}\n".encode(), f"index {seqs[1]}\n".encode()), NOT_IN_THE_TREE),
        (format_receipt(held.__class__(held.index, held.proof[:-1], held.checkpoint_note)), NOT_IN_THE_TREE),
        (format_receipt(held.__class__(held.index, (), held.checkpoint_note)), NOT_IN_THE_TREE),
        (own_line, POLICY_NOT_MET),
        (receipt.replace(ORIGIN.encode(), b"test.example/another", 1), "invalid signature"),
    ):
        assert given != receipt
        status, said = judge(given)
        assert status == 1
        assert why in said
    assert NOT_IN_THE_TREE in judge(covered=whole.replace(b'"seq":', b'"sEq":'))[1]
    assert POLICY_NOT_MET in judge(by=asked.replace(str(lite.key), another))[1]
    # What refused the receipt without the witness is the policy that asks for him.
    nobody = asked.replace("quorum w", "quorum none")
    assert judge(own_line, by=nobody) == (0, "")
    assert judge(own_line, by=nobody.replace(str(lite.key), another))[0] == 1


def test_litewitness_cosigns_our_log_and_its_word_anchors_it(lite, tmp_path):
    seqs = lite.post(7)
    note = lite.get("/witnessed/checkpoint")
    assert open_note(note, lite.keys).verified_keys == lite.keys
    checkpoint = open_checkpoint(note, [lite.key])
    assert lite.witness.seen(ORIGIN) == (checkpoint.size, checkpoint.root)
    assert checkpoint.size > seqs[-1]

    verified = lite.ledger.run("verify", "--policy", lite.policy, "--max-age", "10m", "--no-remember")
    assert verified.returncode == 0, verified.stderr
    report = json.loads(verified.stdout)["client"]
    assert report["verdict"] == f"verified and anchored up to {checkpoint.size}"
    assert "checkpoint cosigned by w" in {each["what"].partition(" (")[0] for each in report["anchors"]}

    file, stripped = tmp_path / "receipt", tmp_path / "stripped"
    assert lite.ledger.run("receipt", "get", str(seqs[0]), "-o", file).returncode == 0
    held = lite.ledger.run("receipt", "check", file, "--policy", lite.policy)
    assert held.returncode == 0, held.stderr
    assert json.loads(held.stdout)["witnessed_by"] == ["w"]
    stripped.write_bytes(unwitnessed(file.read_bytes(), lite.witness.key))
    refused = lite.ledger.run("receipt", "check", stripped, "--policy", lite.policy)
    assert refused.returncode == 1
    assert b"the quorum w has not cosigned" in refused.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [(0, "it has cosigned {size} entries of this log"), (9, "what it saw at size {size} (422)")],
    ids=["shorter", "longer"],
)
def test_litewitness_refuses_another_history_of_our_key_and_the_server_that_has_it_stops(
    lite, tmp_path, more, said
):
    clone = copied(lite, tmp_path)
    lite.post(5)
    seen = tmp_path / "seen"
    seen.write_bytes(lite.get("/witnessed/checkpoint"))
    size = open_checkpoint(seen.read_bytes(), [lite.key]).size
    if more:  # it goes elsewhere while it asks nobody
        server = Server(clone.data, origin=ORIGIN, environment=clone.environment())
        assert server.post(*[RECORD] * more).status_code == 201
        server.stop()
    served = lite.serve(clone, Stopped)
    try:
        with served.client() as client:
            why = until(lambda: client.get("/v1/witnesses").json()["contradiction"], 30)
        assert said.format(size=size) in why
        refused = served.post(RECORD)
        assert refused.status_code == 503
        assert why in refused.json()["detail"]
        verified = clone.run("verify", "--no-stored", "--no-remember", "-c", seen, "--vkey", str(lite.key))
    finally:
        served.stop()
    [kept] = clone.data.glob("contradictions/*")
    assert json.loads((kept / "about.json").read_text())["witness"] == str(lite.witness.key)
    own = open_checkpoint((kept / "own.checkpoint").read_bytes(), [lite.key])
    assert (own.size > size) == (more > 0)
    assert verified.returncode == 1
    assert more == 0 or is_proved(lite, json.loads(verified.stdout)["fork_proof"])
    lite.post()  # the true one goes on, cosigned


def copied(witnessed, folder):
    """A copy of the ledger as it is now, for another server; the ledger itself is served again."""
    clone = new_ledger(folder)
    witnessed.server.stop()
    shutil.copytree(witnessed.ledger.data, clone.data)
    shutil.copy2(Path(f"{witnessed.ledger.data}.head"), Path(f"{clone.data}.head"))
    witnessed.server = witnessed.serve(witnessed.ledger)
    return clone


def is_proved(witnessed, proof):
    """Whether the file proves that the log forked, to whoever knows its key."""
    judged = witnessed.ledger.run("verify", proof, "--vkey", str(witnessed.key))
    return (judged.returncode, json.loads(judged.stdout)["verdict"]) == (1, "forked")


def test_a_log_by_tessera_that_litewitness_cosigned_meets_our_policy(litewitness, run, tmp_path):
    log = create_key(tmp_path / "private", "tessera.example/log").key  # a key file of ours is one of x/mod's
    litewitness.watch(log)
    policy = tmp_path / "policy"
    policy.write_text(f"log {log}\nwitness w {litewitness.key} {litewitness.url}\nquorum w\n")
    grown = run("grow", tmp_path / "log", tmp_path / "private", policy, 20)
    assert grown.returncode == 0, grown.stderr
    found = verify_witnessed(grown.stdout.encode(), parse_policy(policy.read_bytes()), KeyHistory.begin(log))
    assert (found.by, found.checkpoint.size) == (("w",), 20)
