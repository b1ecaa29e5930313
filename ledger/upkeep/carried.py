"""What a successor takes over of who may do what: the credentials that the old log granted, as entries of its own. Who had a token keeps it."""

import contextlib
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from ledger.core.entry import format_time, parse_entry
from ledger.core.errors import LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.log.access import Access, Admitted, Grant
from ledger.log.log import Log
from ledger.log.standing import GRANTED, REVOKED, Standing
from ledger.log.waiting import append_all
from ledger.records.prepare import own_record
from ledger.storage.layout import segment_folders
from ledger.storage.segment import Segment

BY: Final = "predecessor"


def carry_access(predecessor: Path, keys: KeyHistory, successor: Path, *, anchor: Path) -> int:
    """Grant in a new log what is granted at the end of the old one; returns how many credentials that were.

    Args:
        predecessor: the old log's folder, all of it sealed and verified.
        keys: its keys.
        successor: the new log's folder.
        anchor: the new log's head anchor.

    Raises:
        LedgerError: one of the two cannot be read or written.
    """
    grants = _again(_access(predecessor, keys))
    if not grants:
        return 0
    log = Log.open(successor, anchor=anchor)
    try:
        append_all(log, [own_record(GRANTED, _ext(each)) for each in grants])
    finally:
        log.close()
    return len(grants)


def _access(folder: Path, keys: KeyHistory) -> Access:
    standing = Standing()
    for place in segment_folders(folder):
        segment = Segment.open(place, keys=keys, origin=keys.origin)
        try:
            for entry in segment.own_entries():
                own = parse_entry(entry)
                if own.members["type"] in {GRANTED, REVOKED}:
                    with contextlib.suppress(LedgerError):  # as at a start
                        standing = standing.after(own.members, own.seq)
        finally:
            segment.close()
    return standing.access


def _again(access: Access) -> list[Grant]:
    """The grants that say the same in a log that has none yet: of a name that was being rotated, each names when those before it end."""
    made: list[Grant] = []
    before: dict[str, list[Admitted]] = {}
    now = format_time(time.time_ns() // 1_000)
    for each in (each for each in access.admitted.values() if each.holds(now)):
        earlier = before.setdefault(each.grant.name, [])
        overlap = max((one.until for one in earlier if one.until is not None), default=None)
        made.append(msgspec.structs.replace(each.grant, by=BY, expires_at=each.until, overlap_until=overlap))
        earlier.append(each)
    return made


def _ext(given: Grant) -> dict[str, Any]:
    ext: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(given))
    return ext
