"""What the log knows of itself without asking the disk: replaced or grown only after a durable commit."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ledger.core.entry import parse_entry
from ledger.core.errors import LedgerError
from ledger.log.schema import Head, Row
from ledger.log.standing import TYPES, Standing
from ledger.log.store import Store
from ledger.log.tree import Tree


@dataclass
class Written:
    """The head and the indexes over everything below it.

    `ids` is the idempotency index: record id → seq. `persons` tells which entry introduced a person whose salt is stored:
    commitment → seq. `standing` is what the log's own entries say, at the end of the log.
    """

    head: Head
    tree: Tree
    ids: dict[str, int] = field(default_factory=dict)
    persons: dict[str, int] = field(default_factory=dict)
    standing: Standing = field(default_factory=Standing)

    @classmethod
    def load(cls, store: Store, tree: Tree, head: Head) -> "Written":
        """Rebuild the indexes from what is stored."""
        written = cls(head, tree)
        written.ids.update(store.ids())
        written.persons.update(store.introduced())
        for entry in store.own_entries(TYPES):
            record = parse_entry(entry).members
            # A second grant of an id, by an earlier release: the first one holds, and verification tells.
            with contextlib.suppress(LedgerError):
                written.standing = written.standing.after(record)
        return written

    def accept(
        self, rows: Sequence[Row], persons: Iterable[tuple[str, int]], standing: Standing, head: Head
    ) -> None:
        """Take in what has just become durable."""
        self.tree.extend([row.hash for row in rows])
        self.ids.update((row.id, row.seq) for row in rows)
        self.persons.update(persons)
        self.standing = standing
        self.head = head  # last: readers take it as the bound of what they may see
