"""What is stored beside the entries, checked against them: ids, contents, persons.

Everything here is either repeated in the signed bytes (`id`) or committed to by them (`contents`, `persons`). What is committed to and
not stored must be explained by the log itself: nobody gave it (`log.content_withheld`), or it was erased (`log.content_erased`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from ledger.core.canonical import JsonValue
from ledger.core.entry import OWN_SUBMITTER, SALT_BYTES
from ledger.core.places import Places
from ledger.core.report import Findings, Kind
from ledger.core.shape import Seen, Shapes
from ledger.records.members import CONTENTS, PERSONS
from ledger.storage.contents import Columns

# The members of a record that what is stored beside it is compared with.
WANTED = (("id",), CONTENTS, PERSONS)
SHAPES = Shapes(*WANTED)

_NONE = object()


class StoredPerson(NamedTuple):
    """One row of `persons`."""

    seq: int
    commitment: str
    salt: bytes
    value: bytes
    source: str


Introduced = Callable[[str], int | None]


class Committed(NamedTuple):
    """Contents of rows, by what commits to them: those of row `i` are the places `ends[i]` to `ends[i + 1]` of the others.

    The values themselves are not kept: one entry may have megabytes of them.
    """

    ends: list[int]
    members: list[str | None]
    digests: list[object]

    @classmethod
    def none(cls, rows: int) -> "Committed":
        """Of rows without contents."""
        return cls([0] * (rows + 1), [], [])

    @classmethod
    def of(cls, pieces: Iterable[Columns]) -> "Committed":
        """Of contents that are read piece by piece."""
        made = cls([0], [], [])
        for piece in pieces:
            before = len(made.members)
            made.ends.extend(before + end for end in piece.ends[1:])
            made.members.extend(piece.members)
            made.digests.extend(_digest(*pair) for pair in zip(piece.salts, piece.values, strict=True))
        return made


class Rows(NamedTuple):
    """What rows of `entries` hold beside an entry's bytes and hash, by column.

    Attributes:
        place: the row of each seq.
        ids: their ids.
        noted: whether they have a checkpoint.
        contents: what their contents commit to.
    """

    place: Mapping[int, int]
    ids: Sequence[str | None]
    noted: Sequence[bool]
    contents: Committed


@dataclass(slots=True)
class Absences:
    """What a stretch commits to and what is not stored, for the log to explain.

    Attributes:
        contents: entries and members of contents that are not stored.
        persons: entries and, as `<member> <commitment>`, persons that are not stored.
        early: entries and members that name a person before the entry that is said to have introduced it.
        held: entries of which contents are stored.
    """

    contents: Places = field(default_factory=Places)
    persons: Places = field(default_factory=Places)
    early: Places = field(default_factory=Places)
    held: Places = field(default_factory=Places)


class Beside:
    """Checks the rows of one stretch; `visit` is given to `ledger.core.stretch.check_stretch`."""

    def __init__(
        self,
        rows: Rows,
        persons: Iterable[StoredPerson],
        introduced: Introduced,
        findings: Findings,
    ) -> None:
        """A checker.

        Args:
            rows: the stretch's rows.
            persons: the persons whose `seq` is in the stretch.
            introduced: which entry introduced a person, by commitment; None for one who is not stored.
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
        contents = rows.contents
        start, end = contents.ends[row], contents.ends[row + 1]
        if members or start != end:
            if start != end:
                self.absences.held.add(seq)
            committed = dict(zip(members, commitments, strict=True))
            stored = dict(zip(contents.members[start:end], contents.digests[start:end], strict=True))
            if len(stored) != end - start or stored != committed:
                self._check_contents(seq, committed, range(start, end))
        if people:
            self._check_named(seq, seen, people, named)

    def finish(self, gone: Iterable[tuple[int, int]]) -> None:
        """Report what is stored of entries that are gone, and persons whom the entry that is said to introduce them does not name."""
        for low, high in gone:
            for seq in range(low, high):
                self._check_gone(seq)
        for seq in (
            self._visited & self._persons.keys()
        ):  # of an entry that is missing or unreadable nothing is known
            for person in self._persons[seq].values():
                detail = "a person is stored whom the entry does not name"
                self._findings.add(
                    Kind.ALTERED, f"persons.commitment of entry {seq}", f"{detail}: {person.commitment}", seq
                )

    def _check_gone(self, seq: int) -> None:
        row = self._rows.place[seq]
        if self._rows.ids[row] is not None:
            detail = "it is stored, and the entry's bytes are gone: nothing covers it"
            self._findings.add(Kind.ALTERED, f"id of entry {seq}", detail, seq)
        contents = self._rows.contents
        for member in contents.members[contents.ends[row] : contents.ends[row + 1]]:
            detail = "it is stored, and the entry's bytes are gone: nothing covers it"
            self._findings.add(Kind.ALTERED, f"contents of entry {seq}, {member}", detail, seq)

    def _check_contents(self, seq: int, committed: dict[str, JsonValue], contents: Iterable[int]) -> None:
        for i in contents:
            member = self._rows.contents.members[i]
            where = f"contents of entry {seq}, {member}"
            expected = committed.pop(str(member), None)
            if expected is None:
                detail = "a content is stored that the entry does not commit to, or that is stored twice"
                self._findings.add(Kind.ALTERED, where, detail, seq)
            elif self._rows.contents.digests[i] != expected:
                detail = "salt and value do not give the commitment in the entry"
                self._findings.add(Kind.ALTERED, where, detail, seq)
        for member in committed:
            self.absences.contents.add(seq, member)

    def _check_named(self, seq: int, seen: Seen, people: Sequence[str], named: Sequence[JsonValue]) -> None:
        stored = self._persons.get(seq)
        for member, value in zip(people, named, strict=True):
            digest = str(value)
            introduced = self._introduced(digest)
            if introduced is None:
                self.absences.persons.add(seq, f"{member} {digest}")
            elif introduced > seq:
                self.absences.early.add(seq, member)
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
