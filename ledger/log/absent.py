"""Which contents and persons of an entry are not there, and whether the log says why."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from ledger.core.entry import OWN_SUBMITTER, Entry, parse_entry
from ledger.core.errors import LedgerError
from ledger.core.ranges import parse_ranges
from ledger.log.keeping import CONTENTS_RETIRED, ERASED, PLACES
from ledger.log.log import Log
from ledger.records.members import CONTENTS, PERSONS
from ledger.storage.schema import StoredEntry

WITHHELD: Final = "log.content_withheld"
NOT_GIVEN: Final = "log.withheld"  # its member
COMMIT_ENTRIES: Final = 20_000  # more than any commit has
_STEP: Final = 1_000


class Absent(NamedTuple):
    """Members whose commitment alone is here: never given to the ledger, or erased as the log says."""

    withheld: tuple[str, ...]
    erased: tuple[str, ...]


def committed(entry: Entry, paths: tuple[str, ...]) -> dict[str, str]:
    """Path → commitment, of these members that the entry has."""
    found = {path: _at(entry.members, path) for path in paths}
    return {path: str(commitment) for path, commitment in found.items() if commitment is not None}


def absent(log: Log, entry: Entry, stored: StoredEntry) -> Absent:
    """What of an entry's contents and persons is not there."""
    held = {content.member for content in stored.contents}
    known = {person.commitment for person in stored.persons}
    missing = {
        path: commitment
        for path, commitment in committed(entry, CONTENTS + PERSONS).items()
        if path not in held and commitment not in known
    }
    erased = tuple(path for path, commitment in missing.items() if log.erased(entry.seq, path, commitment))
    return Absent(tuple(path for path in missing if path not in erased), erased)


def told_in(log: Log, entry: Entry, gone: Absent) -> dict[str, int]:
    """Member → the own entry that says that it was withheld or erased; one of which none says so is not in it."""
    found = _withheld_in(log, entry.seq, gone.withheld) if gone.withheld else {}
    for path, commitment in committed(entry, gone.erased).items():
        for told in log.keeping.told:
            if commitment in told.persons or (
                entry.seq in told.entries and _says(log, told.seq, entry.seq, path)
            ):
                found[path] = told.seq
                break
    return found


def _withheld_in(log: Log, seq: int, paths: tuple[str, ...]) -> dict[str, int]:
    """What was never given is told in the commit that took the record, after it."""
    found: dict[str, int] = {}
    for at, entry, ends in _after(log, seq):
        if entry is not None and f'"{WITHHELD}"' in entry:
            own = parse_entry(entry.encode())
            if own.submitter == OWN_SUBMITTER and own.members["type"] == WITHHELD:
                pairs = _ext(own).get(NOT_GIVEN, ())
                found |= {path: at for path in paths if [seq, path] in pairs}
        if ends or len(found) == len(paths):
            break
    return found


def _after(log: Log, seq: int) -> Iterator[tuple[int, str | None, bool]]:
    """The entries after one: number, bytes, and whether a commit ends with it."""
    for low in range(seq + 1, seq + 1 + COMMIT_ENTRIES, _STEP):
        for batch in log.rows(low, low + _STEP, contents=False):
            seqs, entries, notes = (batch.column(name).to_pylist() for name in ("seq", "entry", "checkpoint"))
            yield from zip(seqs, entries, (note is not None for note in notes), strict=True)


def _says(log: Log, told: int, seq: int, path: str) -> bool:
    """Whether an own entry says that this content or person is gone."""
    try:
        own = parse_entry(log.entry(told))
        ext = _ext(own)
        if own.members["type"] == ERASED:
            return [seq, path] in ext.get(PLACES, ())
        return path in CONTENTS and seq in parse_ranges(ext.get(CONTENTS_RETIRED))
    except LedgerError:  # retired itself
        return False


def _ext(own: Entry) -> dict[str, Any]:
    ext = own.members.get("ext")
    return ext if isinstance(ext, dict) else {}


def _at(members: dict[str, Any], path: str) -> Any:
    facet, _, name = path.partition(".")
    inner = members.get(facet)
    return inner.get(name) if isinstance(inner, dict) else None
