"""Erasure by subject, by record, by query: what would go, named by a digest so that what was shown is what goes; and saying so when it is off the disk.

The bytes go by `ledger.upkeep.compact`, which a server runs at once. Until then, and over every crash, the log's own entry
`log.content_erased` stands without the `log.erasure_done` that follows it: so nothing that was begun is forgotten.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ledger.core import canonical
from ledger.core.canonical import JsonValue
from ledger.core.entry import OWN_SUBMITTER, Entry, parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges
from ledger.log.absent import committed
from ledger.log.keeping import DONE, ERASED, ERASURE_DONE, PART, PARTS
from ledger.log.log import Log
from ledger.log.removal import PLACES_PER_CALL, RANGES_PER_ENTRY, Erasure, HeldPersons, Place, erase
from ledger.records.members import CONTENTS, PERSONS
from ledger.storage.contents import stored_contents
from ledger.storage.segment import Segment
from ledger.upkeep.compact import Compacted

NEAR: Final = 1_000  # entries; half of what is read at once


class Choice(NamedTuple):
    """What is to be erased.

    Attributes:
        entries: of which entries.
        subject: the identifier of the person who is erased; None: persons are those whom the entries name.
        contents: their contents go.
        persons: persons go, from every entry that names them.
        members: these members alone; all where it is empty.
    """

    entries: Ranges
    subject: str | None
    contents: bool
    persons: bool
    members: frozenset[str] = frozenset()

    def takes(self, member: str) -> bool:
        """Whether a content or person of this name goes."""
        kind = self.persons if member in PERSONS else self.contents
        return kind and (not self.members or member in self.members)


class Held(NamedTuple):
    """A hold in the way: its name, why it was placed, and how many of the entries it keeps (0: it keeps a person whom others name)."""

    hold: str
    reason: str
    entries: int


class Touched(NamedTuple):
    """A segment that is made anew: its entries [start, end), how many of them are concerned, the bytes of its files."""

    start: int
    end: int
    entries: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Selection:
    """What goes, of the log at one size.

    Attributes:
        size: that size: what came later stays.
        places: which members of which entries.
        persons: commitments of the persons among them, and of those of the subject whom no entry that is left names.
        entries: the entries of `places`.
        types: how many of them have which type.
        members: how many places each member has.
        first_at: when the first of them was recorded, RFC 3339; "" where there is none.
        last_at: when the last was.
    """

    size: int
    places: tuple[Place, ...]
    persons: frozenset[str]
    entries: Ranges
    types: Mapping[str, int]
    members: Mapping[str, int]
    first_at: str
    last_at: str

    @property
    def digest(self) -> str:
        """SHA-256 of all that goes, 64 hex digits: the same for the same, whoever asks."""
        told: dict[str, JsonValue] = {
            "persons": [*sorted(self.persons)],
            "places": [[*place] for place in self.places],
            "size": self.size,
        }
        return hashlib.sha256(canonical.dumps(told)).hexdigest()


class _Found:
    """What was found so far."""

    def __init__(self, log: Log, choice: Choice) -> None:
        self._log, self._choice = log, choice
        self._people = None if choice.subject is None else log.persons_called(choice.subject)
        self._known: dict[str, bool] = {}
        self.places: list[Place] = []
        # Of the subject also those whom retired entries alone name, unless a part of the places was asked for.
        self.persons = set(self._people or ()) if choice.persons and not choice.members else set[str]()
        self.types: Counter[str] = Counter()
        self.first_at = self.last_at = ""

    def take(self, entry: Entry, contents: str) -> None:
        """Look at one entry."""
        stored = {each.member for each in stored_contents(entry.seq, contents)}
        going = [(entry.seq, path) for path in CONTENTS if path in stored and self._choice.takes(path)]
        for path, commitment in committed(entry, PERSONS).items():
            if self._choice.takes(path) and self._goes(entry.seq, commitment):
                going.append((entry.seq, path))
                self.persons.add(commitment)
        if not going:
            return
        self.places += going
        if len(self.places) > PLACES_PER_CALL:
            raise _too_many(entry.seq)
        self.types[str(entry.members.get("type"))] += 1
        self.first_at = self.first_at or entry.recorded_at
        self.last_at = entry.recorded_at

    def _goes(self, seq: int, commitment: str) -> bool:
        """Whether this is a person who is here: a submitter may have given the commitment alone."""
        if commitment in self._log.removed.persons:
            return False
        if self._people is not None:
            return commitment in self._people
        if commitment not in self._known:
            self._known |= {person.commitment: True for person in self._log.stored(seq).persons}
        return self._known.setdefault(commitment, False)


def select(log: Log, choice: Choice, size: int) -> Selection:
    """Find what goes, of the log when it had `size` entries.

    Raises:
        LedgerError: `invalid-parameter` (more than can go at a time), `storage-failed`.
    """
    found = _Found(log, choice)
    for entry, contents in _entries(log, choice.entries.clip(0, size)):
        found.take(entry, contents)
    places = tuple(sorted(found.places))
    return Selection(
        size,
        places,
        frozenset(found.persons),
        Ranges((seq, seq + 1) for seq, _ in places),
        dict(found.types),
        dict(Counter(member for _, member in places)),
        found.first_at,
        found.last_at,
    )


def _entries(log: Log, entries: Ranges) -> Iterator[tuple[Entry, str]]:
    for start, end in _stretches(entries):
        for batch in log.rows(start, end):
            columns = (batch.column(name).to_pylist() for name in ("seq", "entry", "contents"))
            for seq, entry, contents in zip(*columns, strict=True):
                if entry is not None and seq in entries:
                    yield parse_entry(entry.encode()), contents


def _stretches(entries: Ranges) -> Iterator[tuple[int, int]]:
    """The same, and what lies between those that are near each other: what is stored together is read once."""
    low = high = 0
    for start, end in entries:
        if high and start - high > NEAR:
            yield low, high
            low = start
        low, high = (low if high else start), end
    if high:
        yield low, high


def holds_in_the_way(log: Log, selection: Selection) -> list[Held]:
    """Which holds keep something of it. While there is one nothing of it goes."""
    found = []
    for hold in log.keeping.holds.values():
        count = (hold.held & selection.entries).count
        if count:
            found.append(Held(hold.name, hold.reason, count))
    try:
        HeldPersons(log, selection.persons).refuse_so_far()
    except LedgerError as error:
        hold_of_person = log.keeping.holds.get(str(error.members.get("hold")))
        if error.code is not Code.HELD or hold_of_person is None:
            raise
        if hold_of_person.name not in {each.hold for each in found}:
            found.append(Held(hold_of_person.name, hold_of_person.reason, 0))
    return found


def refuse_held(log: Log, selection: Selection) -> None:
    """Refuse what a hold keeps, as the erasure itself does.

    Raises:
        LedgerError: `held`, naming the hold.
    """
    log.keeping.refuse_held(selection.entries)
    HeldPersons(log, selection.persons).refuse_so_far()


def touched(log: Log, selection: Selection) -> list[Touched]:
    """The segments that are made anew. What is beyond the last is hot, and is sealed first."""
    counted = [(each, selection.entries.clip(each.start, each.end).count) for each in log.segments()]
    return [Touched(each.start, each.end, count, _bytes(each)) for each, count in counted if count]


def erase_selected(
    log: Log, selection: Selection, *, by: str, ground: str, more: Mapping[str, JsonValue] | None = None
) -> Erasure:
    """Erase it: all of it or nothing. Nobody reads it from then on; `compact` takes it off the disk.

    Raises:
        LedgerError: `held`, naming the hold; `retired`; `invalid-parameter`: nothing was erased.
    """
    return erase(log, selection.places, by=by, ground=ground, persons=selection.persons, more=more or {})


def tell_done(log: Log, erasures: Ranges, result: Compacted) -> list[int]:
    """Say in the log that what these own entries erased is off the disk; returns the own entries that say so.

    Args:
        log: the log.
        erasures: own entries that were there before the compaction began.
        result: what it did. Where the object store could not be reached nothing is said: the next one tries again.

    Raises:
        LedgerError: `storage-failed`, `log-stopped`: it is said after the next compaction.
    """
    if result.objects is not None:
        return []
    pairs = (erasures & log.keeping.erasing).pairs()
    kept: dict[str, Any] = {"log.kept": len(result.kept)}
    if untils := [each.until for each in result.kept if each.until is not None]:
        kept["log.kept_until"] = max(untils)
    parts = [pairs[low : low + RANGES_PER_ENTRY] for low in range(0, len(pairs), RANGES_PER_ENTRY)]
    return [log.append_own(ERASURE_DONE, {DONE: part, **kept}).seq for part in parts]


class Told(NamedTuple):
    """What the log says of one erasure.

    Attributes:
        seqs: its own entries.
        at: when it was decided, RFC 3339.
        requested_by: who asked for it.
        ground: why it may be done.
        done_in: the own entry that says that it is off the disk, None as long as that is not said.
    """

    seqs: tuple[int, ...]
    at: str
    requested_by: str
    ground: str
    done_in: int | None


def told(log: Log, seq: int) -> Told:
    """The erasure of which `seq` is an own entry.

    Raises:
        LedgerError: `not-found`: it is none.
    """
    entry = parse_entry(log.entry(seq))
    if entry.submitter != OWN_SUBMITTER or entry.members.get("type") != ERASED:
        raise LedgerError(Code.NOT_FOUND, f"entry {seq} is no erasure of the log's own")
    ext: Any = entry.members["ext"]
    first = seq - int(ext.get(PART, 0))
    seqs = tuple(range(first, first + int(ext.get(PARTS, 1))))
    done = next((each.seq for each in log.keeping.finished if seqs[-1] in each.erasures), None)
    return Told(seqs, entry.recorded_at, str(ext.get("log.requested_by")), str(ext.get("log.ground")), done)


def _bytes(segment: Segment) -> int:
    return sum(info.bytes for info in segment.manifest.files.values())


def _too_many(seq: int) -> LedgerError:
    return LedgerError(
        Code.INVALID_PARAMETER,
        f"more than {PLACES_PER_CALL} contents and persons would go: erase a part first, with as_of {seq} or a SELECT of fewer entries",
        path="as_of",
        limit=PLACES_PER_CALL,
    )
