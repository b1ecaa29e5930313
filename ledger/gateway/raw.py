"""The exact bytes of a member of a message: what is recorded is what was sent, to the last digit of a number."""

import hashlib
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from ledger.core.errors import FormatError
from ledger.records.limits import MAX_CONTENT_BYTES
from ledger.records.strict import strict

TOO_LARGE: Final = "mcp.too_large"
UNREADABLE: Final = "mcp.unreadable"
# Brackets enough to be deeper than the ledger reads; in nearly all contents there are fewer.
MANY_BRACKETS: Final = 64
RECORD_DEPTH: Final = 2  # a content stands two levels down in its record

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


def items(data: bytes) -> list[bytes]:
    """The elements of an array."""
    return [bytes(item) for item in _items(data)]


def member(data: bytes | msgspec.Raw | None, name: str) -> msgspec.Raw | None:
    """A member of an object; None where there is none, or no object."""
    try:
        return _members(data).get(name) if data is not None else None
    except msgspec.MsgspecError:
        return None


def without(data: bytes | msgspec.Raw | None, names: Iterable[str]) -> msgspec.Raw | None:
    """An object without some members; None when nothing is left."""
    try:
        found = _members(data) if data is not None else {}
    except msgspec.MsgspecError:
        return msgspec.Raw(data) if data is not None else None
    left = {name: value for name, value in found.items() if name not in set(names)}
    return msgspec.Raw(msgspec.json.encode(left)) if left else None


def kept(value: msgspec.Raw | None) -> msgspec.Raw | None:
    """A value as a content that the ledger takes. What is too large for it is there by its size and hash, never just missing."""
    if value is None:
        return None
    data = bytes(value)
    if len(data) > MAX_CONTENT_BYTES:
        return _instead(TOO_LARGE, data)
    if data.count(b"[") + data.count(b"{") > MANY_BRACKETS:
        try:
            strict(b"[" * RECORD_DEPTH + data + b"]" * RECORD_DEPTH)
        except FormatError:
            return _instead(UNREADABLE, data)
    return msgspec.Raw(data)


def unreadable(data: bytes) -> msgspec.Raw:
    """Bytes that are not JSON that every parser reads alike, as a content."""
    return _instead(UNREADABLE, data)


def _instead(name: str, data: bytes) -> msgspec.Raw:
    told: dict[str, Any] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if len(data) * 2 < MAX_CONTENT_BYTES:
        told["text"] = data.decode(errors="replace")
    return msgspec.Raw(msgspec.json.encode({name: told}))
