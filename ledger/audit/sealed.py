"""One sealed segment, read by somebody who believes none of its files: what stands at the place of an entry need not be that entry."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ledger.audit.beside import Committed
from ledger.audit.manifests import Found
from ledger.audit.readonly import UnreadableError, contents_of
from ledger.audit.swift import COLUMNS, Part, Plain, plain_rows
from ledger.core.entry import parse_entry
from ledger.core.errors import LedgerError
from ledger.core.report import Findings, Kind
from ledger.storage.manifest import CONTENTS, ENTRIES, OWN
from ledger.storage.opened import Reopened
from ledger.storage.parquet import CONTENTS_SCHEMA, ENTRY_SCHEMA

GROUP_BYTES = (
    192 * 1024 * 1024
)  # 2,048 entries of 65,535 bytes, and their columns: no more is decoded at a time
KEPT_GROUPS = 2  # decoded ones: a stretch ends in the middle of one, and the next begins there
SMALL_BYTES = 256 * 1024 * 1024
NOWHERE = 2**64 - 1


class Columns:
    """One Parquet file, some of whose rows are wanted."""

    def __init__(self, path: Path, schema: pa.Schema | None, name: str, findings: Findings) -> None:
        """Open it, and report columns that the log does not cover.

        Raises:
            UnreadableError: it is no Parquet file, or a column is gone.
        """
        self._kept: OrderedDict[tuple[int, tuple[str, ...] | None], pa.Table] = OrderedDict()
        self._name = name
        self._file = Reopened(path, lambda path: pq.ParquetFile(str(path), page_checksum_verification=True))
        try:
            metadata, self.schema = self._file.use(lambda file: (file.metadata, file.schema_arrow))
            groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
            self.ends = [0, *accumulate(group.num_rows for group in groups)]
            self._sizes = [group.total_byte_size for group in groups]
        except (OSError, pa.ArrowException, ValueError) as error:
            raise UnreadableError(f"{name}: {_line(error)}") from error
        if schema is not None:
            self._check_schema(schema, findings)

    def _check_schema(self, schema: pa.Schema, findings: Findings) -> None:
        for column in self.schema.names:
            if column not in schema.names:
                detail = "it is stored, and the log does not cover it"
                findings.add(Kind.ALTERED, f"{self._name}, column {column}", detail)
        for column in schema:
            if column.name not in self.schema.names or self.schema.field(column.name).type != column.type:
                raise UnreadableError(f"{self._name}: the column {column.name} is gone, or of another type")

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return int(self.ends[-1])

    def read(self, low: int, high: int, columns: tuple[str, ...] | None = None) -> pa.Table:
        """The rows at the places [low, high), as far as there are any; of all columns or of some.

        Raises:
            UnreadableError: they cannot be decoded, or would take more memory than what the ledger writes.
        """
        parts = []
        for group, start, end in self.groups(low, high):
            parts.append(self.group(group, columns).slice(start, end - start))
        if parts:
            return pa.concat_tables(parts)
        empty = self.schema.empty_table()
        return empty if columns is None else empty.select(columns)

    def groups(self, low: int, high: int) -> Iterator[tuple[int, int, int]]:
        """The row groups that the places [low, high) are in, and from where to where in each."""
        for group in range(max(bisect_right(self.ends, low) - 1, 0), len(self.ends) - 1):
            start, end = self.ends[group : group + 2]
            if start >= high:
                break
            if low < end:
                yield group, max(low - start, 0), min(high, end) - start

    def group(self, number: int, columns: tuple[str, ...] | None = None) -> pa.Table:
        """One row group.

        Raises:
            UnreadableError: as `read`.
        """
        if (number, columns) in self._kept:
            return self._kept[number, columns]
        if self._sizes[number] > GROUP_BYTES:
            detail = f"a row group of {self._sizes[number]} bytes: the ledger writes none above {GROUP_BYTES}"
            raise UnreadableError(f"{self._name}: {detail}")
        try:
            table = self._file.use(
                lambda file: file.read_row_group(number, columns=columns, use_threads=False)
            )
        except (OSError, pa.ArrowException, ValueError, MemoryError) as error:
            raise UnreadableError(f"{self._name}: {_line(error)}") from error
        self._kept[number, columns] = table
        while len(self._kept) > KEPT_GROUPS:
            self._kept.popitem(last=False)
        return table

    def close(self) -> None:
        """Let the file go."""
        self._file.close()


class Sealed:
    """The files of one segment, each opened when it is first read."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.start, self.end = found.manifest.start, found.manifest.end
        self.findings = Findings()  # of whole files; taken once
        self._open: dict[str, Columns] = {}
        self._small: dict[str, bytes] = {}
        self._own: dict[int, bytes] | None = None
        self._contents_at: Any = None
        self._plain: OrderedDict[int, Plain | None] = OrderedDict()

    def _path(self, role: str) -> tuple[Path, str]:
        name = self.found.manifest.file(role)
        try:
            return self.found.file(name), f"{self.found.name}/{name}"
        except LedgerError as error:
            raise UnreadableError(error.detail) from None

    def _name(self, role: str) -> str:
        return f"{self.found.name}/{self.found.manifest.file(role)}"

    def columns(self, role: str, schema: pa.Schema | None) -> Columns:
        """A Parquet file.

        Raises:
            UnreadableError: it cannot be opened.
        """
        if role not in self._open:
            path, name = self._path(role)
            self._open[role] = Columns(path, schema, name, self.findings)
        return self._open[role]

    def small(self, role: str) -> bytes:
        """A small file, whole.

        Raises:
            UnreadableError: it cannot be read.
        """
        if role not in self._small:
            path, name = self._path(role)
            try:
                with path.open("rb") as file:
                    self._small[role] = file.read(SMALL_BYTES)
            except OSError as error:
                raise UnreadableError(f"{name}: {error}") from error
        return self._small[role]

    def rows(
        self, low: int, high: int, findings: Findings, names: tuple[str, ...] = tuple(ENTRY_SCHEMA.names)
    ) -> pa.Table:
        """Columns of the rows at the places of the entries [low, high); one that says another seq is reported.

        Raises:
            UnreadableError: they cannot be read.
        """
        columns = self.columns(ENTRIES, ENTRY_SCHEMA)
        if high == self.end and columns.rows > self.end - self.start:
            where = self._name(ENTRIES)
            detail = f"it has {columns.rows} rows, and the segment {self.end - self.start} entries"
            findings.add(Kind.ALTERED, where, detail, self.end)
        table = columns.read(low - self.start, high - self.start, names).select(names)
        if np.array_equal(_seqs(table), np.arange(low, high, dtype=np.uint64)):
            return table
        seqs = table.column("seq").to_pylist()
        for place, seq in enumerate(seqs, low):
            if seq != place and (seq is None or not low <= seq < high):
                detail = f"the row at its place is of entry {seq}"
                findings.add(Kind.ALTERED, f"seq of entry {place}", detail, place)
        return table

    def plain(self, low: int, high: int) -> Iterator[Part]:
        """The entries [low, high) as far as their rows are plain, for who goes the careful way from where they are not.

        Raises:
            UnreadableError: they cannot be read.
        """
        columns = self.columns(ENTRIES, ENTRY_SCHEMA)
        if columns.rows != self.end - self.start:
            return
        for group, begin, end in columns.groups(low - self.start, high - self.start):
            if group not in self._plain:
                first = self.start + columns.ends[group]
                self._plain[group] = plain_rows(first, columns.group(group, COLUMNS))
                while len(self._plain) > KEPT_GROUPS:
                    self._plain.popitem(last=False)
            rows = self._plain[group]
            if rows is None:
                return
            yield Part(rows, rows.first + begin, rows.first + end)

    def contents(self, seqs: list[int], low: int, high: int, findings: Findings) -> Committed:
        """The contents of the entries [low, high), by rows of these seqs.

        Raises:
            UnreadableError: they cannot be read.
        """
        columns = self.columns(CONTENTS, CONTENTS_SCHEMA)
        at = self._contents_seqs(columns)
        here = np.flatnonzero((at >= low) & (at < high))
        hull = (int(here[0]), int(here[-1]) + 1) if len(here) else (0, 0)
        stored: dict[int, tuple[list[str | None], list[object]]] = {}
        for group, start, end in columns.groups(*hull):
            rows = columns.group(group).slice(start, end - start)
            digests = Committed.of([contents_of(rows.column("contents"))])
            for i, seq in enumerate(rows.column("seq").to_pylist()):
                one = slice(digests.ends[i], digests.ends[i + 1])
                if seq in stored:
                    findings.add(Kind.ALTERED, f"contents of entry {seq}", "they are stored twice", seq)
                elif seq is not None and low <= seq < high:
                    stored[seq] = digests.members[one], digests.digests[one]
        made = Committed([0], [], [])
        for seq in seqs:
            members, values = stored.get(seq, ([], []))
            made.members.extend(members)
            made.digests.extend(values)
            made.ends.append(len(made.members))
        return made

    def _contents_seqs(self, columns: Columns) -> Any:
        """Of which entries its contents are, row by row; what is of none of the segment's is reported."""
        if self._contents_at is None:
            parts = [columns.group(i, ("seq",)).column("seq") for i in range(len(columns.ends) - 1)]
            every = pa.chunked_array([chunk for part in parts for chunk in part.chunks], pa.uint64())
            at = _seqs(pa.table({"seq": every}))
            where = self._name(CONTENTS)
            strays = at[(at < self.start) | (at >= self.end)]
            if len(strays):
                detail = f"contents of entry {int(strays[0])}, which the segment does not have"
                self.findings.add(Kind.ALTERED, where, detail)
            self._contents_at = at
        return self._contents_at

    def own(self) -> dict[int, bytes]:
        """The log's own entries, which are kept apart: they are never retired.

        Raises:
            UnreadableError: they cannot be read.
        """
        if self._own is None:
            self._own = {}
            for number, line in enumerate(self.small(OWN).split(b"\n")[:-1]):
                try:
                    self._own[parse_entry(line).seq] = line
                except LedgerError as error:
                    where = f"{self._name(OWN)}, line {number + 1}"
                    self.findings.add(Kind.ALTERED, where, error.detail)
        return self._own

    def close(self) -> None:
        """Let the files go."""
        for columns in self._open.values():
            columns.close()


def _seqs(table: pa.Table) -> Any:
    return pc.fill_null(table.column("seq"), NOWHERE).to_numpy()


def _line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0]
