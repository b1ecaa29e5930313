"""Says in the log what is to go: erasures, retirements, holds. What is said here is gone from every read at once.

The bytes go later, when their segment is made anew (`ledger.upkeep.compact`): the own entry is durable before the first byte is
touched, so a crash in between leaves something to finish and nothing to explain.
"""

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

import pyarrow as pa

from ledger.core.canonical import JsonValue
from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges
from ledger.log.keeping import (
    CONTENTS_RETIRED,
    ENTRIES_RETIRED,
    ERASED,
    GONE_PERSONS,
    HOLD_PLACED,
    HOLD_RELEASED,
    PART,
    PARTS,
    PLACES,
    POLICY_REMOVED,
    POLICY_SET,
    Keeping,
    Policy,
    Removes,
)
from ledger.log.plan import Check, Plan
from ledger.log.waiting import Submits, append_all
from ledger.records.members import CONTENTS, PERSONS
from ledger.records.prepare import own_record
from ledger.storage.schema import Head

RANGES_PER_ENTRY: Final = 1_200  # of at most 36 bytes each: an entry ends at 65,535
PLACES_PER_ENTRY: Final = 400  # with a person's commitment each
PLACES_PER_CALL: Final = 100_000
MAX_TEXT: Final = 2_000  # characters of a reason or a ground
MAX_NAME: Final = 100
TAIL: Final = 1_000  # entries that the writer's thread may look at
_DIGEST: Final = re.compile('"([0-9a-f]{64})"')

Place = tuple[int, str]


class Erasure(NamedTuple):
    """What an erasure did.

    Attributes:
        seqs: the own entries that say so; none where everything was gone before.
        places: how many places of entries are empty now that were not before, and persons whom no entry that is left names.
    """

    seqs: tuple[int, ...]
    places: int


class _Log(Submits, Protocol):
    """What is needed of `ledger.log.log.Log`."""

    removing: threading.Lock

    @property
    def keeping(self) -> Keeping: ...
    def head(self) -> Head: ...
    def rows(self, start: int, end: int, *, contents: bool = True) -> Iterator[pa.RecordBatch]: ...
    def entry(self, seq: int) -> bytes: ...
    def forget_persons(self, commitments: frozenset[str]) -> None: ...


def erase(
    log: _Log,
    places: Iterable[Place],
    *,
    by: str,
    ground: str,
    persons: frozenset[str] = frozenset(),
    more: Mapping[str, JsonValue] = MappingProxyType({}),
) -> Erasure:
    """Erase contents and persons for good.

    A person is erased with its salt, and so from every entry that names it.

    Args:
        log: the log.
        places: which members of which entries: `(17, "tool.arguments")`.
        by: who asked for it.
        ground: why it may be done.
        persons: commitments (64 hex digits) of persons to erase wherever they are named, also where retired entries alone name them.
        more: what else the own entries say, under keys that begin with `log.`.

    Raises:
        LedgerError: `held`, `retired`, `not-found` (no such entry), `invalid-parameter` (no such content or person, or too many places at
            a time): nothing was erased.
    """
    told = {**more, "log.requested_by": checked_text("by", by), "log.ground": checked_text("ground", ground)}
    wanted = sorted(set(places))
    if len(wanted) > PLACES_PER_CALL:
        raise _refused(
            f"{len(wanted)} places at a time: at most {PLACES_PER_CALL} can be erased in one go", "places"
        )
    with log.removing:
        named: dict[Place, str] = {}
        left: list[Place] = []
        for seq, member in wanted:
            digest = _committed(log, seq, member)
            if member in PERSONS:
                named[seq, member] = digest
            if digest not in log.keeping.removed.persons and not _gone(log.keeping, seq, member):
                left.append((seq, member))
        going = persons.union(named[place] for place in left if place in named) - log.keeping.removed.persons
        held = HeldPersons(log, going)
        held.refuse_so_far()
        unnamed = sorted(going.difference(named.values()))
        seqs = _append(log, ERASED, _erasures(told, left, named, unnamed), held.refuse_since)
        log.forget_persons(persons.union(named.values()))
    return Erasure(tuple(seqs), len(left) + len(unnamed))


def _erasures(
    told: Mapping[str, JsonValue], left: Sequence[Place], named: Mapping[Place, str], unnamed: Sequence[str]
) -> list[dict[str, JsonValue]]:
    """What the own entries of one erasure say; where they are several, each says which of how many it is."""
    exts: list[dict[str, JsonValue]] = []
    for low in range(0, len(left), PLACES_PER_ENTRY):
        some = left[low : low + PLACES_PER_ENTRY]
        ext: dict[str, JsonValue] = {**told, PLACES: [[*place] for place in some]}
        persons: list[JsonValue] = [*sorted({named[place] for place in some if place in named})]
        exts.append({**ext, GONE_PERSONS: persons} if persons else ext)
    exts += (
        {**told, PLACES: [], GONE_PERSONS: [*unnamed[low : low + PLACES_PER_ENTRY]]}
        for low in range(0, len(unnamed), PLACES_PER_ENTRY)
    )
    if len(exts) > 1:
        exts = [{**ext, PART: part, PARTS: len(exts)} for part, ext in enumerate(exts)]
    return exts


def retire(log: _Log, policy: str, removes: Removes, entries: Ranges) -> list[int]:
    """Say that a policy takes away entries, or their contents; returns the own entries that say so.

    Raises:
        LedgerError: `held`: nothing was retired.
    """
    key = "log.retired" if removes is Removes.ENTRIES else CONTENTS_RETIRED
    kind = ENTRIES_RETIRED if removes is Removes.ENTRIES else CONTENTS_RETIRED
    with log.removing:
        return _append(log, kind, [{key: pairs, "log.policy": policy} for pairs in _pieces(entries)])


def place_hold(log: _Log, name: str, held: Ranges, *, reason: str, by: str) -> list[int]:
    """Keep entries, whatever policies and erasures say, until the hold is released; entries still to come may be among them.

    Raises:
        LedgerError: `hold-exists`, `invalid-parameter`.
    """
    if not held:
        raise _refused("it holds no entry", "held")
    told = {
        "log.hold": _name(name),
        "log.reason": checked_text("reason", reason),
        "log.by": checked_text("by", by),
    }
    exts = [{**told, "log.held": pairs, "log.part": part} for part, pairs in enumerate(_pieces(held))]
    with log.removing:
        return _append(log, HOLD_PLACED, exts)


def release_hold(log: _Log, name: str, *, reason: str, by: str) -> int:
    """End a hold.

    Raises:
        LedgerError: `not-found`.
    """
    ext = {"log.hold": name, "log.reason": checked_text("reason", reason), "log.by": checked_text("by", by)}
    with log.removing:
        return _append(log, HOLD_RELEASED, [ext])[0]


def set_policy(log: _Log, policy: Policy) -> int:
    """Set a policy, in the place of the one of this name; it works from the next run on.

    Raises:
        LedgerError: `invalid-parameter`.
    """
    ext: dict[str, JsonValue] = {
        "log.policy": _name(policy.name),
        "log.removes": policy.removes.value,
        "log.by": policy.by,
    }
    if policy.after_days is not None:
        ext["log.after_days"] = policy.after_days
    if policy.select is not None:
        ext["log.select"] = policy.select
    if policy.confirmed_by is not None:
        ext["log.confirmed_by"] = policy.confirmed_by
    return _append(log, POLICY_SET, [ext])[0]


def remove_policy(log: _Log, name: str, *, by: str) -> int:
    """End a policy; what it has taken away stays away.

    Raises:
        LedgerError: `not-found`.
    """
    return _append(log, POLICY_REMOVED, [{"log.policy": name, "log.by": by}])[0]


def _append(
    log: _Log, record_type: str, exts: Sequence[Mapping[str, Any]], check: Check | None = None
) -> list[int]:
    """Own entries, all of them or none, once they are durable.

    Raises:
        LedgerError: why they are not.
    """
    items = [own_record(record_type, ext) for ext in exts]
    return [each.seq for each in append_all(log, items, check)] if items else []


def _pieces(ranges: Ranges) -> Iterator[list[list[int]]]:
    pairs = ranges.pairs()
    for low in range(0, len(pairs), RANGES_PER_ENTRY):
        yield pairs[low : low + RANGES_PER_ENTRY]


def _gone(keeping: Keeping, seq: int, member: str) -> bool:
    removed = keeping.removed
    return seq in removed.erased.get(member, ()) or (member in CONTENTS and seq in removed.contents)


def _committed(log: _Log, seq: int, member: str) -> str:
    """The commitment that is to be erased.

    Raises:
        LedgerError: the entry has none there.
    """
    if member not in CONTENTS and member not in PERSONS:
        raise _refused(f"{member!a} is neither a content nor a person: nothing else can be erased", "places")
    record: Any = parse_entry(log.entry(seq)).members
    facet, _, name = member.partition(".")
    digest = record.get(facet, {}).get(name) if isinstance(record.get(facet), dict) else None
    if not isinstance(digest, str):
        raise _refused(f"entry {seq} has no {member}", "places")
    return digest


class HeldPersons:
    """Persons who are to go. A person goes from every entry that names it: none of them may be held.

    While a removal is decided no hold is placed, but records come, and a hold may keep what is still to come.
    """

    def __init__(self, log: _Log, commitments: frozenset[str]) -> None:
        """Persons by their commitments, 64 hex digits each. Nothing is looked at yet."""
        self._log, self._commitments = log, commitments
        self._held = log.keeping.held() if commitments else Ranges()
        self._seen = 0  # the entries before it were looked at

    def refuse_so_far(self) -> None:
        """Look at all entries but the few that come meanwhile, in the thread that asks: it may take minutes.

        Raises:
            LedgerError: `held`.
        """
        while self._commitments:
            size = self._log.head().size
            for start, end in self._held.clip(self._seen, size):
                for batch in self._log.rows(start, end, contents=False):
                    columns = (batch.column(name).to_pylist() for name in ("seq", "entry"))
                    self._refuse(zip(*columns, strict=True))
            self._seen = size
            if self._log.head().size - size <= TAIL:
                return

    def refuse_since(self, plan: Plan) -> None:
        """Look at the others, in the thread that writes: after that nothing comes between.

        Raises:
            LedgerError: `held`.
        """
        if self._held.clip(self._seen, plan.size):
            self._refuse((seq, entry.decode()) for seq, entry in plan.entries_from(self._seen))

    def _refuse(self, entries: Iterable[tuple[int, str | None]]) -> None:
        for seq, entry in entries:
            if (
                entry is not None
                and seq in self._held
                and not self._commitments.isdisjoint(_DIGEST.findall(entry))
            ):
                self._log.keeping.refuse_held(Ranges([(seq, seq + 1)]))


def _name(name: str) -> str:
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise _refused(f"a name has 1 to {MAX_NAME} printable characters, not {name[:MAX_NAME]!a}", "name")
    return name


def checked_text(what: str, text: str) -> str:
    """A reason or a ground that may stand in the log.

    Raises:
        LedgerError: `invalid-parameter`.
    """
    if not 0 < len(text) <= MAX_TEXT:
        raise _refused(f"{what} is to be said in 1 to {MAX_TEXT} characters", what)
    return text


def _refused(detail: str, path: str) -> LedgerError:
    return LedgerError(Code.INVALID_PARAMETER, detail, path=path)
