"""What must be true of a log's folder whatever broke, and the records that the tests of this folder post."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ledger.core.checkpoint import open_checkpoint
from ledger.core.entry import GENESIS_PREV, parse_entry
from ledger.core.merkle import leaf_hash, root_of
from ledger.core.note import parse_vkey
from ledger.log.anchor import HeadAnchor, default_anchor
from ledger.log.fsck import verify_folder
from ledger.log.log import Log
from tests.faults.server import ORIGIN


def record(name: str, text: str = "please do it") -> dict[str, Any]:
    """A record with a fact, a content and a person."""
    return {
        "id": name,
        "type": "action",
        "time": "2026-11-21T09:30:00.000001Z",
        "request": {"user": "alice@example.com", "text": text},
        "tool": {"name": "send_money", "arguments": {"to": "bob", "for": name}},
    }


def check(data: Path, acknowledged: Mapping[str, tuple[int, str]]) -> dict[str, int]:
    """Verify the log as it was left, open it as a start does and read all of it: whole, chained, signed, anchored, and with all that was acknowledged.

    Args:
        data: the folder; nobody else has it open.
        acknowledged: id → (seq, leaf hash in hex), as the clients were told.

    Returns:
        id → seq of everything that was submitted to it.
    """
    report = verify_folder(data)
    assert (report.findings, report.verdict) == ((), "consistent with itself, not anchored")
    log = Log.open(data, origin=ORIGIN)
    try:
        head, key = log.head(), parse_vkey(log.vkey)
        entries = [entry.as_py().encode() for batch in log.rows(0, head.size) for entry in batch["entry"]]
    finally:
        log.close()
    hashes = [leaf_hash(entry) for entry in entries]
    assert len(entries) == head.size
    assert open_checkpoint(head.note, [key], ORIGIN).root == root_of(hashes) == head.root
    assert HeadAnchor(default_anchor(data)).read() == head.note
    places: Counter[str] = Counter()
    found = {}
    for seq, data_ in enumerate(entries):
        entry = parse_entry(data_)
        assert entry.seq == seq
        assert entry.prev == (hashes[seq - 1] if seq else GENESIS_PREV)
        places[entry.members["id"]] += 1
        if entry.submitter != "log":
            found[entry.members["id"]] = seq
    assert set(places.values()) == {1}, "an id twice"
    for name, (seq, answered) in acknowledged.items():
        assert found.get(name) == seq, f"{name} was acknowledged as entry {seq}"
        assert hashes[seq].hex() == answered
    return found
