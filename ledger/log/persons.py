"""One salt per person and log, so that equal persons have equal commitments until that salt is erased."""

import os
import threading
from collections.abc import Callable, Collection
from typing import Final
from weakref import WeakValueDictionary

from ledger.core.entry import OWN_SUBMITTER, SALT_BYTES, commitment
from ledger.records.prepared import Person

RECENT: Final = 20_000  # persons in memory; of those asked before them as many again


def _nobody(_: bytes) -> Person | None:
    return None


class Persons:
    """The persons whose salts the log made. A new one becomes durable with the first entry that names it. Used by any thread.

    A person is on its way, as long as a record in memory names it, or stored, or nobody ever heard of it. Who asks looks in this order, as
    a person only moves on: so it is never made twice, and those of refused records leave memory with them.
    """

    def __init__(self, stored: Callable[[bytes], Person | None] = _nobody) -> None:
        """`stored` finds the person of an identifier, whose salt the log made, where an entry in the log has named it."""
        self._stored = stored
        self._on_their_way: WeakValueDictionary[bytes, Person] = WeakValueDictionary()
        self._recent: dict[bytes, Person] = {}
        self._before: dict[bytes, Person] = {}
        self._making = threading.Lock()

    def person(self, value: bytes) -> Person:
        """The person of this identifier (canonical JSON of a string), with its salt; made on first sight."""
        known = self._recent.get(value)
        if known is not None:
            return known
        with self._making:
            known = self._before.get(value) or self._on_their_way.get(value) or self._stored(value)
            if known is None:
                salt = os.urandom(SALT_BYTES)
                known = Person(commitment(salt, value).hex(), salt, value, OWN_SUBMITTER)
                self._on_their_way[value] = known
            if len(self._recent) >= RECENT:
                self._before, self._recent = self._recent, {}
            self._recent[value] = known
            return known

    def forget(self, commitments: Collection[str]) -> None:
        """Know persons no more: who is named again gets another salt."""
        with self._making:
            for some in (self._recent, self._before, self._on_their_way):
                for value, person in list(some.items()):
                    if person.commitment in commitments:
                        some.pop(value, None)
