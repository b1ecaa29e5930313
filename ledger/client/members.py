"""Facets as an agent's code gives them, made into what a record takes.

What the code decides (names, codes, whole numbers) is checked here, so that a mistake is an error where it was made. What it passes on
(arguments, results, what a user wrote) is never an error: it is snapshotted, masked, cut.
"""

import dataclasses
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

import msgspec

from ledger.core.errors import Code, FormatError
from ledger.records.limits import EXT_DEPTH, MAX_COUNT, MAX_EXT_MEMBERS, MAX_LIST_ITEMS, MAX_NAME_CHARACTERS
from ledger.records.members import MEMBERS, Member, nearest
from ledger.records.values import content, fact, person

SNAPSHOT_VALUES: Final = 100_000  # of one content; an object that holds itself never ends
SNAPSHOT_DEPTH: Final = 64
_NO_KEY: Final = re.compile(r"[^A-Za-z0-9_.:/-]")  # docs/format.md, on the keys of an entry
TOO_LARGE: Final = "ledger.too_large"
_MEMBERS: Final = MappingProxyType({member.path: member for member in MEMBERS})
FACETS: Final = tuple(dict.fromkeys(path.partition(".")[0] for path in _MEMBERS if "." in path))

Facet = Mapping[str, Any]


def facet_of(name: str, members: Facet) -> dict[str, Any]:
    """A facet whose members are as the record takes them; members that are None are left out.

    Raises:
        FormatError: `unknown-member` or `invalid-member`, with the path.
    """
    made = {member: _value(f"{name}.{member}", value) for member, value in members.items()}
    return {member: value for member, value in made.items() if value is not None}


def _value(path: str, value: object) -> Any:
    member = _MEMBERS.get(path)
    if member is None:
        near = nearest(path)
        hint = f"; did you mean {near}?" if near else ""
        raise FormatError(Code.UNKNOWN_MEMBER, f"{path} is not a member{hint}", path=path)
    if value is None:
        return None
    if member.kind == "content":
        return msgspec.Raw(content_of(value))
    if member.kind == "person":
        return _person(path, value)
    return _fact(member, value)


def _person(path: str, value: object) -> Any:
    if isinstance(value, Mapping) and value.keys() == {"commitment"} and isinstance(value["commitment"], str):
        return dict(value)  # who it is stays here
    text = person(value)
    if text is None:
        raise FormatError(
            Code.INVALID_MEMBER, f"{path}: a person is named by a text of 1 to 512 characters", path=path
        )
    return text


def _fact(member: Member, value: object) -> Any:
    if isinstance(value, Enum):
        value = value.value
    if member.values:
        if value not in member.values:
            said = f"{member.path}: one of {', '.join(member.values)}"
            raise FormatError(Code.INVALID_MEMBER, said, path=member.path)
        return value
    if member.type == "integer":
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
            raise FormatError(Code.INVALID_MEMBER, f"{member.path}: a whole number from 0", path=member.path)
        return value
    if member.type == "text":
        return fact(value if isinstance(value, str | int) else _text(value))
    return facts_of(value)


def facts_of(value: object, depth: int = EXT_DEPTH) -> Any:
    """Facts in lists and objects, each text cut and masked; a number with a fraction becomes a text."""
    if depth == 0:
        return "…"
    if isinstance(value, Mapping):
        items = list(value.items())[:MAX_EXT_MEMBERS]
        return {
            _NO_KEY.sub("_", str(key))[:MAX_NAME_CHARACTERS] or "_": facts_of(item, depth - 1)
            for key, item in items
        }
    if isinstance(value, list | tuple | AbstractSet):
        made = [facts_of(item, depth - 1) for item in list(value)[:MAX_LIST_ITEMS]]
        return [item for item in made if item != ""]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and -MAX_COUNT <= value <= MAX_COUNT:
        return value
    return fact(value if isinstance(value, str) else _text(value)) or ""


def content_of(value: object) -> bytes:
    """The JSON of a content as it is now: what the caller changes in it later changes nothing here."""
    if isinstance(value, msgspec.Raw):
        return bytes(value)
    try:
        return content(_Snapshot().of(value))
    except _TooMany:
        return msgspec.json.encode({TOO_LARGE: {"values": SNAPSHOT_VALUES}})


class _TooMany(Exception):  # noqa: N818 - the way out of a walk
    pass


class _Snapshot:
    """Objects as JSON-able values: dataclasses, pydantic models, structs, enums, sets by what they hold, all else by its text."""

    def __init__(self) -> None:
        self._left = SNAPSHOT_VALUES

    def of(self, value: object, depth: int = SNAPSHOT_DEPTH) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _TooMany
        if value is None or (
            isinstance(value, str | int | float | bytes | bool) and not isinstance(value, Enum)
        ):
            return value
        if depth == 0:
            return {"ledger.too_deep": True}
        if isinstance(value, Mapping):
            return {_text(key): self.of(item, depth - 1) for key, item in value.items()}
        if isinstance(value, list | tuple | AbstractSet):
            return [self.of(item, depth - 1) for item in value]
        inner = _held(value)
        return _text(value) if inner is value else self.of(inner, depth - 1)


def _held(value: object) -> object:
    """What an object holds, or the object itself where that is not known."""
    try:
        if isinstance(value, Enum):
            return value.value
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
        if isinstance(value, msgspec.Struct):
            return {name: getattr(value, name, None) for name in value.__struct_fields__}
        dump = getattr(type(value), "model_dump", None)
        if callable(dump):
            return dump(value)
    except Exception:  # noqa: BLE001 - whatever a stranger's object does, the action is recorded
        return _text(value)
    return value


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - as above
        return f"<{type(value).__qualname__}>"


def cleaned(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record's members as the ledger takes them. Facets that hold nothing are left out.

    Raises:
        FormatError: `unknown-member` or `invalid-member`, with the path.
    """
    made: dict[str, Any] = {}
    for name, value in record.items():
        if value is None:
            continue
        if name in FACETS:
            if not isinstance(value, Mapping):
                raise FormatError(Code.INVALID_MEMBER, f"{name}: an object with its members", path=name)
            value = facet_of(name, value)  # noqa: PLW2901 - the same, cleaned
            if not value:
                continue
        elif name in {"absent", "ext"}:
            value = facts_of(value)  # noqa: PLW2901 - as above
            if not value:
                continue
        elif name not in _MEMBERS:
            near = nearest(name)
            hint = f"; did you mean {near}?" if near else ""
            raise FormatError(Code.UNKNOWN_MEMBER, f"{name} is not a member{hint}", path=name)
        made[name] = value
    return made
