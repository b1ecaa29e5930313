"""After `compact` nothing that the log says is gone is in the folder, everything else is, and all of it verifies. So also after a crash."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.audit.fsck import verify_folder
from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges
from ledger.log import renewal
from ledger.log.keeping import Removes
from ledger.log.log import Log
from ledger.log.removal import retire
from ledger.log.renewal import Stop
from ledger.upkeep.compact import compact, is_compact
from tests.log.conftest import post
from tests.upkeep.holding import ANYBODY, action, argument, fact, filled, found, holds, text, user


class CrashError(Exception):
    pass


@pytest.fixture
def log(data: Path):
    opened = filled(data, 20, 20)
    yield opened
    with contextlib.suppress(OSError):  # a test may have closed it
        opened.close()


def test_an_erased_content_is_in_no_file_and_the_others_are(log: Log, data: Path):
    log.erase([(3, "request.text"), (25, "tool.arguments")], **ANYBODY)
    assert found(data, text(3))
    result = compact(log)
    assert found(data, text(3), argument(25)) == []
    assert all(found(data, each) for each in (argument(3), text(25), text(4), argument(24)))
    assert [each.generation for each in result.renewed] == [2, 2]
    assert [content.member for content in log.stored(3).contents] == ["tool.arguments"]
    assert is_compact(log)


def test_what_is_hot_is_sealed_first_where_something_of_it_was_erased(log: Log, data: Path):
    log.erase([(43, "request.text")], **ANYBODY)
    assert not is_compact(log)
    assert compact(log).sealed
    log.close()
    assert found(data, text(43)) == []
    assert found(data, text(42))
    assert verify_folder(data).findings == ()


def test_a_hot_part_of_which_nothing_was_erased_stays_hot(log: Log):
    log.erase([(3, "request.text")], **ANYBODY)
    log.seal()
    post(log, action(900))
    result = compact(log)
    assert (result.sealed, len(result.renewed)) == (False, 1)


@pytest.mark.parametrize("what", ["content", "person", "contents", "entries"])
def test_the_reason_is_sealed_before_anything_goes_so_the_sealed_part_verifies_by_itself(
    log: Log, data: Path, what: str
):
    if what in {"content", "person"}:
        log.erase([(3, "request.text" if what == "content" else "request.user")], **ANYBODY)
    else:
        retire(log, "old", Removes(what), Ranges([(3, 9)]))
    assert compact(log).sealed
    assert verify_folder(data, sealed_only=True).findings == ()
    post(log, action(900))
    assert not compact(log).sealed


def test_nothing_that_was_replaced_is_kept_open(log: Log, data: Path):
    list(log.rows(0, 41))
    assert log.stored(3).contents
    log.erase([(3, "request.text")], **ANYBODY)
    result = compact(log)
    opened = [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    assert [each for each in opened if each.startswith(str(data)) and each.endswith("(deleted)")] == []
    assert [(each.start, each.end, each.generation) for each in result.renewed] == [(0, 21, 2)]
    assert [content.member for content in log.stored(3).contents] == ["tool.arguments"]


@pytest.mark.parametrize("fails", ["unlink", "sync_folder"])
def test_a_crash_while_an_unfinished_generation_is_tidied_leaves_a_log_that_starts(
    data: Path, monkeypatch, fails: str
):
    log = filled(data, 20)
    log.erase([(3, "request.text")], **ANYBODY)
    log.seal()
    with monkeypatch.context() as patched:  # the manifest is there, and what came after it failed
        patched.setattr(renewal.Segment, "open", crash)
        with pytest.raises(CrashError):
            compact(log)
    folder = log.segments()[0].folder
    every = Path.iterdir
    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", lambda path: iter(sorted(every(path))))
        if fails == "unlink":
            patched.setattr(Path, "unlink", after_one(Path.unlink))
        else:
            patched.setattr(renewal, "sync_folder", crash)
        with pytest.raises(CrashError):
            compact(log)
        assert (folder / "contents-2.parquet").exists(), "the manifest that names it went first, for good"
    log.close()
    log = Log.open(data)
    compact(log)
    log.close()
    assert found(data, text(3)) == []
    assert verify_folder(data).findings == ()


def crash(*_: object, **__: object) -> None:
    raise CrashError


def after_one(real: Callable[..., None]) -> Callable[..., None]:
    """Does it once, and dies."""

    def once(*given: object, **named: object) -> None:
        real(*given, **named)
        raise CrashError

    return once


def test_a_stop_ends_it_between_two_segments_and_the_next_run_does_the_rest(log: Log, data: Path):
    log.erase([(3, "request.text"), (25, "request.text")], **ANYBODY)
    stop = Stop()
    with pytest.raises(LedgerError, match="stopped"):
        compact(log, progress=lambda done, _: stop.ask() if done == 1 else None, stop=stop)
    assert [segment.manifest.generation for segment in log.segments()] == [2, 1, 1]
    compact(log)
    assert found(data, text(3), text(25)) == []


def test_a_stop_kills_the_worker_and_leaves_the_segment_as_it_was(log: Log, monkeypatch):
    log.erase([(3, "request.text")], **ANYBODY)
    log.seal()
    stop = Stop()
    before = {path.name for path in log.segments()[0].folder.iterdir()}
    with monkeypatch.context() as patched:  # it is told nothing, so it waits for ever
        patched.setattr("ledger.storage.process._send", lambda *_: stop.ask())
        with pytest.raises(LedgerError, match="it was stopped"):
            compact(log, stop=stop)
    assert {path.name for path in log.segments()[0].folder.iterdir()} == before
    assert len(compact(log).renewed) == 1


def test_an_erased_person_is_in_no_file_and_the_others_are(log: Log, data: Path):
    log.erase([(4, "request.user")], **ANYBODY)
    assert compact(log).persons == 1
    log.close()
    assert found(data, user(4)) == []
    assert all(found(data, user(n)) for n in (5, 6))
    assert verify_folder(data).findings == ()


def test_a_retired_entry_is_in_no_file_and_its_receipts_hold(log: Log, data: Path):
    before = {seq: log.receipt(seq) for seq in (3, 5, 19, 30)}
    retire(log, "old", Removes.ENTRIES, Ranges([(2, 11), (30, 31)]))
    compact(log)
    gone = [*range(2, 11), 30]
    assert found(data, *(each(n) for n in gone for each in (text, argument, fact)), '"rec-00003"') == []
    assert found(data, fact(11))
    assert all(holds(log, seq, receipt) for seq, receipt in before.items())
    assert all(holds(log, seq, log.receipt(seq)) for seq in (3, 5, 19, 30))
    assert [segment.manifest.retired.entries for segment in log.segments()] == [9, 1, 0], (
        "and what said so is sealed first"
    )
    [late] = post(log, action(3))
    assert late.code == Code.RETIRED
    log.close()
    again = Log.open(data)
    [late] = post(again, action(3))
    assert late.code == Code.RETIRED
    with pytest.raises(LedgerError) as caught:
        again.stored(3)
    assert "retired by policy old" in caught.value.detail
    again.close()
    assert verify_folder(data, receipts=before.values()).findings == ()


def test_a_person_whom_only_retired_entries_name_stays_until_erased_from_a_new_one(log: Log, data: Path):
    lonely = "lonely@example.com"
    [only] = post(log, action(900, request={"user": lonely}))
    log.seal()
    retire(log, "old", Removes.ENTRIES, Ranges([(only.seq, only.seq + 1)]))
    compact(log)
    assert found(data, lonely)
    with pytest.raises(LedgerError) as caught:
        log.erase([(only.seq, "request.user")], **ANYBODY)
    assert caught.value.code == Code.RETIRED
    [new] = post(log, action(901, request={"user": lonely}))
    log.erase([(new.seq, "request.user")], **ANYBODY)
    assert compact(log).persons == 1
    log.close()
    assert found(data, lonely) == []
    assert verify_folder(data).findings == ()


def test_retired_contents_are_in_no_file(log: Log, data: Path):
    retire(log, "prompts", Removes.CONTENTS, Ranges([(1, 15)]))
    compact(log)
    assert found(data, *(each(n) for n in range(1, 15) for each in (text, argument))) == []
    assert found(data, text(15))
    assert found(data, fact(1))
    log.close()
    assert verify_folder(data).findings == ()


def test_a_second_compaction_finds_nothing_to_do(log: Log):
    log.erase([(3, "request.text"), (43, "request.user")], **ANYBODY)
    compact(log)
    again = compact(log)
    assert (again.sealed, again.persons, again.renewed, again.freed_bytes) == (False, 0, (), 0)


def test_what_goes_later_makes_a_further_generation(log: Log, data: Path):
    log.erase([(3, "request.text")], **ANYBODY)
    compact(log)
    retire(log, "old", Removes.ENTRIES, Ranges([(5, 6)]))
    compact(log)
    folder = log.segments()[0].folder
    assert sorted(path.name for path in folder.glob("manifest-*")) == [
        "manifest-1",
        "manifest-2",
        "manifest-3",
    ]
    assert sorted(path.name for path in folder.glob("*.parquet")) == [
        "contents-3.parquet",
        "entries-3.parquet",
        "facts-3.parquet",
    ]
    assert folder.stat().st_mode & 0o777 == 0o555
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}
    assert found(data, text(3), text(5)) == []


def test_a_reader_in_the_middle_of_a_segment_reads_on_over_its_compaction(log: Log):
    rows = log.rows(0, 41)
    first = next(rows)
    retire(log, "old", Removes.ENTRIES, Ranges([(22, 24)]))
    compact(log)
    seqs = [seq for batch in (first, *rows) for seq in batch.column("seq").to_pylist()]
    assert seqs == list(range(41))


STEPS = ("Rebuild", "sign_manifest", "write_durably", "tidy")


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_is_finished_by_the_next_run(data: Path, monkeypatch, step: str, before: bool):
    log = filled(data, 20, 20)
    log.erase([(3, "request.text"), (25, "request.text"), (4, "request.user")], **ANYBODY)
    retire(log, "old", Removes.ENTRIES, Ranges([(10, 12)]))
    real, calls = getattr(renewal, step), []

    def crashing(*given: object, **named: object):
        calls.append(1)
        made = None if before else real(*given, **named)
        if before or step != "Rebuild":
            raise CrashError
        made.run()
        raise CrashError

    monkeypatch.setattr(renewal, step, crashing)
    with pytest.raises(CrashError):
        compact(log)
    monkeypatch.undo()
    log.close()  # what follows sees the disk alone
    assert calls
    assert {finding.detail for finding in verify_folder(data).findings} <= {
        "it stands there, and no manifest names it"
    }
    Log.open(data).close()  # a start deletes such files
    assert verify_folder(data).findings == ()
    log = Log.open(data)
    assert not is_compact(log)
    compact(log)
    log.close()
    gone = [text(3), text(25), user(4), fact(10), fact(11), text(10), argument(11)]
    assert found(data, *gone) == []
    report = verify_folder(data)
    assert report.findings == ()
    log = Log.open(data)
    assert is_compact(log)
    assert all(holds(log, seq, log.receipt(seq)) for seq in range(0, log.head().size, 7))
    log.close()
