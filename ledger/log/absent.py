"""Which contents and persons of an entry are not there, and whether the log says why."""

from typing import Any, NamedTuple

from ledger.core.entry import Entry
from ledger.log.log import Log
from ledger.records.members import CONTENTS, PERSONS
from ledger.storage.schema import StoredEntry


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


def _at(members: dict[str, Any], path: str) -> Any:
    facet, _, name = path.partition(".")
    inner = members.get(facet)
    return inner.get(name) if isinstance(inner, dict) else None
