"""What the API hands out verifies with nothing but the verifier key."""

import base64

import pytest

from ledger.core.checkpoint import open_checkpoint
from ledger.core.entry import commitment
from ledger.core.merkle import leaf_hash, root_of, verify_consistency
from ledger.core.note import parse_vkey
from ledger.core.receipt import verify_receipt
from ledger.core.tiles import bundles_for, parse_bundle, tile_path, tiles_for
from tests.api.samples import fresh


@pytest.fixture(scope="module")
def filled(server):
    with server.client() as client:
        for _ in range(3):
            answer = client.post("/v1/records", json=[fresh() for _ in range(200)])
            assert answer.status_code == 201
    return server


def known(http):
    about = http.get("/v1/log").json()
    return about, parse_vkey(about["verifier_key"])


def test_the_tiles_and_bundles_give_the_root_of_the_checkpoint(filled, http):
    about, key = known(http)
    checkpoint = open_checkpoint(http.get("/checkpoint").content, [key], about["origin"])
    assert checkpoint.size >= 600
    entries = []
    for tile in bundles_for(checkpoint.size):
        answer = http.get("/" + tile_path(tile.level, tile.n, tile.width))
        assert "immutable" in answer.headers["cache-control"]
        entries += parse_bundle(answer.content, tile.width)
    hashes = [leaf_hash(entry) for entry in entries]
    assert root_of(hashes) == checkpoint.root
    for tile in tiles_for(checkpoint.size):
        data = http.get("/" + tile_path(tile.level, tile.n, tile.width)).content
        assert len(data) == 32 * tile.width
        if tile.level == 0:
            assert data == b"".join(hashes[tile.n * 256 : tile.n * 256 + tile.width])


def test_a_receipt_proves_its_entry_offline_and_no_other(filled, http):
    _, key = known(http)
    for seq in (0, 1, 255, 256, 599):
        receipt = http.get(f"/v1/entries/{seq}/receipt")
        assert receipt.headers["content-type"].startswith("text/plain")
        size = verify_receipt(receipt.content, entry_bytes(http, seq), [key]).size
        assert size > seq
        with pytest.raises(Exception, match=r"proof|root|hold"):
            verify_receipt(receipt.content, entry_bytes(http, seq + 1), [key])


def entry_bytes(http, seq):
    bundle = http.get(f"/tile/entries/{seq // 256:03}" + ("" if seq < 512 else f".p/{seq % 256 + 1}"))
    return parse_bundle(bundle.content)[seq % 256]


def test_two_checkpoints_are_proved_consistent(filled, http):
    about, key = known(http)
    old = open_checkpoint(http.get("/checkpoint").content, [key], about["origin"])
    http.post("/v1/records", json=[fresh() for _ in range(5)])
    new = open_checkpoint(http.get("/checkpoint").content, [key], about["origin"])
    proof = http.get("/v1/proofs/consistency", params={"old": old.size, "new": new.size}).json()["hashes"]
    verify_consistency(old.size, new.size, [base64.b64decode(h) for h in proof], old.root, new.root)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/entries/999999999", 404),
        ("/v1/entries/-1", 422),
        ("/v1/entries/1_0", 422),
        ("/v1/entries/99999999999999999999", 422),
        ("/v1/entries/%D9%A1", 422),
        ("/v1/entries/999999999/receipt", 404),
        ("/v1/proofs/consistency?old=0&new=1", 422),
        ("/v1/proofs/consistency?old=2&new=1", 422),
        ("/v1/proofs/consistency?old=1&new=999999999", 422),
        ("/v1/proofs/consistency?old=1", 422),
        ("/tile/0/999", 404),
        ("/tile/0/000.p/0", 404),
        ("/tile/0/000.p/256", 404),
        ("/tile/0/0", 404),
        ("/tile/64/000", 404),
        ("/tile/data/000", 404),
        ("/tile/entries/x001/000", 404),
        ("/tile/entries/..%2f..%2fetc%2fpasswd", 404),
        ("/v1/records/nobody", 404),
        ("/v1/records/%0d%0aX:%20y", 404),
        ("/nothing", 404),
    ],
)
def test_what_is_not_there_is_a_problem(http, path, status):
    answer = http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), (
        answer.text
    )


def test_a_method_that_is_not_there_is_a_problem(http):
    answer = http.delete("/v1/records")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert answer.json()["type"].endswith("method-not-allowed")


def test_an_entry_comes_with_what_its_commitments_open_to(http):
    record = fresh(outcome={"status": "success", "result": {"commitment": "0" * 64}})
    http.post("/v1/records", json=record)
    stored = http.get(f"/v1/records/{record['id']}").json()
    inside = stored["entry"]["record"]
    for content in stored["contents"]:
        facet, name = content["member"].split(".")
        assert (
            commitment(bytes.fromhex(content["salt"]), content["value"].encode()).hex() == inside[facet][name]
        )
    [person] = stored["persons"]
    assert (
        commitment(bytes.fromhex(person["salt"]), person["value"].encode()).hex() == inside["request"]["user"]
    )
    assert person["value"] == '"alice@example.com"'
    assert stored["withheld"] == ["outcome.result"]
    [(member, said)] = stored["told_in"].items()
    told = http.get(f"/v1/entries/{said}").json()["entry"]["record"]
    assert (member, told["type"]) == ("outcome.result", "log.content_withheld")
    assert [stored["seq"], member] in told["ext"]["log.withheld"]
