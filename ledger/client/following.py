"""Follows a ledger as it grows (`GET /v1/records/stream`), across everything that breaks a connection."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ledger.client.http import LedgerClient, ProblemError, UnreachableError

PATH: Final = "/v1/records/stream"
SILENCE_S: Final = 45.0  # three heartbeats
AGAIN_S: Final = 2.0
TOO_MANY: Final = 429
SERVER_ERROR: Final = 500
MAX_EVENT_BYTES: Final = 64 * 1024 * 1024


class Event(NamedTuple):
    """One event: its id, its type (`record`, `retired`, `end`), its data; where nothing is dispatched, the id alone."""

    id: str
    type: str
    data: dict[str, Any] | None


def follow(
    client: LedgerClient,
    start: int | None = None,
    *,
    select: Mapping[str, Sequence[str]] | None = None,
    contents: bool = False,
    again_s: float = AGAIN_S,
) -> Iterator[dict[str, Any]]:
    """The entries from `start` on, for ever, each once: `seq`, `leaf_hash`, `id`, `recorded_at`, `submitter`, `entry`.

    A connection that breaks is made anew after `again_s` seconds and goes on where it ended. Retired entries are left out.

    Args:
        client: of the ledger.
        start: the first entry; None is the next that comes.
        select: filters by name (docs/alerts.md).
        contents: with `contents` and `persons`, where the token may see them.
        again_s: seconds between two attempts.

    Raises:
        UnreachableError: no ledger answers at the first attempt.
        ProblemError: the ledger refuses: the token was revoked, or it does not have the entry that would come next.
    """
    params: dict[str, Any] = {name: list(values) for name, values in (select or {}).items()}
    if contents:
        params["contents"] = "true"
    if start is None:  # fixed now: what comes while a connection is away is not missed
        start = int(client.log()["size"])
    last, heard = "", False
    while True:
        headers = {"Last-Event-ID": last} if last else {}
        try:
            with client.listening(
                PATH, params=params | {"from": start}, headers=headers, silence_s=SILENCE_S
            ) as pieces:
                heard = True
                for event in _events(pieces):
                    last = event.id or last
                    if event.type == "record" and event.data is not None:
                        yield event.data
        except UnreachableError:
            if not heard:
                raise
        except ProblemError as problem:
            if not heard or (problem.status < SERVER_ERROR and problem.status != TOO_MANY):
                raise
        time.sleep(again_s)


def _events(pieces: Iterator[bytes]) -> Iterator[Event]:
    """The events as they come. Lines end with a line feed: it is this ledger's own stream."""
    rest, seen, kind, data = bytearray(), "", "", ""
    for piece in pieces:
        rest += piece
        if len(rest) > MAX_EVENT_BYTES:
            raise UnreachableError(f"an event has more than {MAX_EVENT_BYTES:,} bytes")
        if b"\n" not in piece:
            continue
        *lines, rest = rest.split(b"\n")
        for line in lines:
            name, _, value = line.decode().partition(": ")
            if name == "id":
                seen = value
            elif name == "event":
                kind = value
            elif name == "data":
                data = value
            elif not line:
                yield Event(seen, kind, _object(data) if data else None)
                seen, kind, data = "", "", ""


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UnreachableError("what answers is no ledger: its event is no JSON object")
    return found
