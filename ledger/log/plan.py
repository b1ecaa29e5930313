"""Decides what a batch of submissions becomes: which are new, which were here before, which are refused.

Nothing is written here: a plan that is not carried out leaves no trace.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from ledger.core.entry import OWN_SUBMITTER, format_entry, parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.merkle import leaf_hash
from ledger.log.schema import Known, Row
from ledger.log.store import Store
from ledger.log.written import Written
from ledger.records.commit import commitment_hex
from ledger.records.prepare import own_record, recommit
from ledger.records.prepared import Person, Prepared

WITHHELD_PER_ENTRY = 500
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
        self._known: Mapping[int, Known] = {}

    @property
    def size(self) -> int:
        """The log's size once this plan is carried out."""
        return self._start + len(self.rows)

    def add(self, items: Sequence[Prepared], *, atomic: bool) -> list[Outcome]:
        """Plan one submission; with `atomic` it adds all of its records or none."""
        rows, prev, withheld, standing = len(self.rows), self._prev, len(self._withheld), self.standing
        outcomes: list[Outcome] = []
        for low in range(0, len(items), KNOWN_PER_READ):
            some = items[low : low + KNOWN_PER_READ]
            self._read_known(some)
            outcomes.extend(self._place(item) for item in some)
        if not atomic or not any(isinstance(outcome, LedgerError) for outcome in outcomes):
            return outcomes
        for row in self.rows[rows:]:
            del self._new[row.id]
        del self.rows[rows:], self._withheld[withheld:]
        self._prev, self.standing = prev, standing
        self.persons = {c: (seq, person) for c, (seq, person) in self.persons.items() if seq < self.size}
        return [outcome if isinstance(outcome, LedgerError) else _not_written() for outcome in outcomes]

    def finish(self) -> None:
        """Add the log's own entry about what nobody gave it, so that its absence is never mistaken for a deletion."""
        for low in range(0, len(self._withheld), WITHHELD_PER_ENTRY):
            pairs = [[seq, member] for seq, member in self._withheld[low : low + WITHHELD_PER_ENTRY]]
            self._append(own_record("log.content_withheld", {"log.withheld": pairs}))

    def _read_known(self, items: Sequence[Prepared]) -> None:
        """Read at once what is stored under the ids of `items`: one by one it would be a search of the table for each."""
        ids = self._written.ids
        seqs = sorted({ids[item.id] for item in items if item.id in ids})
        self._known = self._store.known(seqs) if seqs else {}

    def _place(self, item: Prepared) -> Outcome:
        try:
            planned = self._new.get(item.id)
            if planned is not None:
                return self._same_in_batch(item, planned)
            seq = self._written.ids.get(item.id)
            if seq is not None:
                return self._same_as_stored(item, seq)
            return self._append(item)
        except LedgerError as error:
            return error

    def _append(self, item: Prepared) -> Planned:
        standing = self.standing
        if item.submitter == OWN_SUBMITTER:
            standing = standing.after(json.loads(item.record))
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
            if person.commitment not in self._written.persons:
                self.persons.setdefault(person.commitment, (seq, person))
        if item.withheld:
            self._withheld.extend((seq, member) for member in item.withheld)
        return planned

    def _same_in_batch(self, item: Prepared, planned: Planned) -> Planned:
        first = planned.item
        salts = {content.member: content.salt for content in first.contents}
        if recommit(item, salts) != first.record or not _signed_alike(item, first.signature):
            raise _conflict(item.id, planned.row.seq)
        self._refuse_disclosing_more(item, planned.row.seq, salts.keys())
        return planned._replace(existing=True)

    def _same_as_stored(self, item: Prepared, seq: int) -> Appended:
        known = self._known.get(seq)
        if known is None:
            raise LedgerError(
                Code.STORAGE_FAILED, f"entry {seq} cannot be read back; run `agent-ledger verify`"
            )
        entry = parse_entry(known.entry)
        record = recommit(item, known.salts)
        for member in self.standing.erased.get(seq, frozenset()) - known.salts.keys():
            record = _as_committed(item, member, record, entry.members)  # what was erased cannot be compared
        if record != entry.record or not _signed_alike(item, entry.signature):
            raise _conflict(item.id, seq)
        self._refuse_disclosing_more(
            item, seq, known.salts.keys() | self.standing.erased.get(seq, frozenset())
        )
        return Appended(
            item.id, seq, known.hash, entry.recorded_at, existing=True, size=self._written.head.size
        )

    def _refuse_disclosing_more(self, item: Prepared, seq: int, told: Collection[str]) -> None:
        """What the first submission kept to itself is not taken from a second one: "existing" must not sound as if it were."""
        more = any(content.member not in told for content in item.contents)
        if not self.standing.erased.get(seq):  # an erased person is known no more, and may be named again
            known = (self._written.persons, self.persons)
            more |= any(all(person.commitment not in some for some in known) for person in item.persons)
        if more:
            raise LedgerError(
                Code.ID_CONFLICT,
                f"the id {item.id} belongs to entry {seq}, which was submitted without disclosing what this discloses: it is not "
                "taken later; a new record needs a new id",
                path="disclosures",
                seq=seq,
            )


def _as_committed(item: Prepared, member: str, record: bytes, stored: Mapping[str, object]) -> bytes:
    """`record` with the stored commitment of `member` in the place of the one that was made for this submission."""
    facet, _, name = member.partition(".")
    members = stored.get(facet)
    digest = members.get(name) if isinstance(members, dict) else None
    for content in item.contents:
        if content.member == member and isinstance(digest, str):
            return record.replace(commitment_hex(content.salt, content.value).encode(), digest.encode())
    return record


def _signed_alike(item: Prepared, first: tuple[str, str] | None) -> bool:
    """A signature is part of what a submission says: the answer must not pass for one that the log does not hold."""
    return item.signature is None or item.signature == first


def _not_written() -> LedgerError:
    return LedgerError(
        Code.NOT_WRITTEN, "not written: another record of this all-or-nothing submission was refused"
    )


def _conflict(record_id: str, seq: int) -> LedgerError:
    return LedgerError(
        Code.ID_CONFLICT,
        f"the id {record_id} belongs to entry {seq}, which says something else: a new record needs a new id",
        path="id",
        seq=seq,
    )
