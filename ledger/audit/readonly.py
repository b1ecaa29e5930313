"""Reads a stopped log's database as an outsider: read-only, nothing trusted, nothing changed.

DuckDB opens a file READ_ONLY with its WAL replayed in memory alone. Several processes may do so at once, but not beside a writer. A WAL
that lost its tail opens without an error: only what is kept outside shows that, which is why a verification asks for it.
"""

import contextlib
import fcntl
from bisect import bisect_left
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from ledger.audit.beside import Committed, Rows, StoredPerson
from ledger.core.chain import Stored
from ledger.core.checkpoint import parse_checkpoint
from ledger.core.errors import Code, LedgerError
from ledger.core.note import parse_note
from ledger.core.report import Findings, Kind
from ledger.core.stretch import STRETCH_ENTRIES
from ledger.records.prepared import Disclosed
from ledger.storage.contents import Columns, parse_columns, parse_contents
from ledger.storage.hot import OWN_END
from ledger.storage.schema import PERSON_SCHEMA, ROW_SCHEMA

CANDIDATES = 100
_UNREADABLE = Disclosed("(unreadable)", b"", b"")
_CONFIG: dict[str, str | int | float | list[str]] = {
    "threads": 1,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "enable_external_access": False,
}
_ROWS = "SELECT seq, hash, id, entry, checkpoint FROM entries WHERE seq >= ? AND seq < ?"
_SEALED = "SELECT seq, hash, entry FROM entries WHERE seq < ? ORDER BY seq, rowid"
_CONTENTS = "SELECT seq, contents FROM entries WHERE seq >= ? AND seq < ?"
_SIZE = "SELECT coalesce(sum(strlen(contents)), 0) FROM entries WHERE seq >= ? AND seq < ?"
CONTENTS_BYTES = 32 * 1024 * 1024  # read at a time: two thousand entries may have gigabytes
_IN_ORDER = " ORDER BY seq, rowid"
_PERSONS = 'SELECT seq, commitment, salt, "value", source FROM persons WHERE seq >= ? AND seq < ? ORDER BY seq, rowid'
_EXPECTED = {"entries": set(ROW_SCHEMA.names), "persons": set(PERSON_SCHEMA.names)}


class Stretch(NamedTuple):
    """A stretch as it is stored: for core, and what stands beside it."""

    stored: Stored
    rows: Rows
    persons: list[StoredPerson]


class UnreadableError(Exception):
    """DuckDB could not read what is there: the place, and its words."""


class ReadOnly:
    """A database opened by somebody who believes nothing of it."""

    def __init__(self, path: Path) -> None:
        """Open the file at `path` without changing it.

        Raises:
            UnreadableError: DuckDB cannot open it.
        """
        try:
            self._connection = duckdb.connect(str(path), read_only=True, config=dict(_CONFIG))
        except (duckdb.Error, RuntimeError, MemoryError) as error:
            raise UnreadableError(str(error)) from error

    def close(self) -> None:
        """Let the file go."""
        with contextlib.suppress(duckdb.Error):
            self._connection.close()

    def check_shape(self, findings: Findings) -> bool:
        """Whether the tables have the columns that can be verified; reports those that no verification knows."""
        rows = self._read("SELECT table_name, column_name FROM information_schema.columns ORDER BY ALL")
        found: dict[str, set[str]] = {}
        for table, column in rows:
            found.setdefault(table, set()).add(column)
        for table, columns in found.items():
            for column in sorted(columns - _EXPECTED.get(table, set())):
                findings.add(Kind.ALTERED, f"{table}.{column}", "it is stored, and the log does not cover it")
        lost = [f"{t}.{c}" for t, names in _EXPECTED.items() for c in sorted(names - found.get(t, set()))]
        for name in lost:
            findings.add(
                Kind.UNVERIFIABLE, name, "the column is gone, so nothing that depends on it can be read", 0
            )
        return not lost

    def end(self, findings: Findings, base: int = 0) -> int:
        """Where the log ends, which goes on here from entry `base`; rows beyond are reported.

        The rows need not be dense: then the newest row whose checkpoint is of its own size tells, and the rows that follow it
        without a gap.
        """
        self._check_placed("entries", findings)
        sql = "SELECT count(DISTINCT seq), max(seq) FROM entries WHERE seq >= ?"
        ((distinct, highest),) = self._read(sql, base)
        if not distinct or highest == base + distinct - 1:
            return base + int(distinct)
        end = self._newest_noted(base, base + distinct)
        rest = [
            row[0] for row in self._read("SELECT DISTINCT seq FROM entries WHERE seq >= ? ORDER BY seq", end)
        ]
        strays = []
        for seq in rest:
            if seq == end:
                end += 1
            else:
                strays.append(seq)
        for seq in strays:
            where, detail = f"entries.seq {seq}", f"a row stands there, and the log ends at {end}"
            findings.add(Kind.ALTERED, where, detail, end)
        return end

    def sealed_rows(self, base: int) -> Iterator[pa.RecordBatch]:
        """The seq, hash and entry of what stands here although it was sealed: entries below `base`."""
        yield from self._arrow(_SEALED, base).to_batches(max_chunksize=STRETCH_ENTRIES)

    def _check_placed(self, table: str, findings: Findings) -> None:
        ((count,),) = self._read(f"SELECT count(*) FROM {table} WHERE seq IS NULL")
        if count:
            findings.add(Kind.ALTERED, f"{table}.seq", f"{count} rows have none: the log does not cover them")

    def _newest_noted(self, base: int, dense: int) -> int:
        sql = (
            "SELECT seq, checkpoint FROM entries WHERE checkpoint IS NOT NULL AND seq >= ?"
            f" ORDER BY seq DESC LIMIT {CANDIDATES}"
        )
        for seq, note in self._read(sql, base):
            try:
                size = parse_checkpoint(parse_note(note.encode()).text).size
            except LedgerError:
                size = dense
            if size == seq + 1:
                return int(size)
        return base

    def stretches(self, end: int) -> list[int]:
        """The seqs at which stretches begin that hold anything."""
        sql = f"SELECT DISTINCT (seq // {STRETCH_ENTRIES})::UBIGINT FROM entries WHERE seq < ? ORDER BY 1"
        return [row[0] * STRETCH_ENTRIES for row in self._read(sql, end)]

    def introduced(self, findings: Findings) -> dict[str, int]:
        """Of every person stored: commitment → the entry that introduced it."""
        persons: dict[str, int] = {}
        self._check_placed("persons", findings)
        for digest, seq in self._read(
            "SELECT commitment, seq FROM persons WHERE seq IS NOT NULL ORDER BY seq, rowid"
        ):
            if digest in persons:
                findings.add(Kind.ALTERED, f"persons of entry {seq}", "a person is stored twice", seq)
            persons.setdefault(digest, seq)
        return persons

    def strangers(self, end: int, findings: Findings) -> None:
        """Report persons that are said to come from entries the log does not have."""
        for (seq,) in self._read("SELECT seq FROM persons WHERE seq >= ? ORDER BY seq", end):
            findings.add(
                Kind.ALTERED, f"persons.seq {seq}", f"a person is stored for it, and the log ends at {end}"
            )

    def stretch(self, start: int, end: int, findings: Findings) -> Stretch:
        """The rows [start, end), two more to look ahead, and the persons introduced by them.

        Raises:
            UnreadableError: DuckDB cannot read them.
        """
        stop = min(start + STRETCH_ENTRIES, end)
        low, high = start, min(stop + 2, end)
        table = self.rows(low, high)
        persons = [as_person(row) for row in self.person_rows(start, stop).to_pylist()]
        return as_stretch(
            (start, stop), table, Committed.of(self.contents(low, high, table)), persons, findings
        )

    def rows(self, low: int, high: int) -> pa.Table:
        """The rows [low, high) but for their contents, in order of seq.

        Raises:
            UnreadableError: DuckDB cannot read them.
        """
        table = self._arrow(_ROWS, low, high)
        if table.column("seq").to_pylist() != list(range(low, low + table.num_rows)):
            # Sorting takes as long as reading, and rows are in order unless something was erased or tampered with.
            table = self._arrow(_ROWS + _IN_ORDER, low, high)
        return table

    def contents(self, low: int, high: int, table: pa.Table) -> Iterator[Columns]:
        """The contents of those rows, in the same order, some megabytes at a time.

        Raises:
            UnreadableError: DuckDB cannot read them, or they are of other rows.
        """
        if high - low > 1 and self._read(_SIZE, low, high)[0][0] > CONTENTS_BYTES:
            middle, seqs = (low + high) // 2, table.column("seq").to_pylist()
            cut = bisect_left(seqs, middle)
            yield from self.contents(low, middle, table.slice(0, cut))
            yield from self.contents(middle, high, table.slice(cut))
            return
        found = self._arrow(_CONTENTS, low, high)
        if found.column("seq") != table.column("seq"):
            found = self._arrow(_CONTENTS + _IN_ORDER, low, high)
        if found.column("seq") != table.column("seq"):
            raise UnreadableError(f"the contents of entries {low} to {high - 1} are not those of its rows")
        yield contents_of(found.column("contents"))

    def person_rows(self, low: int, high: int) -> pa.Table:
        """The persons that entries of [low, high) are said to have introduced.

        Raises:
            UnreadableError: DuckDB cannot read them.
        """
        return self._arrow(_PERSONS, low, high)

    def entry(self, seq: int) -> bytes | None:
        """The bytes of one entry."""
        rows = self._read("SELECT entry FROM entries WHERE seq = ? ORDER BY rowid LIMIT 1", seq)
        return rows[0][0].encode() if rows and rows[0][0] is not None else None

    def own_entries(self) -> dict[int, bytes]:
        """The log's own entries, by seq.

        Raises:
            UnreadableError: DuckDB cannot read them.
        """
        rows = self._read(f"SELECT seq, entry FROM entries WHERE ends_with(entry, '{OWN_END}')")
        return {seq: entry.encode() for seq, entry in rows}

    def _read(self, sql: str, *parameters: object) -> list[Any]:
        try:
            return self._connection.execute(sql, list(parameters)).fetchall()
        except (duckdb.Error, RuntimeError, MemoryError, UnicodeDecodeError) as error:
            raise UnreadableError(str(error)) from error

    def _arrow(self, sql: str, *parameters: object) -> pa.Table:
        try:
            return self._connection.sql(sql, params=list(parameters)).to_arrow_table()
        except (duckdb.Error, RuntimeError, MemoryError, pa.ArrowException) as error:
            raise UnreadableError(str(error)) from error


def as_person(row: dict[str, Any]) -> StoredPerson:
    """One row of `persons`."""
    # Somebody may have dropped NOT NULL: nothing of a NULL matches a commitment.
    value = (row["value"] or "").encode()
    return StoredPerson(row["seq"], row["commitment"] or "", row["salt"] or b"", value, row["source"] or "")


def as_stretch(
    within: tuple[int, int],
    table: pa.Table,
    contents: Committed,
    persons: list[StoredPerson],
    findings: Findings,
) -> Stretch:
    """Rows in order of seq as the stretch [start, stop) that is `within`; what comes after it is looked ahead to."""
    start, stop = within
    seqs = table.column("seq").to_pylist()
    entries = _bytes(table.column("entry"))
    hashes = table.column("hash").to_pylist()
    ids = table.column("id").to_pylist()
    notes = table.column("checkpoint").to_pylist()
    if seqs[: stop - start] == list(range(start, stop)) and len(seqs) <= stop - start + 2:
        chosen = list(range(len(seqs)))
    else:
        chosen = _choose(seqs, entries, findings)
    place = {seqs[i]: i for i in chosen}
    order = [place.get(seq) for seq in range(start, stop)]
    following: list[bytes] = []
    while (i := place.get(stop + len(following))) is not None and entries[i] is not None:
        following.append(entries[i])
    stored = Stored(
        start,
        [None if i is None else entries[i] for i in order],
        [None if i is None else hashes[i] for i in order],
        {seqs[i]: notes[i].encode() for i in order if i is not None and notes[i] is not None},
        following,
    )
    noted = [note is not None for note in notes]
    return Stretch(stored, Rows(place, ids, noted, contents), persons)


def _choose(seqs: list[int], entries: list[bytes], findings: Findings) -> list[int]:
    """One row for each seq: of several the one that the next entry names, or else the first. The others are reported."""
    rows: dict[int, list[int]] = {}
    for i, seq in enumerate(seqs):
        rows.setdefault(seq, []).append(i)
    chosen = []
    for seq, several in rows.items():
        best = several[0]
        if len(several) > 1:
            after = [entries[i] for i in rows.get(seq + 1, [])]
            named = [
                i
                for i in several
                if any(sha256(b"\x00" + entries[i]).hexdigest().encode() in e for e in after)
            ]
            best = (named or several)[0]
            detail = f"{len(several)} rows have this seq, and the log covers one of them"
            findings.add(Kind.ALTERED, f"entries.seq {seq}", detail, seq)
        chosen.append(best)
    return chosen


def _bytes(column: pa.ChunkedArray) -> list[bytes]:
    return column.cast(pa.binary()).to_pylist()  # type: ignore[no-any-return]


def contents_of(column: pa.ChunkedArray) -> Columns:
    """The contents of each row. A text that the ledger never wrote is a content that nothing commits to."""
    texts = column.cast(pa.binary()).to_pylist()
    try:
        return parse_columns(texts)
    except (ValueError, TypeError):  # TypeError: somebody dropped NOT NULL
        return _one_by_one(texts)


def _one_by_one(texts: list[bytes | None]) -> Columns:
    columns = Columns([0], [], [], [])
    for text in texts:
        try:
            contents = parse_contents((text or b"").decode())
        except ValueError:
            contents = [_UNREADABLE]
        columns.members.extend(content.member for content in contents)
        columns.salts.extend(content.salt for content in contents)
        columns.values.extend(content.value for content in contents)
        columns.ends.append(len(columns.members))
    return columns


def refuse_running(data: Path) -> None:
    """A folder whose writer runs cannot be read by anybody else.

    Raises:
        LedgerError: `locked`.
    """
    try:
        with (data / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return
    except OSError:
        detail = f"{data} is in use by a running ledger: stop it, or verify it by its URL"
        raise LedgerError(Code.LOCKED, detail) from None
