"""The rows of the log as Arrow and as values: the same columns as `schemas/tables.sql`."""

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa

from ledger.records.prepared import Disclosed, Person

ROW_SCHEMA = pa.schema(
    [
        ("seq", pa.uint64()),
        ("hash", pa.binary()),
        ("id", pa.string()),
        ("entry", pa.string()),
        ("contents", pa.string()),  # see ledger.storage.contents
        ("checkpoint", pa.string()),
    ]
)

PERSON_SCHEMA = pa.schema(
    [
        ("seq", pa.uint64()),
        ("commitment", pa.string()),
        ("salt", pa.binary()),
        ("value", pa.string()),
        ("source", pa.string()),
    ]
)


class Row(NamedTuple):
    """One entry about to be stored."""

    seq: int
    hash: bytes
    id: str
    entry: bytes
    contents: tuple[Disclosed, ...]


class Known(NamedTuple):
    """What a second submission of an entry is compared with: `salts` are those of the contents that are stored, by member."""

    hash: bytes
    entry: bytes
    salts: Mapping[str, bytes]


class StoredEntry(NamedTuple):
    """One entry as it is stored, with the contents and persons that were disclosed and not erased."""

    seq: int
    hash: bytes
    id: str
    entry: bytes
    contents: tuple[Disclosed, ...]
    persons: tuple[Person, ...]
    checkpoint: str | None


class Head(NamedTuple):
    """The newest durable checkpoint: what the log answers for."""

    size: int
    root: bytes
    note: bytes
    recorded_at: str
