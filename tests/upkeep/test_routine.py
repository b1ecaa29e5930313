"""What a server does by itself: with a clock that is moved on, a policy's contents are gone after the daily run, from the disk too."""

import contextlib
import errno
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges
from ledger.log.keeping import Policy, Removes
from ledger.log.log import Log
from ledger.log.removal import place_hold, set_policy
from ledger.storage.places import Kept
from ledger.upkeep import routine
from ledger.upkeep.compact import compact
from ledger.upkeep.offload import Offload
from ledger.upkeep.routine import EVERY_S, FIRST_RUN_S, RETRY_S, Routine
from tests.upkeep.holding import ANYBODY, filled, found, text
from tests.upkeep.test_offload import offload_to, there


class Clock:
    """`time` for the routine: it goes on when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(routine, "time", SimpleNamespace(monotonic=made.monotonic))
    return made


@pytest.fixture
def log(data: Path):
    opened = filled(data, 20, 20)
    yield opened
    opened.close()


@pytest.fixture
def start():
    """Starts routines whose turns are short, and ends them."""
    started: list[Routine] = []

    def begin(log: Log, select=None, **options: object) -> Routine:
        started.append(Routine(log, select or (lambda _: Ranges()), turn_s=0.01, **options))
        started[-1].start()
        return started[-1]

    yield begin
    for each in started:
        each.close()


def until(reached) -> bool:
    """Wait for it; what reads a file that is being made, or goes, reads it again."""
    deadline = time.monotonic() + 60
    now = False
    while not now and time.monotonic() < deadline:
        with contextlib.suppress(pa.ArrowInvalid, FileNotFoundError):
            now = reached()
        time.sleep(0.02)
    return now


def prompts(log: Log, seqs: range, name: str = "prompts") -> Policy:
    set_policy(log, Policy(name, Removes.CONTENTS, None, f"SELECT {seqs.start}, {seqs.stop}", "token:admin"))
    return log.keeping.policies[name]


def by_text(sql: str) -> Ranges:
    low, high = sql.removeprefix("SELECT ").split(", ")
    return Ranges([(int(low), int(high))])


def generations(log: Log) -> list[int]:
    return [segment.manifest.generation for segment in log.segments()]


def test_a_policys_contents_are_gone_after_the_daily_run_and_not_before(log, data, clock, start):
    prompts(log, range(1, 6))
    start(log, by_text)
    clock.now += FIRST_RUN_S - 1
    time.sleep(0.2)
    assert found(data, text(3)), "its time has not come"
    clock.now += 1
    assert until(lambda: generations(log)[:2] == [2, 1])
    assert until(lambda: not found(data, *(text(n) for n in range(1, 6))))
    assert found(data, text(6))
    prompts(log, range(21, 31), "more")
    clock.now += EVERY_S - 1
    time.sleep(0.2)
    assert generations(log)[:2] == [2, 1]
    clock.now += 1
    assert until(lambda: generations(log)[:2] == [2, 2])
    assert until(lambda: not found(data, text(25)))


def test_what_is_held_stays_after_the_daily_run(log, data, clock, start):
    prompts(log, range(1, 21))
    place_hold(log, "case", Ranges([(7, 8)]), reason="litigation", by="token:admin")
    start(log, by_text)
    clock.now += FIRST_RUN_S
    assert until(lambda: not found(data, text(6), text(8)))
    assert found(data, text(7))


def test_a_run_that_fails_is_told_and_made_again_and_the_rest_goes_on(log, data, clock, start, caplog):
    asked: list[str] = []

    def select(sql: str) -> Ranges:
        asked.append(sql)
        if len(asked) == 1:
            raise LedgerError(Code.QUERY_FAILED, "no such column")
        return by_text(sql)

    prompts(log, range(1, 6))
    running = start(log, select)
    clock.now += FIRST_RUN_S
    assert until(lambda: "retention: no such column; it is tried again" in caplog.text)
    log.erase([(30, "request.text")], **ANYBODY)
    running.ask_compact()
    assert until(lambda: not running.status().running)
    assert (found(data, text(30)), running.status().failed) == ([], None)
    assert found(data, text(3))
    clock.now += EVERY_S
    assert until(lambda: not found(data, text(3)))


def test_what_a_crash_left_of_a_compaction_is_finished_at_the_start(log, data, clock, start):
    log.erase([(3, "request.text")], **ANYBODY)
    assert found(data, text(3))
    start(log)
    assert until(lambda: not found(data, text(3)))


def test_a_compaction_that_failed_is_tried_again_without_any_policy(log, data, clock, start, monkeypatch):
    real, tries = routine.compact, []

    def full(*given, **named):
        tries.append(1)
        if len(tries) == 1:
            raise OSError(errno.ENOSPC, "no space left on device")
        return real(*given, **named)

    monkeypatch.setattr(routine, "compact", full)
    log.erase([(3, "request.text")], **ANYBODY)
    running = start(log)
    assert until(lambda: running.status().failed)
    clock.now += RETRY_S - 1
    time.sleep(0.1)
    assert found(data, text(3))
    clock.now += 1
    assert until(lambda: not found(data, text(3)))
    assert until(lambda: running.status().failed is None)


def test_what_failed_after_the_manifests_were_written_is_tried_again_too(
    log, data, clock, start, monkeypatch
):
    """Then the manifests say that all is done."""
    log.erase([(3, "request.text")], **ANYBODY)
    with monkeypatch.context() as patched:
        patched.setattr("ledger.log.renewal.tidy", failing_after(1))
        running = start(log)
        assert until(lambda: running.status().failed)
    assert found(data, text(3))
    clock.now += RETRY_S
    assert until(lambda: not found(data, text(3)))


def failing_after(count: int):
    from ledger.log.renewal import tidy  # noqa: PLC0415 - as it is before it is patched

    calls: list[int] = []

    def failing(segment):
        calls.append(1)
        if len(calls) > count:
            raise OSError(errno.EIO, "input/output error")
        return tidy(segment)

    return failing


@pytest.fixture
def sent(log, data, clock, s3, bucket) -> Offload:
    """An object store that has the log's segments, and a cache here that has the file of one."""
    offload = offload_to(s3, bucket, data)
    offload.send(log.segments())
    offload.fetch(log.segments()[0].folder / "contents.parquet")
    return offload


def away(*_: object) -> None:
    raise LedgerError(Code.OBJECTS_UNAVAILABLE, "the object store does not answer")


def test_what_could_not_be_deleted_in_the_store_is_deleted_by_the_next_server(
    log, data, start, sent, monkeypatch
):
    log.erase([(3, "request.text")], **ANYBODY)
    with monkeypatch.context() as patched:
        patched.setattr(sent.store, "listed", away)
        assert compact(log, offload=sent).objects
    assert found(data, text(3)) == [], "the cache here needs no object store"
    assert "contents.parquet" in there(sent, 0)
    start(log, offload=sent)
    assert until(lambda: "contents.parquet" not in there(sent, 0))


def test_what_a_lock_keeps_is_deleted_when_it_ends(log, clock, start, sent, monkeypatch):
    key = sent.store.key(0, "contents.parquet")
    log.erase([(3, "request.text")], **ANYBODY)
    with monkeypatch.context() as patched:
        patched.setattr(sent.store, "delete", lambda key: Kept(key, None))
        running = start(log, offload=sent)
        assert until(lambda: (done := running.status().result) is not None and done.kept)
    assert [kept.key for kept in running.status().result.kept] == [key]
    clock.now += EVERY_S
    assert until(lambda: "contents.parquet" not in there(sent, 0))
    assert until(lambda: running.status().result.kept == ())


def test_it_is_closed_in_the_middle_of_a_compaction(log, monkeypatch):
    begun = threading.Event()
    log.erase([(3, "request.text")], **ANYBODY)
    log.seal()
    monkeypatch.setattr(  # the worker is told nothing, so it waits for ever
        "ledger.storage.process._send", lambda *_: begun.set()
    )
    running = Routine(log, lambda _: Ranges(), turn_s=0.01)
    running.start()
    assert begun.wait(30)
    closing = threading.Thread(target=running.close, daemon=True)
    closing.start()
    closing.join(30)
    assert not closing.is_alive()
    assert generations(log) == [1, 1, 1]
