"""A stopped log's folder that contradicts what somebody kept: `verify` writes the proof of that, which convinces anybody with the log's key. Threat 2."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from ledger.log.log import Log
from ledger.storage.anchor import default_anchor
from tests.cli.conftest import ORIGIN, Ledger, new_ledger
from tests.log.conftest import post, record

BY = "token:admin"


class Kept(NamedTuple):
    """What somebody has of the true log, and the other history that lies in its folder."""

    ledger: Ledger
    checkpoint: Path
    receipt: Path
    anchor: Path
    first: str
    current: str
    proof: bytes


def rewritten(folder: Path, *, rotated: bool, sealed: bool) -> Kept:
    """The insider has the folder as it was, keys and all, and goes on from there with other entries."""
    ledger, true = new_ledger(folder), folder / "true"
    Log.create(true, ORIGIN)
    log = Log.open(true)
    post(log, *(record(n) for n in range(3)))
    if rotated:
        log.rotate_key(by=BY)
        log.rotate_key(by=BY)
    if sealed:
        log.seal()
    log.close()
    shutil.copytree(true, ledger.data)
    shutil.copy2(default_anchor(true), default_anchor(ledger.data))
    log = Log.open(true)
    (*_, last) = post(log, *(record(n) for n in range(10, 14)))
    checkpoint, receipt = folder / "kept.checkpoint", folder / "kept.receipt"
    checkpoint.write_bytes(log.head().note)
    receipt.write_bytes(log.receipt(last.seq))
    log.close()
    log = Log.open(ledger.data)
    post(log, *(record(n) for n in range(20, 30)))
    if sealed:
        log.seal()
        post(log, record(40))
    keys, proof = log.keys, log.key_proof()
    log.close()
    return Kept(ledger, checkpoint, receipt, default_anchor(true), str(keys.first), str(keys.current), proof)


def lying(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".wal"}


@pytest.mark.parametrize(
    ("kept_as", "rotated", "sealed"),
    [
        ("checkpoint", False, False),
        ("receipt", True, True),
        ("anchor", False, True),
        ("remembered", True, False),
    ],
)
def test_what_was_kept_proves_that_the_folder_has_another_history(tmp_path, kept_as, rotated, sealed):
    kept = rewritten(tmp_path, rotated=rotated, sealed=sealed)
    before = lying(kept.ledger.data)
    how = {
        "checkpoint": ("-c", kept.checkpoint),
        "receipt": ("-r", kept.receipt),
        "anchor": ("--head-anchor", kept.anchor),
        "remembered": (),
    }[kept_as]
    if kept_as == "remembered":
        remember(kept)
    said = kept.ledger.run("verify", kept.ledger.data, *how)
    assert said.returncode == 1, said.stderr
    told = json.loads(said.stdout)
    assert "forked" in {each["kind"] for each in told["stored"]["findings"]}
    assert lying(kept.ledger.data) == before
    stranger = kept.ledger.seen_by(tmp_path / "stranger")
    judged = stranger.run("verify", told["fork_proof"], "--vkey", kept.first)
    assert judged.returncode == 1, judged.stderr
    verdict = json.loads(judged.stdout)
    assert (verdict["verdict"], verdict["key_from"]) == ("forked", "you")
    assert len(set(verdict["roots"])) == 2


def remember(kept: Kept) -> None:
    """As an earlier verification of the true log did."""
    pins = kept.ledger.state / "agent-ledger" / "pins"
    pins.mkdir(parents=True)
    name = ORIGIN.replace("/", "%2F")
    (pins / f"{name}.checkpoint").write_bytes(kept.checkpoint.read_bytes())
    (pins / f"{name}.vkey").write_text(f"{kept.current}\n")
    (pins / f"{name}.keys").write_bytes(kept.proof)


def test_what_was_only_cut_off_is_told_and_proves_no_fork(tmp_path):
    kept = rewritten(tmp_path, rotated=False, sealed=False)
    later = tmp_path / "later.checkpoint"
    log = Log.open(kept.ledger.data)
    post(log, record(50))
    later.write_bytes(log.head().note)
    log.close()
    shutil.rmtree(kept.ledger.data)
    shutil.copytree(tmp_path / "true", kept.ledger.data)
    said = kept.ledger.run("verify", kept.ledger.data, "-c", later)
    assert said.returncode == 1
    told = json.loads(said.stdout)
    assert {each["kind"] for each in told["stored"]["findings"]} == {"rolled-back"}
    assert "fork_proof" not in told
