"""What the log says is gone is let go of by workers and tables when they are told, not when the next query comes."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.forensics.sealed import SealedTables
from ledger.log.log import Log
from tests.forensics.conftest import Desk, action

ERASED = {"by": "token:admin", "ground": "asked for"}
BOMB = "SELECT count(*) FROM range(10000000) a, range(10000000) b"


@pytest.fixture
def log(new_log: Callable[[], Path]) -> Iterator[Log]:
    opened = Log.open(new_log())
    yield opened
    opened.close()


def secrets(desk: Desk, low: int, high: int) -> None:
    desk.post(*(action(n, request={"text": f"SECRET-{n:03d}"}) for n in range(low, high)))


def test_idle_workers_and_tables_that_know_it_are_gone_when_it_returns_and_others_stay(
    log: Log, tmp_path: Path
):
    desk = Desk(log, tables=tmp_path / "queries", from_entries=100)
    secrets(desk, 0, 150)
    desk.ask("SELECT 1")
    [knew] = desk.service._idle
    assert len(list((tmp_path / "queries").iterdir())) == 1
    desk.service.forget_removed()
    assert desk.service._idle == [knew], "nothing was erased"
    log.erase([(3, "request.text")], **ERASED)
    desk.service.forget_removed()
    assert not knew.alive
    assert list((tmp_path / "queries").iterdir()) == []
    assert desk.ask("SELECT request_text FROM records WHERE seq = 3") == [[None]]
    desk.close()


def test_a_query_under_way_is_waited_for_no_longer_than_its_deadline(log: Log):
    desk = Desk(log, deadline_s=1.0)
    secrets(desk, 0, 5)
    outcome: list[Code] = []

    def bomb() -> None:
        with pytest.raises(LedgerError) as ended:
            desk.run(BOMB)
        outcome.append(ended.value.code)

    asking = threading.Thread(target=bomb)
    asking.start()
    while not any(each.worker for each in list(desk.service._asked.values())):
        time.sleep(0.01)
    [busy] = desk.service._started
    log.erase([(3, "request.text")], **ERASED)
    desk.service.forget_removed()
    assert not busy.alive
    asking.join()
    assert outcome[0] in {Code.QUERY_TIMEOUT, Code.QUERY_KILLED}
    desk.close()


def test_tables_that_are_being_made_with_it_are_ended_and_made_anew(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    desk = Desk(log, tables=tmp_path / "queries", from_entries=100)
    secrets(desk, 0, 150)
    began = threading.Event()

    def endless(_: SealedTables, process: object, *__: object) -> None:
        began.set()
        while process.alive:
            time.sleep(0.01)
        raise LedgerError(Code.STORAGE_FAILED, "the process ended")

    tables = desk.service._tables
    with monkeypatch.context() as patched:
        patched.setattr(SealedTables, "_send", endless)
        tables.refresh(log.head())
        assert began.wait(20)
        log.erase([(3, "request.text")], **ERASED)
        desk.service.forget_removed()
    assert tables._making is None
    assert tables.failed is None
    assert [path.name for path in (tmp_path / "queries").iterdir()] == []
    assert desk.ask("SELECT request_text FROM records WHERE seq IN (3, 4) ORDER BY seq") == [
        [None],
        ['"SECRET-003"'],
    ]
    desk.close()
