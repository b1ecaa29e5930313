"""A start refuses whatever it cannot vouch for, and says why and what to do."""

import os
import shutil
from pathlib import Path

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.log.log import Log
from ledger.storage.layout import hot_path
from tests.log.conftest import ORIGIN, post, record


def refused(data: Path, **options: object) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        Log.open(data, **options).close()
    return caught.value


def fill(data: Path, first: int, last: int) -> None:
    log = Log.open(data)
    post(log, *(record(number) for number in range(first, last)))
    log.close()


def test_a_folder_restored_from_an_older_copy_is_refused(data: Path, tmp_path: Path):
    fill(data, 1, 5)
    shutil.copytree(data, tmp_path / "copy")
    fill(data, 5, 7)
    shutil.rmtree(data)
    (tmp_path / "copy").rename(data)
    error = refused(data)
    assert error.code == Code.ROLLED_BACK
    assert "5 entries" in error.detail
    assert "7 were acknowledged" in error.detail


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb"])
def test_an_origin_that_no_checkpoint_can_carry_is_refused_and_nothing_is_made(tmp_path: Path, origin: str):
    with pytest.raises(LedgerError) as caught:
        Log.create(tmp_path / "data", origin)
    assert (caught.value.code, caught.value.path) == (Code.INVALID_PARAMETER, "origin")
    assert not (tmp_path / "data").exists()


def test_a_missing_anchor_is_refused_unless_it_is_accepted_once(data: Path):
    fill(data, 1, 3)
    (data.parent / "data.head").unlink()
    assert refused(data).code == Code.ANCHOR_MISSING
    Log.open(data, accept_missing_anchor=True).close()
    Log.open(data).close()


def test_an_anchor_of_another_history_is_a_fork(data: Path, tmp_path: Path):
    shutil.copytree(data, tmp_path / "other")
    shutil.copy(data.parent / "data.head", tmp_path / "other.head")
    fill(data, 1, 3)
    fill(tmp_path / "other", 5, 8)
    shutil.copy(data.parent / "data.head", tmp_path / "other.head")
    assert refused(tmp_path / "other").code == Code.FORKED


def test_an_anchor_that_the_key_did_not_sign_is_refused(data: Path):
    fill(data, 1, 3)
    (data.parent / "data.head").write_bytes(b"garbage")
    assert refused(data).code == Code.FORKED


def test_the_origin_is_fixed(data: Path):
    assert refused(data, origin="ledger.example/other").code == Code.ORIGIN_CHANGED
    Log.open(data, origin=ORIGIN).close()


def test_a_second_writer_is_told_who_holds_the_log(data: Path):
    log = Log.open(data)
    error = refused(data)
    log.close()
    assert error.code == Code.LOCKED
    assert str(os.getpid()) in error.detail


def test_a_key_others_could_read_is_refused(data: Path):
    (data / "log.key").chmod(0o640)
    error = refused(data)
    assert error.code == Code.KEY_FILE
    assert "0640" in error.detail


@pytest.mark.parametrize(
    "text", ["", "x", "PRIVATE+KEY+a+b+c", "PRIVATE+KEY+ledger.example/test+00000000+AAAA"]
)
def test_a_malformed_key_is_refused(data: Path, text: str):
    (data / "log.key").write_text(text)
    assert refused(data).code == Code.KEY_FILE


def test_a_new_log_does_not_take_the_place_of_a_lost_one(data: Path):
    fill(data, 1, 3)
    shutil.rmtree(data)
    with pytest.raises(LedgerError) as caught:
        Log.create(data, ORIGIN)
    assert caught.value.code == Code.ROLLED_BACK


def test_creating_twice_is_refused_and_a_creation_that_crashed_is_taken_up_again(data: Path):
    with pytest.raises(LedgerError) as caught:
        Log.create(data, ORIGIN)
    assert caught.value.code == Code.LOG_EXISTS
    (data / "hot").rename(data / "hot.new")  # what a crash before the rename leaves
    Log.create(data, ORIGIN)
    fill(data, 1, 3)


def test_nothing_is_opened_where_there_is_no_log(tmp_path: Path):
    assert refused(tmp_path).code == Code.NOT_FOUND


def test_a_folder_is_closed_to_others(data: Path):
    modes = {path.name: path.stat().st_mode & 0o777 for path in [data, data / "log.key"]}
    assert modes == {"data": 0o700, "log.key": 0o600}


def test_a_database_is_closed_to_others_also_in_a_folder_that_was_not(tmp_path: Path):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o755)
    Log.create(folder, ORIGIN)
    log = Log.open(folder)
    post(log, record(1))
    files = {path.name: path.stat().st_mode & 0o777 for path in [folder, *folder.rglob("*")]}
    log.close()
    assert "00000001.duckdb.wal" in files
    assert {name: oct(mode) for name, mode in files.items() if mode & 0o077} == {}


def test_a_database_that_was_left_open_to_others_is_closed_at_start(data: Path):
    hot_path(data, 1).chmod(0o644)
    Log.open(data).close()
    assert hot_path(data, 1).stat().st_mode & 0o777 == 0o600
