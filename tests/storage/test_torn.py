"""A WAL whose end a power cut tore is opened without it; where something acknowledged was in it, no byte is thrown away."""

import errno
import shutil

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.log.log import Log
from ledger.storage import torn as torn_ends
from ledger.storage.hot import StoreFailed
from ledger.upkeep.compact import compact
from tests.log.conftest import ORIGIN, post, record


@pytest.fixture
def killed(tmp_path):
    """A log of ten entries whose last nine are in the WAL alone; the WAL, and how long it was before the last group."""
    folder = tmp_path / "running" / "data"
    Log.create(folder, ORIGIN)
    log = Log.open(folder)
    for number in range(8):
        post(log, record(number))
    [wal] = folder.rglob("*.wal")
    before = wal.stat().st_size
    post(log, record(8, request={"text": "x" * 20_000}))
    shutil.copytree(tmp_path / "running", tmp_path / "killed")
    log.close()
    [wal] = (tmp_path / "killed").rglob("*.wal")
    return tmp_path / "killed" / "data", wal, before


def older_anchor(data):
    """The anchor as it was when the last group was not there yet: its newest slot is spoilt."""
    anchor = data.with_name(f"{data.name}.head")
    newest = max(range(2), key=lambda slot: int(anchor.read_bytes()[slot * 4096 :].split(b"\n")[2]))
    image = bytearray(anchor.read_bytes())
    image[newest * 4096] ^= 1
    anchor.write_bytes(image)


@pytest.mark.parametrize("torn", ["a hole", "zeros", "half"])
def test_what_was_being_written_when_the_power_went_is_cut_off(killed, torn):
    data, wal, before = killed
    older_anchor(data)
    whole = wal.read_bytes()
    middle = before + (len(whole) - before) // 2
    left = {
        "a hole": whole[:middle] + bytes(100) + whole[middle + 100 :],
        "zeros": whole[:before] + bytes(len(whole) - before),
        "half": whole[:middle],
    }[torn]
    wal.write_bytes(left)
    log = Log.open(data)
    assert log.head().size == 9
    [again] = post(log, record(8, request={"text": "x" * 20_000}))
    assert (again.seq, again.existing) == (9, False)
    log.close()
    assert list(data.rglob("*.torn-*")) == [], "nothing that could not be erased stays"


def test_a_byte_that_changed_before_what_was_acknowledged_is_no_torn_end(killed):
    data, wal, before = killed
    whole = bytearray(wal.read_bytes())
    whole[before - 100] ^= 1
    wal.write_bytes(whole)
    with pytest.raises(LedgerError) as refused:
        Log.open(data)
    assert refused.value.code == Code.ROLLED_BACK
    [end] = data.rglob("*.torn-*")
    assert wal.read_bytes() + end.read_bytes() == whole


def tear_the_next_commit(log, monkeypatch):
    """The disk takes a commit with a hole in it, and says that it failed."""
    file = log._store.hots()[-1]
    [wal] = file.path.parent.glob("*.wal")
    append = file.append

    def torn(*given):
        before = wal.stat().st_size
        append(*given)
        middle = before + (wal.stat().st_size - before) // 2
        with wal.open("r+b") as written:
            written.seek(middle)
            written.write(bytes(100))
        monkeypatch.setattr(file, "append", append)
        raise StoreFailed("Input/output error")

    monkeypatch.setattr(file, "append", torn)


def test_a_commit_that_failed_torn_leaves_nothing_beside_once_the_head_is_known(tmp_path, monkeypatch):
    Log.create(tmp_path / "data", ORIGIN)
    log = Log.open(tmp_path / "data")
    post(log, record(1))
    cut = []
    real = torn_ends.cut_torn_end
    monkeypatch.setattr(torn_ends, "cut_torn_end", lambda *given: cut.append(real(*given)) or cut[-1])
    tear_the_next_commit(log, monkeypatch)
    [failed] = post(log, record(2, request={"text": "x" * 20_000}))
    assert failed.code == Code.STORAGE_FAILED
    [kept] = cut
    assert not kept.exists()
    [again] = post(log, record(2, request={"text": "x" * 20_000}))
    assert (again.seq, again.existing) == (2, False)
    log.close()


def test_a_torn_end_that_could_not_be_deleted_goes_with_the_next_compaction(tmp_path, monkeypatch):
    Log.create(tmp_path / "data", ORIGIN)
    log = Log.open(tmp_path / "data")
    post(log, record(1))
    with monkeypatch.context() as broken:
        broken.setattr("ledger.log.store.forget_torn_ends", _broken)
        tear_the_next_commit(log, monkeypatch)
        [failed] = post(log, record(2, request={"text": "x" * 20_000}))
    assert failed.code == Code.STORAGE_FAILED, "that it stays is no reason to stop"
    assert len(list(tmp_path.rglob("*.torn-*"))) == 1
    compact(log)
    assert list(tmp_path.rglob("*.torn-*")) == []
    log.close()


def _broken(*_):
    raise OSError(errno.EIO, "Input/output error")
