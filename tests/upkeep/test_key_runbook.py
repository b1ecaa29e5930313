"""docs/keys.md, rehearsed: the log's key is stolen, and its commands are run as they are written."""

import json
import shutil
from pathlib import Path

from ledger.core.ed25519 import generate
from ledger.core.text import format_base64
from ledger.log.log import Log
from tests.log.conftest import post, record
from tests.project.tree import ROOT
from tests.upkeep.test_runbook import DATA, Machine, blocks

PAGE = (ROOT / "docs/keys.md").read_text(encoding="utf-8")


def thief(machine: Machine) -> bytes:
    """A copy of the disk and the key, elsewhere: a log that goes on in another way. Its checkpoint."""
    place = machine.home / "thief"
    shutil.copytree(machine.data.parent, place)
    log = Log.open(place / machine.data.name)
    try:
        post(log, *(record(number) for number in range(5)))
        log.rotate_key(by="the thief")
        post(log, record(5))
        return log.head().note
    finally:
        log.close()


def test_the_runbook_for_a_stolen_key(tmp_path: Path):
    machine = Machine(tmp_path)
    machine.serve()
    try:
        machine.post(0, 6)
        machine.good("agent-ledger token create finance-agent --role writer; mkdir offline")
        old = json.loads(machine.good("agent-ledger keys show"))
        machine.good("agent-ledger witness init --name w.example/1")
        machine.good(f"agent-ledger witness add {old['verifier_key']}")
    finally:
        machine.stop()
    (machine.home / "witnessed.txt").write_bytes(thief(machine))
    stop, see, succeed, grant, witness = blocks("The log's key was stolen", PAGE)
    size = json.loads(machine.good(stop))["size"]
    assert not (machine.data / "log.key").exists()
    assert "somebody was shown another log" in machine.good(see)
    made = json.loads(machine.good(succeed))
    assert made["verifier_key"].startswith("ledger.example/prod-2+")
    agent = format_base64(generate().public)
    granted = machine.good(f"AGENT_7_NEW_KEY={agent}\n{grant}")
    assert granted
    told = f"OLD_LOG={old['origin']}\nSUCCESSOR_KEY='{made['verifier_key']}'\n{witness}"
    machine.good(told)
    (watched,) = [
        each for each in json.loads(machine.good("agent-ledger witness list --json")) if each["keys"]
    ]
    assert watched["keys"] == [made["verifier_key"]]
    machine.good("agent-ledger verify successor; agent-ledger verify successor/predecessor")
    succeeds = entry_1(machine)
    assert succeeds["log.predecessor_vkey"] == old["verifier_key"]
    assert succeeds["log.predecessor_size"] == size
    (seen,) = succeeds["log.seen"]
    assert seen[1] > size
    assert "not known here" in seen[0]  # by a key that nobody but the thief has handed over to
    assert not (machine.home / DATA / "log.key").exists()


def entry_1(machine: Machine) -> dict:
    log = Log.open(machine.home / "successor")
    try:
        return json.loads(log.entry(1))["record"]["ext"]
    finally:
        log.close()
