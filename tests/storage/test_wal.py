"""A WAL's file, made before DuckDB makes it."""

import fcntl
import struct
from pathlib import Path

import duckdb
import pytest

from ledger.log.log import Log
from ledger.storage.layout import hot_path, wal_of
from ledger.storage.wal import make_wal
from tests.log.conftest import post, record

EXTENTS = 0x80000


def mapped(path: Path) -> bool:
    """Whether a file has extents: its flags, as `lsattr` shows them."""
    with path.open("rb") as file:
        return bool(struct.unpack("l", fcntl.ioctl(file, 0x80086601, bytes(8)))[0] & EXTENTS)


@pytest.fixture
def on_ext4(tmp_path: Path) -> None:
    probe = tmp_path / "probe"
    probe.touch()
    try:
        if mapped(probe):
            return
    except OSError:
        pass
    pytest.skip("files here have no extents that could be told from blocks")


@pytest.mark.usefixtures("on_ext4")
def test_a_commit_appends_to_a_file_without_extents_also_after_a_fold_and_is_read_back(data: Path):
    for number in (1, 2):
        log = Log.open(data)
        assert not wal_of(hot_path(data, 1)).exists()  # folded in when it was let go
        post(log, record(number))
        assert not mapped(wal_of(hot_path(data, 1)))
        log.close()
    log = Log.open(data)
    assert log.head().size == 3  # with the one that says how the log began
    log.close()


def test_a_wal_that_is_there_stays_as_it_is(tmp_path: Path):
    wal = tmp_path / "here.wal"
    wal.write_bytes(b"what was said")
    before = wal.stat()
    make_wal(wal)
    assert (wal.read_bytes(), wal.stat().st_ino) == (b"what was said", before.st_ino)


def test_no_link_is_followed(tmp_path: Path):
    (tmp_path / "link.wal").symlink_to(tmp_path / "elsewhere")
    make_wal(tmp_path / "link.wal")
    assert not (tmp_path / "elsewhere").exists()


def test_where_none_can_be_made_nothing_is_said_and_duckdb_says_why(tmp_path: Path):
    make_wal(tmp_path / "nowhere" / "here.wal")
    assert not (tmp_path / "nowhere").exists()


def test_a_database_beside_an_empty_wal_opens(tmp_path: Path):
    path = tmp_path / "here.duckdb"
    with duckdb.connect(str(path)) as made:
        made.execute("CREATE TABLE said AS SELECT 1 AS number")
    make_wal(wal_of(path))
    with duckdb.connect(str(path)) as opened:
        assert opened.execute("FROM said").fetchall() == [(1,)]
