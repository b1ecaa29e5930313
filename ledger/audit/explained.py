"""Why something is not stored: settled, in the log's order, with what the log itself says.

Nobody gave it (`log.content_withheld`), it was erased (`log.content_erased`), or retired by policy (`log.contents_retired`). What the
log says is gone and is still stored waits for `agent-ledger compact`: it is counted.
"""

from collections.abc import Iterable
from typing import Any, TypeAlias

from ledger.audit.beside import Absences
from ledger.core.errors import Code, FormatError
from ledger.core.places import Places
from ledger.core.report import Findings, Kind
from ledger.core.retired import CONTENTS_RETIRED, Retirement, claimed_ranges
from ledger.core.stretch import Own

WITHHELD = ("log.content_withheld", "log.withheld")
ERASED = ("log.content_erased", "log.erased")
ERASED_PERSONS = "log.persons"  # their commitments: a place may lie before what was read this time
UNSAID = "is not stored, and the log does not say why"

Place: TypeAlias = tuple[int, str]


class Explained:
    """What is not stored, and what of it the log explains."""

    def __init__(self) -> None:
        self.withheld = self.erased = 0
        self.left = Places()  # contents of sealed entries that stand in a hot file still
        self._contents, self._persons, self._early, self._held = Places(), Places(), Places(), Places()
        self._erased_persons: set[str] = set()
        self._told_persons: set[str] = set()

    def take(self, absences: Absences, own: Iterable[Own], retirement: Retirement) -> None:
        """Take in a stretch: what is absent from it, and what the log says in it. Its entries that are gone are known already."""
        self._contents.take(absences.contents)
        self._persons.take(absences.persons)
        self._early.take(absences.early)
        self._held.take(absences.held)
        for record in own:
            for place in told(record, *WITHHELD):
                self._settle_withheld(*place)
            for place in told(record, *ERASED):
                self._settle_erased(*place, retirement)
            if record.type == ERASED[0] and isinstance(persons := record.ext.get(ERASED_PERSONS), list):
                self._told_persons.update(digest for digest in persons if isinstance(digest, str))
            for low, high in claimed_ranges(record, *CONTENTS_RETIRED):
                removed = self._contents.cut(low, high)
                retirement.contents += removed
                retirement.tell(record, "contents", (low, high), removed)
                retirement.waiting += max(self._held.count(low, high), self.left.count(low, high))

    def _settle_withheld(self, seq: int, member: str) -> None:
        self.withheld += 1
        self._contents.discard(seq, member)
        self._early.discard(seq, member)
        for key in self._persons_at(seq, member):
            self._persons.discard(seq, key)

    def _settle_erased(self, seq: int, member: str, retirement: Retirement) -> None:
        persons = self._persons_at(seq, member)
        if self._contents.discard(seq, member):
            self.erased += 1
            retirement.waiting += (seq, member) in self.left
        elif persons:
            # Without its salt a person is gone everywhere.
            self._erased_persons.update(key.partition(" ")[2] for key in persons)
        elif seq >= retirement.base and not retirement.gone(seq):
            retirement.waiting += 1

    def _persons_at(self, seq: int, member: str) -> list[str]:
        return [key for key in self._persons.keys_at(seq) if key.partition(" ")[0] == member]

    def finish(self, findings: Findings) -> None:
        """Report what nothing explains."""
        self.erased += len(self._erased_persons)
        for low, high, member in self._contents.runs():
            where = f"contents of {_entries(low, high)}, {member}"
            findings.add(Kind.MISSING, where, f"what it commits to {UNSAID}", low)
        explained = self._erased_persons | self._told_persons
        for low, high, key in self._persons.runs():
            member, _, digest = key.partition(" ")
            if digest not in explained:
                where = f"persons, for {member} of {_entries(low, high)}"
                findings.add(Kind.MISSING, where, f"the person {UNSAID}", low)
        for low, high, member in self._early.runs():
            detail = "it names a person whom only a later entry is said to have introduced"
            findings.add(Kind.ALTERED, f"persons.seq, for {member} of {_entries(low, high)}", detail, low)

    # ---- as JSON

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        places = (self._contents, self._persons, self._early, self._held)
        return {
            "counts": [self.withheld, self.erased],
            "places": [each.to_json() for each in places],
            "persons": [sorted(self._erased_persons), sorted(self._told_persons)],
        }

    @classmethod
    def from_json(cls, value: Any) -> "Explained":
        """What `to_json` wrote.

        Raises:
            FormatError: it did not.
        """
        made = cls()
        try:
            made.withheld, made.erased = map(int, value["counts"])
            made._contents, made._persons, made._early, made._held = map(Places.from_json, value["places"])
            made._erased_persons, made._told_persons = (set(map(str, each)) for each in value["persons"])
        except (TypeError, ValueError, KeyError) as error:
            detail = f"the saved state of a verification cannot be read: {error}"
            raise FormatError(Code.MALFORMED_NOTE, detail) from None
        return made


def _entries(low: int, high: int) -> str:
    return f"entry {low}" if high == low + 1 else f"entries {low} to {high - 1}"


def told(record: Own, record_type: str, key: str) -> list[Place]:
    """The places that one of the log's own records speaks of: `[[seq, member], …]`, of entries before itself."""
    pairs = record.ext.get(key) if record.type == record_type else None
    places = []
    for pair in pairs if isinstance(pairs, list) else ():
        match pair:
            case [int(seq), str(member)] if 0 <= seq < record.seq:
                places.append((seq, member))
            case _:
                continue
    return places
