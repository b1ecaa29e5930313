"""What a submitted record becomes on its way into the log."""

from typing import NamedTuple, Protocol

import msgspec


class Disclosed(NamedTuple):
    """A content the ledger holds: `value` is its JSON, byte for byte as received."""

    member: str
    salt: bytes
    value: bytes


class Person(msgspec.Struct, frozen=True, weakref=True):
    """A natural person's identifier. Whether a record that names it is on its way is told by weak references to it.

    Attributes:
        commitment: 64 hex digits, as in the entries.
        salt: 16 bytes, one per person and log.
        value: canonical JSON of the identifier, a string.
        source: who made the salt: "log"; of a sealed record the key id of its signature, or its submitter.
    """

    commitment: str
    salt: bytes
    value: bytes
    source: str


class PersonSalts(Protocol):
    """Knows the salt of each person."""

    def person(self, value: bytes) -> Person:
        """The person of this identifier (canonical JSON of a string): the same value, the same salt."""


class Prepared(NamedTuple):
    """A record ready for the sequencer.

    Attributes:
        record: its canonical bytes, contents and persons as commitments.
        contents: what was disclosed to the ledger.
        persons: likewise.
        withheld: members the ledger has only the commitment of.
        signature: key id and base64, of a sealed record.
        generated_id: the ledger made the id: a retry would be a new record.
        size_bytes: of what was submitted.
        outside: members that claim somebody for whom its submitter may not speak: the log says so beside it.
    """

    id: str
    type: str
    record: bytes
    submitter: str
    contents: tuple[Disclosed, ...]
    persons: tuple[Person, ...]
    withheld: tuple[str, ...]
    signature: tuple[str, str] | None
    generated_id: bool
    size_bytes: int
    outside: tuple[str, ...] = ()
