"""Plain columns → prepared records, all rows at once. Whatever is not plainly right is doubted, and left to be read alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from operator import add
from typing import Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from ledger.core.entry import MAX_ENTRY_BYTES
from ledger.core.errors import LedgerError
from ledger.ingest.arrow.contents import commit_column, name_column
from ledger.ingest.arrow.facts import Doubts, Objects, check_integers, check_texts
from ledger.ingest.arrow.render import Member, bare, joined, object_of, quoted
from ledger.records.columns import COLUMNS, Column
from ledger.records.limits import MAX_RECORD_BYTES
from ledger.records.members import CONTENTS, PERSONS
from ledger.records.model import FACETS
from ledger.records.prepare import uuid7
from ledger.records.prepared import Disclosed, Person, PersonSalts, Prepared
from ledger.records.secrets import SIEVE, refuse_secrets

_T = TypeVar("_T")
_TYPE, _TIME, _ID = (COLUMNS[name] for name in ("type", "time", "id"))
_REQUIRED: Final = tuple(column for column in COLUMNS.values() if column.required)
_ALONE_BYTES: Final = MAX_RECORD_BYTES // 2  # so long a record may be too long in its JSON: it is read alone


def prepare_columns(
    columns: Mapping[Column, pa.Array],
    *,
    submitter: str,
    persons: PersonSalts,
    require_facets: bool,
    alone: Callable[[int], Prepared | LedgerError],
) -> list[Prepared | LedgerError]:
    """What each row becomes.

    Args:
        columns: of one length, `pa.string()` and `pa.int64()`. At least one.
        submitter: who authenticated to send them.
        persons: the log's person salts.
        require_facets: an action without a facet is in doubt.
        alone: reads the row that is in doubt.
    """
    rows = len(next(iter(columns.values())))
    there = {column: array for column, array in columns.items() if array.null_count < rows}
    if _TYPE not in there or _TIME not in there:
        return [alone(row) for row in range(rows)]
    ids, generated = _ids(there.get(_ID), rows)
    batch = _Batch(there | {_ID: ids}, rows, persons)
    record = batch.records(require_facets=require_facets)
    read: list[Prepared | LedgerError] = [*batch.assembled(record, submitter, generated)]
    for row in sorted(batch.doubts.rows):
        read[row] = alone(row)
    return read


def _ids(given: pa.Array | None, rows: int) -> tuple[pa.Array, Sequence[bool]]:
    """An id for each row, and whether the ledger made it."""
    if given is not None and not given.null_count:
        return given, [False] * rows
    texts = [None] * rows if given is None else given.to_pylist()
    return pa.array([uuid7() if text is None else text for text in texts], pa.string()), [
        text is None for text in texts
    ]


class _Batch:
    """Columns on their way to records."""

    def __init__(self, columns: Mapping[Column, pa.Array], rows: int, persons: PersonSalts) -> None:
        self.doubts = Doubts()
        self._columns, self._rows, self._persons = columns, rows, persons
        self._contents: dict[str, list[Disclosed | None]] = {}
        self._named: dict[str, list[Person | None]] = {}

    def records(self, *, require_facets: bool) -> pa.Array:
        """The canonical bytes of all rows; what is in doubt is anything."""
        facets: dict[str, list[tuple[str, Member]]] = {}
        for path, member in sorted(self._members().items()):
            facet, _, name = path.rpartition(".")
            facets.setdefault(facet, []).append((name, member))
        members = dict(facets.pop("", []))
        members |= {facet: object_of(below) for facet, below in facets.items()}
        self._doubt_incomplete(members)
        if require_facets:
            self._doubt_missing(members)
        return joined(object_of(sorted(members.items())).tokens)

    def _members(self) -> dict[str, Member]:
        """Each member's value as it stands in the record, by path."""
        texts: dict[Column, pa.Array] = {}
        found: dict[str, Member] = {}
        for column, array in self._columns.items():
            if column.kind == "content":
                self._contents[column.path], commitments = commit_column(column, array, self.doubts)
                found[column.path] = quoted(commitments)
            elif column.kind == "person":
                self._named[column.path], commitments = name_column(array, self._persons, self.doubts)
                found[column.path] = quoted(commitments)
            elif column.kind == "commitment":
                self.doubts.unless(array.is_null())
            elif column.json:
                found[column.path] = bare(Objects(column).check(array, self.doubts))
            elif column.shape == "int64":
                found[column.path] = bare(check_integers(column, array, self.doubts))
            else:
                texts[column] = array
        return found | {c.path: quoted(array) for c, array in check_texts(texts, self.doubts).items()}

    def _doubt_incomplete(self, members: Mapping[str, Member]) -> None:
        for column in _REQUIRED:
            array = self._columns.get(column)
            facet = column.path.rpartition(".")[0]
            if array is None and facet in members:
                self.doubts.unless(joined(members[facet].tokens).is_null())
            elif array is not None and array.null_count:
                there = joined(members[facet].tokens).is_valid() if facet else pa.scalar(value=True)
                self.doubts.unless(pc.or_(array.is_valid(), pc.invert(there)))

    def _doubt_missing(self, members: Mapping[str, Member]) -> None:
        action = pc.equal(self._columns[_TYPE], "action")
        for facet in FACETS:
            if facet not in members:
                self.doubts.unless(pc.invert(action))
            elif not members[facet].certain:
                self.doubts.unless(pc.or_(pc.invert(action), joined(members[facet].tokens).is_valid()))

    def assembled(self, record: pa.Array, submitter: str, generated: Sequence[bool]) -> list[Prepared]:
        """Each row's record, contents and persons together."""
        records = _bytes(record)
        contents = self._by_row([self._contents[path] for path in CONTENTS if path in self._contents])
        named = self._by_row([self._named[path] for path in PERSONS if path in self._named])
        sizes = list(map(len, records))
        if max(sizes) > MAX_ENTRY_BYTES:
            self.doubts.rows.update(row for row, size in enumerate(sizes) if size > MAX_ENTRY_BYTES)
        for kept in self._contents.values():
            lengths = (0 if content is None else len(content.value) for content in kept)
            sizes = list(map(add, sizes, lengths))
        if max(sizes) > _ALONE_BYTES:
            self.doubts.rows.update(row for row, size in enumerate(sizes) if size > _ALONE_BYTES)
        self.doubts.rows.update(_secretive(record, records))
        ids, types = self._columns[_ID].to_pylist(), self._columns[_TYPE].to_pylist()
        never, none = [None] * self._rows, [()] * self._rows
        columns = (
            ids,
            types,
            records,
            [submitter] * self._rows,
            contents,
            named,
            none,
            never,
            generated,
            sizes,
            none,
        )
        return list(map(Prepared._make, zip(*columns, strict=True)))

    def _by_row(self, columns: Sequence[Sequence[_T | None]]) -> list[tuple[_T, ...]]:
        if not columns:
            return [()] * self._rows
        return [tuple(filter(None, row)) for row in zip(*columns, strict=True)]


def _bytes(texts: pa.Array) -> list[bytes]:
    """Texts of an array without nulls or offset, cut from one piece."""
    _, offsets, data = texts.buffers()
    ends = memoryview(offsets).cast("i")[: len(texts) + 1].tolist()
    whole = data.to_pybytes() if data else b""
    return [whole[start:end] for start, end in pairwise(ends)]


def _secretive(record: pa.Array, records: Sequence[bytes]) -> Iterator[int]:
    """Rows whose facts hold what looks like a secret."""
    for row in pc.indices_nonzero(pc.match_substring_regex(record, SIEVE)).to_pylist():
        try:
            refuse_secrets(records[row])
        except LedgerError:
            yield row
