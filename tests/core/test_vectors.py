"""Every public vector file: run against this code, or named below with the reason why it cannot be.

Expected outcomes are the vectors' own. A runner returns the ids of the cases that came out differently.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.core import canonical, ed25519, merkle
from ledger.core.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint, sign_checkpoint
from ledger.core.errors import Code, FormatError, LedgerError, VerificationError
from ledger.core.note import (
    ED25519,
    Cosigner,
    NoteSigner,
    VerifierKey,
    format_vkey,
    open_note,
    parse_note,
    parse_vkey,
    sign_note,
)
from ledger.core.receipt import Receipt, format_receipt, parse_receipt, verify_receipt
from ledger.core.tiles import (
    TILE_WIDTH,
    TileHashes,
    encode_bundle,
    parse_bundle,
    parse_tile,
    parse_tile_path,
    tile_path,
    tile_width,
    tiles_for,
)

INAPPLICABLE = {
    "jcs/es6numbers.json": "the narrowed canonical form has no floats",
    "merkle/subtreeconsistency.json": "subtree proofs are of a later draft; this log serves proofs of whole trees",
    "merkle/subtreeinclusion.json": "subtree proofs are of a later draft; this log serves proofs of whole trees",
    "wycheproof/mldsa_44_verify_test.json": "no ML-DSA signer or verifier yet; its lines are ignored as unknown (test_note.py)",
}


def b64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def holds(check: Callable[..., object], *args: object) -> bool:
    try:
        check(*args)
    except (FormatError, VerificationError):
        return False
    return True


def by_case(judge: Callable[[dict], bool]) -> Callable[[dict], list]:
    """A runner of a file's cases, from a function that says whether a case came out as it should."""
    return lambda file: [case["id"] for case in file["cases"] if not judge(case)]


# ---- merkle


def inclusion(case: dict) -> bool:
    proof = [b64(digest) for digest in case["proof"] or []]
    args = b64(case["leafHash"]), case["leafIdx"], case["treeSize"], proof, b64(case["root"])
    return holds(merkle.verify_inclusion, *args) is not case["wantErr"]


def consistency(case: dict) -> bool:
    proof = [b64(digest) for digest in case["proof"] or []]
    args = case["size1"], case["size2"], proof, b64(case["root1"]), b64(case["root2"])
    return holds(merkle.verify_consistency, *args) is not case["wantErr"]


# ---- signed text


def signed_note(case: dict) -> bool:
    try:
        note = open_note(case["note"].encode(), [parse_vkey(vkey) for vkey in case["vkeys"]])
    except (FormatError, VerificationError):
        return not case["valid"]
    return case["valid"] and list(note.verified) == case["verified"]


def verifier_key(case: dict) -> bool:
    if not case["valid"]:
        return not holds(parse_vkey, case["vkey"])
    return format_vkey(parse_vkey(case["vkey"])) == case["vkey"]


def cosignatures(file: dict) -> list:
    def judge(case: dict) -> bool:
        key = parse_vkey(case["vkey"])
        try:
            note = open_note(case["checkpoint"].encode(), [key])
        except VerificationError:
            return not case["valid"]
        return case["valid"] and note.cosigned_at == ((key.name, file["meta"]["timestamp_expected"]),)

    return by_case(judge)(file)


def checkpoint_body(case: dict) -> bool:
    return holds(parse_checkpoint, case["body"]) is case["valid"]


def proof_envelope(case: dict) -> bool:
    if not case["parses"]:
        return not holds(parse_receipt, case["text"].encode())
    return format_receipt(parse_receipt(case["text"].encode())) == case["text"].encode()


def witness_dialogue(file: dict) -> list:
    """What of the dialogue is about notes, checkpoints and consistency; the witness's own state comes with issue 6."""
    origin, public = file["meta"]["log_origin"], bytes.fromhex(file["meta"]["log_ed25519_pub_hex"])
    key = VerifierKey.derive(origin, ED25519, public)
    seen: Checkpoint | None = None
    wrong = []
    for step in file["steps"]:
        head, _, note = step["body"].partition("\n\n")
        old, *proof = head.split("\n")
        try:
            checkpoint = open_checkpoint(note.encode(), [key], origin)
            if seen and step["code"] != 409:
                assert old == f"old {seen.size}"
                hashes = [b64(digest) for digest in proof]
                merkle.verify_consistency(seen.size, checkpoint.size, hashes, seen.root, checkpoint.root)
            outcome = None
        except LedgerError as error:
            outcome = error.code
        expected = {
            200: {None},
            400: {Code.MALFORMED_NOTE, Code.MALFORMED_CHECKPOINT},
            403: {Code.INVALID_SIGNATURE},
            404: {Code.UNKNOWN_SIGNER},
            409: {None},
            422: {Code.INVALID_PROOF},
        }
        if outcome not in expected[step["code"]]:
            wrong.append((step["name"], outcome))
        if step["code"] == 200:
            seen = checkpoint
    return wrong


# ---- tiles


def geometry(case: dict) -> bool:
    size = case["size"]
    widths = all(
        tile_width(level, full, size) == partial
        and (full == 0 or tile_width(level, full - 1, size) == TILE_WIDTH)
        for level, full, partial in case["levels_full_partial"]
    )
    if size > 2 * TILE_WIDTH**2:  # enumerating 65,000 tiles takes too long to be worth it
        return widths
    tiles: dict[int, list[int]] = {}
    for tile in tiles_for(size):
        row = tiles.setdefault(tile.level, [0, 0])
        if tile.width == TILE_WIDTH:
            row[0] += 1
        else:
            row[1] = tile.width
    return widths and [[level, *row] for level, row in tiles.items()] == case["levels_full_partial"]


def number_path(case: dict) -> bool:
    path = f"tile/0/{case['path']}"
    return tile_path(0, case["n"]) == path and parse_tile_path(path).n == case["n"]


def tessera_log(file: dict) -> list:
    """A log by another implementation: checkpoints, tiles and bundles of 15 sizes, all consistent with each other."""
    key = parse_vkey(file["meta"]["vkey"])
    assert open_checkpoint(file["meta"]["size0"].encode(), [key]).root == merkle.EMPTY_ROOT
    wrong, checkpoints, readers = [], {}, {}
    for case in file["cases"]:
        size, tile = case["size"], b64(case["tile_b64"])
        checkpoint = open_checkpoint(case["checkpoint"].encode(), [key], "example.com/log/testdata")
        hashes = parse_tile(tile, size)
        entries = parse_bundle(b64(case["entries_b64"]), size)
        paths = [tile_path(0, 0, size), tile_path("entries", 0, size)]
        good = (
            checkpoint.size == size
            and merkle.root_of(hashes) == checkpoint.root
            and [merkle.leaf_hash(entry) for entry in entries] == hashes
            and encode_bundle(entries) == b64(case["entries_b64"])
            and paths == case["paths"]
        )
        checkpoints[size] = checkpoint
        readers[size] = TileHashes(lambda _level, _n, _width, tile=tile: tile, size)
        wrong += [] if good else [case["id"]]
    for new, reader in readers.items():
        for old in range(1, new + 1):
            proof = merkle.consistency_proof(old, new, reader)
            old_root = (
                checkpoints[old].root
                if old in checkpoints
                else merkle.root_of(reader([(0, index) for index in range(old)]))
            )
            merkle.verify_consistency(old, new, proof, old_root, checkpoints[new].root)
    return wrong


# ---- canonical JSON and Ed25519

JCS_REFUSED = {
    "french.json": Code.INVALID_KEY,  # keys with accents
    "unicode.json": Code.INVALID_KEY,  # a key with a space
    "values.json": Code.INVALID_NUMBER,  # floats
    "weird.json": Code.INVALID_KEY,  # keys with control characters and beyond ASCII
}


def jcs(case: dict) -> bool:
    """Each file as a whole is outside the narrowed form, and refused; each string in it is written byte for byte."""
    data, expected = b64(case["input_b64"]), b64(case["output_b64"])
    with pytest.raises(FormatError) as refusal:
        canonical.loads(data)
    strings = strings_of(json.loads(data))
    return (
        refusal.value.code == JCS_REFUSED[case["id"]]
        and len(strings) > 0
        and all(canonical.dumps(string) in expected for string in strings)
    )


def strings_of(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*value, *strings_of(list(value.values()))]
    if isinstance(value, list):
        return [string for item in value for string in strings_of(item)]
    return [value] if isinstance(value, str) else []


def ed25519_signature(case: dict) -> bool:
    key = ed25519.SigningKey(bytes.fromhex(case["seed"]))
    message, signature = bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])
    ed25519.check_public_key(key.public)
    ed25519.verify(key.public, message, signature)
    return key.public.hex() == case["pk"] and key.sign(message) == signature


def ed25519_verdict(case: dict) -> bool:
    args = (bytes.fromhex(case[name]) for name in ("pk", "msg", "sig"))
    return holds(ed25519.verify, *args) is (case["result"] == "valid")


def small_order(case: dict) -> bool:
    public, message, signature = (bytes.fromhex(case[name]) for name in ("pk", "msg", "sig"))
    return not holds(ed25519.check_public_key, public) and not holds(
        ed25519.verify, public, message, signature
    )


# ---- a whole log of five entries, computed by another program


def five_entries(file: dict) -> list:
    log = NoteSigner(file["origin"], ed25519.SigningKey(bytes.fromhex(file["log_seed"])))
    witness_key = ed25519.SigningKey(bytes.fromhex(file["witness_seed"]))
    witness = Cosigner(file["witness_name"], witness_key, file["cosign_time"])
    entries = [entry.encode() for entry in file["entries"]]
    leaves = [merkle.leaf_hash(entry) for entry in entries]
    hashes = TileHashes(lambda _level, _n, _width: b"".join(leaves), 5)
    checkpoint = Checkpoint(file["origin"], 5, merkle.root_of(leaves))
    text = parse_note(file["checkpoint"].encode()).text
    cosigned = sign_note(text, log, witness)
    receipt = Receipt(2, merkle.inclusion_proof(2, 5, hashes), cosigned, b"hi")
    old, *proof = file["add_checkpoint_3_to_5"].partition("\n\n")[0].split("\n")
    growth = [base64.b64encode(digest).decode() for digest in merkle.consistency_proof(3, 5, hashes)]
    keys = [parse_vkey(file["log_vkey"]), parse_vkey(file["witness_vkey"])]
    facts = {
        "log_vkey": format_vkey(log.key) == file["log_vkey"],
        "witness_vkey": format_vkey(witness.key) == file["witness_vkey"],
        "roots": [merkle.root_of(leaves[:size]) for size in range(6)]
        == [b64(root) for root in file["roots"]],
        "checkpoint": sign_checkpoint(checkpoint, log) == file["checkpoint"].encode(),
        "cosignature_line": witness.line(text) == file["cosignature_line"],
        "tlog_proof_index2": format_receipt(receipt) == file["tlog_proof_index2"].encode(),
        "tlog_proof_index2 verified": verify_receipt(format_receipt(receipt), entries[2], keys) == checkpoint,
        "add_checkpoint_3_to_5": old == "old 3" and growth == proof,
        "bundle_hex": encode_bundle(entries).hex() == file["bundle_hex"],
        "bundle_hex parsed": parse_bundle(bytes.fromhex(file["bundle_hex"]), 5) == entries,
        "bundle_path": tile_path("entries", 0, 5) == file["bundle_path"],
        "tile_path": tile_path(0, 0, 5) == file["tile_path"],
    }
    return [name for name, good in facts.items() if not good]


RUNNERS: dict[str, Callable[[dict], list]] = {
    "checkpoint/bodies.json": by_case(checkpoint_body),
    "cosignature/cosig_v1.json": cosignatures,
    "ed25519/sign_input.json": by_case(ed25519_signature),
    "ed25519/small_order.json": by_case(small_order),
    "jcs/files.json": by_case(jcs),
    "merkle/consistency.json": by_case(consistency),
    "merkle/inclusion.json": by_case(inclusion),
    "note/notes.json": by_case(signed_note),
    "note/vkeys.json": by_case(verifier_key),
    "tiles/geometry.json": by_case(geometry),
    "tiles/paths.json": by_case(number_path),
    "tiles/tessera_testlog.json": tessera_log,
    "tlog-proof/envelope.json": by_case(proof_envelope),
    "witness/add_checkpoint_sequence.json": witness_dialogue,
    "worked/five_entries.json": five_entries,
    "wycheproof/ed25519_test.json": by_case(ed25519_verdict),
}


@pytest.mark.parametrize("name", RUNNERS)
def test_every_case_of_the_file_comes_out_as_it_says(shared: Path, name: str) -> None:
    file = json.loads((shared / "vectors" / name).read_text())
    assert file.get("cases", True)
    assert RUNNERS[name](file) == []


def test_every_vector_file_is_run_or_named_as_inapplicable(shared: Path) -> None:
    vectors = shared / "vectors"
    assert {str(path.relative_to(vectors)) for path in vectors.rglob("*.json")} == {*RUNNERS, *INAPPLICABLE}
