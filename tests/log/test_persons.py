import gc
import queue
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ledger.core.entry import commitment
from ledger.log import persons as module
from ledger.log.persons import Persons
from ledger.records.prepared import Person


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(module, "RECENT", 10)


def others(persons: Persons, count: int = 50) -> None:
    for number in range(count):
        persons.person(b'"other-%d"' % number)


def test_a_new_person_gets_a_salt_of_the_log():
    ann = Persons().person(b'"ann"')
    assert ann.commitment == commitment(ann.salt, b'"ann"').hex()
    assert (len(ann.salt), ann.value, ann.source) == (16, b'"ann"', "log")


def test_equal_persons_are_one_and_others_are_not():
    persons = Persons()
    assert persons.person(b'"ann"') == persons.person(b'"ann"')
    assert persons.person(b'"ann"').salt != persons.person(b'"ben"').salt


@pytest.mark.usefixtures("few")
def test_a_person_on_its_way_is_not_made_again_however_many_come_between():
    persons = Persons()
    held = persons.person(b'"ann"')
    others(persons)
    assert persons.person(b'"ann"') is held


@pytest.mark.usefixtures("few")
def test_persons_of_refused_records_do_not_stay_in_memory():
    persons = Persons()
    others(persons, 1_000)
    gc.collect()
    assert len(persons._on_their_way) <= 20
    assert len(persons._recent) + len(persons._before) <= 20


@pytest.mark.usefixtures("few")
def test_a_stored_person_is_found_and_asked_for_once_while_it_is_recent():
    asked = []
    ann = Person(commitment(b"s" * 16, b'"ann"').hex(), b"s" * 16, b'"ann"', "log")

    def stored(value: bytes) -> Person | None:
        asked.append(value)
        return ann if value == ann.value else None

    persons = Persons(stored)
    assert [persons.person(b'"ann"') for _ in range(5)] == [ann] * 5
    assert asked == [b'"ann"']
    others(persons)
    assert persons.person(b'"ann"') == ann


@pytest.mark.usefixtures("few")
def test_a_person_in_use_outlives_the_persons_around_it():
    asked = []
    persons = Persons(asked.append)
    for number in range(50):
        persons.person(b'"ann"')
        persons.person(b'"other-%d"' % number)
    assert asked.count(b'"ann"') == 1


def test_a_forgotten_person_gets_another_salt_also_while_a_record_names_it():
    persons = Persons()
    held, kept = persons.person(b'"ann"'), persons.person(b'"ben"')
    persons.forget({held.commitment})
    assert persons.person(b'"ann"').salt != held.salt
    assert persons.person(b'"ben"') == kept


@pytest.mark.usefixtures("few")
def test_racing_threads_never_make_two_salts_for_one_person():
    """Threads prepare records and hand them on, or refuse them; one thread writes them later, and lets go of them."""
    stored: dict[bytes, Person] = {}
    written: dict[bytes, set[bytes]] = {}
    persons = Persons(stored.get)
    waiting: queue.Queue[Person | None] = queue.Queue(maxsize=100)
    gate = threading.Barrier(6)

    def prepare(seed: int) -> None:
        rng = random.Random(seed)
        gate.wait()
        for _ in range(3_000):
            person = persons.person(b'"p-%d"' % rng.randrange(400))
            if rng.random() < 0.7:
                waiting.put(person)

    def write() -> None:
        while (person := waiting.get()) is not None:
            stored[person.value] = person
            written.setdefault(person.value, set()).add(person.salt)

    writer = threading.Thread(target=write)
    writer.start()
    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(prepare, seed) for seed in range(6)]:
            done.result()
    waiting.put(None)
    writer.join()
    assert len(written) == 400
    assert [value for value, salts in written.items() if len(salts) > 1] == []
