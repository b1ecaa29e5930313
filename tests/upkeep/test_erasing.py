"""What an erasure selects, and that the log says when it is off the disk: once, after every crash, and only when it is."""

import contextlib
import json
from pathlib import Path

import pytest

from ledger.audit.fsck import verify_folder
from ledger.core.entry import commitment
from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges
from ledger.log import removal
from ledger.log.keeping import Removes
from ledger.log.log import Log
from ledger.log.removal import place_hold, retire
from ledger.storage.places import Kept
from ledger.upkeep import erasing
from ledger.upkeep import routine as routine_module
from ledger.upkeep.compact import Compacted, compact
from ledger.upkeep.erasing import Choice, erase_selected, holds_in_the_way, select, tell_done, told, touched
from ledger.upkeep.routine import Routine
from tests.log.conftest import post
from tests.upkeep.holding import ANYBODY, action, filled, found, user
from tests.upkeep.test_routine import until

ALL = Ranges([(0, 2**40)])
DONE = "log.erasure_done"


@pytest.fixture
def log(data: Path):
    opened = filled(data, 20, 20)
    yield opened
    with contextlib.suppress(OSError):  # a test may have closed it
        opened.close()


def everything_of(subject: str | None, entries: Ranges = ALL) -> Choice:
    """Of a subject, the entries that name them: what SQL finds in the API."""
    if subject is not None:
        entries = Ranges((seq, seq + 1) for seq in range(1, 200) if user(seq) == subject)
    return Choice(entries, subject, contents=True, persons=True)


def test_a_subject_selects_its_own_persons_and_all_contents_of_its_entries(log: Log):
    selection = select(log, everything_of(user(1)), 46)
    mine = [seq for seq in range(1, 46) if user(seq) == user(1)]
    assert [seq for start, end in selection.entries for seq in range(start, end)] == mine
    assert selection.members == dict.fromkeys(("request.text", "request.user", "tool.arguments"), 15)
    assert selection.persons == log.persons_called(user(1))
    assert [(each.start, each.end, each.entries) for each in touched(log, selection)] == [
        (0, 21, 7),
        (21, 41, 7),
    ]


def test_what_came_after_the_size_is_not_selected_and_the_digest_is_of_what_goes(log: Log):
    before = select(log, everything_of(user(1)), 46)
    post(log, action(100))
    assert select(log, everything_of(user(1)), 46).digest == before.digest
    assert select(log, everything_of(user(1)), 47).digest != before.digest
    log.erase([(1, "request.text")], **ANYBODY)
    assert select(log, everything_of(user(1)), 46).digest != before.digest


def test_a_commitment_that_came_without_its_person_or_content_is_nothing_to_erase(log: Log):
    [new] = post(
        log, action(500, request={"user": {"commitment": "ab" * 32}, "text": {"commitment": "cd" * 32}})
    )
    selection = select(log, everything_of(None, Ranges([(new.seq, new.seq + 1)])), log.head().size)
    assert selection.places == ((new.seq, "tool.arguments"),)


def test_a_person_is_found_whoever_made_the_salt(log: Log, data: Path):
    salt, value = b"salt-of-an-agent", '"größe@example.com"'
    told_by_agent = {
        "record": {
            "id": "sealed",
            "type": "action",
            "time": "2026-11-21T09:30:00Z",
            "request": {"user": commitment(salt, value.encode()).hex()},
        },
        "disclosures": [{"member": "request.user", "salt": salt.hex(), "value": json.loads(value)}],
    }
    first, second = post(log, told_by_agent, action(400, request={"user": "größe@example.com"}))
    for sealed in (False, True):
        people = log.persons_called("größe@example.com")
        assert len(people) == 2
        entries = Ranges([(first.seq, second.seq + 1)])
        choice = Choice(entries, "größe@example.com", contents=False, persons=True)
        selection = select(log, choice, log.head().size)
        assert (selection.entries, selection.persons) == (entries, people)
        if not sealed:
            log.seal()
    erase_selected(log, selection, **ANYBODY)
    compact(log)
    assert found(data, "größe@example.com", "salt-of-an-agent") == []


def test_more_than_can_go_at_a_time_is_refused_with_where_to_cut(log: Log, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(erasing, "PLACES_PER_CALL", 10)
    with pytest.raises(LedgerError, match="with as_of 4") as refused:
        select(log, everything_of(None), 46)
    assert refused.value.code == Code.INVALID_PARAMETER
    assert len(select(log, everything_of(None), 4).places) <= 10


def test_a_person_whom_retired_entries_alone_name_is_erased_too(log: Log, data: Path):
    [one] = post(log, action(300, request={"user": "gone@example.com", "text": "x"}))
    log.seal()
    retire(log, "old", Removes.ENTRIES, Ranges([(one.seq, one.seq + 1)]))
    compact(log)
    assert found(data, "gone@example.com")
    selection = select(log, everything_of("gone@example.com"), log.head().size)
    assert (selection.places, len(selection.persons)) == ((), 1)
    erase_selected(log, selection, **ANYBODY)
    assert log.persons_called("gone@example.com") == frozenset()
    compact(log)
    assert found(data, "gone@example.com") == []
    log.close()
    assert verify_folder(data).findings == ()
    again = Log.open(data)
    assert again.persons_called("gone@example.com") == frozenset()
    again.close()


def test_a_hold_on_another_entry_that_names_the_person_is_in_the_way(log: Log):
    place_hold(log, "case 7", Ranges([(4, 5)]), reason="litigation", by="token:admin")
    one = Choice(Ranges([(1, 2)]), None, contents=False, persons=True)
    selection = select(log, one, 46)
    assert holds_in_the_way(log, selection) == [("case 7", "litigation", 0)]
    assert holds_in_the_way(log, select(log, everything_of(user(1)), 46)) == [("case 7", "litigation", 1)]
    assert holds_in_the_way(log, select(log, everything_of(user(2)), 46)) == []
    size = log.head().size
    with pytest.raises(LedgerError) as refused:
        erase_selected(log, selection, **ANYBODY)
    assert (refused.value.code, refused.value.members["hold"], log.head().size) == (Code.HELD, "case 7", size)


def own(log: Log, record_type: str) -> list[int]:
    return [seq for seq in range(log.head().size) if f'"type":"{record_type}"'.encode() in log.entry(seq)]


def test_an_erasure_of_many_entries_is_one_and_done_once(
    log: Log, data: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(removal, "PLACES_PER_ENTRY", 7)
    seqs = erase_selected(log, select(log, everything_of(user(1)), 46), **ANYBODY).seqs
    assert len(seqs) == 7
    assert {told(log, seq).seqs for seq in seqs} == {seqs}
    assert told(log, seqs[3]).done_in is None
    erasures = log.keeping.erasing
    assert [*erasures] == [(seqs[0], seqs[-1] + 1)]
    [done] = tell_done(log, erasures, compact(log))
    assert {told(log, seq).done_in for seq in seqs} == {done}
    assert tell_done(log, erasures, compact(log)) == []
    log.close()
    again = Log.open(data)
    assert (again.keeping.erasing.count, told(again, seqs[0]).done_in) == (0, done)
    again.close()
    assert verify_folder(data).findings == ()


def test_nothing_is_told_done_while_the_object_store_is_away_and_what_a_lock_keeps_is_told(log: Log):
    log.erase([(3, "request.text")], **ANYBODY)
    erasures, result = log.keeping.erasing, compact(log)
    assert tell_done(log, erasures, result._replace(objects="no answer")) == []
    kept = (Kept("a", "2027-01-01T00:00:00Z"), Kept("b", "2028-01-01T00:00:00Z"), Kept("c", None))
    [seq] = tell_done(log, erasures, result._replace(kept=kept))
    assert b'"log.kept":3,"log.kept_until":"2028-01-01T00:00:00Z"' in log.entry(seq)


def test_a_server_finishes_what_was_begun_before_it_started_and_lets_copies_go_before_it_says_so(
    log: Log, data: Path
):
    seqs = erase_selected(log, select(log, everything_of(user(1)), 46), **ANYBODY).seqs
    let_go: list[int] = []

    def forget() -> None:
        let_go.append(log.head().size)
        assert found(data, user(1)) == []

    routine = Routine(log, lambda _: Ranges(), turn_s=0.01, forget=forget)
    routine.start()
    assert until(lambda: told(log, seqs[0]).done_in is not None)
    routine.close()
    assert own(log, DONE) == [let_go[0]]


def test_a_compaction_that_fails_is_tried_again_before_anything_is_told_done(
    log: Log, monkeypatch: pytest.MonkeyPatch
):
    seqs = log.erase([(3, "request.text")], **ANYBODY).seqs

    def full(*_: object, **__: object) -> None:
        raise LedgerError(Code.STORAGE_FAILED, "no space left")

    with monkeypatch.context() as patched:
        patched.setattr(Log, "renew", full)
        routine = Routine(log, lambda _: Ranges(), turn_s=0.01)
        routine.start()
        assert until(lambda: routine.status().failed is not None)
    assert told(log, seqs[0]).done_in is None
    routine.ask_compact()
    assert until(lambda: told(log, seqs[0]).done_in is not None)
    routine.close()


def test_while_the_object_store_is_away_it_is_tried_again_and_told_done_afterwards(
    log: Log, monkeypatch: pytest.MonkeyPatch
):
    seqs = log.erase([(3, "request.text")], **ANYBODY).seqs
    tried: list[int] = []

    def away_at_first(*given: object, **named: object) -> Compacted:
        tried.append(1)
        return compact(*given, **named)._replace(objects="no answer" if len(tried) < 3 else None)

    monkeypatch.setattr(routine_module, "compact", away_at_first)
    monkeypatch.setattr(routine_module, "RETRY_S", 0.02)
    routine = Routine(log, lambda _: Ranges(), turn_s=0.01)
    routine.start()
    assert until(lambda: told(log, seqs[0]).done_in is not None)
    routine.close()
    assert len(tried) == 3
