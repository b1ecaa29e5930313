"""A backup beside the server that writes: whole or not there, only what is new is copied, damage is not taken over."""

import os
import shutil
import stat
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ledger.audit.fsck import verify_folder
from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges
from ledger.log.keeping import Removes
from ledger.log.log import Log
from ledger.log.removal import retire
from ledger.storage.layout import segment_folders
from ledger.storage.people import PersonStore
from ledger.upkeep import backup as module
from ledger.upkeep.backupset import LIST, NOTE, open_backup, whole_backups
from ledger.upkeep.place import remove_tree
from ledger.upkeep.reuse import SHARE, Reuse
from tests.log.conftest import ORIGIN
from tests.upkeep.conftest import grow, save


def segment_inodes(folder: Path) -> set[int]:
    return {
        path.stat().st_ino for path in folder.glob("segments/*/*") if not path.name.startswith("manifest")
    }


def test_it_has_everything_acknowledged_before_it_and_verifies_by_itself(log, tmp_path):
    made = save(log, tmp_path / "set")
    assert made.size == log.head().size
    grow(log, 10, 20)
    opened = open_backup(tmp_path / "set")
    assert (opened.head.origin, opened.head.size) == (ORIGIN, made.size)
    report = verify_folder(made.folder)
    assert (report.findings, report.size, report.root) == ((), made.size, opened.head.root)


def test_the_signing_key_the_anchor_and_the_clear_token_stay_behind_unless_the_key_is_asked_for(
    log, tmp_path
):
    for name in ("tokens.json", "cli.token"):
        (tmp_path / "data" / name).write_text("{}")
    plain = save(log, tmp_path / "set")
    names = {path.name for path in plain.folder.iterdir()}
    assert names == {
        "backup.note",
        "segments.json",
        "storage.json",
        "tokens.json",
        "persons.sqlite",
        "segments",
    }
    grow(log, 10, 11)
    keyed = save(log, tmp_path / "set", with_key=True)
    assert {path.name for path in keyed.folder.iterdir()} == names | {"log.key"}
    assert stat.S_IMODE((keyed.folder / "log.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(keyed.folder.stat().st_mode) & 0o077 == 0


def test_a_second_backup_copies_only_what_is_new(log, tmp_path):
    first = save(log, tmp_path / "set")
    grow(log, 10, 20)
    second = save(log, tmp_path / "set")
    assert second.linked_bytes == first.copied_bytes > 0
    assert segment_inodes(first.folder) < segment_inodes(second.folder)
    remove_tree(first.folder)
    assert verify_folder(second.folder).findings == (), "each is whole without the others"


def test_a_backup_shares_no_file_with_the_log(log, tmp_path):
    made = save(log, tmp_path / "set")
    assert not segment_inodes(made.folder) & segment_inodes(tmp_path / "data")


def test_older_backups_are_removed_once_the_new_one_is_whole(log, tmp_path):
    made = []
    for number in range(4):
        grow(log, 10 + number, 11 + number)
        made.append(save(log, tmp_path / "set", keep=2).folder)
    assert whole_backups(tmp_path / "set") == made[-2:]
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == [path.name for path in made[-2:]]


def test_damage_is_named_and_not_taken_over(log, tmp_path):
    log.seal()
    (folder,) = segment_folders(tmp_path / "data")
    damaged = folder / "contents.parquet"
    flip(damaged)
    with pytest.raises(LedgerError, match=r"contents\.parquet.*restore --segment") as caught:
        save(log, tmp_path / "set")
    assert caught.value.code is Code.EVIDENCE_ALTERED
    assert whole_backups(tmp_path / "set") == []


def flip(path: Path, at: int = 40) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def at(monkeypatch, second: int) -> None:
    now = SimpleNamespace(time=lambda: float(second), strftime=time.strftime, gmtime=time.gmtime)
    monkeypatch.setattr(module, "time", now)


def test_a_clock_that_steps_back_costs_no_newer_backup(log, tmp_path, monkeypatch):
    at(monkeypatch, 1_800_000_000)
    save(log, tmp_path / "set")
    grow(log, 10, 20)
    at(monkeypatch, 1_700_000_000)
    newer = save(log, tmp_path / "set", keep=1)
    assert whole_backups(tmp_path / "set") == [newer.folder]
    at(monkeypatch, 1_600_000_000)
    same = save(log, tmp_path / "set", keep=1)
    assert same.size == newer.size
    assert whole_backups(tmp_path / "set") == [same.folder], "the one that was just made stays"


def test_of_two_backups_the_one_with_more_entries_is_the_newest(log, tmp_path, monkeypatch):
    at(monkeypatch, 1_800_000_000)
    older = save(log, tmp_path / "set")
    grow(log, 10, 20)
    at(monkeypatch, 1_700_000_000)
    newer = save(log, tmp_path / "set")
    assert whole_backups(tmp_path / "set") == [older.folder, newer.folder]
    assert open_backup(tmp_path / "set").head.size == newer.size


def cut(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("how", "name"),
    [(flip, "contents.parquet"), (cut, "entries.parquet"), (Path.unlink, "hashes"), (flip, "manifest-1")],
)
def test_damage_of_the_backup_before_is_told_and_not_taken_over(log, tmp_path, how, name):
    first = save(log, tmp_path / "set")
    (folder,) = segment_folders(first.folder)
    folder.chmod(0o755)
    how(folder / name)
    grow(log, 10, 11)
    second = save(log, tmp_path / "set", reread=how is flip)
    assert second.damaged == (folder if name == "manifest-1" else folder / name,)
    assert verify_folder(second.folder).findings == ()
    assert verify_folder(first.folder).findings


def test_after_ten_backups_each_linked_file_was_compared_with_its_digest(log, tmp_path):
    before = open_backup(save(log, tmp_path / "set").folder)
    (folder,) = segment_folders(before.folder)
    files = [path for path in folder.iterdir() if path.name in before.there(0)]
    for path in files:
        os.utime(path, ns=(0, 0))
    shares = []
    for number in range(SHARE):
        to = tmp_path / str(number)
        to.mkdir()
        reuse = Reuse(before, every=False)
        assert all(
            reuse.take(0, path.name, before.there(0)[path.name], to / path.name, lambda _: None)
            for path in files
        )
        shares.append(reuse.reread_bytes)
    assert all(path.stat().st_mtime_ns for path in files)
    assert 0 < shares[0] < sum(path.stat().st_size for path in files)


def test_a_set_of_another_log_is_refused(log, tmp_path):
    save(log, tmp_path / "set")
    other = tmp_path / "other"
    other.mkdir()
    Log.create(other / "data", "ledger.example/other")
    another = Log.open(other / "data")
    try:
        shutil.move(tmp_path / "set", other / "set")
        with pytest.raises(LedgerError, match="not this log's"):
            save(another, other / "set")
    finally:
        another.close()


def test_a_set_inside_the_data_folder_is_refused(log, tmp_path):
    data = tmp_path / "data"
    with pytest.raises(LedgerError, match="elsewhere"):
        module.back_up(data, data / "set", log.seal)


def test_what_is_erased_while_it_is_made_is_erased_in_it_too(log, tmp_path, monkeypatch):
    """The reason for a content that is gone must be in the backup: it is made again."""
    log.seal()
    seq = log.find("rec-00003")
    who = parse_entry(log.entry(seq)).members["request"]["user"]
    real, erased = module._Attempt._others, []

    def erase_meanwhile(self, end, *, with_key):
        if not erased:
            erased.append(log.erase([(seq, "request.user")], by="token:dpo", ground="asked"))
            people = PersonStore(tmp_path / "data" / "persons.sqlite")  # as compaction does
            assert people.delete([who]) == 1
            people.close()
        return real(self, end, with_key=with_key)

    monkeypatch.setattr(module._Attempt, "_others", erase_meanwhile)
    made = save(log, tmp_path / "set")
    assert made.size > 11, "the entry that says so is in it"
    assert verify_folder(made.folder).findings == ()


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("what", ["request.user", "request.text", "entries"])
def test_what_is_gone_without_its_reason_in_the_backup_is_never_called_backed_up(log, tmp_path, what, before):
    """Erased, and taken off the disk, between the backup's own seal and its first look."""
    if before:
        save(log, tmp_path / "set")
        grow(log, 10, 20)
    seq, erased = log.head().size - 1, []

    def seal() -> None:
        log.seal()
        if not erased:
            if what == "entries":
                erased.append(retire(log, "old", Removes.ENTRIES, Ranges([(seq, seq + 1)])))
            else:
                erased.append(log.erase([(seq, what)], by="token:dpo", ground="asked"))
            log.delete_persons(log.removed.persons)
            if what != "request.user":
                log.renew(log.segments()[-1], log.removed)

    data = tmp_path / "data"
    made = module.back_up(data, tmp_path / "set", seal)
    assert made.size == seq + 2, "the entry that says so is in it"
    assert verify_folder(made.folder).findings == ()


def test_what_is_gone_and_the_log_does_not_explain_is_not_backed_up(log, tmp_path):
    log.seal()
    who = parse_entry(log.entry(log.find("rec-00003"))).members["request"]["user"]
    assert log.delete_persons(frozenset([who])) == 1
    with pytest.raises(LedgerError, match=r"a person whom entry 4 names \(request\.user\).*does not say why"):
        save(log, tmp_path / "set")
    assert whole_backups(tmp_path / "set") == []


class Crash(BaseException):
    pass


@pytest.mark.parametrize(
    "step", ["_look", "copy_checked", "copy_file", "copy_persons", "sign_backup", "write_durably"]
)
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_step_leaves_no_backup_and_the_next_one_is_whole(
    log, tmp_path, monkeypatch, step, after
):
    first = save(log, tmp_path / "set")
    grow(log, 10, 20)
    real = getattr(module, step)

    def crash(*arguments, **options):
        if after:
            real(*arguments, **options)
        raise Crash

    monkeypatch.setattr(module, step, crash)
    monkeypatch.setattr(
        "ledger.upkeep.place.remove_tree", lambda _: None
    )  # a process that is gone cleans up nothing
    with pytest.raises(Crash):
        save(log, tmp_path / "set")
    assert whole_backups(tmp_path / "set") == [first.folder]
    monkeypatch.undo()
    second = save(log, tmp_path / "set")
    assert whole_backups(tmp_path / "set") == [first.folder, second.folder]
    assert verify_folder(second.folder).findings == ()
    assert not (tmp_path / "set" / ".making").exists()


def test_two_at_a_time_are_not_made(log, tmp_path):
    from ledger.upkeep.place import Place  # noqa: PLC0415

    (tmp_path / "set").mkdir()
    place = Place(tmp_path / "set" / "x", "", building=".making")
    with pytest.raises(LedgerError) as caught:
        save(log, tmp_path / "set")
    place.__exit__(LedgerError, None, None)
    assert caught.value.code is Code.LOCKED


def test_a_note_that_is_cut_altered_or_somebody_elses_is_refused(log, tmp_path):
    made = save(log, tmp_path / "set")
    whole = (made.folder / NOTE).read_bytes()
    for wrong in (whole[:-20], whole.replace(b'"size":', b'"size":1'), b"", os.urandom(300)):
        (made.folder / NOTE).write_bytes(wrong)
        with pytest.raises(LedgerError):
            open_backup(made.folder)


def test_a_list_of_segments_that_is_cut_or_altered_is_refused(log, tmp_path):
    made = save(log, tmp_path / "set")
    whole = (made.folder / LIST).read_bytes()
    for wrong in (whole[:-1], whole + b" ", whole.replace(b'"generation":1', b'"generation":2'), b""):
        (made.folder / LIST).write_bytes(wrong)
        with pytest.raises(LedgerError, match=r"segments\.json") as caught:
            open_backup(made.folder)
        assert caught.value.code is Code.EVIDENCE_ALTERED
    (made.folder / LIST).write_bytes(whole)
    assert open_backup(made.folder).segments.keys() == {0}


def test_the_note_is_as_long_whatever_the_number_of_segments(log, tmp_path):
    first = save(log, tmp_path / "set").folder / NOTE
    for number in range(10, 13):
        grow(log, number, number + 1)
        log.seal()
    second = save(log, tmp_path / "set").folder / NOTE
    assert len(open_backup(second.parent).segments) == 4
    assert abs(second.stat().st_size - first.stat().st_size) < 10
