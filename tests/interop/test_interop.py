"""Witnesses, proofs and tiles, judged by code that is not ours: make test-interop. Needs Go, and a module proxy or what it left behind."""

import http.server
import os
import subprocess
import threading
from functools import partial

import pytest

from ledger.core import canonical
from ledger.core.checkpoint import open_checkpoint
from ledger.core.note import open_note
from ledger.core.receipt import format_receipt, parse_receipt
from ledger.log.keys import create_key
from ledger.witness.cosigning import Cosigning
from tests.interop.conftest import HERE, ORIGIN
from tests.witness.conftest import WitnessServer, make_witness

pytestmark = pytest.mark.interop


def test_our_cosigned_checkpoints_are_taken_by_sumdb_note_and_changed_ones_are_not(witnessed, run, tmp_path):
    file = tmp_path / "note"
    for count in (1, 7, 300):
        witnessed.post(count)
        note = witnessed.get("/witnessed/checkpoint")
        file.write_bytes(note)
        judged = run("verify", "note", file, *map(str, witnessed.keys))
        assert judged.returncode == 0, judged.stderr
        assert judged.stdout.split() == [ORIGIN, str(open_checkpoint(note, witnessed.keys).size)]
    file.write_bytes(note.replace(ORIGIN.encode(), b"test.example/another", 1))
    assert run("verify", "note", file, *map(str, witnessed.keys)).returncode == 1


def test_our_receipts_prove_entries_to_others_and_what_was_changed_does_not(witnessed, run, tmp_path):
    seqs = witnessed.post(5)
    entry, proof, changed, complete = (tmp_path / name for name in ("entry", "proof", "changed", "complete"))
    with witnessed.server.client() as client:
        stored = client.get(f"/v1/entries/{seqs[2]}").json()
    entry.write_bytes(canonical.dumps(stored["entry"]))
    receipt = witnessed.get(f"/v1/entries/{seqs[2]}/receipt")
    proof.write_bytes(receipt)
    judged = run("verify", "proof", str(witnessed.key), entry, proof)
    assert judged.returncode == 0, judged.stderr
    got = witnessed.ledger.run("receipt", "get", str(seqs[2]), "-o", complete)
    assert got.returncode == 0, got.stderr
    assert (
        run("verify", "proof", str(witnessed.key), entry, complete).returncode == 0
    )  # the entry in its extra line
    held = parse_receipt(receipt)
    for wrong in (
        receipt.replace(f"index {seqs[2]}\n".encode(), f"index {seqs[1]}\n".encode()),
        format_receipt(held.__class__(held.index, held.proof[:-1], held.checkpoint_note)),
        receipt.replace(ORIGIN.encode(), b"test.example/another", 1),
    ):
        assert wrong != receipt
        changed.write_bytes(wrong)
        assert run("verify", "proof", str(witnessed.key), entry, changed).returncode == 1
    entry.write_bytes(entry.read_bytes().replace(b'"seq":', b'"sEq":'))
    assert run("verify", "proof", str(witnessed.key), entry, proof).returncode == 1


def test_tesseras_fsck_passes_the_running_ledger_and_its_export_and_fails_a_broken_one(
    witnessed, run, tmp_path
):
    witnessed.post(300)
    token = witnessed.server.headers["Authorization"].removeprefix("Bearer ")
    for prefix in ("", "witnessed/"):
        checked = run("fsck", str(witnessed.key), f"{witnessed.server.url}/{prefix}", token)
        assert checked.returncode == 0, checked.stderr
    export = tmp_path / "export"
    made = witnessed.ledger.run("export", export)
    assert made.returncode == 0, made.stderr
    assert run("fsck", str(witnessed.key), f"file://{export}").returncode == 0
    for broken in ("tile/entries/000", "tile/0/000"):
        file = export / broken
        whole = file.read_bytes()
        file.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
        assert run("fsck", str(witnessed.key), f"file://{export}").returncode == 1, broken
        file.write_bytes(whole)
    assert run("fsck", str(witnessed.key), f"file://{export}").returncode == 0


@pytest.fixture(scope="session")
def scales():
    """Runs tlog-scales on a log, with the interpreter that has it."""
    python = os.environ.get("INTEROP_PYTHON")
    if python is None:
        pytest.skip("make test-interop names an interpreter that has tlog-scales")

    def call(*arguments):
        program = HERE.parent / "python" / "scales.py"
        return subprocess.run(
            [python, program, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
        )

    return call


def test_tlog_scales_finds_every_entry_of_an_export_in_its_tree_and_an_altered_one_not(
    witnessed, scales, tmp_path
):
    witnessed.post(20)
    with witnessed.server.client() as client:
        before = client.get("/v1/log").json()
    witnessed.post(280)
    export = tmp_path / "export"
    assert witnessed.ledger.run("export", export).returncode == 0
    asked = (export, before["size"], before["root"], *witnessed.keys)
    judged = scales(*asked)
    assert judged.returncode == 0, judged.stderr
    assert int(judged.stdout) >= before["size"] + 280
    for broken in ("tile/entries/000", "tile/0/000", "checkpoint"):
        file = export / broken
        whole = file.read_bytes()
        at = len(whole) - 20  # of the checkpoint: within a signature
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert scales(*asked).returncode == 1, broken
        file.write_bytes(whole)
    assert scales(export, before["size"], "00" * 32, *witnessed.keys).returncode == 1


def test_tesseras_mirror_copies_an_export_whole(witnessed, run, tmp_path):
    witnessed.post(3)
    export, copy = tmp_path / "export", tmp_path / "copy"
    assert witnessed.ledger.run("export", export).returncode == 0
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(export))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        made = run(
            "mirror", "-storage_dir", copy, "-source_url", f"http://127.0.0.1:{server.server_address[1]}/"
        )
    finally:
        server.shutdown()
    assert made.returncode == 0, made.stderr
    assert run("fsck", str(witnessed.key), f"file://{copy}").returncode == 0
    verified = witnessed.ledger.run("verify", copy, "--vkey", str(witnessed.key), "--no-remember")
    assert verified.returncode == 0, verified.stderr


def test_a_log_by_tessera_is_witnessed_by_us_and_what_it_shows_holds(run, tmp_path):
    folder = tmp_path / "w"
    log = create_key(tmp_path / "private", "tessera.example/log").key  # a key file of ours is one of x/mod's
    make_witness(folder, log)
    server = WitnessServer(folder)
    policy = tmp_path / "policy"
    policy.write_text(f"log {log}\nwitness w {server.key} {server.url}\nquorum w\n")
    try:
        for count in (3, 40):
            grown = run("grow", tmp_path / "log", tmp_path / "private", policy, count)
            assert grown.returncode == 0, grown.stderr
            note = grown.stdout.encode()
            assert open_note(note, [log, server.key]).verified_keys == (log, server.key)
            assert next(Cosigning(folder).logs()).size == open_checkpoint(note, [log]).size
    finally:
        server.stop()
