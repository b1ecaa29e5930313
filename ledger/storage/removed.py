"""What the log says is gone, and rows without it.

From the moment the log says so nothing of it is read any more; from the disk it goes when its segment is made anew
(`ledger.upkeep.compact`). Hashes stay: receipts, tiles and proofs need nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ledger.core.ranges import Ranges
from ledger.records.members import CONTENTS
from ledger.records.prepared import Disclosed
from ledger.storage.contents import NO_CONTENTS, format_contents, parse_contents


class Counts(NamedTuple):
    """How much of a range of entries is gone, as a segment's manifest has it in `retired`.

    What is gone never comes back, so equal counts say: the same is gone.

    Attributes:
        entries: entries whose bytes are gone.
        contents: entries whose contents are gone, and single places that were erased.
    """

    entries: int
    contents: int


@dataclass(frozen=True, slots=True)
class Removed:
    """What is gone.

    Attributes:
        entries: entries of which only the hash is left.
        contents: entries whose contents are gone, all of them; persons are not contents.
        erased: of which entries a member was erased, by member.
        persons: commitments of persons who were erased, 64 hex digits.
    """

    entries: Ranges = field(default_factory=Ranges)
    contents: Ranges = field(default_factory=Ranges)
    erased: Mapping[str, Ranges] = field(default_factory=dict)
    persons: frozenset[str] = frozenset()

    def counts(self, start: int, end: int) -> Counts:
        """How much of the entries [start, end) is gone."""
        erased = sum(ranges.clip(start, end).count for ranges in self.erased.values())
        return Counts(self.entries.clip(start, end).count, self.contents.clip(start, end).count + erased)

    def says(self, seq: int, member: str, commitment: str) -> bool:
        """Whether a content or person of an entry is gone: erased, or its contents retired."""
        return (
            commitment in self.persons
            or seq in self.erased.get(member, ())
            or (seq in self.contents and member in CONTENTS)
        )

    def members(self, seq: int) -> frozenset[str]:
        """Which members of an entry were erased one by one."""
        return frozenset(member for member, ranges in self.erased.items() if seq in ranges)

    def left(self, seq: int, contents: tuple[Disclosed, ...]) -> tuple[Disclosed, ...]:
        """The contents of an entry that are not gone."""
        if seq in self.contents or seq in self.entries:
            return ()
        gone = self.members(seq)
        return tuple(content for content in contents if content.member not in gone) if gone else contents

    def cover(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Rows in order (`ROW_SCHEMA`) without what is gone: of an entry that is, `entry` and `id` are null; seq, hash and checkpoint stay.

        Raises:
            ValueError: contents in it are none that the ledger wrote.
        """
        if not batch.num_rows:
            return batch
        seqs = batch.column("seq").to_pylist()
        low, high = seqs[0], seqs[-1] + 1
        if self.counts(low, high) == Counts(0, 0):
            return batch
        if self.entries.clip(low, high):
            gone = [seq in self.entries for seq in seqs]
            batch = _put(_put(batch, "id", gone, None), "entry", gone, None)
        if self.entries.clip(low, high) or self.contents.clip(low, high):
            gone = [seq in self.entries or seq in self.contents for seq in seqs]
            batch = _put(batch, "contents", gone, NO_CONTENTS)
        erased = {
            seq for ranges in self.erased.values() for pair in ranges.clip(low, high) for seq in range(*pair)
        }
        return self._without_erased(batch, seqs, erased) if erased else batch

    def cover_persons(self, persons: pa.Table) -> pa.Table:
        """Rows of persons (`PERSON_SCHEMA`) without those who were erased."""
        if not self.persons:
            return persons
        gone = pc.is_in(persons.column("commitment"), value_set=pa.array(self.persons, pa.string()))
        return persons.filter(pc.invert(gone))

    def _without_erased(self, batch: pa.RecordBatch, seqs: list[int], erased: set[int]) -> pa.RecordBatch:
        texts = batch.column("contents").to_pylist()
        for at, seq in enumerate(seqs):
            if seq in erased and texts[at] != NO_CONTENTS:
                texts[at] = format_contents(self.left(seq, tuple(parse_contents(texts[at])))).decode()
        return _set(batch, "contents", pa.array(texts, pa.string()))


def _put(batch: pa.RecordBatch, name: str, where: list[bool], value: str | None) -> pa.RecordBatch:
    return _set(batch, name, pc.if_else(pa.array(where), pa.scalar(value, pa.string()), batch.column(name)))


def _set(batch: pa.RecordBatch, name: str, column: pa.Array) -> pa.RecordBatch:
    at = batch.schema.get_field_index(name)
    return batch.set_column(at, batch.schema.field(at), column)
