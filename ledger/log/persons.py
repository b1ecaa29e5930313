"""One salt per person and log, so that equal persons have equal commitments until that salt is erased."""

import os
import threading
from collections.abc import Iterable

from ledger.core.entry import OWN_SUBMITTER, SALT_BYTES, commitment
from ledger.records.prepared import Person


class Persons:
    """The persons whose salts the log made. A new one becomes durable with the first entry that names it."""

    def __init__(self, known: Iterable[Person]) -> None:
        self._by_value = {person.value: person for person in known if person.source == OWN_SUBMITTER}
        self._making = threading.Lock()

    def person(self, value: bytes) -> Person:
        """The person of this identifier (canonical JSON of a string), with its salt; made on first sight."""
        known = self._by_value.get(value)
        if known is not None:
            return known
        with self._making:
            salt = os.urandom(SALT_BYTES)
            made = Person(commitment(salt, value).hex(), salt, value, OWN_SUBMITTER)
            return self._by_value.setdefault(value, made)
