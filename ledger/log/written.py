"""What the log knows of itself without asking the disk: replaced or grown only after a durable commit."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ledger.core.entry import parse_entry
from ledger.core.text import parse_base64
from ledger.log.schema import Head, Row
from ledger.log.store import Store
from ledger.log.tree import Tree

OWN_SUBMITTER = "log"


@dataclass
class Written:
    """The head and the indexes over everything below it.

    `ids` is the idempotency index: record id → seq. `persons` holds the commitments whose salts are stored. `agent_keys` are the
    keys in force at the end of the log: key id → raw Ed25519 public key. `known_keys` were granted once: an id is never given twice.
    """

    head: Head
    tree: Tree
    ids: dict[str, int] = field(default_factory=dict)
    persons: set[str] = field(default_factory=set)
    agent_keys: dict[str, bytes] = field(default_factory=dict)
    known_keys: set[str] = field(default_factory=set)

    @classmethod
    def load(cls, store: Store, tree: Tree, head: Head) -> "Written":
        """Rebuild the indexes from what is stored."""
        written = cls(head, tree)
        written.ids.update(store.ids())
        written.persons.update(person.commitment for person in store.persons())
        for entry in store.own_entries("log.access_"):
            written.learn(parse_entry(entry).members)
        return written

    def accept(self, rows: Sequence[Row], persons: Iterable[str], own: Iterable[bytes], head: Head) -> None:
        """Take in what has just become durable; `own` are the log's own records among it."""
        self.tree.extend([row.hash for row in rows])
        self.ids.update((row.id, row.seq) for row in rows)
        self.persons.update(persons)
        for record in own:
            self.learn(json.loads(record))
        self.head = head  # last: readers take it as the bound of what they may see

    def learn(self, record: dict[str, Any]) -> None:
        """Follow one of the log's own records where it changes which agent keys are in force."""
        ext = record.get("ext", {})
        if record["type"] == "log.access_granted" and "log.public_key" in ext:
            self.agent_keys[ext["log.key_id"]] = parse_base64(ext["log.public_key"])
            self.known_keys.add(ext["log.key_id"])
        elif record["type"] == "log.access_revoked":
            self.agent_keys.pop(ext.get("log.key_id", ""), None)
