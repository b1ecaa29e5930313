"""What is kept and what goes, as the log's own entries say: retention policies, legal holds, and what was removed.

A hold wins: an own entry that would remove something held is refused where its place in the log is decided, so nothing can come between.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, NamedTuple

from ledger.core.canonical import MAX_INTEGER
from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges, parse_ranges
from ledger.storage.removed import Removed

ERASED: Final = "log.content_erased"
PLACES: Final = "log.erased"  # its members
GONE_PERSONS: Final = "log.persons"
PART: Final = "log.part"  # of several own entries that say one thing: which, and of how many
PARTS: Final = "log.parts"
ERASURE_DONE: Final = "log.erasure_done"
DONE: Final = "log.done"  # its erasures: their own entries
CONTENTS_RETIRED: Final = "log.contents_retired"
ENTRIES_RETIRED: Final = "log.entries_retired"
HOLD_PLACED: Final = "log.hold_placed"
HOLD_RELEASED: Final = "log.hold_released"
POLICY_SET: Final = "log.policy_set"
POLICY_REMOVED: Final = "log.policy_removed"
TYPES: Final = (
    ERASED,
    ERASURE_DONE,
    CONTENTS_RETIRED,
    ENTRIES_RETIRED,
    HOLD_PLACED,
    HOLD_RELEASED,
    POLICY_SET,
    POLICY_REMOVED,
)


class Removes(StrEnum):
    """What a policy takes away."""

    CONTENTS = "contents"
    ENTRIES = "entries"


class Policy(NamedTuple):
    """A retention policy.

    Attributes:
        name: its name.
        removes: contents alone, or entries with their contents.
        after_days: days after `recorded_at`; None where age does not matter.
        select: a SELECT that gives a column `seq`; None where all entries are meant.
        by: who set it.
        confirmed_by: who set the same, as another administrator (`serve --four-eyes`); None where nobody did.
        seq: the own entry that says so; 0 where it is not written yet.
    """

    name: str
    removes: Removes
    after_days: int | None
    select: str | None
    by: str
    confirmed_by: str | None = None
    seq: int = 0

    def is_of_the_terms_of(self, other: "Policy | None") -> bool:
        """Whether both take the same."""
        return other is not None and self[:4] == other[:4]


class Hold(NamedTuple):
    """A legal hold: nothing of these entries goes while it is in force.

    Attributes:
        name: its name.
        held: the entries, also such as are still to come.
        reason: why.
        by: who placed it.
    """

    name: str
    held: Ranges
    reason: str
    by: str


class Retirement(NamedTuple):
    """An own entry that retired others: its seq, the policy, which entries."""

    seq: int
    policy: str
    entries: Ranges


class Told(NamedTuple):
    """An own entry that says that contents or persons are gone: its seq, of which entries it speaks, the persons' commitments."""

    seq: int
    entries: Ranges
    persons: frozenset[str] = frozenset()


class Finished(NamedTuple):
    """An own entry that says that what others erased is off the disk: its seq, those others."""

    seq: int
    erasures: Ranges


@dataclass(frozen=True, slots=True)
class Keeping:
    """The state after some entry. Never changed: a later one is made of it.

    Attributes:
        policies: those in force, by name.
        holds: those in force, by name.
        removed: what is gone.
        retirements: what retired entries, in order.
        told: what says that contents or persons are gone, in order.
        erasing: own entries that erased something, of which the log does not say yet that it is off the disk.
        finished: what says so of others, in order.
    """

    policies: Mapping[str, Policy] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)
    removed: Removed = field(default_factory=Removed)
    retirements: tuple[Retirement, ...] = ()
    told: tuple[Told, ...] = ()
    erasing: Ranges = field(default_factory=Ranges)
    finished: tuple[Finished, ...] = ()

    def after(self, record_type: str, ext: Mapping[str, Any], seq: int) -> "Keeping":
        """What holds after the own entry `seq` of one of `TYPES`.

        Raises:
            LedgerError: `held`, `hold-exists`, `not-found` (a hold or policy that is not in force), `invalid-parameter`.
        """
        return _FOLDS[record_type](self, ext, seq)

    def held(self) -> Ranges:
        """Everything that some hold keeps."""
        every = Ranges()
        for hold in self.holds.values():
            every |= hold.held
        return every

    def refuse_held(self, entries: Ranges) -> None:
        """Refuse to remove something of these entries while a hold keeps one of them.

        Raises:
            LedgerError: `held`, naming the hold and the first entry.
        """
        for hold in self.holds.values():
            kept = hold.held & entries
            if kept:
                first = next(iter(kept))[0]
                raise LedgerError(
                    Code.HELD,
                    f"entry {first} is under the legal hold {hold.name!a} ({hold.reason!a}, placed by {hold.by}): nothing of it is removed "
                    "until that is released",
                    seq=first,
                    hold=hold.name,
                )

    def refuse_retired(self, start: int, end: int) -> None:
        """Refuse to show entries of which one is retired.

        Raises:
            LedgerError: `retired`, naming the first, the policy, and the own entry that says so.
        """
        gone = self.removed.entries.clip(start, end)
        if not gone:
            return
        seq = next(iter(gone))[0]
        by = next(each for each in self.retirements if seq in each.entries)
        raise LedgerError(
            Code.RETIRED,
            f"entry {seq} was retired by policy {by.policy}, entry {by.seq}; its hash and its receipts stay",
            seq=seq,
            policy=by.policy,
            retired_by=by.seq,
        )

    def _erased(self, ext: Mapping[str, Any], seq: int) -> "Keeping":
        by_member: dict[str, list[tuple[int, int]]] = {}
        for place, member in _places(ext.get(PLACES), seq):
            by_member.setdefault(member, []).append((place, place + 1))
        erased = dict(self.removed.erased)
        for member, pairs in by_member.items():
            entries = Ranges(pairs)
            self.refuse_held(entries)
            erased[member] = erased.get(member, Ranges()) | entries
        told = told_of(ext, seq)
        return replace(
            self,
            removed=replace(self.removed, erased=erased, persons=self.removed.persons | told.persons),
            told=(*self.told, told),
            erasing=self.erasing | Ranges([(seq, seq + 1)]),
        )

    def _done(self, ext: Mapping[str, Any], seq: int) -> "Keeping":
        """An erasure that nobody said, or that was done before, is none."""
        erasures = _earlier(ext.get(DONE), seq) & self.erasing
        return replace(
            self, erasing=self.erasing - erasures, finished=(*self.finished, Finished(seq, erasures))
        )

    def _without_contents(self, ext: Mapping[str, Any], seq: int) -> "Keeping":
        entries = _earlier(ext.get(CONTENTS_RETIRED), seq)
        self.refuse_held(entries)
        removed = replace(self.removed, contents=self.removed.contents | entries)
        return replace(self, removed=removed, told=(*self.told, Told(seq, entries)))

    def _retired(self, ext: Mapping[str, Any], seq: int) -> "Keeping":
        entries, policy = _earlier(ext.get("log.retired"), seq), str(ext.get("log.policy"))
        self.refuse_held(entries)
        return replace(
            self,
            removed=replace(self.removed, entries=self.removed.entries | entries),
            retirements=(*self.retirements, Retirement(seq, policy, entries)),
        )

    def _released(self, ext: Mapping[str, Any], _: int) -> "Keeping":
        return replace(self, holds=_without(self.holds, str(ext.get("log.hold")), "hold"))

    def _policy_set(self, ext: Mapping[str, Any], seq: int) -> "Keeping":
        policy = _policy(ext)._replace(seq=seq)
        return replace(self, policies={**self.policies, policy.name: policy})

    def _policy_removed(self, ext: Mapping[str, Any], _: int) -> "Keeping":
        return replace(self, policies=_without(self.policies, str(ext.get("log.policy")), "policy"))

    def _placed(self, ext: Mapping[str, Any], _: int) -> "Keeping":
        """A hold; its own entries may be several, one after another, where the ranges do not fit one."""
        name, part = str(ext.get("log.hold")), ext.get("log.part", 0)
        before = self.holds.get(name)
        if before is not None and part == 0:
            raise LedgerError(
                Code.HOLD_EXISTS,
                f"there is a hold {name!a} already: release it, or give this one another name",
            )
        held = parse_ranges(ext.get("log.held"))
        hold = Hold(
            name,
            held | before.held if before else held,
            str(ext.get("log.reason")),
            str(ext.get("log.by")),
        )
        return replace(self, holds={**self.holds, name: hold})


_FOLDS: Final[Mapping[str, Callable[[Keeping, Mapping[str, Any], int], Keeping]]] = {
    ERASED: Keeping._erased,  # noqa: SLF001 - its own
    ERASURE_DONE: Keeping._done,  # noqa: SLF001
    CONTENTS_RETIRED: Keeping._without_contents,  # noqa: SLF001
    ENTRIES_RETIRED: Keeping._retired,  # noqa: SLF001
    HOLD_PLACED: Keeping._placed,  # noqa: SLF001
    HOLD_RELEASED: Keeping._released,  # noqa: SLF001
    POLICY_SET: Keeping._policy_set,  # noqa: SLF001
    POLICY_REMOVED: Keeping._policy_removed,  # noqa: SLF001
}


def _earlier(value: Any, seq: int) -> Ranges:
    """Ranges of entries before `seq`: what is not written yet cannot be removed."""
    entries = parse_ranges(value)
    if entries.clip(seq, MAX_INTEGER):
        raise LedgerError(
            Code.INVALID_PARAMETER, f"entries from {seq} on are not in the log yet: they cannot be removed"
        )
    return entries


def _places(value: Any, seq: int) -> Iterator[tuple[int, str]]:
    """`[[seq, member], …]`; what is no place says nothing, as in a verification."""
    for pair in value if isinstance(value, list) else ():
        match pair:
            case [int(place), str(member)] if 0 <= place < seq:
                yield place, member
            case _:
                continue


def told_of(ext: Mapping[str, Any], seq: int) -> Told:
    """What the own entry `seq` of an erasure speaks of."""
    persons = ext.get(GONE_PERSONS)
    named = frozenset(str(each) for each in persons) if isinstance(persons, list) else frozenset()
    return Told(seq, Ranges((place, place + 1) for place, _ in _places(ext.get(PLACES), seq)), named)


def _policy(ext: Mapping[str, Any]) -> Policy:
    match ext:
        case {"log.policy": str(name), "log.removes": "contents" | "entries" as removes}:
            days, select = ext.get("log.after_days"), ext.get("log.select")
            if (
                isinstance(days, int | None)
                and isinstance(select, str | None)
                and (days, select) != (None, None)
            ):
                by, confirmed = str(ext.get("log.by")), ext.get("log.confirmed_by")
                return Policy(name, Removes(removes), days, select, by, confirmed)
    raise LedgerError(
        Code.INVALID_PARAMETER,
        "a policy has a name, says whether it removes contents or entries, and of which: by age in days, by a SELECT, or by both",
    )


def _without(some: Mapping[str, Any], name: str, what: str) -> dict[str, Any]:
    if name not in some:
        known = ", ".join(some) or "none"
        raise LedgerError(Code.NOT_FOUND, f"there is no {what} {name!a} in force; there are: {known}")
    return {each: value for each, value in some.items() if each != name}
