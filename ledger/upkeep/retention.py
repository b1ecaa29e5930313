"""Retention: which entries a policy is about now, and saying in the log that they go. Nothing on the disk is touched here: `compact` does that.

A policy takes what is older than its days and what its SELECT gives, of what is sealed; never the log's own entries, never what a
hold keeps.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import pyarrow.compute as pc

from ledger.core.entry import OWN_SUBMITTER, format_time, parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges
from ledger.log.keeping import Keeping, Policy, Removes
from ledger.log.log import Log
from ledger.log.removal import retire
from ledger.storage.manifest import CONTENTS, ENTRIES, FACTS
from ledger.storage.segment import Segment

MAX_RANGES: Final = 100_000  # that one run retires; the rest goes at the next
DAY_US: Final = 24 * 3600 * 1_000_000
_OWN_END: Final = f'"submitter":"{OWN_SUBMITTER}","v":1}}'

Select = Callable[[str], Ranges]
"""Runs a SELECT as an analyst's, by the query worker's gate: the entries that its column `seq` names."""


class Share(NamedTuple):
    """What a policy takes of one segment.

    Attributes:
        start: the segment's first entry.
        end: the entry after its last.
        entries: how many entries it is about.
        bytes: about how many bytes of the segment's files that is: their size by the share of entries.
    """

    start: int
    end: int
    entries: int
    bytes: int


class Plan(NamedTuple):
    """What a policy would do now, or did.

    Attributes:
        policy: the policy.
        entries: what it takes.
        held: what it would take and a hold keeps.
        later: how many ranges wait for the next run.
        shares: by segment.
        told_in: the own entries that say so; none in a dry run.
    """

    policy: Policy
    entries: Ranges
    held: Ranges
    later: int
    shares: tuple[Share, ...]
    told_in: tuple[int, ...] = ()


def run_policies(
    log: Log,
    select: Select,
    *,
    names: Sequence[str] = (),
    dry_run: bool = False,
    confirmed: bool = False,
    now_us: int | None = None,
) -> list[Plan]:
    """Run policies, all or those that are named; `dry_run` says what they would do.

    Args:
        log: the log.
        select: runs a policy's SELECT.
        names: of the policies.
        dry_run: nothing is retired.
        confirmed: four eyes: nothing is retired by a policy that one administrator set alone.
        now_us: microseconds since 1970; None is the clock.

    Raises:
        LedgerError: `not-found` (no such policy), `forbidden` (a named one waits for another administrator), or why a SELECT was refused.
    """
    policies = log.keeping.policies
    unknown = [name for name in names if name not in policies]
    if unknown:
        known = ", ".join(policies) or "none"
        raise LedgerError(Code.NOT_FOUND, f"there is no policy {unknown[0]!a}; there are: {known}")
    now_us = time.time_ns() // 1_000 if now_us is None else now_us
    done = []
    waiting = [each.name for each in policies.values() if each.confirmed_by is None] if confirmed else []
    if not dry_run and (refused := [name for name in names if name in waiting]):
        raise LedgerError(
            Code.FORBIDDEN,
            f"the policy {refused[0]} waits for another administrator: it works once they set the same (`agent-ledger retention set`)",
        )
    for name in names or [each for each in policies if dry_run or each not in waiting]:
        plan = plan_policy(log, policies[name], select, now_us)
        if plan.entries and not dry_run:
            # A hold that was placed since refuses this in the log itself: nothing is retired, and the next run sees it.
            plan = plan._replace(told_in=tuple(retire(log, name, plan.policy.removes, plan.entries)))
        done.append(plan)
    return done


def plan_policy(log: Log, policy: Policy, select: Select, now_us: int) -> Plan:
    """What a policy would take now.

    Raises:
        LedgerError: why its SELECT was refused.
    """
    segments = log.segments()
    keeping: Keeping = log.keeping
    about = Ranges([(0, segments[-1].end)]) if segments else Ranges()
    about -= keeping.removed.entries
    if policy.after_days is not None:
        cutoff = format_time(max(now_us - policy.after_days * DAY_US, 0))
        about = about.before(lambda seq: parse_entry(log.entry(seq)).recorded_at >= cutoff)
    if policy.select is not None and about:
        about &= select(policy.select)
    about -= _gone_already(policy, keeping)
    about -= Ranges(_own(log, about)) if policy.removes is Removes.ENTRIES else Ranges()
    held = about & keeping.held()
    pairs = list(about - held)
    taken = Ranges(pairs[:MAX_RANGES])
    return Plan(policy, taken, held, max(0, len(pairs) - MAX_RANGES), tuple(_shares(segments, policy, taken)))


def _gone_already(policy: Policy, keeping: Keeping) -> Ranges:
    return keeping.removed.contents if policy.removes is Removes.CONTENTS else keeping.removed.entries


def _own(log: Log, entries: Ranges) -> Iterator[tuple[int, int]]:
    for start, end in entries:
        for batch in log.rows(start, end, contents=False):
            own = pc.fill_null(pc.ends_with(batch.column("entry"), _OWN_END), fill_value=False)
            for seq in batch.column("seq").filter(own).to_pylist():
                yield seq, seq + 1


def _shares(segments: Sequence[Segment], policy: Policy, entries: Ranges) -> Iterator[Share]:
    roles = (CONTENTS,) if policy.removes is Removes.CONTENTS else (CONTENTS, ENTRIES, FACTS)
    for segment in segments:
        count = entries.clip(segment.start, segment.end).count
        if count:
            size = sum(segment.manifest.files[segment.manifest.file(role)].bytes for role in roles)
            yield Share(segment.start, segment.end, count, size * count // (segment.end - segment.start))
