"""A record put together from what somebody else's format says: what every dialect but the ledger's own ends in.

Whatever a value is, it never raises: what does not fit a fact is left out of it (the dialect keeps it in `source.original`), what
looks like a secret is masked, what is too large is said to be. No action goes unrecorded because one of its attributes is odd.
"""

from hashlib import sha256
from typing import Any, Self

import msgspec

from ledger.records.check import RESERVED_ID
from ledger.records.limits import MAX_COUNT, MAX_EXT_MEMBERS
from ledger.records.values import (
    CONTENT_DEPTH,
    FACT_CHARACTERS,
    content,
    count,
    fact,
    person,
    plain,
    time_text,
)

__all__ = [
    "CONTENT_DEPTH",
    "FACT_CHARACTERS",
    "Draft",
    "content",
    "count",
    "fact",
    "person",
    "plain",
    "record_id",
    "time_text",
]

_encode = msgspec.json.Encoder().encode


def record_id(dialect: str, *parts: str) -> str:
    """An id that the same telemetry gets each time it is sent, and that no other sender can take.

    Args:
        dialect: "otlp", "kubernetes", …
        parts: the submitter first, then what names the thing within it. Never a content: an id is signed in clear, and would tell what it
            was made of after the content is erased.
    """
    digest = sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8))
        digest.update(data)
    return f"{RESERVED_ID}{dialect}:{digest.hexdigest()[:40]}"


class Draft:
    """One record on its way. Members are named by their path; what has no value is not put in."""

    __slots__ = ("_ext", "record")

    def __init__(self, record_type: str, time_ns: int, record_id: str) -> None:
        self.record: dict[str, Any] = {"type": record_type, "time": time_text(time_ns), "id": record_id}
        self._ext: dict[str, Any] = {}

    def put(self, path: str, value: object, limit: int = FACT_CHARACTERS) -> Self:
        """A text fact."""
        text = fact(value, limit)
        if text is not None:
            self._set(path, text)
        return self

    def count(self, path: str, value: object) -> Self:
        """A fact that is a whole number."""
        number = count(value)
        if number is not None:
            self._set(path, number)
        return self

    def set(self, path: str, value: object) -> Self:
        """A fact whose value the dialect chose itself: an enumerated code, an id it checked, a list of texts."""
        if value is not None:
            self._set(path, value)
        return self

    def person(self, path: str, value: object) -> Self:
        """A person's identifier."""
        text = person(value)
        if text is not None:
            self._set(path, text)
        return self

    def content(self, path: str, value: object) -> Self:
        """A content; None is no content."""
        if value is not None:
            self._set(path, msgspec.Raw(content(value)))
        return self

    def ext(self, name: str, value: object) -> Self:
        """A further fact, under a name like `otel.scope`."""
        if value is not None and len(self._ext) < MAX_EXT_MEMBERS:
            exact = isinstance(value, int) and -MAX_COUNT <= value <= MAX_COUNT
            made = value if exact else fact(value)
            if made is not None:
                self._ext[name] = made
        return self

    def has(self, path: str) -> bool:
        """Whether a member has been put in."""
        facet, _, name = path.partition(".")
        return name in self.record.get(facet, ()) if name else facet in self.record

    def bytes(self) -> bytes:
        """The record as JSON, as `ledger.records.prepare` takes it."""
        return _encode({**self.record, "ext": self._ext} if self._ext else self.record)

    def _set(self, path: str, value: object) -> None:
        facet, dot, name = path.partition(".")
        if dot:
            self.record.setdefault(facet, {})[name] = value
        else:
            self.record[facet] = value
