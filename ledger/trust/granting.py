"""Grants, rotations and revocations, written into the log; and what is in force, as it is shown. Over HTTP and on a data folder alike."""

import time
from typing import Any, Final, Protocol

import msgspec

from ledger.core.ed25519 import check_public_key
from ledger.core.entry import format_time, parse_time
from ledger.core.errors import Code, LedgerError
from ledger.core.text import format_base64, parse_base64
from ledger.log.access import Admitted, Bearer, Grant
from ledger.log.plan import Appended
from ledger.log.standing import GRANTED, REVOKED, Standing
from ledger.records.limits import MAX_NAME_CHARACTERS
from ledger.storage.schema import Head
from ledger.trust.roles import permitted

ON_FOLDER: Final = "folder"  # who grants without a server: whoever can write the data folder
MAX_OVERLAP_S: Final = 366 * 24 * 3600
MAX_SUBJECT: Final = 256
_SECOND_US: Final = 1_000_000


class Log(Protocol):
    """What is needed of `ledger.log.log.Log`."""

    @property
    def standing(self) -> Standing:
        """What holds at the end of the log."""

    def head(self) -> Head:
        """The newest checkpoint."""

    def append_own(self, record_type: str, ext: dict[str, Any]) -> Appended:
        """Write one of the log's own records."""


def grant(log: Log, given: Grant) -> dict[str, Any]:
    """Grant a credential; returns it as it is shown.

    Raises:
        LedgerError: `token-exists`, `reserved-name`, `invalid-parameter`: nothing was granted.
    """
    known, _ = permitted(given.roles)
    if len(known) < len(given.roles):
        raise _refused("a role is one of writer, reader, content-reader, auditor, admin", "roles")
    if given.expires_at is not None and given.expires_at <= now(log):
        raise _refused("it would have expired already", "expires_at")
    written = log.append_own(GRANTED, _ext(given))
    return shown(Admitted(given, written.seq, written.recorded_at, given.expires_at))


def rotate(log: Log, name: str, credential: Bearer, overlap_s: int, *, by: str) -> dict[str, Any]:
    """Give a name another token; the one it has holds for `overlap_s` more seconds.

    Raises:
        LedgerError: `not-found`, `token-exists`, `invalid-parameter`: everything is as it was.
    """
    if not 0 <= overlap_s <= MAX_OVERLAP_S:
        raise _refused(f"an overlap is 0 to {MAX_OVERLAP_S} seconds", "overlap_s")
    found = log.standing.access.of(name, now(log))
    if not found:
        raise LedgerError(Code.NOT_FOUND, f"there is no credential {name[:80]!a} in force")
    newest = found[-1].grant
    if not isinstance(newest.credential, Bearer):
        raise _refused(
            f"{name} has no secret here that could be rotated: whoever issues it does that", "name"
        )
    until = format_time(_now_us(log) + overlap_s * _SECOND_US)
    given = msgspec.structs.replace(newest, credential=credential, by=by, overlap_until=until)
    written = log.append_own(GRANTED, _ext(given))
    return shown(Admitted(given, written.seq, written.recorded_at, given.expires_at))


def revoke(log: Log, name: str, *, by: str) -> int:
    """Revoke all credentials of a name; returns the entry that says so. What they wrote stays in the log under that name.

    Raises:
        LedgerError: `not-found`.
    """
    return log.append_own(REVOKED, {"log.name": name, "log.by": by}).seq


def grant_key(log: Log, key_id: str, public_key: str, *, subject: str = "", by: str) -> int:
    """Accept records that an agent signs with this key from now on; returns the entry that says so.

    Args:
        log: the log.
        key_id: what signatures name; one is given once.
        public_key: Ed25519, 32 bytes in base64.
        subject: whose it is; "" says nothing.
        by: who grants it.

    Raises:
        LedgerError: `key-exists`, `reserved-name`, `invalid-public-key`, `invalid-parameter`: nothing was granted.
    """
    if not 1 <= len(key_id) <= MAX_NAME_CHARACTERS:
        raise _refused(
            f"a key's id is 1 to {MAX_NAME_CHARACTERS} characters: no record could name this one", "key_id"
        )
    if len(subject) > MAX_SUBJECT:
        raise _refused(f"a subject is said in at most {MAX_SUBJECT} characters", "subject")
    try:
        check_public_key(parse_base64(public_key))
    except ValueError as error:
        raise LedgerError(Code.INVALID_PUBLIC_KEY, f"the public key is {error}", path="public_key") from None
    ext = {"log.key_id": key_id, "log.public_key": public_key, "log.by": by}
    return log.append_own(GRANTED, ext | ({"log.subject": subject} if subject else {})).seq


def revoke_key(log: Log, key_id: str, *, by: str) -> int:
    """Accept nothing more that this key signs; returns the entry that says so. What it signed before stays good.

    Raises:
        LedgerError: `not-found`.
    """
    if key_id not in log.standing.agent_keys:
        raise LedgerError(Code.NOT_FOUND, f"there is no key {key_id[:80]!a} in force")
    return log.append_own(REVOKED, {"log.key_id": key_id, "log.by": by}).seq


def credentials(log: Log) -> list[dict[str, Any]]:
    """The credentials in force, oldest first, as they are shown."""
    at = now(log)
    return [shown(each) for each in log.standing.access.admitted.values() if each.holds(at)]


def keys(log: Log) -> list[dict[str, str]]:
    """The agents' keys in force."""
    return [
        {"key_id": key_id, "public_key": format_base64(public)}
        for key_id, public in sorted(log.standing.agent_keys.items())
    ]


def shown(admitted: Admitted) -> dict[str, Any]:
    """A grant in force, as it is shown: its entry's payload, with when it was granted and when it ends. A token's hash is no use to anybody."""
    _, operations = permitted(admitted.grant.roles)
    given = {key.removeprefix("log."): value for key, value in _ext(admitted.grant).items()}
    given.pop("expires_at", None)
    given.pop("overlap_until", None)
    return given | {
        "permits": sorted(operations),
        "seq": admitted.seq,
        "granted_at": admitted.at,
        **({} if admitted.until is None else {"until": admitted.until}),
    }


def now(log: Log) -> str:
    """The time that what ends is judged by: the clock's, never earlier than the newest entry's."""
    return format_time(_now_us(log))


def _now_us(log: Log) -> int:
    clock = format_time(time.time_ns() // 1_000)
    return parse_time(max(clock, log.head().recorded_at))


def _ext(given: Grant) -> dict[str, Any]:
    ext: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(given))
    return ext


def _refused(detail: str, path: str) -> LedgerError:
    return LedgerError(Code.INVALID_PARAMETER, detail, path=path)
