"""The two files of a dump, read by somebody who believes nothing of them: bounded, in order, and no more than that."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ledger.core.errors import Code, LedgerError
from ledger.storage.schema import PERSON_SCHEMA
from ledger.upkeep.transfer import DUMP_SCHEMA, ENTRIES, PERSONS

MAX_GROUP_ROWS: Final = 65_536
MAX_GROUP_BYTES: Final = 1024 * 1024 * 1024  # uncompressed; a row may have many contents of 1 MiB
READ_ROWS: Final = 2_000
MAX_TEXT_BYTES: Final = 16_000_000  # of Parquet's own metadata


class People:
    """The persons of a dump, in the order of the entries that introduced them."""

    def __init__(self, path: Path) -> None:
        self._batches = _batches(path, PERSON_SCHEMA)
        self._waiting = PERSON_SCHEMA.empty_table()
        self._after = 0

    def below(self, seq: int) -> pa.Table:
        """Those not yet given whose entry comes before `seq`."""
        taken = [self._take(seq)]
        while not self._waiting.num_rows:
            batch = next(self._batches, None)
            if batch is None:
                break
            self._waiting = pa.Table.from_batches([batch])
            taken.append(self._take(seq))
        table = pa.concat_tables(taken)
        if table.num_rows:
            lowest = pc.min(table.column("seq")).as_py()
            if lowest < self._after:
                raise altered(
                    PERSONS, f"a person of entry {lowest} stands after those of entry {self._after - 1}"
                )
        self._after = seq
        return table

    def _take(self, seq: int) -> pa.Table:
        before = pc.less(self._waiting.column("seq"), pa.scalar(seq, pa.uint64()))
        taken = self._waiting.filter(before)
        self._waiting = self._waiting.filter(pc.invert(before))
        return taken

    def finish(self, size: int) -> None:
        """See that all were given.

        Raises:
            LedgerError: `evidence-altered`.
        """
        if self._waiting.num_rows or next(self._batches, None) is not None:
            raise altered(PERSONS, f"it has persons of entries from {size} on, which the log does not have")


def rows(path: Path, size: int) -> Iterator[pa.Table]:
    """The entries of a dump, as many as there are, each in its place.

    Raises:
        LedgerError: `evidence-altered`.
    """
    done = 0
    for batch in _batches(path, DUMP_SCHEMA):
        seqs = batch.column(0).to_pylist()
        if seqs != list(range(done, done + len(seqs))):
            at = next(i for i, seq in enumerate(seqs) if seq != done + i)
            raise altered(
                ENTRIES, f"row {done + at} is of entry {seqs[at]}: rows are missing, doubled or out of order"
            )
        done += len(seqs)
        if done > size:
            raise altered(ENTRIES, f"it has more entries than the {size} of the checkpoint")
        yield pa.Table.from_batches([batch])


def _batches(path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    try:
        file = pq.ParquetFile(
            path, thrift_string_size_limit=MAX_TEXT_BYTES, thrift_container_size_limit=MAX_TEXT_BYTES
        )
        with file:
            if not file.schema_arrow.equals(schema):
                raise altered(path.name, "its columns are not those of a dump")
            for number in range(file.num_row_groups):
                group = file.metadata.row_group(number)
                if group.num_rows > MAX_GROUP_ROWS or group.total_byte_size > MAX_GROUP_BYTES:
                    raise altered(path.name, f"row group {number} is larger than any that a dump has")
            for batch in file.iter_batches(READ_ROWS):
                batch.validate(full=True)
                if any(column.null_count for column in batch.columns[:2]):
                    raise altered(path.name, "a row has no place or no hash")
                yield batch
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise altered(path.name, f"Parquet cannot be read: {error}") from None


def altered(name: str, what: str) -> LedgerError:
    """The refusal of a dump, with the place."""
    return LedgerError(
        Code.EVIDENCE_ALTERED, f"{name} of the dump is not what a log wrote: {what}; nothing was kept of it"
    )
