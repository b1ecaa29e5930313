"""What must be true of a log's folder whatever broke, and the records that the tests of this folder post."""

import json
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ledger.audit.fsck import verify_folder
from ledger.core.checkpoint import open_checkpoint
from ledger.core.entry import GENESIS_PREV, parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.merkle import leaf_hash, root_of
from ledger.core.note import parse_vkey
from ledger.core.receipt import parse_receipt, verify_receipt_leaf
from ledger.log.log import Log
from ledger.storage.anchor import HeadAnchor, default_anchor
from ledger.upkeep.backupset import open_backup, whole_backups
from tests.faults.server import ORIGIN

USER = "alice@example.com"


def record(name: str, text: str = "please do it", user: str = USER) -> dict[str, Any]:
    """A record with a fact, a content and a person."""
    return {
        "id": name,
        "type": "action",
        "time": "2026-11-21T09:30:00.000001Z",
        "request": {"user": user, "text": text},
        "tool": {"name": "send_money", "arguments": {"to": "bob", "for": name}},
    }


def check(
    data: Path,
    acknowledged: Mapping[str, tuple[int, str]],
    *,
    sent: Mapping[str, Mapping[str, Any]] | None = None,
    receipts: Sequence[bytes] = (),
    gone: Mapping[str, Collection[str]] | None = None,
    retired: Collection[str] = (),
    unsure: Collection[str] = (),
) -> dict[str, int]:
    """Verify the log as it was left, open it as a start does and read all of it: whole, chained, signed, anchored, and with all that was acknowledged.

    Args:
        data: the folder; nobody else has it open.
        acknowledged: id → (seq, leaf hash in hex), as the clients were told.
        sent: id → record, for those whose contents and person shall be read back.
        gone: id → members whose content or person was erased, or retired.
        retired: ids whose entries a policy took: their hashes stand.
        unsure: ids of which something may be gone or not.
        receipts: kept by clients: each still verifies, and its tree is the beginning of this one.

    Returns:
        id → seq of everything that was submitted to it.
    """
    report = verify_folder(data)
    assert (report.findings, report.verdict) == ((), "consistent with itself, not anchored"), report
    log = Log.open(data, origin=ORIGIN)
    try:
        head, key = log.head(), parse_vkey(log.vkey)
        entries: list[bytes | None] = []
        stored: list[bytes] = []
        for batch in log.rows(0, head.size):
            entries += [None if entry is None else entry.encode() for entry in batch["entry"].to_pylist()]
            stored += batch["hash"].to_pylist()
        for name, (seq, _) in acknowledged.items():
            if name in retired:
                _retired(log, seq)
            elif sent is not None and name in sent and name not in unsure:
                _same(log, seq, sent[name], (gone or {}).get(name, ()))
    finally:
        log.close()
    hashes = [old if entry is None else leaf_hash(entry) for old, entry in zip(stored, entries, strict=True)]
    assert len(entries) == head.size
    assert open_checkpoint(head.note, [key], ORIGIN).root == root_of(hashes) == head.root
    assert HeadAnchor(default_anchor(data)).read() == head.note
    found = _places(entries, hashes)
    for name, (seq, answered) in acknowledged.items():
        left = entries[seq] is None and (name in retired or name in unsure)
        assert left or found.get(name) == seq, f"{name} was acknowledged as entry {seq}"
        assert hashes[seq].hex() == answered
    for receipt in receipts:
        index = parse_receipt(receipt).index
        checkpoint = verify_receipt_leaf(receipt, hashes[index], [key], ORIGIN)
        assert checkpoint.root == root_of(hashes[: checkpoint.size])
    return found


def _retired(log: Log, seq: int) -> None:
    try:
        log.stored(seq)
    except LedgerError as error:
        if error.code is Code.RETIRED:
            return
        raise
    raise AssertionError(f"entry {seq} was retired, and is there")


def check_backups(place: Path) -> int:
    """Every backup of a set that has its note is whole; how many there are."""
    backups = whole_backups(place)
    for folder in backups:
        opened, report = open_backup(folder), verify_folder(folder)
        assert (report.findings, report.size) == ((), opened.head.size), report
    return len(backups)


def _places(entries: Sequence[bytes | None], hashes: Sequence[bytes]) -> dict[str, int]:
    """id → seq of what was submitted, each once, in a chain."""
    places: Counter[str] = Counter()
    found = {}
    for seq, data in enumerate(entries):
        if data is None:
            continue
        entry = parse_entry(data)
        assert entry.seq == seq
        assert entry.prev == (hashes[seq - 1] if seq else GENESIS_PREV)
        places[entry.members["id"]] += 1
        if entry.submitter != "log":
            found[entry.members["id"]] = seq
    assert set(places.values()) == {1}, "an id twice"
    return found


def _same(log: Log, seq: int, sent: Mapping[str, Any], gone: Collection[str]) -> None:
    stored = log.stored(seq)
    record = parse_entry(stored.entry).members
    assert (record["id"], record["time"], record["type"]) == (sent["id"], sent["time"], sent["type"])
    assert record["tool"]["name"] == sent["tool"]["name"]
    told = {"request.text": sent["request"]["text"], "tool.arguments": sent["tool"]["arguments"]}
    values = {content.member: json.loads(content.value) for content in stored.contents}
    assert values == {member: value for member, value in told.items() if member not in gone}
    persons = [json.loads(person.value) for person in stored.persons]
    assert persons == ([] if "request.user" in gone else [sent["request"]["user"]])


def main() -> None:
    """In a process of its own: `oracle FOLDER EXPECTED`, the second a JSON file of what a client kept."""
    folder, expected = sys.argv[1:]
    kept = json.loads(Path(expected).read_bytes())
    acknowledged = {name: (seq, answered) for name, (seq, answered) in kept["acknowledged"].items()}
    receipts = [receipt.encode() for receipt in kept["receipts"]]
    found = check(
        Path(folder),
        acknowledged,
        sent=kept["sent"],
        receipts=receipts,
        gone=kept["gone"],
        retired=kept["retired"],
        unsure=kept["unsure"],
    )
    check_backups(Path(folder).with_name("set"))
    unknown = found.keys() - kept["sent"].keys()
    assert not unknown, f"nobody sent {sorted(unknown)}"
    sys.stdout.write(f"{len(found)} records, all of the {len(acknowledged)} that were acknowledged\n")
