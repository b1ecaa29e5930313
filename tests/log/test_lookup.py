"""A record that cannot be looked up, because its segment is damaged or lies elsewhere, costs nobody else anything."""

import threading
import time
from pathlib import Path

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.log.log import Log
from ledger.log.plan import Appended
from tests.log.conftest import post, record

LARGE = ("entries.parquet", "contents.parquet")


@pytest.fixture
def away(data: Path, tmp_path: Path) -> Path:
    """A closed log with the records 0 to 10, the last in a segment of its own; the first one's large files are in another folder: this."""
    log = Log.open(data)
    post(log, *[record(number) for number in range(10)])
    log.seal()
    post(log, record(10))
    log.seal()
    segment = log.segments()[0]
    log.close()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    segment.folder.chmod(0o700)
    for name in LARGE:
        (segment.folder / name).rename(elsewhere / name)
    return elsewhere


class Elsewhere:
    """Gives files of another folder, once it may."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.may = folder, threading.Event()
        self.asked: list[str] = []

    def __call__(self, path: Path) -> Path:
        self.asked.append(threading.current_thread().name)
        if not self.may.wait(60):
            raise TimeoutError
        if not self.folder.exists():
            raise LedgerError(Code.OBJECTS_UNAVAILABLE, "the store is away")
        return self.folder / path.name


def brought(log: Log) -> None:
    while log._fetching._bringing is not None:
        time.sleep(0.01)


def kinds(answers: list[Appended | LedgerError]) -> list:
    return [each.code if isinstance(each, LedgerError) else each.existing for each in answers]


def test_a_record_whose_segment_lies_elsewhere_is_refused_alone_until_it_was_brought(data: Path, away: Path):
    fetch = Elsewhere(away)
    log = Log.open(data, fetch=fetch)
    sent = [record(number) for number in (20, 3, 21, 7, 22)]
    answers = post(log, *sent)
    gone = Code.OBJECTS_UNAVAILABLE
    assert kinds(answers) == [False, gone, False, gone, False]
    assert answers[1].members["retry_after"] == 5
    assert "sequencer" not in fetch.asked
    fetch.may.set()
    brought(log)
    again = post(log, *sent)
    assert kinds(again) == [True] * 5
    assert [each.seq for each in again] == [12, 4, 13, 8, 14]
    assert set(fetch.asked) == {"fetching"}
    log.close()


def test_why_it_could_not_be_brought_is_told_and_it_is_tried_again(data: Path, away: Path):
    fetch = Elsewhere(away)
    fetch.may.set()
    away.rename(away.with_name("hidden"))
    log = Log.open(data, fetch=fetch)
    for _ in range(2):
        [refused] = post(log, record(3))
        assert refused.code == Code.OBJECTS_UNAVAILABLE
        brought(log)
    assert "the store is away" in refused.detail
    away.with_name("hidden").rename(away)
    post(log, record(3))
    brought(log)
    [answer] = post(log, record(3))
    assert (answer.seq, answer.existing) == (4, True)
    log.close()


def test_who_reads_waits_for_the_fetch(data: Path, away: Path):
    fetch = Elsewhere(away)
    fetch.may.set()
    log = Log.open(data, fetch=fetch)
    assert log.find("rec-00003") == 4
    assert log.stored(4).seq == 4
    log.close()


@pytest.mark.usefixtures("away")
def test_a_record_that_cannot_be_looked_up_fails_its_own_submission_alone(log_without_files: Log):
    sent = [record(number) for number in (20, 3, 21)]
    assert kinds(post(log_without_files, *sent)) == [False, Code.STORAGE_FAILED, False]
    assert kinds(post(log_without_files, record(30), record(3), atomic=True)) == [
        Code.NOT_WRITTEN,
        Code.STORAGE_FAILED,
    ]
    assert log_without_files.head().size == 14
    assert kinds(post(log_without_files, record(30))) == [False]


@pytest.fixture
def log_without_files(data: Path, away: Path):
    """The files go while the log is open: a start refuses to begin without them."""
    folder = data / "segments" / "0000000000000000"
    for name in LARGE:
        (away / name).rename(folder / name)
    log = Log.open(data)
    for name in LARGE:
        (folder / name).unlink()
    yield log
    log.close()
