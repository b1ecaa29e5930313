"""Where an object store is, and what it says: all that is known of one without its client, which is an extra."""

import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from ledger.core.errors import Code, LedgerError

MODES: Final = ("GOVERNANCE", "COMPLIANCE")

_LOCATION: Final = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9_.=/-]{1,300}))?")


class Settings(NamedTuple):
    """Where segments go. From the server's own configuration alone: no request names a place.

    Attributes:
        bucket: the bucket; it must exist. Object lock, where wanted, is enabled when a bucket is made.
        prefix: what its keys begin with, "" for nothing.
        endpoint: the server's URL; None is AWS.
        region: the region; None is the environment's.
        lock_mode: `GOVERNANCE` or `COMPLIANCE`; None locks nothing.
        lock_days: how many days from the put on nobody may delete an object.
    """

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    lock_mode: str | None = None
    lock_days: int = 0


def parse_location(location: str, *, endpoint: str | None = None, lock: str | None = None) -> Settings:
    """Settings of `s3://bucket/prefix` and a lock like `COMPLIANCE:365`.

    Raises:
        LedgerError: `invalid-parameter`.
    """
    match = _LOCATION.fullmatch(location.rstrip("/"))
    if match is None or ".." in location or "//" in location.removeprefix("s3://"):
        raise _invalid(f"{location!a} is no place for objects: s3://bucket/prefix is one")
    if endpoint is not None and not _is_endpoint(endpoint):
        raise _invalid("the endpoint of the object store is http:// or https://, a host, and no password")
    settings = Settings(match[1], match[2] or "", endpoint)
    if lock is None:
        return settings
    mode, _, days = lock.partition(":")
    if mode not in MODES or re.fullmatch(r"[1-9][0-9]{0,4}", days, re.ASCII) is None:
        raise _invalid(f"{lock!a} is no lock: COMPLIANCE:<days> and GOVERNANCE:<days> are")
    return settings._replace(lock_mode=mode, lock_days=int(days))


def _is_endpoint(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that hold no address
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc


class Kept(NamedTuple):
    """An object that the store would not delete, and until when, where it says so (RFC 3339)."""

    key: str
    until: str | None


def _invalid(detail: str) -> LedgerError:
    return LedgerError(Code.INVALID_PARAMETER, detail, path="objects")
