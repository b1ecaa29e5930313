"""One entry as rules see it."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

import msgspec

from ledger.core.entry import OWN_SUBMITTER, parse_time
from ledger.core.errors import Code, LedgerError
from ledger.log.log import Log
from ledger.records.members import CONTENTS
from ledger.records.prepared import Disclosed
from ledger.records.selection import member
from ledger.storage.contents import stored_contents
from ledger.storage.schema import StoredEntry

MAX_DEPTH: Final = 64
_DENIED: Final = (("policy.effect", "deny"), ("outcome.status", "denied"), ("approval.outcome", "rejected"))
_decode = msgspec.json.Decoder().decode


class Seen:
    """An entry; its contents are read only when a rule asks for them.

    Attributes:
        seq: its place.
        hash: its leaf hash.
        record_id: the record's id.
        submitter: who submitted it.
        recorded_at: the log's clock, RFC 3339.
        record: the record's members.
    """

    def __init__(
        self, log: Log, seq: int, leaf_hash: bytes, record_id: str, entry: str, *, contents: str | None = None
    ) -> None:
        """An entry of a row. `contents` is the row's text of them; None: they are read from the log when they are wanted."""
        members = _decode(entry)
        self._log, self._contents = log, contents
        self.seq, self.hash, self.record_id = seq, leaf_hash, record_id
        self.submitter: str = members["submitter"]
        self.recorded_at: str = members["recorded_at"]
        self.record: Mapping[str, Any] = members["record"]

    @property
    def own(self) -> bool:
        """Whether the log wrote it itself: rules look at no such entry, or an alert could raise an alert."""
        return self.submitter == OWN_SUBMITTER

    @cached_property
    def at_us(self) -> int:
        """When it was recorded, microseconds since 1970."""
        return parse_time(self.recorded_at)

    @property
    def type(self) -> str:
        """The record's type."""
        return str(self.record.get("type", ""))

    @property
    def denied(self) -> bool:
        """Whether it says that something was not allowed."""
        return any(self.get(path) == value for path, value in _DENIED)

    @property
    def action(self) -> bytes:
        """The action it is about: the same for all its stages, and never for two submitters, whose ids are their own words."""
        action_id = self.record.get("action_id")
        return digest(
            "action", self.submitter, str(action_id) if action_id is not None else f"\0{self.record_id}"
        )

    @property
    def agent(self) -> str:
        """Who acted, as far as it says so."""
        return str(self.get("identity.agent_id") or self.get("identity.agent_name") or "")

    def get(self, path: str) -> Any:
        """The value of a member."""
        return self.submitter if path == "submitter" else member(self.record, path)

    @cached_property
    def contents(self) -> tuple[Disclosed, ...]:
        """What was disclosed with it and is not erased."""
        if self._contents is not None:
            return tuple(stored_contents(self.seq, self._contents))
        named = any(self.get(path) is not None for path in CONTENTS)
        stored = stored_or_none(self._log, self.seq) if named else None
        return stored.contents if stored is not None else ()


def stored_or_none(log: Log, seq: int) -> StoredEntry | None:
    """An entry, None where it is retired."""
    try:
        return log.stored(seq)
    except LedgerError as error:
        if error.code != Code.RETIRED:
            raise
        return None


def seen_again(log: Log, seq: int) -> Seen | None:
    """An earlier entry, None where it is retired."""
    stored = stored_or_none(log, seq)
    return Seen(log, seq, stored.hash, stored.id, stored.entry.decode()) if stored is not None else None


def digest(*parts: str) -> bytes:
    """16 bytes that stand for these texts, in this order."""
    told = b"".join(
        b"%d:%b" % (len(raw), raw) for raw in (part.encode("utf-8", "surrogatepass") for part in parts)
    )
    return sha256(told).digest()[:16]


def texts(value: Any, depth: int = MAX_DEPTH) -> Iterator[str]:
    """Every text in a JSON value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict) and depth:
        for key, inner in value.items():
            yield key
            yield from texts(inner, depth - 1)
    elif isinstance(value, list) and depth:
        for inner in value:
            yield from texts(inner, depth - 1)
