"""The worked example of docs/format.md, recomputed twice: as an outsider would from the page alone, and by `ledger.core`.

The outsider has hashlib, base64, the judge of canonical bytes (rfc8785) and another Ed25519 (cryptography).
"""

import base64
import hashlib
import json
import re

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.core.ed25519 import SigningKey
from ledger.core.entry import commitment, format_entry, parse_entry, record_signing_input
from ledger.core.errors import VerificationError
from ledger.core.merkle import leaf_hash, root_of
from ledger.core.note import NoteSigner, format_vkey, parse_vkey
from ledger.core.receipt import parse_receipt, verify_receipt
from tests.project.tree import ROOT

PAGE = (ROOT / "docs" / "format.md").read_text(encoding="utf-8")
EXAMPLE = dict(re.findall(r"^```([a-z0-9-]+)\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL))
ENTRIES = [EXAMPLE[f"entry-{seq}"].encode() for seq in range(3)]
LEAVES = [bytes.fromhex(EXAMPLE[f"leaf-{seq}"]) for seq in range(3)]
ORIGIN = EXAMPLE["vkey"].split("+")[0]


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def note_body() -> tuple[bytes, str, bytes]:
    """The example checkpoint taken apart: signed text, key name, key id and signature."""
    text, _, line = EXAMPLE["checkpoint"].partition("\n\n")
    _, name, encoded = line.split(" ")
    return f"{text}\n".encode(), name, base64.b64decode(encoded)


# ---- from the page alone


@pytest.mark.parametrize("data", ENTRIES)
def test_every_entry_of_the_page_is_canonical_for_the_judge(data):
    assert rfc8785.dumps(json.loads(data)) == data


def test_the_leaves_chain_and_fold_into_the_pages_root():
    assert [sha256(b"\x00", entry) for entry in ENTRIES] == LEAVES
    assert [json.loads(entry)["prev"] for entry in ENTRIES] == ["0" * 64, LEAVES[0].hex(), LEAVES[1].hex()]
    root = sha256(b"\x01", sha256(b"\x01", LEAVES[0], LEAVES[1]), LEAVES[2])
    assert root.hex() == EXAMPLE["root"]


def test_the_commitment_is_the_hash_of_salt_and_content_as_received():
    committed = sha256(b"\x02", bytes.fromhex(EXAMPLE["salt"]), EXAMPLE["content"].encode())
    assert committed.hex() == EXAMPLE["commitment"] == json.loads(ENTRIES[2])["record"]["tool"]["arguments"]


def test_the_key_id_is_the_head_of_a_hash_over_name_algorithm_and_key():
    name, key_id, encoded = EXAMPLE["vkey"].split("+", 2)
    key = base64.b64decode(encoded)
    assert key[0] == 0x01
    assert sha256(name.encode(), b"\n", key)[:4].hex() == key_id
    seed = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(EXAMPLE["log-seed"]))
    assert seed.public_key().public_bytes_raw() == key[1:]


def test_another_library_accepts_the_pages_signatures():
    text, name, signature = note_body()
    assert text.decode().split("\n") == [
        ORIGIN,
        "3",
        base64.b64encode(bytes.fromhex(EXAMPLE["root"])).decode(),
        "",
    ]
    assert name == ORIGIN
    log = base64.b64decode(EXAMPLE["vkey"].split("+", 2)[2])[1:]
    Ed25519PublicKey.from_public_bytes(log).verify(signature[4:], text)
    agent = base64.b64decode(json.loads(ENTRIES[1])["record"]["ext"]["log.public_key"])
    signed = json.loads(ENTRIES[2])["signature"]
    Ed25519PublicKey.from_public_bytes(agent).verify(
        base64.b64decode(signed["sig"]), EXAMPLE["signed-by-agent"].encode()
    )


# ---- by the project's core


def test_core_writes_the_same_entries_from_their_parts():
    for data in ENTRIES:
        entry = parse_entry(data)
        assert (
            format_entry(
                prev=entry.prev,
                record=entry.record,
                recorded_at=entry.recorded_at,
                seq=entry.seq,
                submitter=entry.submitter,
                signature=entry.signature,
            )
            == data
        )


def test_core_computes_the_same_hashes_keys_and_signatures():
    signer = NoteSigner(ORIGIN, SigningKey(bytes.fromhex(EXAMPLE["log-seed"])))
    assert format_vkey(signer.key) == EXAMPLE["vkey"]
    assert list(map(leaf_hash, ENTRIES)) == LEAVES
    assert root_of(LEAVES).hex() == EXAMPLE["root"]
    assert (
        commitment(bytes.fromhex(EXAMPLE["salt"]), EXAMPLE["content"].encode()).hex() == EXAMPLE["commitment"]
    )
    signed = parse_entry(ENTRIES[2])
    message = record_signing_input(ORIGIN, signed.record)
    assert message.decode() == EXAMPLE["signed-by-agent"]
    agent = SigningKey(bytes.fromhex(EXAMPLE["agent-seed"]))
    assert signed.signature == ("agent-7", base64.b64encode(agent.sign(message)).decode())


def test_the_pages_receipt_proves_its_entry_and_no_other():
    receipt = EXAMPLE["receipt"].encode() + b"\n"
    keys = [parse_vkey(EXAMPLE["vkey"])]
    assert verify_receipt(receipt, ENTRIES[2], keys, ORIGIN).root.hex() == EXAMPLE["root"]
    assert parse_receipt(receipt).checkpoint_note.decode() == EXAMPLE["checkpoint"] + "\n"
    for other in ENTRIES[:2]:
        with pytest.raises(VerificationError):
            verify_receipt(receipt, other, keys, ORIGIN)
