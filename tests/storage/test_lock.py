"""Whoever holds the data folder's lock notices when it is no longer the one who does."""

import fcntl
import os

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.storage.lock import LOCK, DataLock


@pytest.fixture
def lock(tmp_path):
    lock = DataLock(tmp_path)
    yield lock
    lock.release()


def test_a_lock_that_is_held_is_not_lost(lock):
    assert lock.lost() is None


def test_a_second_holder_is_refused_and_told_who_the_first_is(lock, tmp_path):
    with pytest.raises(LedgerError) as refused:
        DataLock(tmp_path)
    assert refused.value.code == Code.LOCKED
    assert f"in use by process {os.getpid()}:" in refused.value.detail
    assert lock.lost() is None


def test_a_second_holder_that_the_file_system_let_in_is_noticed_by_the_first(lock, tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    second = DataLock(tmp_path)
    assert f"process {os.getpid()} has taken" in lock.lost()
    assert second.lost() is None
    second.release()


@pytest.mark.parametrize("again", [False, True], ids=["gone", "replaced"])
def test_a_lock_file_that_was_removed_or_replaced_is_noticed(lock, tmp_path, again):
    (tmp_path / LOCK).unlink()
    if again:
        DataLock(tmp_path).release()
    assert ("replaced" if again else "gone") in lock.lost()


def test_a_data_folder_that_was_moved_away_is_noticed(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    lock = DataLock(folder)
    folder.rename(tmp_path / "elsewhere")
    assert "moved away" in lock.lost()
    (tmp_path / "elsewhere").rename(folder)
    assert lock.lost() is None
    lock.release()
