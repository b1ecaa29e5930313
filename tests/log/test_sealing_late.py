"""Sealing that is slow, fails or is stopped: nothing acknowledged is lost, memory stays bounded, and nobody waits for ever."""

import threading
import time
from pathlib import Path

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.log import sealing
from ledger.log.log import Log
from ledger.log.sequencer import MAX_WAITING
from ledger.storage.build import Build
from ledger.storage.layout import segment_folders
from tests.log.conftest import post, record

WHY = {"by": "token:dpo", "ground": "asked"}


def blocked(data: Path) -> Path:
    """A file in the way of every seal."""
    (data / "segments").write_text("in the way")
    return data / "segments"


def before_each_build(monkeypatch: pytest.MonkeyPatch, happen) -> list[int]:
    """Have something happen when a build is made and has not begun. Returns the first entries of those that began."""
    began: list[int] = []

    class Meanwhile(Build):
        def __init__(self, building: Path, start: int, *rest: object, **options: object) -> None:
            super().__init__(building, start, *rest, **options)
            self.start = start
            happen()

        def run(self, rows):
            began.append(self.start)
            return super().run(rows)

    monkeypatch.setattr(sealing, "Build", Meanwhile)
    return began


def test_while_sealing_fails_no_more_is_taken_than_memory_has_room_for_and_later_it_goes_on(
    data: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ledger.log.store.ROTATE_ENTRIES", 10)
    log = Log.open(data, rotate_entries=10)
    obstacle = blocked(data)
    taken: list[int] = []
    while len(taken) < 2 * MAX_WAITING * 10:
        try:
            taken += [answer.seq for answer in post(log, *[record(len(taken) + n) for n in range(10)])]
        except LedgerError as error:
            refusal = error
            break
    assert (refusal.code, refusal.members["retry_after"]) == (Code.STORAGE_FAILED, 10)
    assert len(log._store.full()) == MAX_WAITING
    with pytest.raises(LedgerError, match="segments"):
        log.seal()  # it does not make one more that waits
    assert len(log._store.full()) == MAX_WAITING
    obstacle.unlink()
    log._sealer.wait(log._store.full_end)
    [answer] = post(log, record(900))
    assert answer.seq == len(taken) + 1
    assert [log.find(f"rec-{number:05d}") for number in range(len(taken))] == taken
    log.close()


def test_small_hot_files_that_wait_are_no_reason_to_refuse(data: Path):
    """Attempts to seal, as a backup makes them every hour, leave one each while sealing fails."""
    log = Log.open(data)
    blocked(data)
    for number in range(MAX_WAITING + 2):
        [answer] = post(log, record(number))
        assert answer.seq == number + 1
        with pytest.raises(LedgerError):
            log.seal()
    assert len(log._store.full()) == MAX_WAITING
    log.close()


def test_a_stop_between_two_steps_of_a_seal_begins_no_build(data: Path, monkeypatch: pytest.MonkeyPatch):
    log = Log.open(data)
    post(log, record(1))
    looked = threading.Event()

    class Threads(list):
        def __iter__(self):
            looked.set()  # `close` has looked for a build to kill
            return super().__iter__()

    log._sealer._threads = Threads(log._sealer._threads)

    def stop() -> None:
        threading.Thread(target=log._sealer.close, daemon=True).start()
        assert looked.wait(30)

    began = before_each_build(monkeypatch, stop)
    with pytest.raises(LedgerError):
        log.seal()
    log.close()
    assert began == []
    assert segment_folders(data) == []
    again = Log.open(data)
    monkeypatch.setattr(sealing, "Build", Build)
    assert again.seal() == 2
    again.close()


def test_who_waits_for_a_seal_hears_of_the_stop(log: Log):
    heard: list[LedgerError] = []

    def wait() -> None:
        try:
            log._sealer.wait(99)
        except LedgerError as error:
            heard.append(error)

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    while log._store.work.is_set() or not log._sealer._settled._waiters:
        time.sleep(0.01)
    time.sleep(0.2)  # the sealer found nothing to do, and sleeps
    log._sealer.close()
    waiter.join(30)
    assert [error.code for error in heard] == [Code.STORAGE_FAILED]


def test_the_newest_checkpoint_is_found_though_its_hot_file_is_sealed_meanwhile(
    log: Log, monkeypatch: pytest.MonkeyPatch
):
    post(log, record(1))
    note = log.head().note
    go = threading.Event()
    before_each_build(monkeypatch, lambda: go.wait(30))
    log._sequencer.rotate()
    empty = log._store.hots()[-1]
    bounds = empty.bounds

    def sealed_meanwhile():
        go.set()
        log._sealer.wait(2, 30)
        return bounds()

    monkeypatch.setattr(empty, "bounds", sealed_meanwhile)
    assert len(log._store.full()) == 1
    assert log._store.newest_checkpoint() == note
    assert log._store.full() == []


def test_what_is_erased_while_its_hot_file_is_sealed_is_in_the_segment_until_that_is_made_anew(
    log: Log, monkeypatch: pytest.MonkeyPatch
):
    """A segment holds what its own entries and earlier ones leave: a copy that ends with it has the reason for all that is gone."""
    post(log, record(1), record(2))
    log.erase([(1, "request.text")], **WHY)
    before_each_build(monkeypatch, lambda: log.erase([(1, "tool.arguments"), (2, "request.user")], **WHY))
    assert log.seal() == 4
    [segment] = log.segments()
    assert segment.manifest.retired == (0, 1)
    [batch] = segment.rows(1, 2)
    assert '"tool.arguments"' in batch.column("contents")[0].as_py()
    assert '"request.text"' not in batch.column("contents")[0].as_py()
    assert log._store.people.rows(0, 4).num_rows == 1
    assert [content.member for content in log.stored(1).contents] == []
    assert log.person_rows(0, 5).num_rows == 0
