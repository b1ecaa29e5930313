"""What is stored beside the entries, checked against them: ids, contents, persons.

Everything here is either repeated in the signed bytes (`id`) or committed to by them (`contents`, `persons`). What is committed to and
not stored must be explained by the log itself: nobody gave it (`log.content_withheld`), or it was erased (`log.content_erased`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple, TypeAlias

from ledger.core.entry import SALT_BYTES, Entry
from ledger.core.report import Findings, Kind
from ledger.core.stretch import Own
from ledger.log.own import OWN_SUBMITTER
from ledger.records.members import CONTENTS, PERSONS

WITHHELD = ("log.content_withheld", "log.withheld")
ERASED = ("log.content_erased", "log.erased")
# (facet, ((name, member), …)), for contents and for persons
_Paths: TypeAlias = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def _by_facet(paths: Sequence[str]) -> _Paths:
    facets = dict.fromkeys(path.partition(".")[0] for path in paths)
    return tuple(
        (facet, tuple((path.partition(".")[2], path) for path in paths if path.startswith(f"{facet}.")))
        for facet in facets
    )


_CONTENTS = _by_facet(CONTENTS)
_PERSONS = _by_facet(PERSONS)

Place: TypeAlias = tuple[int, str]
Content: TypeAlias = tuple[str | None, bytes | None, bytes | None]


class StoredPerson(NamedTuple):
    """One row of `persons`."""

    seq: int
    commitment: str
    salt: bytes
    value: bytes
    source: str


class Row(NamedTuple):
    """What one row of `entries` holds beside the entry's bytes and hash."""

    id: str | None
    contents: Sequence[Content]
    noted: bool


@dataclass(slots=True)
class Absences:
    """What a stretch commits to and what is not stored, for the log to explain.

    Attributes:
        contents: places of contents that are not stored.
        persons: places of persons that are not stored, with their commitments.
        early: places that name a person before the entry that is said to have introduced it.
    """

    contents: list[Place] = field(default_factory=list)
    persons: dict[Place, str] = field(default_factory=dict)
    early: list[Place] = field(default_factory=list)


class Beside:
    """Checks the rows of one stretch; `visit` is given to `ledger.core.stretch.check_stretch`."""

    def __init__(
        self,
        rows: Mapping[int, Row],
        persons: Iterable[StoredPerson],
        introduced: Mapping[str, int],
        findings: Findings,
    ) -> None:
        """A checker.

        Args:
            rows: the stretch's rows by seq.
            persons: the persons whose `seq` is in the stretch.
            introduced: of every person stored: commitment → seq.
            findings: where to report.
        """
        self.absences = Absences()
        self._rows, self._introduced, self._findings = rows, introduced, findings
        self._persons: dict[int, dict[str, StoredPerson]] = {}
        for person in persons:
            self._check_person(person)
            self._persons.setdefault(person.seq, {})[person.commitment] = person
        self._visited: set[int] = set()
        self.groups = Groups(findings)

    def visit(self, seq: int, entry: Entry, sound: bool) -> None:
        """Check one entry's row. Entries come in order; one that is not sound was reported, and tells no time."""
        row = self._rows[seq]
        self._visited.add(seq)
        self.groups.follow(seq, entry.recorded_at if sound else "", row.noted)
        if row.id != entry.members.get("id"):
            detail = f"it is {row.id!r}, and the entry says {entry.members.get('id')!r}"
            self._findings.add(Kind.ALTERED, f"id of entry {seq}", detail, seq)
        contents = committed(entry, _CONTENTS)
        if contents or row.contents:
            self._check_contents(seq, contents, row.contents)
        self._check_named(seq, entry, committed(entry, _PERSONS))

    def finish(self) -> None:
        """Report the persons whom the entry that is said to have introduced them does not name."""
        for seq in (
            self._visited & self._persons.keys()
        ):  # of an entry that is missing or unreadable nothing is known
            for person in self._persons[seq].values():
                detail = "a person is stored whom the entry does not name"
                self._findings.add(
                    Kind.ALTERED, f"persons.commitment of entry {seq}", f"{detail}: {person.commitment}", seq
                )

    def _check_contents(self, seq: int, committed_to: dict[str, object], contents: Sequence[Content]) -> None:
        for member, salt, value in contents:
            where = f"contents of entry {seq}, {member}"
            expected = committed_to.pop(str(member), None)
            if expected is None:
                detail = "a content is stored that the entry does not commit to, or that is stored twice"
                self._findings.add(Kind.ALTERED, where, detail, seq)
            elif salt is None or value is None or commit(salt, value) != expected:
                detail = "salt and value do not give the commitment in the entry"
                self._findings.add(Kind.ALTERED, where, detail, seq)
        self.absences.contents.extend((seq, member) for member in committed_to)

    def _check_named(self, seq: int, entry: Entry, named: dict[str, object]) -> None:
        stored = self._persons.get(seq)
        for member, value in named.items():
            digest = str(value)
            introduced = self._introduced.get(digest)
            if introduced is None:
                self.absences.persons[seq, member] = digest
            elif introduced > seq:
                self.absences.early.append((seq, member))
            elif introduced == seq and stored and (person := stored.pop(digest, None)):
                self._check_source(seq, entry, person)

    def _check_source(self, seq: int, entry: Entry, person: StoredPerson) -> None:
        allowed = {entry.signature[0]} if entry.signature else {OWN_SUBMITTER, entry.submitter}
        if person.source not in allowed:
            detail = (
                f"it is {person.source!r}, and the salt can only come from {' or '.join(sorted(allowed))}"
            )
            self._findings.add(Kind.ALTERED, f"persons.source of entry {seq}", detail, seq)

    def _check_person(self, person: StoredPerson) -> None:
        if commit(person.salt, person.value) != person.commitment:
            detail = f"salt and value do not give the commitment {person.commitment}"
            self._findings.add(Kind.ALTERED, f"persons of entry {person.seq}", detail, person.seq)


class Groups:
    """Follows the group commits: all entries of one are recorded at the same time, and the last row has the signed checkpoint."""

    def __init__(self, findings: Findings) -> None:
        self.first: tuple[int, str] | None = None
        self.last = (-1, "", True)
        self._findings = findings

    def follow(self, seq: int, recorded_at: str, noted: bool) -> None:
        """Take in the next row; its time is "" where nothing can be believed of it."""
        if self.first is None:
            self.first = (seq, recorded_at)
        before, group, was_noted = self.last
        if seq == before + 1 and "" < group < recorded_at and not was_noted:
            detail = "the group commit that ends there has no signed checkpoint"
            self._findings.add(Kind.MISSING, f"the checkpoint on entry {before}", detail, before)
        self.last = (seq, recorded_at, noted)

    def join(self, first: tuple[int, str] | None, last: tuple[int, str, bool]) -> None:
        """Take in the first and the last row of the next stretch, which was followed by itself."""
        if first is not None:
            self.follow(*first, noted=True)
            self.last = last


def committed(entry: Entry, paths: _Paths) -> dict[str, object]:
    """The commitments in an entry, by member."""
    found: dict[str, object] = {}
    record = entry.members
    for facet, names in paths:
        members = record.get(facet)
        if type(members) is dict:
            for name, path in names:
                if name in members:
                    found[path] = members[name]
    return found


def commit(salt: bytes, value: bytes) -> str | None:
    """`ledger.core.entry.commitment` in hex, at half its price; None where the salt is none."""
    return sha256(b"\x02" + salt + value).hexdigest() if len(salt) == SALT_BYTES else None


class Explained:
    """Settles, in the log's order, what is not stored with what the log says of it."""

    def __init__(self) -> None:
        self.withheld = self.erased = 0
        self._contents: dict[Place, None] = {}
        self._persons: dict[Place, str] = {}
        self._early: dict[Place, None] = {}
        self._erased_persons: set[str] = set()
        self._kept: list[Place] = []  # what was to be erased and is stored

    def take(self, absences: Absences, own: Iterable[Own]) -> None:
        """Take in a stretch: what is absent from it, and what the log says in it."""
        self._contents.update(dict.fromkeys(absences.contents))
        self._persons.update(absences.persons)
        self._early.update(dict.fromkeys(absences.early))
        for record in own:
            for place in told(record, *WITHHELD):
                self.withheld += 1
                for pending in (self._contents, self._persons, self._early):
                    pending.pop(place, None)
            for place in told(record, *ERASED):
                self._settle_erased(place)

    def _settle_erased(self, place: Place) -> None:
        if place in self._contents:
            del self._contents[place]
            self.erased += 1
        elif place in self._persons:
            self._erased_persons.add(self._persons[place])  # without its salt a person is gone everywhere
        else:
            self._kept.append(place)

    def finish(self, findings: Findings) -> None:
        """Report what nothing explains."""
        self.erased += len(self._erased_persons)
        unsaid = "is not stored, and the log does not say why"
        for seq, member in self._contents:
            findings.add(
                Kind.MISSING, f"contents of entry {seq}, {member}", f"what it commits to {unsaid}", seq
            )
        for (seq, member), digest in self._persons.items():
            if digest not in self._erased_persons:
                findings.add(
                    Kind.MISSING, f"persons, for {member} of entry {seq}", f"the person {unsaid}", seq
                )
        for seq, member in self._early:
            detail = "it names a person whom only a later entry is said to have introduced"
            findings.add(Kind.ALTERED, f"persons.seq, for {member} of entry {seq}", detail, seq)
        for seq, member in self._kept:
            detail = "the log says that it was erased, and it is stored"
            findings.add(Kind.ALTERED, f"contents of entry {seq}, {member}", detail, seq)


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
