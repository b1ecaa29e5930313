"""The log's own keys: rotation and revocation, by one administrator or by two; and the keys as they are shown. Over HTTP and on a data folder alike.

With four eyes what one administrator asks for is an own entry, `log.key_change_asked`, and is done when another one confirms it.
"""

import time
from typing import Any, Final, NamedTuple

from ledger.core.entry import OWN_SUBMITTER, parse_entry, parse_time
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KEY_REVOKED, Term
from ledger.core.note import VerifierKey, format_vkey, parse_vkey
from ledger.core.text import format_base64
from ledger.log.log import Log

ASKED: Final = "log.key_change_asked"
LAPSES_DAYS: Final = 7
MAX_REASON: Final = 2_000
_DAY_US: Final = 24 * 3600 * 1_000_000


class Change(NamedTuple):
    """What is done to the log's keys.

    Attributes:
        reason: why, for whoever reads the log years later; "" says nothing.
        revoked: the key that is revoked; None: the log's key is rotated.
        start: from which entry on it is.
    """

    reason: str = ""
    revoked: VerifierKey | None = None
    start: int = 0


class Done(NamedTuple):
    """What was done: the entry that says so, and the key in force."""

    seq: int
    key: VerifierKey


class Asked(NamedTuple):
    """A change that waits for another administrator: the own entry that says so, who asked, and the key that it is about."""

    seq: int
    by: str
    change: Change
    key: VerifierKey


def shown(log: Log) -> list[dict[str, Any]]:
    """The log's keys, the first one first: which entries each signs for, and from where on it was revoked."""
    return [_shown(term) for term in log.keys.terms]


def _shown(term: Term) -> dict[str, Any]:
    return {
        "verifier_key": format_vkey(term.key),
        "key_id": term.key.key_id.hex(),
        "public_key": format_base64(term.key.public),
        "from": term.start,
        "to": None if term.end is None else term.end - 1,
        "revoked_from": term.revoked,
    }


def change(
    log: Log,
    wanted: Change,
    *,
    by: str,
    more: dict[str, Any] | None = None,
    agreed: VerifierKey | None = None,
) -> Done:
    """Rotate the log's key, or revoke one that was rotated away.

    Args:
        log: the log.
        wanted: what is to be done.
        by: who has it done.
        more: further members of the entry's `ext`.
        agreed: a rotation is to this key or to none; None: to whichever is next.

    Raises:
        LedgerError: `key-file`, `key-exists`, `not-found`, `invalid-parameter`, `selection-changed`, `signer-failed`: everything is as it was; `log-stopped`.
        OSError: the next key cannot be written.
    """
    _check(wanted)
    ext = {**(more or {}), **({"log.reason": wanted.reason} if wanted.reason else {})}
    if wanted.revoked is None:
        seq = log.rotate_key(by=by, more=ext, agreed=agreed).seq
    else:
        seq = log.revoke_key(wanted.revoked, wanted.start, by=by, more=ext).seq
    return Done(seq, log.keys.current)


def ask(log: Log, wanted: Change, *, by: str) -> Asked:
    """Ask for a change that another administrator has to confirm.

    Raises:
        LedgerError, OSError: as `change`: nothing was asked for.
    """
    _check(wanted)
    if wanted.revoked is None:
        key = log.next_key().key
        ext: dict[str, Any] = {"log.key_change": "rotate"}
    else:
        key = wanted.revoked
        ext = {"log.key_change": "revoke", "log.from": wanted.start}
        log.keys.after(KEY_REVOKED, {"log.vkey": format_vkey(key), "log.from": wanted.start}, 0)
    ext |= {"log.requested_by": by, "log.vkey": format_vkey(key), "log.reason": wanted.reason}
    return Asked(log.append_own(ASKED, ext).seq, by, wanted, key)


def asked(log: Log, seq: int, now_us: int | None = None) -> Asked:
    """What was asked for in an own entry, while it waits.

    Raises:
        LedgerError: `not-found`: nothing was; or it was done, or has lapsed.
    """
    entry = parse_entry(log.stored(seq).entry)
    if entry.submitter != OWN_SUBMITTER or entry.members.get("type") != ASKED:
        raise LedgerError(Code.NOT_FOUND, f"in entry {seq} nobody asked for a change of the log's keys")
    ext: Any = entry.members["ext"]
    key = parse_vkey(ext["log.vkey"])
    rotates = ext["log.key_change"] == "rotate"
    found = Change(ext["log.reason"], None if rotates else key, ext.get("log.from", 0))
    now_us = time.time_ns() // 1_000 if now_us is None else now_us
    if now_us - parse_time(entry.recorded_at) > LAPSES_DAYS * _DAY_US:
        raise LedgerError(
            Code.NOT_FOUND, f"what was asked for in entry {seq} has lapsed after {LAPSES_DAYS} days: ask anew"
        )
    if _is_done(log, found, key):
        raise LedgerError(Code.NOT_FOUND, f"what was asked for in entry {seq} is done")
    return Asked(seq, ext["log.requested_by"], found, key)


def confirm(log: Log, waiting: Asked, *, by: str, granted_by: int | None) -> Done:
    """Do what another administrator asked for.

    Args:
        log: the log.
        waiting: what was asked for.
        by: who confirms.
        granted_by: the entry that granted their credential, None where a file of this machine admits them.

    Raises:
        LedgerError: `forbidden` (as `Access.refuse_as_second`), `selection-changed` (the next key is another one by now); those of `change`.
    """
    log.standing.access.refuse_as_second(by, granted_by, asked_by=waiting.by, asked_in=waiting.seq)
    more = {"log.asked_in": waiting.seq, "log.confirmed_by": by}
    return change(log, waiting.change, by=waiting.by, more=more, agreed=waiting.key)


def _is_done(log: Log, wanted: Change, key: VerifierKey) -> bool:
    for term in log.keys.terms:
        if term.key == key:
            return wanted.revoked is None or (term.revoked is not None and term.revoked <= wanted.start)
    return False


def _check(wanted: Change) -> None:
    if len(wanted.reason) > MAX_REASON or not all(c.isprintable() for c in wanted.reason):
        raise LedgerError(
            Code.INVALID_PARAMETER,
            f"a reason is said in at most {MAX_REASON} printable characters",
            path="reason",
        )
