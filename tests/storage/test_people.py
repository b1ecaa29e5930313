import os
import random
import shutil
import sqlite3
import stat
import tempfile
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ledger.core.entry import OWN_SUBMITTER, commitment
from ledger.core.errors import Code, LedgerError
from ledger.records.prepared import Person
from ledger.storage.hot import HotFile
from ledger.storage.people import PersonStore
from ledger.storage.schema import PERSON_SCHEMA, Row

Named = tuple[int, Person]


def person(name: str, source: str = "log") -> Person:
    salt, value = os.urandom(16), f'"{name}"'.encode()
    return Person(commitment(salt, value).hex(), salt, value, source)


def table(persons: list[Named]) -> pa.Table:
    rows = [
        {
            "seq": seq,
            "commitment": p.commitment,
            "salt": p.salt,
            "value": p.value.decode(),
            "source": p.source,
        }
        for seq, p in persons
    ]
    return pa.Table.from_pylist(rows, schema=PERSON_SCHEMA)


def on_disk(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "persons.sqlite"


@pytest.fixture
def people(path: Path) -> PersonStore:
    path.parent.mkdir()
    return PersonStore(path)


def test_a_person_is_found_by_who_it_is_by_commitment_and_by_entry(people, path):
    ann, ben, eve = person("ann"), person("bén"), person("ann", "agent-7")
    people.add(table([(1, ann), (4, ben), (4, eve)]), 5)
    for store in (people, PersonStore(path)):
        assert store.by_value(b'"ann"') == [ann]
        assert store.by_value(b'"ann"', "agent-7") == [eve]
        assert store.by_value('"bén"'.encode()) == [ben]
        assert store.by_value(b'"Ann"') == []
        assert store.by_commitment(ben.commitment) == ben
        wanted = [ann.commitment, ben.commitment, "0" * 64]
        assert store.introduced(wanted) == {ann.commitment: 1, ben.commitment: 4}
        assert store.by_commitments(wanted) == {ann.commitment: ann, ben.commitment: ben}
        assert store.covered() == 5


@pytest.mark.parametrize("text", ["", "ab", "x" * 64, "A" * 64, "0" * 63 + " ", "٣" * 64])
def test_a_text_that_is_no_commitment_is_nobodys(people, text):
    assert people.by_commitment(text) is None
    assert people.introduced([text]) == {}
    assert people.delete([text]) == 0


def test_rows_are_those_of_the_range_in_order(people):
    some = [(seq, person(f"p{seq}-{at}")) for seq in range(20) for at in range(2)]
    people.add(table(some), 20)
    rows = people.rows(5, 8)
    assert rows.schema == PERSON_SCHEMA
    expected = sorted((named for named in some if 5 <= named[0] < 8), key=lambda n: (n[0], n[1].commitment))
    assert rows == table(expected)
    assert people.rows(30, 40) == table([])


def test_more_commitments_than_one_statement_takes_are_answered(people):
    some = [(seq, person(f"p{seq}")) for seq in range(1_200)]
    people.add(table(some), 1_200)
    assert people.introduced([p.commitment for _, p in some]) == {p.commitment: seq for seq, p in some}
    assert people.delete([p.commitment for _, p in some]) == 1_200
    assert people.rows(0, 2_000).num_rows == 0


def test_adding_again_what_a_crash_left_half_completes_it(people):
    some = [(seq, person(f"p{seq}")) for seq in range(10)]
    people.add(table(some[:6]), 0)
    assert people.covered() == 0
    people.add(table(some), 10)
    people.add(table(some), 10)
    assert people.rows(0, 10) == table(some)
    people.add(table([]), 7)
    assert people.covered() == 10


def test_a_deleted_person_leaves_no_byte_in_the_file_or_beside_it(people, path):
    """Also not in the pages that SQLite reorganised since: without VACUUM this fails."""
    rng = random.Random(2)
    live: dict[str, Person] = {}
    for step in range(12):
        added = [
            person(f"someone-{rng.random()}-{'x' * rng.choice([0, 20, 300, 5_000])}-{rng.random()}")
            for _ in range(rng.choice([5, 200, 800]))
        ]
        people.add(table([(step, p) for p in added]), step)
        live |= {p.commitment: p for p in added}
        gone = [live.pop(c) for c in rng.sample(sorted(live), min(len(live), rng.choice([1, 5, 60])))]
        assert people.delete([p.commitment for p in gone]) == len(gone)
        data = on_disk(path)
        assert not [p for p in gone if p.salt in data or p.value[:24] in data or p.value[-16:] in data]
        assert all(p.salt in data for p in live.values())
    assert people.by_commitments(list(live)) == live


def test_what_was_added_is_in_the_file_and_no_journal_keeps_a_copy(people, path):
    ann = person("ann-of-the-journal")
    people.add(table([(0, ann)]), 1)
    assert path.with_name(path.name + "-wal").stat().st_size == 0
    assert ann.value in path.read_bytes()


def test_an_erasure_that_a_crash_cut_short_is_finished_at_the_next_start(people, path, monkeypatch):
    some = [(seq, person(f"someone-{seq}")) for seq in range(400)]
    people.add(table(some), 400)

    def dies(_: PersonStore) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(PersonStore, "_write_anew", dies)
    with pytest.raises(KeyboardInterrupt):
        people.delete([p.commitment for _, p in some[::7]])
    monkeypatch.undo()
    crashed = path.parent.with_name("crashed")
    shutil.copytree(path.parent, crashed)
    again = PersonStore(crashed / path.name)
    data = on_disk(crashed / path.name)
    assert not [p for _, p in some[::7] if p.salt in data or p.value + b"log" in data]
    assert again.rows(0, 400).num_rows == 400 - len(some[::7])


def test_a_commit_is_durable_before_add_returns(people):
    assert people._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert people._writer.execute("PRAGMA secure_delete").fetchone() == (1,)


def test_only_the_owner_reads_it(people, path):
    people.add(table([(0, person("ann"))]), 1)
    modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {0o600}


def test_readers_do_not_wait_for_a_writer(people):
    ann = person("ann")
    people.add(table([(0, ann)]), 1)
    people._writer.execute("BEGIN IMMEDIATE")
    people._writer.execute("DELETE FROM persons")
    started = time.perf_counter()
    assert people.by_commitment(ann.commitment) == ann
    assert time.perf_counter() - started < 1
    people._writer.execute("ROLLBACK")


def test_readers_of_many_threads_and_a_writer_agree(people):
    some = [(seq, person(f"p{seq}")) for seq in range(600)]
    wrong: list[object] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            sealed = people.covered()
            seq, one = random.choice(some)
            found = people.by_value(one.value)
            if found != [one] and not (found == [] and seq >= sealed):
                wrong.append((seq, found))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for low in range(0, 600, 50):
            people.add(table(some[low : low + 50]), low + 50)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert wrong == []


@pytest.mark.parametrize(
    "data",
    [b"not a database, but long enough to be read as one" * 100, b"SQLite format 3\0" + b"\xff" * 5_000],
)
def test_a_file_that_is_no_database_is_told(path, data):
    path.parent.mkdir()
    path.write_bytes(data)
    with pytest.raises(LedgerError, match=r"persons\.sqlite cannot be opened") as told:
        PersonStore(path)
    assert told.value.code is Code.STORAGE_FAILED


def test_a_disk_that_fails_is_told_and_what_was_there_stays(people, path):
    ann = person("ann")
    people.add(table([(0, ann)]), 1)
    people._writer.execute("PRAGMA max_page_count = 1")
    with pytest.raises(LedgerError, match="full"):
        people.add(table([(seq, person("x" * 500)) for seq in range(500)]), 500)
    assert people.covered() == 1
    assert people.by_commitment(ann.commitment) == ann
    people.close()
    assert PersonStore(path).rows(0, 500).num_rows == 1


def test_a_closed_file_leaves_no_journal_and_says_that_it_is_closed(people, path):
    people.add(table([(0, person("ann"))]), 1)
    people.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    with pytest.raises(LedgerError, match="closed"):
        people.covered()


def test_a_reader_that_never_ends_keeps_an_erasure_from_passing_for_done(people, path, monkeypatch):
    ann = person("ann")
    people.add(table([(0, ann), (1, person("ben"))]), 2)
    people._writer.execute("PRAGMA busy_timeout = 50")
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM persons").fetchone()
    with pytest.raises(LedgerError, match="journal"):
        people.delete([ann.commitment])
    reader.close()
    assert people.delete([ann.commitment]) == 0
    assert ann.salt not in on_disk(path)


class Interleaved(RuleBasedStateMachine):
    """Any order of adding, adding again, deleting and starting again answers as a plain dict would."""

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp()) / "persons.sqlite"
        self.truth: dict[str, Named] = {}
        self.end = 0
        self.people = PersonStore(self.path)

    def teardown(self) -> None:
        self.people.close()
        shutil.rmtree(self.path.parent)

    @rule(names=st.lists(st.sampled_from("abcdef"), max_size=4), again=st.booleans())
    def add(self, names: list[str], again: bool) -> None:
        new = [(self.end, person(name)) for name in names]
        self.end += 1
        for _ in range(1 + again):
            self.people.add(table(new), self.end)
        self.truth |= {p.commitment: (seq, p) for seq, p in new}

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        gone = data.draw(st.lists(st.sampled_from(sorted(self.truth)), unique=True)) if self.truth else []
        assert self.people.delete(gone) == len(gone)
        left = on_disk(self.path)
        assert not [c for c in gone if self.truth.pop(c)[1].salt in left]

    @rule()
    def restart(self) -> None:
        self.people.close()
        self.people = PersonStore(self.path)

    @invariant()
    def answers(self) -> None:
        assert self.people.covered() == self.end
        assert self.people.introduced(self.truth) == {c: seq for c, (seq, _) in self.truth.items()}
        for name in "abcdef":
            known = {p.commitment for _, p in self.truth.values() if p.value == f'"{name}"'.encode()}
            assert {p.commitment for p in self.people.by_value(f'"{name}"'.encode())} == known


TestInterleaved = Interleaved.TestCase
TestInterleaved.settings = settings(max_examples=20, stateful_step_count=12, deadline=None)


def test_a_hot_file_tells_the_persons_that_entries_named_first_also_after_it_is_read_anew(tmp_path):
    hot = HotFile.create(tmp_path / "hot.duckdb")

    def append(seq, *names):
        people = [(seq, Person(name * 32, bytes(16), f'"{name}"'.encode(), OWN_SUBMITTER)) for name in names]
        hot.append([Row(seq, bytes(32), f"id-{seq}", b"{}", ())], people, b"note")

    def named(start):
        return hot.person_rows(start, 9).column("value").to_pylist()

    append(0, "a", "b")
    append(1)
    assert (named(0), named(1)) == (['"a"', '"b"'], [])
    append(2, "c")
    assert (named(1), named(3)) == (['"c"'], [])
    hot.reopen()
    assert (named(1), named(3)) == (['"c"'], [])
    hot.close()
