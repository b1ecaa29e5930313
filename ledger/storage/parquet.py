"""The Parquet files of a segment: written in row groups, read a row group at a time, each page with its checksum.

They are read with `read`, not mapped: a sector that cannot be read is an error of one request then, and not the server's end (SIGBUS).
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from ledger.core.errors import Code, LedgerError
from ledger.storage.manifest import FileInfo
from ledger.storage.opened import FileClosed, Reopened
from ledger.storage.synced import SyncedFile, size_of

GROUP_ROWS: Final = 2048
GROUP_BYTES: Final = 32 * 1024 * 1024  # of contents
FACT_GROUP_ROWS: Final = 16_384
# Level 2: no larger than by level 1, and decoded in two thirds of the time. A row group of common entries is one page: what repeats is found in all of it.
ZSTD_LEVEL: Final = 2
PAGE_BYTES: Final = 4 * 1024 * 1024
DECODED_BYTES: Final = 48 * 1024 * 1024  # kept of what was decoded last, of all segments together
CLOSED: Final = "the segment was closed"

ENTRY_SCHEMA: Final = pa.schema(
    [
        ("seq", pa.uint64()),
        ("hash", pa.binary()),
        ("id", pa.string()),
        ("entry", pa.string()),
        ("checkpoint", pa.string()),
    ]
)
CONTENTS_SCHEMA: Final = pa.schema([("seq", pa.uint64()), ("contents", pa.string())])


class GroupedWriter:
    """Writes rows as row groups of exactly `rows` rows, the last excepted; or fewer, where they have more than `size_limit` bytes."""

    def __init__(
        self,
        path: Path,
        schema: pa.Schema,
        *,
        rows: int = GROUP_ROWS,
        size_limit: int | None = None,
        dictionaries: Sequence[str] = (),
    ) -> None:
        """Begin a file.

        Args:
            path: where.
            schema: of the rows.
            rows: of a group.
            size_limit: bytes of a group, in memory. One row may have more.
            dictionaries: columns whose values come again and again. Where there are any the rows are to be searched, and each group has the
                least and the greatest value of each column.

        Raises:
            OSError: it cannot be made.
        """
        self._schema, self._rows, self._limit = schema, rows, size_limit
        self._file = SyncedFile(path)
        self._pending: list[pa.Table] = []
        self._count = self._size = 0
        self._writer = pq.ParquetWriter(
            self._file,
            schema,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            data_page_size=PAGE_BYTES,
            use_dictionary=list(dictionaries) or False,
            write_statistics=True if dictionaries else ["seq"],
            write_page_checksum=True,
        )

    def write(self, table: pa.Table) -> None:
        """Append rows.

        Raises:
            OSError: the disk is full, or broke.
        """
        while table.num_rows:
            part = self._fitting(table.slice(0, self._rows - self._count))
            if self._limit is not None and self._pending and self._size + part.nbytes > self._limit:
                self.end_group()
                continue
            table = table.slice(part.num_rows)
            self._pending.append(part)
            self._count += part.num_rows
            self._size += part.nbytes
            if self._count == self._rows:
                self.end_group()

    def _fitting(self, part: pa.Table) -> pa.Table:
        """As many of the rows as one group may hold by their bytes, and one at least."""
        while self._limit is not None and part.num_rows > 1 and part.nbytes > self._limit:
            part = part.slice(0, part.num_rows // 2)
        return part

    def end_group(self) -> None:
        """What comes next stands in another row group.

        Raises:
            OSError: the disk is full, or broke.
        """
        if self._pending:
            group = pa.concat_tables(self._pending).combine_chunks()
            self._writer.write_table(group, row_group_size=self._rows)
        self._pending, self._count, self._size = [], 0, 0

    def close(self) -> FileInfo:
        """Write the rest, and make it durable.

        Raises:
            OSError: the disk is full, or broke.
        """
        self.end_group()
        self._writer.close()
        self._file.close()
        return self._file.info()


class Decoded:
    """What was decoded last, up to a number of bytes. Safe to use from any thread."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit, self._size = limit_bytes, 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[object, int], pa.Table] = OrderedDict()

    def get(self, owner: object, group: int) -> pa.Table | None:
        """What was put there, and is kept still."""
        with self._lock:
            if (owner, group) in self._kept:
                self._kept.move_to_end((owner, group))
            return self._kept.get((owner, group))

    def put(self, owner: object, group: int, table: pa.Table) -> None:
        """Keep it, in the place of what was not used for longest."""
        with self._lock:
            if (owner, group) not in self._kept:
                self._size += table.nbytes
            self._kept[owner, group] = table
            while self._size > self._limit and self._kept:
                self._size -= self._kept.popitem(last=False)[1].nbytes

    def drop(self, owner: object) -> None:
        """Keep nothing of this one."""
        with self._lock:
            for key in [key for key in self._kept if key[0] is owner]:
                self._size -= self._kept.pop(key).nbytes


_decoded = Decoded(DECODED_BYTES)


class ParquetReader:
    """One file, opened when it is first read, and again where others were read since. Safe to use from any thread."""

    def __init__(
        self, path: Path, schema: pa.Schema | None = None, *, find: Callable[[], Path] | None = None
    ) -> None:
        """A reader.

        Args:
            path: the file.
            schema: what it must be; any when None.
            find: where it is, each time that it is opened; `path` when None. What it raises is raised.
        """
        self._schema = schema
        self._file = Reopened(path, self._open, find)

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._file.path

    def _open(self, path: Path) -> Any:
        size_of(path)  # no link
        file = pq.ParquetFile(str(path), page_checksum_verification=True)
        if self._schema is not None and not file.schema_arrow.equals(self._schema):
            file.close()
            raise self.damaged("its columns are not those of a segment")
        return file

    def _try(self, what: Any) -> Any:
        """`what` of the opened file, whatever is wrong with it told in one way."""
        try:
            return self._file.use(what)
        except FileClosed:
            raise self.damaged(CLOSED) from None
        except (OSError, pa.ArrowException, MemoryError, UnicodeDecodeError) as error:
            raise self.damaged(str(error).split("\n", 1)[0]) from error

    def damaged(self, why: str) -> LedgerError:
        """The refusal to read on."""
        return LedgerError(
            Code.STORAGE_FAILED,
            f"{self.path} cannot be read: {why}. Run `agent-ledger verify`; put the file back from a backup",
        )

    def rows(self) -> list[int]:
        """How many rows each row group has.

        Raises:
            LedgerError: `storage-failed`.
        """
        found: list[int] = self._try(
            lambda file: [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        )
        return found

    def bounds(self) -> list[tuple[int, int]]:
        """The least and the greatest `seq` of each row group.

        Raises:
            LedgerError: `storage-failed`.
        """

        def read(file: Any) -> list[tuple[int, int]]:
            each = [
                file.metadata.row_group(i).column(0).statistics for i in range(file.metadata.num_row_groups)
            ]
            if not all(found is not None and found.has_min_max for found in each):
                raise self.damaged("a row group does not say which entries it is of")
            return [(int(found.min), int(found.max)) for found in each]

        found: list[tuple[int, int]] = self._try(read)
        return found

    def read(self, group: int, columns: Sequence[str] | None = None) -> pa.Table:
        """One row group, decoded.

        Raises:
            LedgerError: `storage-failed`.
        """
        return self._try(
            lambda file: file.read_row_group(group, columns=columns, use_threads=False).combine_chunks()
        )

    def kept(self, group: int) -> pa.Table:
        """One row group, decoded now or a moment ago: who asks for one row soon asks for the next.

        Raises:
            LedgerError: `storage-failed`.
        """
        table = _decoded.get(self, group)
        if table is None:
            table = self.read(group)
            _decoded.put(self, group, table)
        return table

    def close(self) -> None:
        """Let the file go."""
        self._file.close()
        _decoded.drop(self)
