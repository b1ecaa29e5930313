"""Whatever is appended, sealed, merged, lost and started again in whatever order: an id has one entry, a person one salt."""

import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.log import persons, written
from ledger.log.log import Log
from ledger.storage import ids
from ledger.storage.layout import IDS, PERSONS
from tests.log.conftest import ORIGIN, post, record

USERS = 7
_true_keys = ids.keys_of


class Colliding(ids.IdIndex):
    """All keys are one of four: nearly every id collides with many others."""

    def add(self, start: int, end: int, keys: bytes) -> None:
        super().add(start, end, (np.frombuffer(keys, "<u8") & 3).tobytes())


@pytest.fixture(autouse=True, scope="module")
def colliding():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(written, "IdIndex", Colliding)
        patch.setattr(ids, "keys_of", lambda some: _true_keys(some) & 3)
        patch.setattr(persons, "RECENT", 2)
        yield


def said(number: int, text: str = "hello") -> dict:
    return record(number, request={"user": f"user-{number % USERS}", "text": text})


class Interleaved(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.data = self.folder / "data"
        self.seqs: dict[int, int] = {}
        self.salts: dict[str, str] = {}

    @initialize()
    def create(self) -> None:
        Log.create(self.data, ORIGIN)
        self.log = Log.open(self.data, rotate_entries=40)

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.log.close()
        shutil.rmtree(self.folder)

    @rule(count=st.integers(1, 60))
    def append(self, count: int) -> None:
        numbers = range(len(self.seqs), len(self.seqs) + count)
        answers = post(self.log, *[said(number) for number in numbers])
        assert not [answer for answer in answers if answer.existing]
        self.seqs |= {number: answer.seq for number, answer in zip(numbers, answers, strict=True)}

    @rule(some=st.sets(st.integers(0, 300), max_size=30))
    def retry(self, some: set[int]) -> None:
        numbers = sorted(number for number in some if number in self.seqs)
        answers = post(self.log, *[said(number) for number in numbers]) if numbers else []
        assert [(a.seq, a.existing) for a in answers] == [(self.seqs[number], True) for number in numbers]

    @rule(number=st.integers(0, 300))
    def conflict(self, number: int) -> None:
        if number in self.seqs:
            (answer,) = post(self.log, said(number, "something else"))
            assert isinstance(answer, LedgerError)
            assert (answer.code, answer.members["seq"]) == (Code.ID_CONFLICT, self.seqs[number])

    @rule()
    def seal(self) -> None:
        self.log.seal()

    @rule(lost=st.sampled_from([None, "all", "one"]))
    def restart(self, lost: str | None) -> None:
        self.log.close()
        for path in sorted((self.data / IDS).iterdir())[: {"all": None, "one": 1, None: 0}[lost]]:
            path.unlink()
        self.log = Log.open(self.data, rotate_entries=40)

    @invariant()
    def each_id_has_its_entry(self) -> None:
        if hasattr(self, "log"):
            assert self.log.head().size == len(self.seqs) + 1
            wanted = list(self.seqs)[::7]
            assert [self.log.find(f"rec-{n:05d}") for n in wanted] == [self.seqs[n] for n in wanted]
            assert self.log.find("rec-99999") is None

    @invariant()
    def each_person_has_one_salt(self) -> None:
        if hasattr(self, "log"):
            rows = self.log.person_rows(0, self.log.head().size).to_pylist()
            assert len({row["value"] for row in rows}) == len(rows) == min(USERS, len(self.seqs))
            for row in rows:
                assert self.salts.setdefault(row["value"], row["commitment"]) == row["commitment"]


TestInterleaved = Interleaved.TestCase
TestInterleaved.settings = settings(max_examples=5, stateful_step_count=15, deadline=None)


def test_ids_are_written_once_by_racing_clients_while_the_log_rotates_and_seals(tmp_path):
    """Every client sends the same records, in an order of its own; each is written once, and everyone hears of the same entry."""
    data = tmp_path / "data"
    Log.create(data, ORIGIN)
    log = Log.open(data, rotate_entries=150)
    heard: dict[int, set[int]] = {number: set() for number in range(600)}
    gate = threading.Barrier(4)

    def client(step: int) -> None:
        gate.wait()
        order = [number * step % 600 for number in range(600)]
        for low in range(0, 600, 20):
            numbers = order[low : low + 20]
            for number, answer in zip(numbers, post(log, *[said(n) for n in numbers]), strict=True):
                heard[number].add(answer.seq)

    try:
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(client, step) for step in (1, 7, 11, 599)]:
                done.result()
        log.seal()
        assert log.head().size == 601
        assert {len(seqs) for seqs in heard.values()} == {1}
        named = [
            parse_entry(row["entry"].encode()).members["request"]["user"]
            for batch in log.rows(1, 601)
            for row in batch.to_pylist()
        ]
        assert len(set(named)) == USERS
    finally:
        log.close()


def test_a_replay_of_sealed_records_reads_each_of_them_once(tmp_path, monkeypatch):
    data = tmp_path / "data"
    Log.create(data, ORIGIN)
    log = Log.open(data)
    post(log, *[said(number) for number in range(200)])
    log.seal()
    read: list[list[int]] = []
    true = log._store.known
    monkeypatch.setattr(log._store, "known", lambda seqs: read.append(list(seqs)) or true(seqs))
    answers = post(log, *[said(number) for number in range(200)])
    log.close()
    assert all(answer.existing for answer in answers)
    assert len(read) == 1


def test_persons_that_were_lost_with_their_file_stop_the_start(tmp_path):
    data = tmp_path / "data"
    Log.create(data, ORIGIN)
    log = Log.open(data)
    post(log, said(1))
    log.seal()
    log.close()
    (data / PERSONS).rename(tmp_path / "kept")
    with pytest.raises(LedgerError, match=r"holds the persons of the first 0 entries, but 2 are sealed"):
        Log.open(data)
    (tmp_path / "kept").replace(data / PERSONS)
    Log.open(data).close()


def test_the_runs_of_many_segments_are_merged(tmp_path):
    data = tmp_path / "data"
    Log.create(data, ORIGIN)
    log = Log.open(data)
    for number in range(5):
        post(log, said(number))
        log.seal()
    log.close()
    assert len(list((data / IDS).iterdir())) == 2
