"""The spool's folder: what is on the disk, and what a crash or a stranger can do to it."""

import threading

import pytest

from ledger.client import LedgerAway, Spool
from ledger.core.errors import LedgerError

LINES = [b'{"n":%d}' % n for n in range(40)]


def opened(path, **options) -> Spool:
    spool = Spool(path, **options)
    spool.open()
    return spool


def durable(spool: Spool, line: bytes) -> None:
    done = threading.Event()
    spool.append(line, lambda error: None if error else done.set())
    assert done.wait(10)


def drain(spool: Spool) -> list[bytes | None]:
    found = []
    while part := spool.read(7, 1_000_000):
        found += [line for line, _ in part]
        spool.delivered(part[-1][1])
    return found


def test_what_was_written_comes_back_in_order_by_another_process(tmp_path):
    spool = opened(tmp_path / "s")
    for line in LINES[:30]:
        durable(spool, line)
    spool.close()
    again = opened(tmp_path / "s")
    for line in LINES[30:]:
        durable(again, line)
    assert drain(again) == LINES
    assert again.empty
    again.close()
    assert list((tmp_path / "s").glob("*.spool")) == []


def test_one_writer_at_a_time(tmp_path):
    spool = opened(tmp_path / "s")
    with pytest.raises(LedgerError, match="another recorder writes"):
        opened(tmp_path / "s")
    spool.close()
    opened(tmp_path / "s").close()


def test_only_this_user_can_read_it_and_a_folder_open_to_others_is_refused(tmp_path):
    spool = opened(tmp_path / "s")
    durable(spool, LINES[0])
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "s").iterdir()} == {0o600}
    spool.close()
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o755)
    with pytest.raises(PermissionError, match="open to others"):
        opened(tmp_path / "open")


@pytest.mark.parametrize("cut", range(1, 18))
def test_a_last_line_that_a_crash_tore_is_cut_off_and_the_rest_comes_back(tmp_path, cut):
    spool = opened(tmp_path / "s")
    for line in LINES[:3]:
        durable(spool, line)
    spool.close()
    (file,) = (tmp_path / "s").glob("*.spool")
    file.write_bytes(file.read_bytes()[:-cut])
    again = opened(tmp_path / "s")
    assert drain(again) == LINES[:2]
    again.close()


def test_a_line_damaged_on_the_disk_is_kept_aside_and_said_and_the_rest_comes_back(tmp_path):
    spool = opened(tmp_path / "s")
    for line in LINES[:3]:
        durable(spool, line)
    spool.close()
    (file,) = (tmp_path / "s").glob("*.spool")
    file.write_bytes(file.read_bytes().replace(b'{"n":1}', b'{"n":7}'))
    again = opened(tmp_path / "s")
    assert drain(again) == [LINES[0], None, LINES[2]]
    again.close()
    assert b'n\\":7' in (tmp_path / "s" / "refused.ndjson").read_bytes()


def filled(spool: Spool, line: bytes, *, reserve: bool) -> int:
    """Write a line until it is refused. Returns how often it was taken."""
    for written in range(10_000):
        try:
            spool.append(line, reserve=reserve)
        except LedgerAway:
            return written
    pytest.fail("it is never full")


def test_it_holds_no_more_than_it_may_and_frees_what_is_delivered(tmp_path):
    spool = opened(tmp_path / "s", max_bytes=64 * 1024)
    line = b"x" * 1000
    assert 52 <= filled(spool, line, reserve=True) <= 57  # an eighth is kept
    assert 6 <= filled(spool, line, reserve=False) <= 9
    assert sum(file.stat().st_size for file in (tmp_path / "s").glob("*.spool")) <= 64 * 1024
    while not filled(spool, line, reserve=True):
        spool.delivered(spool.read(1, 1_000_000)[-1][1])
    assert not spool.empty  # room comes back file by file, not only when everything is delivered
    spool.close()


def test_what_was_refused_counts_as_what_it_holds(tmp_path):
    spool = opened(tmp_path / "s", max_bytes=64 * 1024)
    for _ in range(70):
        spool.refuse(b"x" * 1000, {"code": "id-conflict"})
    assert filled(spool, b"x", reserve=False) == 0
    spool.close()
    again = opened(tmp_path / "s", max_bytes=64 * 1024)
    assert filled(again, b"x", reserve=False) == 0
    again.close()


def test_a_disk_that_cannot_be_written_is_said_and_no_half_line_stays(tmp_path, monkeypatch):
    spool = opened(tmp_path / "s")
    durable(spool, LINES[0])

    class Full:
        def __init__(self, stream):
            self.stream = stream

        def write(self, data):
            return self.stream.write(data[:5])

        def __getattr__(self, name):
            return getattr(self.stream, name)

    monkeypatch.setattr(spool, "_last", Full(spool._last))
    with pytest.raises(LedgerAway, match="No space left"):
        spool.append(LINES[1])
    monkeypatch.setattr(spool, "_last", spool._last.stream)
    durable(spool, LINES[2])
    assert drain(spool) == [LINES[0], LINES[2]]
    spool.close()


def test_when_the_disk_does_not_take_an_fsync_nothing_is_acknowledged_ever_after(tmp_path, monkeypatch):
    spool = opened(tmp_path / "s")
    durable(spool, LINES[0])
    told: list[BaseException | None] = []
    done = threading.Event()

    def fails(_descriptor):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("ledger.client.spool.os.fsync", fails)
        spool.append(LINES[1], lambda error: (told.append(error), done.set()))
        assert done.wait(10)
    assert isinstance(told[0], LedgerAway)
    with pytest.raises(LedgerAway):
        spool.append(LINES[2])
    spool.close()
