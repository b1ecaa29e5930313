"""A data folder of storage version 2, checked stretch by stretch: sealed segments, then hot files, and the persons of both.

Stretches begin at multiples of 2,048 and segments anywhere, so a stretch is put together of pieces; what a segment repeats of its
entries is compared piece by piece.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from ledger.audit import swift
from ledger.audit.beside import Absences, Committed, Rows, StoredPerson
from ledger.audit.derived import Derived, Piece
from ledger.audit.joiner import Checked, check_beside, with_findings
from ledger.audit.leftovers import is_hot_leftover
from ledger.audit.leftrows import check_left
from ledger.audit.manifests import Pace, Segments, find_segments
from ledger.audit.people import People
from ledger.audit.readonly import ReadOnly, Stretch, UnreadableError, as_person, as_stretch
from ledger.audit.sealed import Sealed
from ledger.core.entry import parse_entry
from ledger.core.errors import LedgerError
from ledger.core.keyhistory import KEY_TYPES, ROTATED, KeyHistory, may_tell_keys
from ledger.core.merkle import HASH_BYTES
from ledger.core.places import Places
from ledger.core.report import Findings, Kind
from ledger.core.stretch import STRETCH_ENTRIES, Hints, check_sound, check_stretch
from ledger.storage.layout import HOT, PERSONS, hot_files
from ledger.storage.manifest import HASHES
from ledger.storage.segment import Fetch

LOOK_AHEAD = 2
COLUMNS = ("seq", "hash", "id", "entry", "checkpoint")


class Hot(NamedTuple):
    """One hot file, and which entries of the log it has."""

    source: ReadOnly
    name: str
    start: int
    end: int


class Folder:
    """Segments, hot files and persons of one log, of which nothing is believed."""

    def __init__(
        self,
        data: Path,
        origin: str,
        *,
        sealed_only: bool,
        end: int | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        """Open everything.

        Args:
            data: the folder.
            origin: the log's name.
            sealed_only: leave the hot files alone: their writer runs.
            end: where the log ends, where that was found out already.
            fetch: brings files of segments that are not in their folders.

        Raises:
            UnreadableError: a database cannot be opened.
        """
        self.findings = Findings()
        self._data = data
        self.pace: Pace | None = None
        self.left = Places()  # contents that were sealed and stand in a hot file still
        self.segments: Segments = find_segments(data, origin, self.findings, fetch)
        self._sealed = [Sealed(found) for found in self.segments.found]
        self._people = People(data / PERSONS)
        self._derived = Derived()
        self.hot: list[Hot] = []
        if not sealed_only:
            self._open_hot()
        self.end = self.hot[-1].end if self.hot else self.segments.end
        if end is not None:
            self.end = end
        self._introduced: dict[str, int] = {}
        for hot in self.hot:
            for digest, seq in hot.source.introduced(self.findings).items():
                self._introduced.setdefault(digest, seq)

    def _open_hot(self) -> None:
        known = hot_files(self._data)
        base = self.segments.end
        for _, path in known:
            source = ReadOnly(path)
            if not source.check_shape(self.findings):
                raise UnreadableError(f"{HOT}/{path.name}: a column is gone")
            end = source.end(self.findings, base)
            self.hot.append(Hot(source, f"{HOT}/{path.name}", base, end))
            base = end
        allowed = {path.name for _, path in known} | {f"{path.name}.wal" for _, path in known}
        folder = self._data / HOT
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if is_hot_leftover(path):
                self.segments.leftovers.append(f"{HOT}/{path.name}")
            elif path.name not in allowed:
                detail = "it stands there, and the log does not cover it"
                self.findings.add(Kind.ALTERED, f"{HOT}/{path.name}", detail)

    def genesis(self) -> bytes | None:
        """The bytes of entry 0."""
        for sealed in self._sealed[:1]:
            if sealed.start == 0:
                value = sealed.rows(0, 1, Findings()).column("entry").to_pylist()
                return value[0].encode() if value and value[0] else None
        return next((entry for hot in self.hot if (entry := hot.source.entry(0))), None)

    def keys(self) -> KeyHistory | None:
        """The keys that the log says it had, as far as its entries can be read: its word, which a verification follows."""
        try:
            return KeyHistory.of_entries(self._own_entries())
        except LedgerError:
            return None

    def key_entries(self) -> list[bytes]:
        """The log's own entries about its keys, as far as they can be read."""
        about = filter(may_tell_keys, self._own_entries())
        return [entry for entry in about if parse_entry(entry).members.get("type") in KEY_TYPES]

    def _own_entries(self) -> list[bytes]:
        own: dict[int, bytes] = {}
        with contextlib.suppress(UnreadableError):
            for sealed in self._sealed:
                own |= sealed.own()
            for hot in self.hot:  # what is sealed may stand there still
                own = hot.source.own_entries() | own
        return [own[seq] for seq in sorted(own)]

    def hashes(self, low: int, high: int) -> list[bytes]:
        """Leaf hashes of the entries [low, high), as they are stored.

        Raises:
            UnreadableError: they cannot be read.
        """
        found: list[bytes] = []
        for sealed, start, end in self._sealed_in(low, high):
            at, data = (start - sealed.start) * HASH_BYTES, sealed.small(HASHES)
            found += [
                data[i : i + HASH_BYTES] for i in range(at, at + (end - start) * HASH_BYTES, HASH_BYTES)
            ]
        for hot in self.hot:
            if (start := max(low, hot.start)) < (end := min(high, hot.end)):
                found += hot.source.rows(start, end).column("hash").to_pylist()
        return [digest for digest in found if digest and len(digest) == HASH_BYTES]

    def noted(self, seq: int) -> str | None:
        """The signed note that is stored on an entry, None where there is none.

        Raises:
            UnreadableError: it cannot be read.
        """
        for table in self._plain(seq, seq + 1, Findings()):
            return next(iter(table.column("checkpoint").to_pylist()), None)
        return None

    def rotated_at(self) -> int | None:
        """The first own entry of the sealed ones that says that the log's key was rotated: its word, which nothing here checks."""
        for sealed in self._sealed:
            with contextlib.suppress(UnreadableError):
                for seq, line in sealed.own().items():
                    if parse_entry(line).members.get("type") == ROTATED:
                        return seq
        return None

    def prepare(self, base: int) -> list[int]:
        """What is looked at before the stretches, from entry `base` on. Returns where they begin."""
        self._people.check_shape(self.findings)
        self._people.strangers(max(self.segments.end, self.end), self.findings)
        for hot in self.hot:
            hot.source.strangers(self.end, self.findings)
            left = check_left(hot.source, hot.name, self.segments.end, self._sealed_hash, self.findings)
            self.left.take(left)
        return list(range(base, self.end, STRETCH_ENTRIES))

    def _sealed_hash(self, seq: int) -> bytes:
        sealed = next((each for each in self._sealed if each.start <= seq < each.end), None)
        at = (seq - sealed.start) * HASH_BYTES if sealed else 0
        return sealed.small(HASHES)[at : at + HASH_BYTES] if sealed else b""

    # ---- stretches

    def check(self, start: int, hints: Hints) -> Checked | str:
        """A stretch, or why it cannot be read."""
        findings = Findings()
        stop = min(start + STRETCH_ENTRIES, self.end)
        try:
            if not self._holds(start, stop):
                return "nothing is there"
            if not hints.forms:
                return self._check_hashes(start, stop, hints)
            stretch, pieces = self._stretch(start, stop, findings)
            checked = check_beside(stretch, hints, self._find, findings)
        except UnreadableError as error:
            return str(error)
        beside = Findings()
        for piece in pieces:
            self._derived.check(piece, stretch.stored, beside)
            beside.take(piece.sealed.findings.kept)
            piece.sealed.findings = Findings()
        outcome = checked.outcome
        unlisted = outcome.unlisted + beside.count - len(beside.kept)
        return checked._replace(
            outcome=outcome._replace(findings=[*outcome.findings, *beside.kept], unlisted=unlisted)
        )

    def _check_hashes(self, start: int, stop: int, hints: Hints) -> Checked:
        """Hashes, chain, roots and signatures alone."""
        high, findings = min(stop + LOOK_AHEAD, self.end), Findings()
        sound = swift.sound_stretch(start, stop, [*self._parts(start, high)])
        if sound is not None:
            outcome = check_sound(sound, hints)
        else:
            table = pa.concat_tables(self._plain(start, high, findings))
            blank = table.append_column("id", pa.nulls(table.num_rows, pa.string()))
            none = Committed.none(table.num_rows)
            stretch, _ = self._pieces(as_stretch((start, stop), blank, none, [], findings), start, stop)
            outcome = with_findings(check_stretch(stretch.stored, hints), findings)
        return Checked(outcome, Absences(), None, (stop - 1, "", True))

    def _parts(self, low: int, high: int) -> Iterator[swift.Part]:
        """The entries [low, high), as far as their rows are plain."""
        for sealed, start, end in self._sealed_in(low, high):
            yield from sealed.plain(start, end)
        for hot in self.hot:
            if (start := max(low, hot.start)) < (end := min(high, hot.end)) and (
                rows := swift.plain_rows(start, hot.source.rows(start, end).select(swift.COLUMNS))
            ):
                yield swift.Part(rows, start, start + len(rows.entries.ends) - 1)

    def _plain(self, low: int, high: int, findings: Findings) -> Iterator[pa.Table]:
        """What hashes and chain need of the entries [low, high)."""
        for sealed, start, end in self._sealed_in(low, high):
            yield sealed.rows(start, end, findings, swift.COLUMNS)
        for hot in self.hot:
            if (start := max(low, hot.start)) < (end := min(high, hot.end)):
                yield hot.source.rows(start, end).select(swift.COLUMNS)

    def _find(self, commitment: str) -> int | None:
        hot, sealed = self._introduced.get(commitment), self._people.introduced(commitment)
        return hot if sealed is None else sealed if hot is None else min(hot, sealed)

    def _stretch(self, start: int, stop: int, findings: Findings) -> tuple[Stretch, list[Piece]]:
        high = min(stop + LOOK_AHEAD, self.end)
        tables: list[pa.Table] = []
        committed = Committed([0], [], [])
        for sealed, low, end in self._sealed_in(start, high):
            table = sealed.rows(low, end, findings if low < stop else Findings())
            tables.append(table.select(COLUMNS))
            if self.pace is not None:
                self.pace(table.nbytes)
            seqs = table.column("seq").to_pylist()
            _extend(committed, sealed.contents(seqs, low, end, findings))
        for hot in self.hot:
            low, end = max(start, hot.start), min(high, hot.end)
            if low < end:
                table = hot.source.rows(low, end)
                tables.append(table.select(COLUMNS))
                _extend(committed, Committed.of(hot.source.contents(low, end, table)))
        persons = self._persons(start, stop)
        stretch = as_stretch((start, stop), pa.concat_tables(tables), committed, persons, findings)
        return self._pieces(stretch, start, stop)

    def _pieces(self, stretch: Stretch, start: int, stop: int) -> tuple[Stretch, list[Piece]]:
        """The stretch with what stands in own.jsonl in the place of bytes that are gone, and its pieces."""
        rows: Rows = stretch.rows
        stored, entries, pieces = stretch.stored, list(stretch.stored.entries), []
        hashes = stored.hashes or [None] * len(entries)
        notes = dict(stored.notes)
        for sealed, low, high in self._sealed_in(start, stop):
            part = slice(low - start, high - start)
            ids = [rows.ids[rows.place[seq]] if seq in rows.place else None for seq in range(low, high)]
            pieces.append(Piece(sealed, low, high, entries[part], hashes[part], ids))
            for seq, line in sealed.own().items():
                if low <= seq < high and entries[seq - start] is None:
                    entries[seq - start] = line
            if high == sealed.end and notes.get(high - 1) != sealed.found.manifest.checkpoint:
                where = f"{sealed.found.name}/manifest-{sealed.found.manifest.generation}"
                detail = f"its checkpoint is not the one on entry {high - 1}"
                sealed.findings.add(Kind.ALTERED, where, detail)
        return stretch._replace(stored=stored._replace(entries=entries)), pieces

    def _persons(self, low: int, high: int) -> list[StoredPerson]:
        found = dict.fromkeys(self._people.rows(low, high))
        for hot in self.hot:
            # A crash leaves them in both places.
            found |= dict.fromkeys(as_person(row) for row in hot.source.person_rows(low, high).to_pylist())
        return list(found)

    def _holds(self, low: int, high: int) -> bool:
        """Whether there is a segment or a hot file that should have any of these entries."""
        return any(self._sealed_in(low, high)) or any(hot.start < high and low < hot.end for hot in self.hot)

    def _sealed_in(self, low: int, high: int) -> Iterator[tuple[Sealed, int, int]]:
        for sealed in self._sealed:
            start, end = max(low, sealed.start), min(high, sealed.end)
            if start < end:
                yield sealed, start, end

    def close(self) -> None:
        """Let everything go."""
        for sealed in self._sealed:
            sealed.close()
        for hot in self.hot:
            hot.source.close()
        self._people.close()
        self._derived.close()


def _extend(committed: Committed, more: Committed) -> None:
    before = len(committed.members)
    committed.ends.extend(before + end for end in more.ends[1:])
    committed.members.extend(more.members)
    committed.digests.extend(more.digests)
