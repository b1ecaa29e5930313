"""A log that rotates and seals is the same log: for who writes, for who reads, and after every start."""

import errno
import shutil
import threading
import time
from pathlib import Path

import pytest

from ledger.core.checkpoint import parse_checkpoint
from ledger.core.errors import Code, LedgerError
from ledger.core.merkle import verify_consistency, verify_inclusion
from ledger.core.note import parse_note
from ledger.core.receipt import parse_receipt
from ledger.log.log import Log
from ledger.storage.layout import hot_files, segment_folders
from tests.log.conftest import ORIGIN, post, record

COUNT = 700


@pytest.fixture
def sealed(tmp_path: Path):
    """A log of 700 records in groups of seven, sealed at every 200 or so, and what it answered."""
    data = tmp_path / "log" / "data"
    Log.create(data, ORIGIN)
    log = Log.open(data, rotate_entries=200)
    answers = []
    for low in range(0, COUNT, 7):
        answers += post(
            log,
            *[
                record(number, request={"user": f"user-{number % 90}", "text": "hello"})
                for number in range(low, low + 7)
            ],
        )
    log._sealer.wait(log._store._parts[-1].start, 60)
    yield log, answers, data
    log.close()


def everything(log: Log) -> dict:
    """What a reader can get, in a form that can be compared."""
    size = log.head().size
    rows = [row for batch in log.rows(0, size) for row in batch.to_pylist()]
    return {
        "size": size,
        "root": log.head().root,
        "rows": rows,
        "persons": sorted(row["commitment"] for row in log.person_rows(0, size).to_pylist()),
        "bundles": [log.bundle(index) for index in range(size // 256)],
        "tiles": [log.tile(0, index) for index in range(size // 256)],
        "found": [log.find(f"rec-{number:05d}") for number in range(0, COUNT, 13)],
        "stored": [log.stored(seq) for seq in range(0, size, 29)],
    }


def test_a_full_hot_file_becomes_a_segment_and_goes(sealed):
    log, _, data = sealed
    assert len(segment_folders(data)) == 3
    assert log.sealing().failed is None
    assert log.sealing().sealed == log.segments()[-1].end
    assert [segment.start for segment in log.segments()] == [0, *(s.end for s in log.segments()[:-1])]
    assert len(hot_files(data)) in {1, 2}  # the one that is written, and perhaps the next


def test_what_is_read_is_the_same_before_and_after_sealing_and_after_a_start(sealed):
    log, _, data = sealed
    before = everything(log)
    assert [row["seq"] for row in before["rows"]] == list(range(COUNT + 1))
    log.seal()
    assert log._store.sealed_end == COUNT + 1
    assert everything(log) == before
    shutil.copytree(data.parent, data.parent.parent / "killed")
    again = Log.open(data.parent.parent / "killed" / data.name, rotate_entries=200)
    try:
        assert everything(again) == before
    finally:
        again.close()


def test_every_entry_has_a_receipt_wherever_it_is_stored(sealed):
    log, answers, _ = sealed
    head = parse_checkpoint(parse_note(log.head().note).text)
    for answer in answers[::31]:
        receipt = parse_receipt(log.receipt(answer.seq))
        verify_inclusion(answer.leaf_hash, answer.seq, head.size, receipt.proof, head.root)
    for old in (1, 199, 256, 300, 512, 600):
        verify_consistency(
            old, head.size, log.consistency(old, head.size), log._written.tree.root_at(old), head.root
        )


def test_a_record_that_is_sealed_is_found_by_its_id_and_not_written_again(sealed):
    log, answers, _ = sealed
    log.seal()
    again = post(
        log,
        *[
            record(number, request={"user": f"user-{number % 90}", "text": "hello"})
            for number in (0, 150, 333, 650)
        ],
    )
    assert [(a.seq, a.existing) for a in again] == [(answers[n].seq, True) for n in (0, 150, 333, 650)]
    (conflict,) = post(log, record(150, request={"user": "user-60", "text": "another"}))
    assert isinstance(conflict, LedgerError)
    assert f"entry {answers[150].seq}" in conflict.detail
    assert log.head().size == COUNT + 1


def test_a_person_keeps_one_commitment_across_segments(sealed):
    log, _, _ = sealed
    log.seal()
    (answer,) = post(log, record(9_000, request={"user": "user-5", "text": "x"}))
    first, later = log.stored(6), log.stored(answer.seq)
    assert [p.commitment for p in first.persons] == [p.commitment for p in later.persons]
    assert log.person_rows(0, log.head().size).num_rows == 90


def test_reading_goes_on_while_the_file_that_is_read_is_sealed(data: Path):
    log = Log.open(data)
    for low in range(0, 6_000, 500):
        post(log, *[record(number) for number in range(low, low + 500)])
    reader = log.rows(0, log.head().size)
    seen = [next(reader).num_rows]
    log.seal()  # the hot file that `reader` is in the middle of is gone
    seen += [batch.num_rows for batch in reader]
    assert sum(seen) == 6_001
    log.close()


def test_sealing_an_idle_log_again_does_nothing(sealed):
    log, _, data = sealed
    log.seal()
    before = segment_folders(data)
    assert log.seal() == COUNT + 1
    assert segment_folders(data) == before


def test_writing_goes_on_while_sealing_fails_and_sealing_is_made_up_for(data: Path):
    log = Log.open(data, rotate_entries=50)
    (data / "segments").mkdir(exist_ok=True)
    (data / "segments").chmod(0o500)
    blocked = data / "segments"
    shutil.rmtree(blocked)
    blocked.write_text("in the way")
    answers = post(log, *[record(number) for number in range(120)])
    assert not [answer for answer in answers if isinstance(answer, LedgerError)]
    with pytest.raises(LedgerError) as caught:
        log.seal()
    assert "segments" in caught.value.detail
    assert log.sealing().failed
    blocked.unlink()
    assert log.seal() == 121
    log.close()


@pytest.mark.parametrize("moment", ["before it is built", "before it is named", "before the hot file goes"])
def test_a_lost_lock_stops_sealing_before_anything_gets_a_name_or_goes(data: Path, monkeypatch, moment: str):
    log = Log.open(data)
    post(log, *[record(number) for number in range(60)])
    [(_, hot)] = hot_files(data)

    def lose() -> None:
        """As when another machine's server gets the lock too, and makes the file anew."""
        (data / "lock").unlink()
        (data / "lock").touch()

    if moment == "before it is built":
        lose()
    elif moment == "before it is named":
        add = log._store.people.add
        monkeypatch.setattr(log._store.people, "add", lambda *given: add(*given) or lose())
    else:
        sealed = log._store.sealed
        monkeypatch.setattr(log._store, "sealed", lambda *given: sealed(*given) or lose())
    for _ in range(2):
        with pytest.raises(LedgerError) as caught:
            log.seal()
        assert caught.value.code == Code.LOG_STOPPED
    while log.sealing().failed is None:
        time.sleep(0.01)
    assert "another file than the one that was locked" in log.sealing().failed
    assert len(segment_folders(data)) == (moment == "before the hot file goes")
    assert hot.exists()
    log.close()
    again = Log.open(data)
    assert again.seal() == 61
    assert [again.find(f"rec-{number:05d}") for number in range(60)] == list(range(1, 61))
    again.close()


def test_many_writers_and_readers_meet_sealing_without_noticing(data: Path):
    log = Log.open(data, rotate_entries=100)
    failed: list[object] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            size = log.head().size
            seqs = [row["seq"] for batch in log.rows(0, size) for row in batch.to_pylist()]
            if seqs != list(range(size)):
                failed.append(seqs)
            log.stored(size - 1)
            log.stored(size // 2)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for low in range(0, 1_000, 10):
        failed += [
            a for a in post(log, *[record(n) for n in range(low, low + 10)]) if isinstance(a, LedgerError)
        ]
    stop.set()
    for reader in readers:
        reader.join()
    log.seal()
    assert failed == []
    assert log.sealing().sealed == 1_001
    log.close()


def test_a_sealed_hot_file_that_cannot_be_deleted_is_told_and_deleted_later(
    data: Path, monkeypatch: pytest.MonkeyPatch
):
    log = Log.open(data)
    post(log, *[record(number) for number in range(20)])
    with monkeypatch.context() as broken:
        broken.setattr("ledger.storage.hot.remove_hot", _broken)
        with pytest.raises(LedgerError) as caught:
            log.seal()
        assert "Input/output error" in caught.value.detail
        assert log.stored(7).seq == 7
    assert log.seal() == 21
    assert len(hot_files(data)) == 1
    log.close()


def test_a_hot_file_whose_making_fails_late_is_made_at_the_next_attempt(
    data: Path, monkeypatch: pytest.MonkeyPatch
):
    log = Log.open(data)
    post(log, record(1))
    with monkeypatch.context() as broken:
        broken.setattr("ledger.storage.hot.sync_folder", _broken)
        with pytest.raises(LedgerError):
            log.seal()
    assert log.seal() == 2
    log.close()


def test_more_places_erased_than_there_are_entries_does_not_stop_sealing(data: Path):
    log = Log.open(data)
    log.seal()
    (answer,) = post(log, record(1))
    log.erase(
        [(answer.seq, member) for member in ("request.text", "tool.arguments", "request.user")],
        by="t",
        ground="t",
    )
    assert log.seal() == 3
    log.close()
    Log.open(data).close()


def _broken(*_: object) -> None:
    raise OSError(errno.EIO, "Input/output error")
