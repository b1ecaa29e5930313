"""What a policy takes, and what it leaves."""

from pathlib import Path

import pytest

from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges
from ledger.log.keeping import Policy, Removes
from ledger.log.log import Log
from ledger.log.removal import place_hold, set_policy
from ledger.upkeep import retention
from ledger.upkeep.retention import DAY_US, run_policies
from tests.upkeep.holding import filled


def never(sql: str) -> Ranges:
    raise AssertionError(sql)


@pytest.fixture
def log(data: Path):
    opened = filled(data, 20, 20)
    yield opened
    opened.close()


def policy(log: Log, name: str, removes: Removes, days: int | None = None, select: str | None = None) -> None:
    set_policy(log, Policy(name, removes, days, select, "token:admin"))


def at(log: Log, seq: int) -> int:
    from datetime import datetime  # noqa: PLC0415

    recorded = parse_entry(log.entry(seq)).recorded_at
    return int(datetime.fromisoformat(recorded).timestamp() * 1_000_000)


def test_a_policy_by_age_takes_what_is_sealed_and_old_enough_and_never_the_logs_own(log: Log):
    policy(log, "old", Removes.ENTRIES, days=30)
    assert run_policies(log, never)[0].entries == Ranges()
    [plan] = run_policies(log, never, now_us=at(log, 21) + 30 * DAY_US, dry_run=True)
    assert plan.entries == Ranges([(1, 21)])
    [plan] = run_policies(log, never, now_us=at(log, 45) + 31 * DAY_US)
    assert plan.entries == Ranges([(1, 41)])  # not entry 0, and not what is hot
    assert log.removed.entries == plan.entries
    assert [(share.start, share.end, share.entries) for share in plan.shares] == [(0, 21, 20), (21, 41, 20)]
    assert all(share.bytes > 0 for share in plan.shares)
    assert len(plan.told_in) == 1
    assert "log.entries_retired" in log.entry(plan.told_in[0]).decode()


def test_a_dry_run_retires_nothing(log: Log):
    policy(log, "old", Removes.CONTENTS, days=0)
    size = log.head().size
    [plan] = run_policies(log, never, dry_run=True)
    assert plan.entries.count
    assert plan.told_in == ()
    assert log.head().size == size


def test_a_second_run_takes_only_what_is_new(log: Log):
    policy(log, "old", Removes.CONTENTS, days=0)
    run_policies(log, never)
    assert run_policies(log, never)[0].entries == Ranges()
    log.seal()
    [plan] = run_policies(log, never)
    assert plan.entries.clip(0, 41) == Ranges()
    assert plan.entries.clip(41, 46).count == 5


def test_a_policy_by_select_takes_what_it_gives_of_what_is_sealed(log: Log):
    policy(log, "chosen", Removes.ENTRIES, select="SELECT 1")
    [plan] = run_policies(log, lambda _: Ranges([(0, 4), (30, 60)]))
    assert plan.entries == Ranges([(1, 4), (30, 41)])


def test_age_and_select_must_both_hold(log: Log):
    policy(log, "both", Removes.CONTENTS, days=10, select="SELECT 1")
    [plan] = run_policies(log, lambda _: Ranges([(15, 25)]), now_us=at(log, 21) + 10 * DAY_US, dry_run=True)
    assert plan.entries == Ranges([(15, 21)])


def test_what_is_held_is_left_out_and_told(log: Log):
    place_hold(log, "case", Ranges([(5, 10), (39, 50)]), reason="litigation", by="token:admin")
    policy(log, "old", Removes.ENTRIES, days=0)
    [plan] = run_policies(log, never)
    assert plan.entries == Ranges([(1, 5), (10, 39)])
    assert plan.held == Ranges([(5, 10), (39, 41)])
    assert 5 not in log.removed.entries


def test_a_hold_that_comes_between_plan_and_entry_wins(log: Log, monkeypatch):
    policy(log, "old", Removes.ENTRIES, days=0)
    real = retention.plan_policy

    def late(*given: object):
        plan = real(*given)
        place_hold(log, "case", Ranges([(5, 6)]), reason="litigation", by="token:admin")
        return plan

    monkeypatch.setattr(retention, "plan_policy", late)
    with pytest.raises(LedgerError) as caught:
        run_policies(log, never)
    assert caught.value.code == Code.HELD
    assert log.removed.entries == Ranges()


def test_contents_may_go_first_and_the_entries_later(log: Log):
    policy(log, "prompts", Removes.CONTENTS, days=0)
    policy(log, "entries", Removes.ENTRIES, days=0)
    first, second = run_policies(log, never)
    assert first.entries == Ranges([(0, 41)])
    assert second.entries == Ranges([(1, 41)])


def test_a_run_takes_a_bounded_number_of_pieces_and_says_what_is_left(log: Log, monkeypatch):
    monkeypatch.setattr(retention, "MAX_RANGES", 3)
    policy(log, "chosen", Removes.ENTRIES, select="SELECT 1")
    odd = Ranges((seq, seq + 1) for seq in range(1, 21, 2))
    [plan] = run_policies(log, lambda _: odd)
    assert (len(plan.entries), plan.later) == (3, 7)
    [plan] = run_policies(log, lambda _: odd)
    assert plan.entries == Ranges([(7, 8), (9, 10), (11, 12)])


def test_a_policy_that_is_not_there_is_told(log: Log):
    with pytest.raises(LedgerError) as caught:
        run_policies(log, never, names=["nothing"])
    assert caught.value.code == Code.NOT_FOUND


def test_many_pieces_are_said_in_several_entries_of_one_commit(log: Log, monkeypatch):
    from ledger.log import removal  # noqa: PLC0415

    monkeypatch.setattr(removal, "RANGES_PER_ENTRY", 4)
    policy(log, "chosen", Removes.ENTRIES, select="SELECT 1")
    odd = Ranges((seq, seq + 1) for seq in range(1, 21, 2))
    [plan] = run_policies(log, lambda _: odd)
    assert len(plan.told_in) == 3
    assert log.removed.entries == odd
