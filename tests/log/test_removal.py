"""What the log says is gone is gone from every read, at once and after a restart; a hold wins over all of it."""

import json
from pathlib import Path

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges
from ledger.core.receipt import parse_receipt
from ledger.log import removal
from ledger.log.keeping import Keeping, Policy, Removes
from ledger.log.log import Log
from ledger.log.plan import Plan
from ledger.log.removal import place_hold, release_hold, remove_policy, retire, set_policy
from tests.log.conftest import post, prepared, record, submit

BY = {"by": "token:admin", "ground": "GDPR 17"}


def members(log: Log, seq: int) -> list[str]:
    return [content.member for content in log.stored(seq).contents]


def refused(code: Code, call, *args, **named) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        call(*args, **named)
    assert caught.value.code == code
    return caught.value


def again(log: Log, data: Path) -> Log:
    log.close()
    return Log.open(data)


def lives(log: Log, data: Path):
    """The log as it is, and as a restart finds it."""
    yield log
    yield again(log, data)


@pytest.fixture
def opened(data: Path):
    """A log with five actions; whoever restarts it closes it."""
    log = Log.open(data)
    post(log, *(record(n) for n in range(1, 6)))
    return log


def test_an_erased_content_is_read_no_more_and_the_others_are(opened: Log, data: Path):
    erasure = opened.erase([(2, "tool.arguments")], **BY)
    assert (erasure.seqs, erasure.places) == ((6,), 1)
    for log in lives(opened, data):
        assert members(log, 2) == ["request.text"]
        assert members(log, 3) == ["request.text", "tool.arguments"]
        [texts] = [batch.column("contents").to_pylist() for batch in log.rows(0, 7)]
        assert ["tool.arguments" in text for text in texts] == [False, True, False, True, True, True, False]
        assert log.erased(2, "tool.arguments", "")
        assert not log.erased(2, "request.text", "")
    log.close()


def test_what_is_erased_already_is_not_told_twice(opened: Log):
    opened.erase([(2, "tool.arguments")], **BY)
    erasure = opened.erase([(2, "tool.arguments"), (3, "tool.arguments")], **BY)
    assert (erasure.places, opened.head().size) == (1, 8)
    assert opened.erase([(2, "tool.arguments")], **BY).seqs == ()
    opened.close()


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ((99, "tool.arguments"), Code.NOT_FOUND),
        ((2, "tool.name"), Code.INVALID_PARAMETER),
        ((2, "outcome.result"), Code.INVALID_PARAMETER),
        ((0, "request.text"), Code.INVALID_PARAMETER),
    ],
)
def test_what_is_not_there_is_not_erased_nor_anything_with_it(opened: Log, place, code):
    refused(code, opened.erase, [(3, "tool.arguments"), place], **BY)
    assert opened.head().size == 6
    assert "tool.arguments" in members(opened, 3)
    opened.close()


def test_an_erased_person_is_gone_from_every_entry_and_gets_another_salt_when_named_again(
    opened: Log, data: Path
):
    late = prepared(opened, record(7))  # prepared with the old salt, appended after the erasure
    opened.erase([(2, "request.user")], **BY)
    first = json.loads(opened.stored(2).entry)["record"]["request"]["user"]
    submit(opened, [late])
    for log in lives(opened, data):
        assert [log.stored(seq).persons for seq in (1, 2, 3, 7)] == [()] * 4
        assert log.person_rows(0, 99).num_rows == 0
        assert log.erased(5, "request.user", first)
    [new] = post(log, record(8))
    assert json.loads(log.stored(new.seq).entry)["record"]["request"]["user"] != first
    assert [person.value for person in log.stored(new.seq).persons] == [b'"alice@example.com"']
    log.close()


def test_a_record_sent_again_after_its_contents_or_person_went_finds_its_first_answer(
    opened: Log, data: Path
):
    opened.erase([(2, "tool.arguments"), (2, "request.user")], **BY)
    retire(opened, "old", Removes.CONTENTS, Ranges([(3, 4)]))
    for log in lives(opened, data):
        answers = post(log, record(2), record(3), record(4))
        assert [(each.seq, each.existing) for each in answers] == [(2, True), (3, True), (4, True)]
        [other] = post(log, record(2, type="note"))
        assert other.code == Code.ID_CONFLICT
    log.close()


def test_retired_contents_are_read_no_more_and_persons_are(opened: Log):
    retire(opened, "old", Removes.CONTENTS, Ranges([(1, 3)]))
    assert [members(opened, seq) for seq in (1, 2)] == [[], []]
    assert len(members(opened, 3)) == 2
    assert len(opened.stored(1).persons) == 1
    opened.close()


def test_a_retired_entry_tells_which_policy_and_which_entry_and_its_receipt_still_comes(
    opened: Log, data: Path
):
    before = opened.receipt(2)
    retire(opened, "seven years", Removes.ENTRIES, Ranges([(2, 4)]))
    for log in lives(opened, data):
        error = refused(Code.RETIRED, log.stored, 3)
        assert "entry 3 was retired by policy seven years, entry 6" in error.detail
        refused(Code.RETIRED, log.bundle, 0, 4)
        assert parse_receipt(log.receipt(2)).index == parse_receipt(before).index == 2
        assert len(log.tile(0, 0, 7)) == 7 * 32
        [batch] = log.rows(0, 7)
        assert batch.column("entry").is_null().to_pylist() == [False, False, True, True, False, False, False]
        assert batch.column("id").null_count == 2
        assert batch.column("hash").null_count == 0
        [late] = post(log, record(3))
        assert (late.code, late.members["seq"]) == (Code.RETIRED, 3)
        refused(Code.RETIRED, log.erase, [(2, "tool.arguments")], **BY)
    log.close()


def test_a_hold_wins_over_erasure_and_retirement_until_it_is_released(opened: Log, data: Path):
    place_hold(opened, "case 7", Ranges([(2, 4)]), reason="litigation", by="token:admin")
    size = opened.head().size
    for log in lives(opened, data):
        error = refused(Code.HELD, log.erase, [(1, "tool.arguments"), (3, "tool.arguments")], **BY)
        assert "entry 3 is under the legal hold 'case 7'" in error.detail
        refused(Code.HELD, retire, log, "p", Removes.ENTRIES, Ranges([(1, 6)]))
        refused(Code.HELD, retire, log, "p", Removes.CONTENTS, Ranges([(3, 4)]))
        refused(Code.HELD, log.erase, [(1, "request.user")], **BY)  # entry 2 names the same person
        refused(Code.HOLD_EXISTS, place_hold, log, "case 7", Ranges([(1, 2)]), reason="x", by="y")
        assert log.head().size == size
        assert len(members(log, 1)) == len(members(log, 3)) == 2
    log.erase([(1, "tool.arguments")], **BY)
    release_hold(log, "case 7", reason="settled", by="token:admin")
    log.erase([(3, "tool.arguments")], **BY)
    assert members(log, 3) == ["request.text"]
    refused(Code.NOT_FOUND, release_hold, log, "case 7", reason="again", by="token:admin")
    log.close()


def test_a_hold_may_keep_what_is_still_to_come(opened: Log):
    place_hold(opened, "everything", Ranges([(0, 2**53 - 1)]), reason="litigation", by="token:admin")
    [new] = post(opened, record(9))
    refused(Code.HELD, opened.erase, [(new.seq, "tool.arguments")], **BY)
    opened.close()


def test_a_hold_of_many_ranges_is_several_entries_and_one_hold(opened: Log, data: Path):
    many = Ranges((at, at + 1) for at in range(0, 2**40, 2**40 // 3_000))
    seqs = place_hold(opened, "scattered", many, reason="litigation", by="token:admin")
    log = again(opened, data)
    assert len(seqs) > 1
    assert log.keeping.holds["scattered"].held == many
    log.close()


def test_policies_are_in_the_log_and_survive_a_restart(opened: Log, data: Path):
    set_policy(opened, Policy("old", Removes.ENTRIES, 365, None, "token:admin"))
    set_policy(opened, Policy("old", Removes.CONTENTS, 30, "SELECT seq FROM records", "token:admin"))
    set_policy(opened, Policy("other", Removes.ENTRIES, 1, None, "token:admin"))
    remove_policy(opened, "other", by="token:admin")
    for log in lives(opened, data):
        assert log.keeping.policies == {
            "old": Policy("old", Removes.CONTENTS, 30, "SELECT seq FROM records", "token:admin", seq=7)
        }
        refused(Code.NOT_FOUND, remove_policy, log, "other", by="token:admin")
        refused(Code.INVALID_PARAMETER, set_policy, log, Policy("all", Removes.ENTRIES, None, None, "x"))
    log.close()


def test_what_is_not_in_the_log_yet_cannot_be_retired(opened: Log):
    refused(Code.INVALID_PARAMETER, retire, opened, "p", Removes.ENTRIES, Ranges([(5, 99)]))
    opened.close()


def test_a_record_that_comes_while_a_person_is_erased_and_is_held_keeps_the_person(
    opened: Log, monkeypatch: pytest.MonkeyPatch
):
    """A hold keeps what is still to come; the record comes when everything so far was looked at."""
    place_hold(opened, "from now on", Ranges([(7, 2**53 - 1)]), reason="litigation", by="token:admin")
    real = removal.own_record

    def meanwhile(*given):
        post(opened, record(7))
        return real(*given)

    with monkeypatch.context() as patched:
        patched.setattr(removal, "own_record", meanwhile)
        error = refused(Code.HELD, opened.erase, [(1, "request.user")], **BY)
    assert "entry 7 is under the legal hold 'from now on'" in error.detail
    assert opened.head().size == 8
    assert [len(opened.stored(seq).persons) for seq in (1, 7)] == [1, 1]
    release_hold(opened, "from now on", reason="settled", by="token:admin")
    opened.erase([(1, "request.user")], **BY)
    assert [len(opened.stored(seq).persons) for seq in (1, 7)] == [0, 0]
    opened.close()


def test_what_comes_before_a_removal_in_the_same_group_is_looked_at_too(opened: Log):
    plan = Plan(opened._written, opened._store, opened._sequencer._prev, opened.head().recorded_at)
    plan.add([prepared(opened, record(7))], atomic=True)
    found = dict(plan.entries_from(4))
    assert list(found) == [4, 5, 6]
    assert [b"rec-00007" in entry for entry in found.values()] == [False, False, True]
    opened.close()


def test_many_erasures_at_once_are_folded_once_and_say_what_each_of_them_says(
    opened: Log, data: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(removal, "PLACES_PER_ENTRY", 1)
    real, folded = Keeping.after, []
    monkeypatch.setattr(Keeping, "after", lambda self, *given: folded.append(given[0]) or real(self, *given))
    places = [(1, "tool.arguments"), (2, "tool.arguments"), (2, "request.text"), (3, "request.user")]
    assert opened.erase(places, **BY).seqs == (6, 7, 8, 9)
    assert folded == ["log.content_erased"]
    place_hold(opened, "case 7", Ranges([(4, 5)]), reason="litigation", by="token:admin")
    refused(Code.HELD, opened.erase, [(5, "request.text"), (4, "request.text")], **BY)
    now, told = opened.removed, opened.keeping.told
    assert [(each.seq, each.entries.pairs(), len(each.persons)) for each in told] == [
        (6, [[1, 2]], 0),
        (7, [[2, 3]], 0),
        (8, [[2, 3]], 0),
        (9, [[3, 4]], 1),
    ]
    log = again(opened, data)
    assert (log.removed, log.keeping.told) == (now, told)
    assert log.head().size == 11
    assert [members(log, seq) for seq in (1, 2)] == [["request.text"], []]
    assert log.stored(5).persons == ()
    log.close()
