"""What is stored beside the entries, checked against them: ids, contents, persons.

Everything here is either repeated in the signed bytes (`id`) or committed to by them (`contents`, `persons`). What is committed to and
not stored must be explained by the log itself: nobody gave it (`log.content_withheld`), or it was erased (`log.content_erased`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple, TypeAlias

from ledger.core.canonical import JsonValue
from ledger.core.entry import OWN_SUBMITTER, SALT_BYTES
from ledger.core.report import Findings, Kind
from ledger.core.shape import Seen, Shapes
from ledger.core.stretch import Own
from ledger.records.members import CONTENTS, PERSONS

WITHHELD = ("log.content_withheld", "log.withheld")
ERASED = ("log.content_erased", "log.erased")
# The members of a record that what is stored beside it is compared with.
WANTED = (("id",), CONTENTS, PERSONS)
SHAPES = Shapes(*WANTED)

_NONE = object()

Place: TypeAlias = tuple[int, str]


class StoredPerson(NamedTuple):
    """One row of `persons`."""

    seq: int
    commitment: str
    salt: bytes
    value: bytes
    source: str


class Rows(NamedTuple):
    """What rows of `entries` hold beside an entry's bytes and hash, by column.

    Attributes:
        place: the row of each seq.
        ids: their ids.
        noted: whether they have a checkpoint.
        ends: where the contents of each row begin and end in the next three; one more than rows.
        members: of what the contents are,
        salts: their salts,
        values: their values.
    """

    place: Mapping[int, int]
    ids: Sequence[str | None]
    noted: Sequence[bool]
    ends: Sequence[int]
    members: Sequence[str | None]
    salts: Sequence[bytes | None]
    values: Sequence[bytes | None]


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
        rows: Rows,
        persons: Iterable[StoredPerson],
        introduced: Mapping[str, int],
        findings: Findings,
    ) -> None:
        """A checker.

        Args:
            rows: the stretch's rows.
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
        self._digests = [_digest(*pair) for pair in zip(rows.salts, rows.values, strict=True)]
        self.groups = Groups(findings)

    def visit(self, seq: int, seen: Seen, sound: bool) -> None:
        """Check one entry's row. Entries come in order; one that is not sound was reported, and tells no time."""
        rows = self._rows
        row = rows.place[seq]
        self._visited.add(seq)
        self.groups.follow(seq, seen.recorded_at if sound else "", rows.noted[row])
        (_, ids), (members, commitments), (people, named) = seen.told
        said = ids[0] if ids else None
        if rows.ids[row] != said:
            detail = f"it is {rows.ids[row]!r}, and the entry says {said!r}"
            self._findings.add(Kind.ALTERED, f"id of entry {seq}", detail, seq)
        start, end = rows.ends[row], rows.ends[row + 1]
        if members or start != end:
            committed = dict(zip(members, commitments, strict=True))
            stored = dict(zip(rows.members[start:end], self._digests[start:end], strict=True))
            if len(stored) != end - start or stored != committed:
                self._check_contents(seq, committed, range(start, end))
        if people:
            self._check_named(seq, seen, people, named)

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

    def _check_contents(self, seq: int, committed: dict[str, JsonValue], contents: Iterable[int]) -> None:
        for i in contents:
            member = self._rows.members[i]
            where = f"contents of entry {seq}, {member}"
            expected = committed.pop(str(member), None)
            if expected is None:
                detail = "a content is stored that the entry does not commit to, or that is stored twice"
                self._findings.add(Kind.ALTERED, where, detail, seq)
            elif self._digests[i] != expected:
                detail = "salt and value do not give the commitment in the entry"
                self._findings.add(Kind.ALTERED, where, detail, seq)
        self.absences.contents.extend((seq, member) for member in committed)

    def _check_named(self, seq: int, seen: Seen, people: Sequence[str], named: Sequence[JsonValue]) -> None:
        stored = self._persons.get(seq)
        for member, value in zip(people, named, strict=True):
            digest = str(value)
            introduced = self._introduced.get(digest)
            if introduced is None:
                self.absences.persons[seq, member] = digest
            elif introduced > seq:
                self.absences.early.append((seq, member))
            elif introduced == seq and stored and (person := stored.pop(digest, None)):
                self._check_source(seq, seen, person)

    def _check_source(self, seq: int, seen: Seen, person: StoredPerson) -> None:
        allowed = {seen.signer} if seen.signer is not None else {OWN_SUBMITTER, seen.submitter}
        if person.source not in allowed:
            detail = (
                f"it is {person.source!r}, and the salt can only come from {' or '.join(sorted(allowed))}"
            )
            self._findings.add(Kind.ALTERED, f"persons.source of entry {seq}", detail, seq)

    def _check_person(self, person: StoredPerson) -> None:
        if _digest(person.salt, person.value) != person.commitment:
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


def _digest(salt: bytes | None, value: bytes | None) -> object:
    """`ledger.core.entry.commitment` in hex, at half its price; what equals no commitment where salt or value is none."""
    if salt is None or value is None or len(salt) != SALT_BYTES:
        return _NONE
    return sha256(b"\x02" + salt + value).hexdigest()


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
