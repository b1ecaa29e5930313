"""What the log knows of itself without asking the disk: replaced or grown only after a durable commit.

Ids and persons of hot entries are in memory, in one `Generation` for each hot file; those of sealed entries are looked up on the disk
(docs/adr/0015), so memory does not grow with the log.
"""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ledger.core.entry import OWN_SUBMITTER, parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.log.standing import TYPES, Standing
from ledger.log.store import Store
from ledger.log.tree import Tree
from ledger.records.prepared import Person
from ledger.storage.hot import HotFile
from ledger.storage.ids import IdIndex
from ledger.storage.layout import IDS
from ledger.storage.schema import Head, Known, Row

SEEN_PERSONS: Final = 20_000  # sealed ones whose commitments are remembered


@dataclass
class Generation:
    """What a hot file adds.

    Attributes:
        ids: record id → seq.
        persons: commitment → the entry that introduced the person.
        values: identifier → the person, of those whose salts the log made.
    """

    ids: dict[str, int] = field(default_factory=dict)
    persons: dict[str, int] = field(default_factory=dict)
    values: dict[bytes, Person] = field(default_factory=dict)

    @classmethod
    def load(cls, file: HotFile) -> "Generation":
        """What a hot file holds."""
        values = {person.value: person for person in file.persons() if person.source == OWN_SUBMITTER}
        return cls(dict(file.ids()), dict(file.introduced()), values)

    def accept(self, rows: Sequence[Row], persons: Iterable[tuple[int, Person]]) -> None:
        """Take in what has just become durable."""
        self.ids.update((row.id, row.seq) for row in rows)
        for seq, person in persons:
            self.persons[person.commitment] = seq
            if person.source == OWN_SUBMITTER:
                self.values[person.value] = person

    def forget(self, commitments: Collection[str]) -> None:
        """Know persons no more."""
        for commitment in commitments:
            self.persons.pop(commitment, None)
        for value in [value for value, person in self.values.items() if person.commitment in commitments]:
            self.values.pop(value, None)


class Written:
    """The head and the indexes over everything below it. The sequencer's thread changes it, and the sealer's by `sealed`.

    Attributes:
        head: the newest durable checkpoint.
        tree: over all entries.
        standing: what the log's own entries say, at the end of the log.
        ids: the index over sealed entries.
    """

    def __init__(self, store: Store, ids: IdIndex, tree: Tree, head: Head, keys: KeyHistory) -> None:
        self.head, self.tree, self.ids = head, tree, ids
        self.standing = Standing(keys)
        self._store = store
        self._hot = tuple(Generation.load(file) for file in store.hots())
        self._changing = threading.Lock()
        self._seen: OrderedDict[str, None] = OrderedDict()  # used by the sequencer's thread alone

    @classmethod
    def load(cls, data: Path, store: Store, tree: Tree, head: Head, keys: KeyHistory) -> "Written":
        """Rebuild it from what is stored, but for the log's `keys`, which were known before.

        Raises:
            LedgerError: `storage-failed`.
        """
        ids = IdIndex(data / IDS)
        ids.rebuild(store.segments)
        written = cls(store, ids, tree, head, keys)
        for entry in store.own_entries(TYPES):
            own = parse_entry(entry)
            # A second grant of an id, by an earlier release: the first one holds, and verification tells.
            with contextlib.suppress(LedgerError):
                written.standing = written.standing.after(own.members, own.seq)
        return written

    def accept(
        self, rows: Sequence[Row], persons: Sequence[tuple[int, Person]], standing: Standing, head: Head
    ) -> None:
        """Take in what has just become durable."""
        self.tree.extend([row.hash for row in rows])
        self._hot[-1].accept(rows, persons)
        self.standing = standing
        self.head = head  # last: readers take it as the bound of what they may see

    def rotate(self) -> None:
        """A fresh hot file is written from now on."""
        with self._changing:
            self._hot = (*self._hot, Generation())

    def sealed(self) -> None:
        """The oldest hot file is sealed: its ids are in the index, its persons are stored with the sealed ones."""
        with self._changing:
            self._hot = self._hot[1:]

    def forget(self, persons: Collection[str]) -> None:
        """Know persons no more, by commitment."""
        for generation in self._hot:
            generation.forget(persons)
        for commitment in persons:
            self._seen.pop(commitment, None)

    # -- asking --------------------------------------------------------------------------------------------------------

    def find(self, ids: Collection[str]) -> tuple[dict[str, int], dict[int, Known]]:
        """The entries that have these ids, and what had to be read of sealed ones to be sure; an id that no entry has is not in it.

        Exact: what the index takes for possible is compared with the id in the entry itself. Of a retired entry the key alone is left: whatever
        has that counts as its id.

        Raises:
            LedgerError: `storage-failed`: an entry that may have one of them cannot be read.
        """
        hot = self._hot  # before the index: what leaves the one is in the other already
        found = {
            record_id: generation.ids[record_id]
            for generation in hot
            for record_id in ids
            if record_id in generation.ids
        }
        candidates = self.ids.find([record_id for record_id in ids if record_id not in found])
        if not candidates:
            return found, {}
        known = self._store.known(sorted({seq for seqs in candidates.values() for seq in seqs}))
        names = {
            seq: parse_entry(one.entry).members["id"] if one.entry else None for seq, one in known.items()
        }
        for record_id, seqs in candidates.items():
            named = [_name(names, seq) for seq in seqs]
            for name in (record_id, None):
                if name in named:
                    found[record_id] = seqs[named.index(name)]
                    break
        return found, known

    def introduced(self, commitments: Collection[str]) -> set[str]:
        """Those of these persons whom an entry has introduced already. For the sequencer's thread."""
        hot = self._hot
        found = {c for c in commitments if c in self._seen or any(c in each.persons for each in hot)}
        sealed = self._store.people.introduced([c for c in commitments if c not in found])
        for commitment in sealed:
            self._seen[commitment] = None
        while len(self._seen) > SEEN_PERSONS:
            self._seen.popitem(last=False)
        return found | sealed.keys()

    def person(self, value: bytes) -> Person | None:
        """The person of this identifier (canonical JSON) whose salt the log made, where an entry has named them and nothing erased them."""
        hot = self._hot
        erased = self.standing.keeping.removed.persons
        for generation in hot:
            person = generation.values.get(value)
            if person is not None and person.commitment not in erased:
                return person
        sealed = self._store.people.by_value(value)
        return next((person for person in sealed if person.commitment not in erased), None)


def _name(names: Mapping[int, Any], seq: int) -> Any:
    if seq not in names:
        raise LedgerError(
            Code.STORAGE_FAILED,
            f"entry {seq} cannot be read, so nobody can tell whether an id is new; run `agent-ledger verify`",
        )
    return names[seq]
