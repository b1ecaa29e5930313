"""A span's attributes as they are taken up by a record's members: what is left over is kept as it was sent."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ledger.ingest.draft import content, count, fact, plain
from ledger.records.limits import MAX_CONTENT_BYTES

_encode = msgspec.json.Encoder().encode


class Bag:
    """Attributes not yet taken. An attribute is gone once a member holds all of its value, and so are its equal aliases."""

    __slots__ = ("left",)

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self.left: dict[Any, Any] = dict(attributes)

    def text(self, names: Iterable[str]) -> str | None:
        """The first of these attributes that makes a text fact."""
        for name in names:
            if name in self.left:
                value = self.left[name]
                text = fact(value)
                if text is not None:
                    if text == value:
                        self._gone(names, value)
                    return text
        return None

    def count(self, names: Iterable[str]) -> int | None:
        """The first of these attributes that is a whole number."""
        for name in names:
            if name in self.left:
                value = self.left[name]
                number = count(value)
                if number is not None:
                    self._gone(names, value)
                    return number
        return None

    def pop(self, name: str) -> Any:
        """An attribute, taken whole; None if it is not there."""
        return self.left.pop(name, None)

    def _gone(self, names: Iterable[str], value: object) -> None:
        for name in names:
            if name in self.left and self.left[name] == value and type(self.left[name]) is type(value):
                del self.left[name]


def original(value: dict[str, Any]) -> msgspec.Raw:
    """JSON of what no member holds. Where it is too large for one content the largest attribute goes first, and leaves its size."""
    data = _encode(plain(value))
    if len(data) > MAX_CONTENT_BYTES:
        data = content(_lightened(value, len(data)))
    return msgspec.Raw(data)


def _lightened(value: dict[str, Any], size_bytes: int) -> dict[str, Any]:
    attributes = dict(value.get("attributes", {}))
    lighter = {**value, "attributes": attributes}
    members: list[tuple[int, str, dict[Any, Any], Any]] = [
        (len(_encode(plain(member))), str(name), owner, name)
        for owner in (attributes, lighter)
        for name, member in owner.items()
        if member is not attributes
    ]
    for size, _, owner, name in sorted(members, key=lambda member: (-member[0], member[1])):
        if size_bytes <= MAX_CONTENT_BYTES:
            break
        owner[name] = {"ledger.too_large": {"bytes": size}}
        size_bytes += len(_encode(owner[name])) - size
    return lighter
