"""A successor log: what its first entries say, and that the old log, however much of it is found, shows no fork."""

import pytest

from ledger.audit.fsck import verify_live
from ledger.core.checkpoint import parse_checkpoint
from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.merkle import verify_consistency
from ledger.core.note import parse_note
from ledger.log.log import Log
from ledger.upkeep.outside import Known, Seen, further, opened, pins, refuse_further
from ledger.upkeep.successor import Predecessor, create_successor
from tests.log.conftest import ORIGIN, post, record

NEW = "ledger.example/test-2"


@pytest.fixture
def old(tmp_path):
    """A log that grew from 6 entries, where its backup is of, to 11."""
    Log.create(tmp_path / "old", ORIGIN)
    log = Log.open(tmp_path / "old")
    post(log, *(record(number) for number in range(5)))
    backed_up = log.head()
    post(log, *(record(number) for number in range(5, 10)))
    yield log, backed_up
    log.close()


def succeed(tmp_path, log, backed_up, *, origin=NEW, reason="the disk was lost"):
    seen = further(opened([Seen("head anchor", log.head().note)], log.keys), backed_up.size)
    data = tmp_path / "new"
    create_successor(
        data,
        origin,
        Predecessor(log.keys, backed_up.note),
        reason=reason,
        seen=seen,
        anchor=tmp_path / "new.head",
    )
    return data


def test_its_first_entries_are_its_making_and_whose_place_it_takes(tmp_path, old):
    log, backed_up = old
    new = Log.open(succeed(tmp_path, log, backed_up))
    try:
        created, succeeds = (parse_entry(new.stored(seq).entry).members for seq in (0, 1))
        assert verify_live(new).findings == ()
        assert new.vkey != log.vkey
    finally:
        new.close()
    assert (created["type"], created["ext"]["log.origin"]) == ("log.created", NEW)
    ext = succeeds["ext"]
    assert succeeds["type"] == "log.succeeds"
    assert ext["log.predecessor_origin"] == ORIGIN
    assert ext["log.predecessor_vkey"] == log.vkey
    assert (ext["log.predecessor_size"], ext["log.predecessor_root"]) == (6, backed_up.root.hex())
    assert ext["log.predecessor_checkpoint"].encode() == backed_up.note
    assert ext["log.reason"] == "the disk was lost"
    assert ext["log.seen"] == [["head anchor", 11, log.head().note.decode()]]


def test_the_old_log_found_whole_extends_what_the_successor_names(tmp_path, old):
    log, backed_up = old
    new = Log.open(succeed(tmp_path, log, backed_up))
    try:
        ext = parse_entry(new.stored(1).entry).members["ext"]
    finally:
        new.close()
    named = parse_checkpoint(parse_note(ext["log.predecessor_checkpoint"].encode()).text)
    head = log.head()
    verify_consistency(named.size, head.size, log.consistency(named.size, head.size), named.root, head.root)


def test_a_successor_needs_a_name_of_its_own_and_a_reason(tmp_path, old):
    log, backed_up = old
    for wrong in ({"origin": ORIGIN}, {"reason": " "}, {"reason": "x" * 3000}):
        with pytest.raises(LedgerError) as caught:
            succeed(tmp_path, log, backed_up, **wrong)
        assert caught.value.code is Code.INVALID_PARAMETER
        assert not (tmp_path / "new").exists()


def test_who_saw_more_is_told_with_how_much_more_and_what_to_do(old):
    log, backed_up = old
    known = opened([Seen("checkpoint a", backed_up.note), Seen("checkpoint b", log.head().note)], log.keys)
    assert [each.what for each in further(known, 6)] == ["checkpoint b"]
    assert [pin.what for pin in pins(known, 6)] == ["checkpoint a"]
    with pytest.raises(
        LedgerError, match=r"6 entries.*seen 11.*checkpoint b.*last 5.*--new-origin"
    ) as caught:
        refuse_further(known, 6, "the backup")
    assert caught.value.code is Code.ROLLED_BACK
    refuse_further(known, 11, "the backup")


def test_a_checkpoint_that_the_log_did_not_sign_is_no_reason_to_refuse_and_is_told(old, tmp_path):
    log, _ = old
    forged = log.head().note.replace(b"\n11\n", b"\n99\n")
    with pytest.raises(LedgerError, match="checkpoint forged cannot be compared"):
        opened([Seen("checkpoint forged", forged)], log.keys)
    assert isinstance(opened([Seen("a", log.head().note)], log.keys)[0], Known)
