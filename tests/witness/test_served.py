"""A ledger, its witness and whoever verifies, each a process of its own."""

import json

import httpx
import pytest

from ledger.core.note import open_note
from ledger.core.receipt import parse_receipt
from tests.alerts.receivers import until
from tests.witness.conftest import WitnessServer, make_witness
from tests.witness.pair import RECORD, Pair


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    made = Pair(tmp_path_factory.mktemp("pair"))
    yield made
    made.stop()


def test_a_record_can_be_waited_for_until_it_is_witnessed_and_its_receipt_says_so(pair, tmp_path):
    answered = pair.post("?witnessed=true")
    assert (answered.status_code, answered.json()["witnessed"]) == (201, True)
    assert "witnessed" not in pair.post().json()
    seq = answered.json()["seq"]
    with pair.server.client() as client:
        note = client.get("/witnessed/checkpoint").content
        receipt = parse_receipt(client.get(f"/v1/entries/{seq}/receipt").content)
        status = client.get("/v1/witnesses").json()
        tile = [client.get(path).content for path in ("/tile/0/000.p/1", "/witnessed/tile/0/000.p/1")]
    keys = (pair.key, pair.witness.key)
    assert (
        open_note(note, keys).verified_keys == open_note(receipt.checkpoint_note, keys).verified_keys == keys
    )
    assert tile[0] == tile[1] != b""
    assert pair.witness.url not in json.dumps(status)
    assert (status["quorum"], status["witnesses"][0]["name"]) == ("others", "w")


def test_a_batch_waits_too_and_numbers_for_the_operator_say_how_late_witnesses_are(pair):
    with pair.server.client() as client:
        answered = client.post("/v1/records?witnessed=true", json=[RECORD] * 5)
        assert (answered.status_code, answered.json()["witnessed"]) == (201, True)
        numbers = client.get("/metrics").text
        assert client.get("/readyz").json() == {"status": "ready"}
    for name in (
        "witnessed_size",
        "witness_lag_seconds",
        "witness_lag_entries",
        'witness_failures{witness="w"}',
    ):
        assert f"\nagent_ledger_{name} " in numbers


@pytest.mark.parametrize("query", ["?witnessed=1", "?witnessed=", "?witnessed=yes"])
def test_what_is_neither_true_nor_false_is_refused_before_anything_is_written(pair, query):
    answered = pair.post(query)
    assert (answered.status_code, answered.json()["path"]) == (422, "witnessed")


def test_a_receipt_holds_offline_under_the_policy_and_not_without_the_witnesses_lines(pair, tmp_path):
    """Threat 54."""
    seq = pair.post("?witnessed=true").json()["seq"]
    receipt = tmp_path / "receipt"
    assert pair.run("receipt", "get", str(seq), "-o", receipt).returncode == 0
    checked = pair.run("receipt", "check", receipt, "--policy", pair.policy, "--max-age", "10m")
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout)["witnessed_by"] == ["w", "others"]
    lines = receipt.read_bytes().split(b"\n")
    stripped = tmp_path / "stripped"
    stripped.write_bytes(b"\n".join(line for line in lines if not line.startswith("— witness".encode())))
    assert len(stripped.read_bytes()) < len(receipt.read_bytes())
    refused = pair.run("receipt", "check", stripped, "--policy", pair.policy)
    assert refused.returncode == 1
    assert b"the quorum others has not cosigned" in refused.stderr
    assert pair.run("receipt", "check", stripped, "--vkey", str(pair.key)).returncode == 0


def test_a_policy_makes_a_verification_anchored_and_its_absence_not(pair, tmp_path):
    pair.post("?witnessed=true")
    alone = pair.run("verify", "--no-stored", state=tmp_path / "1")
    assert json.loads(alone.stdout)["client"]["anchored_to"] == 0
    found = pair.run(
        "verify", "--no-stored", "--policy", pair.policy, "--max-age", "5m", state=tmp_path / "2"
    )
    assert found.returncode == 0, found.stderr
    report = json.loads(found.stdout)["client"]
    assert report["anchored_to"] > 1
    assert not report["own_key"]  # the policy names it
    assert "checkpoint cosigned by others (w)" in [anchor["what"] for anchor in report["anchors"]]


def test_an_export_takes_the_witnesses_word_along(pair, tmp_path):
    pair.post("?witnessed=true")
    assert pair.run("export", tmp_path / "export").returncode == 0
    found = pair.run("verify", tmp_path / "export", "--policy", pair.policy, state=tmp_path / "nobody")
    assert (found.returncode, json.loads(found.stdout)["client"]["anchored_to"] > 1) == (0, True), (
        found.stderr
    )
    (tmp_path / "export/witnessed/checkpoint").unlink()
    (tmp_path / "export/checkpoint").write_bytes(
        b"".join(
            line
            for line in (tmp_path / "export/checkpoint").read_bytes().splitlines(keepends=True)
            if not line.startswith("— witness".encode())
        )
    )
    assert (
        pair.run("verify", tmp_path / "export", "--policy", pair.policy, state=tmp_path / "nobody").returncode
        == 1
    )


def test_evidence_carries_the_witnesses_word(pair, tmp_path):
    seq = pair.post("?witnessed=true").json()["seq"]
    file = tmp_path / "evidence.zip"
    assert pair.run("evidence", file, str(seq)).returncode == 0
    found = pair.run("verify", file, "--vkey", str(pair.key), "--policy", pair.policy)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["witnessed_by"] == ["w", "others"]
    other = tmp_path / "other.policy"
    stranger = make_witness(tmp_path / "stranger", name="stranger.example/w").key
    other.write_text(f"witness s {stranger}\nquorum s\n")
    refused = pair.run("verify", file, "--vkey", str(pair.key), "--policy", other)
    assert refused.returncode == 1
    assert b"the quorum s has not cosigned" in refused.stdout


def test_without_its_witness_the_log_goes_on_or_acknowledges_nothing_as_it_was_told(pair):
    """Threat 41: fail-open, then fail-closed; then the witness is back."""
    pair.witness.kill()
    late = pair.post("?witnessed=true", id="late-1")
    assert (late.status_code, late.json()["witnessed"]) == (202, False)
    assert pair.post(id="late-2").status_code == 201
    pair.server.stop()
    pair.server = pair.serve("--witness-required")
    refused = pair.post(id="late-3")
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:agent-ledger:problem:not-witnessed")
    batch = httpx.post(
        f"{pair.server.url}/v1/records",
        json=[RECORD | {"id": "late-4"}],
        headers=pair.server.headers,
        timeout=30,
        trust_env=False,
    )
    assert batch.status_code == 503
    where = refused.json()["seq"]
    pair.witness = WitnessServer(pair.folder / "w", port=int(pair.witness.url.rpartition(":")[2]))

    def acknowledged():
        answered = pair.post(id="late-3")
        return answered if answered.status_code == 200 else None

    again = until(acknowledged, 30).json()
    assert (again["seq"], again["existing"]) == (where, True)
    pair.server.stop()
    pair.server = pair.serve()
