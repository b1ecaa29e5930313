"""Decides what a batch of submissions becomes: which are new, which were here before, which are refused.

Nothing is written here: a plan that is not carried out leaves no trace.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from ledger.core.entry import OWN_SUBMITTER, format_entry, parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.merkle import leaf_hash
from ledger.log.keeping import ERASED
from ledger.log.standing import Standing
from ledger.log.store import Store
from ledger.log.written import Written
from ledger.records.commit import commitment_hex
from ledger.records.members import CONTENTS, PERSONS
from ledger.records.prepare import own_record, recommit
from ledger.records.prepared import Person, Prepared
from ledger.storage.schema import Known, Row

PLACES_PER_ENTRY = 500
KNOWN_PER_READ = 256  # entries of at most 64 KiB


class Appended(NamedTuple):
    """What the log answers for one record: its place, and the size of the checkpoint that covers it."""

    id: str
    seq: int
    leaf_hash: bytes
    recorded_at: str
    existing: bool
    size: int


class Planned(NamedTuple):
    """A record, the row it will become, and whether it is a second submission of it within the same batch."""

    item: Prepared
    row: Row
    existing: bool


Outcome = Appended | LedgerError | Planned
Check = Callable[["Plan"], None]


class Plan:
    """One group commit in the making: `rows` and `persons` are what will be written, `standing` is what will hold then."""

    def __init__(self, written: Written, store: Store, prev: bytes, recorded_at: str) -> None:
        self.recorded_at = recorded_at
        self.rows: list[Row] = []
        self.persons: dict[str, tuple[int, Person]] = {}
        self.standing = written.standing
        self._written, self._store = written, store
        self._start, self._prev = written.head.size, prev
        self._new: dict[str, Planned] = {}
        self._withheld: list[tuple[int, str]] = []
        self._outside: list[tuple[int, str]] = []
        self._stored: Mapping[str, int] = {}
        self._known: Mapping[int, Known] = {}
        self._introduced: Collection[str] = ()
        self._folded = False  # what the records being placed say is folded at once

    @property
    def size(self) -> int:
        """The log's size once this plan is carried out."""
        return self._start + len(self.rows)

    def add(self, items: Sequence[Prepared], *, atomic: bool, check: Check | None = None) -> list[Outcome]:
        """Plan one submission; with `atomic` it adds all of its records or none.

        `check` is asked before the first of them gets its place, when all that comes before them is known; what it raises refuses them.
        """
        erasures = atomic and len(items) > 1 and all(map(_is_erasure, items))
        try:
            if check is not None:
                check(self)
            after = self._after_erasures(items) if erasures else None
        except LedgerError as error:
            return [error] * len(items)
        rows, prev, standing = len(self.rows), self._prev, self.standing
        withheld, outside = len(self._withheld), len(self._outside)
        outcomes: list[Outcome] = []
        self._folded = after is not None
        for low in range(0, len(items), KNOWN_PER_READ):
            outcomes.extend(self._place_all(items[low : low + KNOWN_PER_READ]))
        self._folded = False
        self.standing = after or self.standing
        if not atomic or not any(isinstance(outcome, LedgerError) for outcome in outcomes):
            return outcomes
        for row in self.rows[rows:]:
            del self._new[row.id]
        del self.rows[rows:], self._withheld[withheld:], self._outside[outside:]
        self._prev, self.standing = prev, standing
        self.persons = {c: (seq, person) for c, (seq, person) in self.persons.items() if seq < self.size}
        return [outcome if isinstance(outcome, LedgerError) else not_written() for outcome in outcomes]

    def entries_from(self, seq: int) -> Iterator[tuple[int, bytes]]:
        """The entries from `seq` on that come before what is planned next, with their numbers.

        Raises:
            LedgerError: `storage-failed`.
        """
        yield from enumerate(self._store.entries(seq, self._start), seq)
        yield from ((row.seq, row.entry) for row in self.rows if row.seq >= seq)

    def finish(self) -> None:
        """Add the log's own entries about the records: what nobody gave it, so that its absence is never mistaken for a deletion, and
        which claims are not to be believed.
        """
        self._tell("log.content_withheld", "log.withheld", self._withheld)
        self._tell("log.claim_outside", "log.outside", self._outside)

    def _tell(self, record_type: str, key: str, places: Sequence[tuple[int, str]]) -> None:
        for low in range(0, len(places), PLACES_PER_ENTRY):
            pairs = [[seq, member] for seq, member in places[low : low + PLACES_PER_ENTRY]]
            self._append(own_record(record_type, {key: pairs}))

    def _place_all(self, items: Sequence[Prepared]) -> list[Outcome]:
        """Place records; one that cannot be looked up is refused alone: it is found by halves."""
        try:
            self._read_known(items)
        except LedgerError as error:
            if len(items) == 1:
                return [error]
            middle = len(items) // 2
            return [*self._place_all(items[:middle]), *self._place_all(items[middle:])]
        return [self._place(item) for item in items]

    def _read_known(self, items: Sequence[Prepared]) -> None:
        """Read at once what is stored under the ids of `items`: one by one it would be a search of the table for each."""
        self._stored, self._known = self._written.find([item.id for item in items])
        hot = sorted({seq for seq in self._stored.values() if seq not in self._known})
        if hot:
            self._known = {**self._known, **self._store.known(hot)}
        self._introduced = self._written.introduced(
            {person.commitment for item in items for person in item.persons}
        )

    def _place(self, item: Prepared) -> Outcome:
        try:
            planned = self._new.get(item.id)
            if planned is not None:
                return self._same_in_batch(item, planned)
            seq = self._stored.get(item.id)
            if seq is not None:
                return self._same_as_stored(item, seq)
            return self._append(item)
        except LedgerError as error:
            return error

    def _after_erasures(self, items: Sequence[Prepared]) -> Standing:
        return self.standing.after_erasures([json.loads(item.record) for item in items], self.size)

    def _append(self, item: Prepared) -> Planned:
        standing = self.standing
        if item.submitter == OWN_SUBMITTER and not self._folded:
            standing = standing.after(json.loads(item.record), self.size)
        if item.signature is not None and item.signature[0] not in standing.agent_keys:
            raise LedgerError(
                Code.UNKNOWN_KEY, f"the agent key {item.signature[0]} is not in force", path="signature.key"
            )
        seq = self.size
        entry = format_entry(
            prev=self._prev,
            record=item.record,
            recorded_at=self.recorded_at,
            seq=seq,
            submitter=item.submitter,
            signature=item.signature,
        )
        row = Row(seq, leaf_hash(entry), item.id, entry, item.contents)
        self.rows.append(row)
        self._prev, self.standing = row.hash, standing
        self._new[item.id] = planned = Planned(item, row, existing=False)
        for person in item.persons:
            if (
                person.commitment not in self._introduced
                and person.commitment not in standing.keeping.removed.persons
            ):
                self.persons.setdefault(person.commitment, (seq, person))
        if item.withheld:
            self._withheld.extend((seq, member) for member in item.withheld)
        if item.outside:
            self._outside.extend((seq, member) for member in item.outside)
        return planned

    def _same_in_batch(self, item: Prepared, planned: Planned) -> Planned:
        first = planned.item
        self._refuse_comparing(item, planned.row.seq, first.submitter)
        salts = {content.member: content.salt for content in first.contents}
        if recommit(item, salts) != first.record or not _signed_alike(item, first.signature):
            raise _conflict(item.id, planned.row.seq)
        self._refuse_disclosing_more(item, planned.row.seq, salts.keys())
        return planned._replace(existing=True)

    def _same_as_stored(self, item: Prepared, seq: int) -> Appended:
        self.standing.keeping.refuse_retired(seq, seq + 1)
        known = self._known.get(seq)
        if known is None:
            raise LedgerError(
                Code.STORAGE_FAILED, f"entry {seq} cannot be read back; run `agent-ledger verify`"
            )
        if not known.entry:
            raise _retired(item.id, seq)
        entry = parse_entry(known.entry)
        self._refuse_comparing(item, seq, entry.submitter)
        gone = self._gone(seq, entry.members)
        salts = {member: salt for member, salt in known.salts.items() if member not in gone}
        record = recommit(item, salts)
        for member in gone:
            record = _as_committed(item, member, record, entry.members)  # what was erased cannot be compared
        if record != entry.record or not _signed_alike(item, entry.signature):
            raise _conflict(item.id, seq)
        self._refuse_disclosing_more(item, seq, salts.keys() | gone)
        return Appended(
            item.id, seq, known.hash, entry.recorded_at, existing=True, size=self._written.head.size
        )

    @staticmethod
    def _refuse_comparing(item: Prepared, seq: int, submitter: str) -> None:
        """What somebody else submitted is not compared, unless the agent that signed it sends it again: a yes or no would let anybody who may write guess at
        contents that they may not read, and leave no trace.
        """
        if item.submitter != submitter and item.signature is None:
            raise _conflict(item.id, seq)

    def _gone(self, seq: int, stored: Mapping[str, object]) -> frozenset[str]:
        """The members of an entry whose contents or persons the log says are gone."""
        removed = self.standing.keeping.removed
        contents = frozenset(CONTENTS) if seq in removed.contents else frozenset()
        persons = frozenset(member for member in PERSONS if _digest(stored, member) in removed.persons)
        return removed.members(seq) | contents | persons

    def _refuse_disclosing_more(self, item: Prepared, seq: int, told: Collection[str]) -> None:
        """What the first submission kept to itself is not taken from a second one: "existing" must not sound as if it were."""
        more = any(content.member not in told for content in item.contents)
        gone = any(
            member in told for member in PERSONS
        )  # such a person is known no more, and may be named again
        if not gone:
            known = (self._introduced, self.persons)
            more |= any(all(person.commitment not in some for some in known) for person in item.persons)
        if more:
            raise LedgerError(
                Code.ID_CONFLICT,
                f"the id {item.id} belongs to entry {seq}, which was submitted without disclosing what this discloses: it is not "
                "taken later; a new record needs a new id",
                path="disclosures",
                seq=seq,
            )


def _is_erasure(item: Prepared) -> bool:
    return item.submitter == OWN_SUBMITTER and item.type == ERASED


def _as_committed(item: Prepared, member: str, record: bytes, stored: Mapping[str, object]) -> bytes:
    """`record` with the stored commitment of `member` in the place of the one that was made for this submission."""
    first = _digest(stored, member)
    made = {commitment_hex(each.salt, each.value) for each in item.contents if each.member == member}
    if member in PERSONS:
        made = {person.commitment for person in item.persons} & {_digest(json.loads(record), member)}
    for digest in made if first else ():
        record = record.replace(digest.encode(), first.encode())
    return record


def _digest(members: Mapping[str, object], member: str) -> str:
    """The commitment at `tool.arguments`, "" where there is none."""
    facet, _, name = member.partition(".")
    found = members.get(facet)
    digest = found.get(name) if isinstance(found, dict) else None
    return digest if isinstance(digest, str) else ""


def _signed_alike(item: Prepared, first: tuple[str, str] | None) -> bool:
    """A signature is part of what a submission says: the answer must not pass for one that the log does not hold."""
    return item.signature is None or item.signature == first


def not_written() -> LedgerError:
    """Why a record is not in the log that nothing was wrong with."""
    return LedgerError(
        Code.NOT_WRITTEN, "not written: another record of this all-or-nothing submission was refused"
    )


def _retired(record_id: str, seq: int) -> LedgerError:
    return LedgerError(
        Code.RETIRED,
        f"the id {record_id} belongs to entry {seq}, which was retired by policy: whether this is the same record can no longer be "
        "told; a new record needs a new id",
        path="id",
        seq=seq,
    )


def _conflict(record_id: str, seq: int) -> LedgerError:
    return LedgerError(
        Code.ID_CONFLICT,
        f"the id {record_id} belongs to entry {seq}, which says something else, or is another submitter's: a new record needs a new id",
        path="id",
        seq=seq,
    )
