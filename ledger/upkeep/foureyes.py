"""Four eyes: an erasure that one administrator asks for is done when another one confirms it. Both stand in the log.

What was asked for is a content of the own entry `log.erasure_asked`: it may name a person, and goes with them when it is confirmed. Nothing else is
kept: what is confirmed is found anew, of the log at the size that was looked at, and has to be the same.
"""

import time
from typing import Any, Final, NamedTuple

from ledger.core.entry import OWN_SUBMITTER, parse_entry, parse_time
from ledger.core.errors import Code, LedgerError
from ledger.log.log import Log
from ledger.log.removal import Erasure, checked_text, erase
from ledger.log.waiting import append_all
from ledger.records.prepare import own_record
from ledger.upkeep.erasing import Selection

ASKED: Final = "log.erasure_asked"
LAPSES_DAYS: Final = 7
_WORDS: Final = "request.text"
_DAY_US: Final = 24 * 3600 * 1_000_000


class Asked(NamedTuple):
    """An erasure that waits for another administrator.

    Attributes:
        seq: the own entry that says so.
        by: who asked for it.
        ground: why it may be done.
        selection: the digest of what goes.
        words: the request, as JSON.
    """

    seq: int
    by: str
    ground: str
    selection: str
    words: bytes


def ask(log: Log, selection: Selection, words: bytes, *, by: str, ground: str) -> int:
    """Ask for an erasure; returns the own entry that says so.

    Args:
        log: the log.
        selection: what goes.
        words: the request, as JSON.
        by: who asks.
        ground: why it may be done.

    Raises:
        LedgerError: `invalid-parameter`, or why it was not written.
    """
    ext = {
        "log.as_of": selection.size,
        "log.ground": checked_text("ground", ground),
        "log.places": len(selection.places),
        "log.requested_by": by,
        "log.selection": selection.digest,
    }
    return append_all(log, [own_record(ASKED, ext, request_text=words)])[0].seq


def asked(log: Log, seq: int, now_us: int | None = None) -> Asked:
    """What was asked for in an own entry, while it waits.

    Raises:
        LedgerError: `not-found`: nothing was; or it was confirmed, or has lapsed.
    """
    stored = log.stored(seq)
    entry = parse_entry(stored.entry)
    if entry.submitter != OWN_SUBMITTER or entry.members.get("type") != ASKED:
        raise LedgerError(Code.NOT_FOUND, f"in entry {seq} nobody asked for an erasure")
    words = next((each.value for each in stored.contents if each.member == _WORDS), None)
    now_us = time.time_ns() // 1_000 if now_us is None else now_us
    if words is None or now_us - parse_time(entry.recorded_at) > LAPSES_DAYS * _DAY_US:
        why = "was confirmed" if words is None else f"has lapsed after {LAPSES_DAYS} days"
        raise LedgerError(Code.NOT_FOUND, f"the erasure that was asked for in entry {seq} {why}: ask anew")
    ext: Any = entry.members["ext"]
    return Asked(seq, ext["log.requested_by"], ext["log.ground"], ext["log.selection"], words)


def confirm(log: Log, waiting: Asked, selection: Selection, *, by: str, granted_by: int | None) -> Erasure:
    """Erase what was asked for, and the words in which it was.

    Args:
        log: the log.
        waiting: what was asked for.
        selection: what would go now.
        by: who confirms.
        granted_by: the entry that granted their credential, None where a file of this machine admits them.

    Raises:
        LedgerError: `forbidden` (as `Access.refuse_as_second`), `selection-changed`, `held` and others of `erase`: nothing was erased.
    """
    log.standing.access.refuse_as_second(by, granted_by, asked_by=waiting.by, asked_in=waiting.seq)
    if selection.digest != waiting.selection:
        raise LedgerError(
            Code.SELECTION_CHANGED,
            f"not what was asked for in entry {waiting.seq}: {len(selection.places)} contents and persons would go now; ask anew",
            selection=selection.digest,
        )
    return erase(
        log,
        [*selection.places, (waiting.seq, _WORDS)],
        by=waiting.by,
        ground=waiting.ground,
        persons=selection.persons,
        more={"log.asked_in": waiting.seq, "log.confirmed_by": by},
    )
