"""The log's key is rotated without a stop: whatever fails, and wherever it dies, one key signs, and it is the one that the log names."""

import errno
import shutil
import threading
from pathlib import Path

import pytest

from ledger.audit.fsck import verify_folder, verify_live
from ledger.core.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from ledger.core.ed25519 import generate
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import parse_history
from ledger.core.note import NoteSigner, open_note, parse_note, parse_vkey
from ledger.core.receipt import verify_receipt
from ledger.core.report import Level
from ledger.log import log as module
from ledger.log import rotation
from ledger.log.keys import load_key
from ledger.log.log import Log
from ledger.log.store import Store
from ledger.storage.anchor import HeadAnchor, default_anchor
from ledger.storage.hot import StoreFailed
from ledger.storage.layout import KEY, KEY_NEXT
from tests.log.conftest import ORIGIN, post, record
from tests.log.rotating import STEPS, cut_at_each_step

BY = "token:admin"


def rotate(log: Log, times: int = 1) -> None:
    for _ in range(times):
        log.rotate_key(by=BY)


def signers_of(note: bytes) -> list[str]:
    return [each.key_id.hex() for each in parse_note(note).signatures]


# ---- what a rotation is


def test_the_first_checkpoint_under_the_next_key_is_signed_with_both(log, data):
    first = log.keys.current
    (before,) = post(log, record(0))
    done = log.rotate_key(by=BY)
    note = log.head().note
    assert log.head().size == done.seq + 1 == before.seq + 2
    assert signers_of(note) == [first.key_id.hex(), log.keys.current.key_id.hex()]
    assert log.keys.current != first == log.keys.first
    assert (data / KEY).read_text().split("+")[3] == log.keys.current.key_id.hex()
    assert not (data / KEY_NEXT).exists()
    post(log, record(1))
    assert signers_of(log.head().note) == [log.keys.current.key_id.hex()]
    assert log.keys.open(log.head().note).size == done.seq + 2


def test_the_log_keeps_its_name_and_every_receipt_its_worth(log):
    vkey, kept = log.vkey, []
    for number in range(4):
        (answer,) = post(log, record(number))
        kept.append((log.receipt(answer.seq), log.entry(answer.seq), log.keys.current))
        rotate(log)
    assert (log.vkey, len(log.keys.terms)) == (vkey, 5)
    for known in log.keys.keys:
        keys = parse_history(log.key_proof(), known)
        assert keys == log.keys
        for receipt, entry, key in kept:
            assert verify_receipt(receipt, entry, [key], ORIGIN)
            assert verify_receipt(receipt, entry, keys.keys, ORIGIN)
            assert verify_receipt(log.receipt(1), log.entry(1), [keys.current], ORIGIN)


def test_a_log_is_whole_after_several_rotations_in_what_is_sealed_made_anew_and_hot(data):
    log = Log.open(data, rotate_entries=4)
    for number in range(3):
        post(log, *(record(3 * number + i) for i in range(3)))
        log.seal()
        rotate(log, 2)
    log.erase([(1, "tool.arguments")], by=BY, ground="asked")
    log.renew(log.segments()[0], log.removed)
    keys = log.keys
    assert verify_live(log).findings == ()
    log.close()
    for level in (Level.ENTRIES, Level.HASHES, Level.EVERYTHING):
        for known in (None, *keys.keys):
            report = verify_folder(data, vkey=known, level=level)
            assert (report.findings, report.size) == ((), log.head().size), (level, known)
    again = Log.open(data)
    try:
        assert again.keys == keys
        assert parse_history(again.key_proof(), keys.first) == keys
        rotate(again)
        (answer,) = post(again, record(99))
        assert not isinstance(answer, LedgerError)
    finally:
        again.close()
    assert verify_folder(data).findings == ()


def test_a_key_that_was_prepared_is_the_next_one(log, data):
    prepared = log.next_key().key
    assert log.next_key().key == prepared
    assert log.keys.current != prepared
    rotate(log)
    assert log.keys.current == prepared
    assert log.next_key().key != prepared


def test_a_key_that_was_in_force_before_is_never_the_next_one(log, data):
    old = (data / KEY).read_bytes()
    rotate(log)
    (data / KEY_NEXT).write_bytes(old)
    (data / KEY_NEXT).chmod(0o600)
    with pytest.raises(LedgerError, match="cannot be the next key") as caught:
        rotate(log)
    assert caught.value.code is Code.KEY_FILE
    assert not isinstance(post(log, record(1))[0], LedgerError)


def test_no_own_entry_puts_a_key_in_force_that_the_writer_does_not_have(log):
    ext = {"log.vkey": str(NoteSigner(ORIGIN, generate()).key)}
    with pytest.raises(LedgerError, match="nothing was written"):
        log.append_own("log.key_rotated", ext)
    assert not isinstance(post(log, record(1))[0], LedgerError)


def test_a_revocation_is_an_entry_and_part_of_the_proof(log):
    first = log.keys.first
    post(log, record(0), record(1))
    rotate(log)
    with pytest.raises(LedgerError, match="the key in force"):
        log.revoke_key(log.keys.current, 0, by=BY)
    log.revoke_key(first, 2, by=BY, more={"log.reason": "a disk was stolen"})
    rotate(log)
    keys = parse_history(log.key_proof(), log.keys.current)
    assert keys.terms[0].revoked == 2
    assert verify_live(log).findings == ()


def test_writers_wait_for_no_rotation_and_none_is_refused(data):
    log = Log.open(data, rotate_entries=300)
    answers: list[object] = []
    stop = threading.Event()

    def write(name: int) -> None:
        number = 0
        while not stop.is_set():
            answers.extend(post(log, record(0, id=f"w{name}-{number}")))
            number += 1

    writers = [threading.Thread(target=write, args=(each,)) for each in range(3)]
    try:
        for each in writers:
            each.start()
        rotate(log, 12)
    finally:
        stop.set()
        for each in writers:
            each.join()
        log.close()
    assert answers
    assert [each for each in answers if isinstance(each, LedgerError)] == []
    assert verify_folder(data).findings == ()
    assert len(log.keys.terms) == 13


# ---- where it dies: docs/adr/0029 has this table


@pytest.fixture
def left(tmp_path, monkeypatch):
    """What a power cut leaves at each step of a rotation: copies of the data folder and its anchor, and the keys."""
    data = tmp_path / "at" / "data"
    data.parent.mkdir()
    Log.create(data, ORIGIN)
    log = Log.open(data)
    post(log, record(0), record(1))
    keys = cut_at_each_step(log, data, tmp_path, monkeypatch)
    log.close()
    return tmp_path, keys


@pytest.mark.parametrize("step", STEPS)
def test_a_power_cut_leaves_one_key_that_signs_and_it_is_the_one_that_the_log_names(left, step):
    base, keys = left
    data = base / step / "data"
    log = Log.open(data)
    try:
        assert log.keys.current == keys[STEPS[step]] == log.signer.key
        assert load_key(data / KEY).key == log.keys.current
        (answer,) = post(log, record(2))
        assert not isinstance(answer, LedgerError)
        open_note(log.head().note, [log.keys.current])
        rotate(log)
        (answer,) = post(log, record(3))
        assert not isinstance(answer, LedgerError)
    finally:
        log.close()
    assert verify_folder(data).findings == ()


# ---- what fails without dying


def test_a_commit_that_fails_leaves_the_key_that_was_and_the_next_one_for_the_next_attempt(
    log, data, monkeypatch
):
    before, append = log.keys, Store.append
    monkeypatch.setattr(Store, "append", lambda *_: (_ for _ in ()).throw(StoreFailed("no space")))
    with pytest.raises(LedgerError) as caught:
        rotate(log)
    assert caught.value.code is Code.STORAGE_FAILED
    monkeypatch.setattr(Store, "append", append)
    assert log.keys == before
    prepared = load_key(data / KEY_NEXT).key
    assert not isinstance(post(log, record(1))[0], LedgerError)
    rotate(log)
    assert log.keys.current == prepared


def test_an_anchor_that_cannot_be_written_stops_the_log_and_a_start_goes_on_with_the_next_key(
    data, monkeypatch
):
    log = Log.open(data)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(HeadAnchor, "advance", full)
    with pytest.raises(LedgerError) as caught:
        rotate(log)
    assert caught.value.code is Code.LOG_STOPPED
    prepared = load_key(data / KEY_NEXT).key
    log.close()
    monkeypatch.undo()
    again = Log.open(data)
    try:
        assert again.keys.current == prepared == load_key(data / KEY).key
    finally:
        again.close()


def test_a_key_that_cannot_take_its_place_signs_all_the_same_and_takes_it_at_the_next_start(
    data, monkeypatch
):
    log = Log.open(data)

    def refuse(_: Path) -> None:
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(module, "take_place", refuse)
    rotate(log)
    assert not isinstance(post(log, record(1))[0], LedgerError)
    assert load_key(data / KEY).key != log.keys.current == load_key(data / KEY_NEXT).key
    log.close()
    monkeypatch.undo()
    again = Log.open(data)
    try:
        assert load_key(data / KEY).key == again.keys.current
    finally:
        again.close()


def test_the_next_key_that_cannot_be_made_leaves_everything_as_it_was(log, monkeypatch):
    before = log.keys

    def full(*_: object, **__: object) -> NoteSigner:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(rotation, "place_key", full)
    with pytest.raises(OSError, match="no space"):
        rotate(log)
    assert log.keys == before
    assert not isinstance(post(log, record(1))[0], LedgerError)


# ---- what a start refuses


def test_a_folder_with_an_old_key_is_not_written(data):
    old = (data / KEY).read_bytes()
    log = Log.open(data)
    rotate(log)
    log.close()
    (data / KEY).write_bytes(old)
    with pytest.raises(LedgerError, match="since entry 1") as caught:
        Log.open(data)
    assert caught.value.code is Code.KEY_FILE


def test_a_database_from_before_the_rotation_is_rolled_back(tmp_path):
    data = tmp_path / "a" / "data"
    Log.create(data, ORIGIN)
    log = Log.open(data)
    post(log, record(0))
    shutil.copytree(data, tmp_path / "old")
    rotate(log)
    log.close()
    key = (data / KEY).read_bytes()
    shutil.rmtree(data)
    shutil.copytree(tmp_path / "old", data)
    (data / KEY).write_bytes(key)
    with pytest.raises(LedgerError, match="rolled back") as caught:
        Log.open(data)
    assert caught.value.code is Code.ROLLED_BACK


def test_a_checkpoint_of_the_old_key_beyond_its_range_is_no_anchor(data):
    """A thief of the key that was rotated away puts one of his in the place of the head anchor."""
    old = load_key(data / KEY)
    log = Log.open(data)
    post(log, record(0))
    rotate(log)
    post(log, record(1))
    head = parse_checkpoint(parse_note(log.head().note).text)
    log.close()
    path = default_anchor(data)
    path.unlink()
    forged = HeadAnchor(path)
    forged.advance(sign_checkpoint(Checkpoint(ORIGIN, head.size, head.root), old), head.size)
    forged.close()
    with pytest.raises(LedgerError, match="signs for the entries from 0 to 1 alone") as caught:
        Log.open(data)
    assert caught.value.code is Code.FORKED


def test_an_entry_about_the_keys_that_is_not_in_the_tree_is_not_believed(data, monkeypatch):
    log = Log.open(data)
    rotate(log)
    log.close()
    told = Store.own_entries

    def other(store: Store, types: object) -> object:
        for entry in told(store, types):
            yield entry.replace(b"token:admin", b"token:adMin")

    monkeypatch.setattr(Store, "own_entries", other)
    with pytest.raises(LedgerError, match="about the log's keys"):
        Log.open(data)


def test_who_knows_the_first_key_verifies_the_folder_and_who_knows_none_of_them_is_told(data):
    log = Log.open(data)
    rotate(log)
    log.close()
    assert verify_folder(data, vkey=parse_vkey(log.vkey)).findings == ()
    stranger = NoteSigner(ORIGIN, generate()).key
    assert verify_folder(data, vkey=stranger).findings != ()
