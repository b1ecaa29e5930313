"""A log whose key was rotated is backed up, brought back, dumped and loaded, with every key it had; and nobody adds one."""

import shutil

import pytest

from ledger.audit.fsck import verify_folder
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import parse_history
from ledger.log.keys import load_key
from ledger.log.log import Log
from ledger.storage.anchor import default_anchor
from ledger.storage.layout import KEY, segment_path
from ledger.upkeep.backupset import open_backup
from ledger.upkeep.load import load
from ledger.upkeep.outside import Seen, keys_since, read_anchor
from ledger.upkeep.repair import repair_segment
from ledger.upkeep.restore import restore, restore_as
from ledger.upkeep.sources import opened_folder
from ledger.upkeep.transfer import dump, read_about
from tests.cli.conftest import ORIGIN, new_ledger, serving
from tests.log.conftest import post, record
from tests.upkeep.conftest import grow, save, stop

BY = "token:admin"


@pytest.fixture
def rotated(log):
    """Entries, a rotation, entries that are sealed with it, another rotation that stays hot."""
    log.rotate_key(by=BY)
    grow(log, 10, 13)
    log.seal()
    log.rotate_key(by=BY)
    grow(log, 13, 15)
    return log


def goes_on(data, keys, **options):
    """A folder that was brought back is the same log, and can be continued and rotated."""
    log = Log.open(data, **options)
    try:
        assert log.keys == keys
        log.rotate_key(by=BY)
        assert not isinstance(post(log, record(90))[0], LedgerError)
    finally:
        log.close()
    assert verify_folder(data).findings == ()


@pytest.mark.parametrize("known", [0, 1, 2])
def test_a_backup_is_opened_by_any_key_and_restored_with_all(rotated, tmp_path, known):
    made = save(rotated, tmp_path / "set", with_key=True)
    opened = open_backup(made.folder, rotated.keys.keys[known])
    assert opened.keys == rotated.keys
    restored = restore(opened, tmp_path / "back", seen=read_anchor(default_anchor(tmp_path / "data")))
    assert (restored.size, restored.vkey) == (rotated.head().size, rotated.vkey)
    goes_on(tmp_path / "back", rotated.keys, accept_missing_anchor=True)


def test_a_backup_of_another_key_is_told(rotated, log, tmp_path):
    made = save(rotated, tmp_path / "set")
    Log.create(tmp_path / "other", rotated.origin)
    with pytest.raises(LedgerError, match="none of those"):
        open_backup(made.folder, load_key(tmp_path / "other" / KEY).key)


def test_backups_go_on_across_rotations_and_link_what_did_not_change(log, tmp_path):
    save(log, tmp_path / "set")
    log.rotate_key(by=BY)
    grow(log, 10, 12)
    second = save(log, tmp_path / "set")
    assert second.linked_bytes > 0
    opened = open_backup(tmp_path / "set")
    assert opened.head.size == log.head().size
    assert [len(open_backup(tmp_path / "set").keys.terms), opened.keys.current] == [2, log.keys.current]


def test_a_backup_while_the_key_is_rotated_has_a_key_that_its_log_names(log, tmp_path):
    turns = []

    def seal() -> None:
        log.seal()
        if not turns:  # between the seal and the signature
            turns.append(log.rotate_key(by=BY))

    from ledger.upkeep.backup import back_up  # noqa: PLC0415

    made = back_up(tmp_path / "data", tmp_path / "set", seal, with_key=True)
    opened = open_backup(made.folder)
    assert opened.keys.current == log.keys.current
    restore(opened, tmp_path / "back")
    goes_on(tmp_path / "back", log.keys, accept_missing_anchor=True)


def test_with_an_old_key_a_restored_log_is_not_continued(rotated, log, tmp_path):
    old = tmp_path / "old.key"
    made = save(rotated, tmp_path / "set")
    shutil.copy(tmp_path / "data" / KEY, old)
    rotated.rotate_key(by=BY)
    newer = save(rotated, tmp_path / "set")
    assert restore(open_backup(made.folder), tmp_path / "a", key=old).has_key
    with pytest.raises(LedgerError, match="is signed with") as caught:
        restore(open_backup(newer.folder), tmp_path / "b", key=old)
    assert caught.value.code is Code.ORIGIN_CHANGED


def test_what_was_seen_under_a_later_key_keeps_an_old_backup_from_being_continued(log, tmp_path):
    made = save(log, tmp_path / "set")
    log.rotate_key(by=BY)
    grow(log, 10, 12)
    seen = [Seen("a client", log.head().note)]
    opened = open_backup(made.folder)
    with pytest.raises(LedgerError, match=r"cannot be compared.* is of size 14; .* give that with --keys"):
        restore(opened, tmp_path / "back", seen=seen)
    keys = keys_since(opened.keys, [log.key_proof()])
    with pytest.raises(LedgerError, match="the outside world has seen 14") as caught:
        restore(opened, tmp_path / "back", seen=seen, keys=keys)
    assert caught.value.code is Code.ROLLED_BACK
    assert not (tmp_path / "back").exists()
    succeeded = restore_as(
        opened,
        tmp_path / "next",
        "ledger.example/next",
        reason="lost",
        anchor=tmp_path / "next.head",
        seen=seen,
    )
    assert succeeded.anchored == log.head().size
    assert "not known here" in succeeded.compared[0]
    at = {"reason": "lost", "anchor": tmp_path / "b.head", "seen": seen}
    assert restore_as(opened, tmp_path / "b", "ledger.example/b", keys=keys, **at).compared == ("a client",)


def test_the_command_follows_the_keys_that_this_user_saw_or_that_are_given(tmp_path):
    """A backup from before two rotations, a head anchor from after: `rolled-back` and by how much, by what was seen, or by a proof; else what to give."""
    ledger = new_ledger(tmp_path)
    data, kept, backups = ledger.data, tmp_path / "keys.json", tmp_path / "set"
    said = ledger.run("init", "--data", data, "--origin", ORIGIN)
    assert said.returncode == 0, said.stderr
    backed = ledger.run("backup", backups, "--data", data, "--with-key")
    assert backed.returncode == 0, backed.stderr
    for _ in range(2):
        assert ledger.run("keys", "rotate", "--data", data).returncode == 0
    seen = ledger.seen_by(tmp_path / "who-saw-it")
    with serving(ledger):
        kept.write_bytes(ledger.run("keys", "proof").stdout)
        assert seen.run("verify", "--no-stored").returncode == 0
    data.rename(tmp_path / "gone")
    for who, option, told in (
        (ledger, (), "give that with --keys"),
        (ledger, ("--keys", backups / "nothing"), "nothing"),
        (ledger, ("--keys", data.parent / "gone/log.key"), "gone/log.key: "),
        (ledger, ("--keys", kept), "the outside world has seen"),
        (seen, (), "the outside world has seen"),
    ):
        refused = who.run("restore", backups, data, *option)
        assert (refused.returncode != 0, told in refused.stderr.decode()) == (True, True), refused.stderr


def test_a_damaged_segment_of_before_the_rotation_is_put_back(rotated, log, tmp_path):
    made = save(rotated, tmp_path / "set")
    data = tmp_path / "data"
    damaged = segment_path(data, 0) / "entries.parquet"
    damaged.parent.chmod(0o700)
    damaged.chmod(0o600)
    damaged.write_bytes(b"x")
    stop(rotated)
    assert repair_segment(open_backup(made.folder), data, 0).replaced == ("entries.parquet",)
    assert verify_folder(data).findings == ()


@pytest.mark.parametrize("sealed", [True, False])
def test_a_dump_has_all_keys_and_what_is_loaded_goes_on(rotated, log, tmp_path, sealed):
    dump(rotated, tmp_path / "dump")
    for known in (None, *rotated.keys.keys):
        _, keys, _ = read_about(tmp_path / "dump", known)
        assert keys == rotated.keys
    load(tmp_path / "dump", tmp_path / "back", key=tmp_path / "data" / KEY, sealed=sealed, entries_per_file=5)
    goes_on(tmp_path / "back", rotated.keys, accept_missing_anchor=True)


def test_evidence_without_a_key_is_read_and_dumped_with_the_same_proof(rotated, log, tmp_path):
    made = save(rotated, tmp_path / "set")
    with opened_folder(made.folder) as source:
        assert parse_history(source.key_proof(), rotated.keys.first) == rotated.keys
        dump(source, tmp_path / "dump")
    load(tmp_path / "dump", tmp_path / "back")
    assert verify_folder(tmp_path / "back", vkey=rotated.keys.current).findings == ()
    (tmp_path / "back" / "log.key").unlink(missing_ok=True)
    with opened_folder(tmp_path / "back") as source:
        assert parse_history(source.key_proof(), rotated.keys.current) == rotated.keys


def test_what_is_moved_or_made_anew_after_a_rotation_is_signed_with_the_key_in_force(rotated, log):
    rotated.seal()
    rotated.erase([(1, "tool.arguments")], by=BY, ground="asked")
    renewed = rotated.renew(rotated.segments()[0], rotated.removed)
    assert renewed.generation == 2
    for segment in rotated.segments():
        segment.check_signature(rotated.keys)
