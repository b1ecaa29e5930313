"""The record's members as a list of paths, read off the model: for projections, docs, error messages."""

import difflib
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec
from msgspec import inspect

from ledger.records.model import Record

NEAR_ENOUGH: Final = 0.5


class Member(NamedTuple):
    """One member of the record.

    Attributes:
        path: dotted, `tool.arguments`.
        kind: fact, content or person.
        type: text, integer, list or object, as a column holds it.
        description: what it means.
        term: the standard term it follows, or "".
        values: the values it may have, when they are enumerated.
        required: whether it must be there where its facet is.
    """

    path: str
    kind: str
    type: str
    description: str
    term: str
    values: tuple[str, ...]
    required: bool


def _bare(kind: inspect.Type) -> tuple[inspect.Type, dict[str, str], str]:
    """A member's own type, its extra facts, and its description; `| UnsetType` and annotations taken off."""
    if isinstance(kind, inspect.UnionType):
        kind = next(part for part in kind.types if not isinstance(part, inspect.NoneType))
    if isinstance(kind, inspect.Metadata):
        schema = kind.extra_json_schema or {}
        return _bare(kind.type)[0], kind.extra or {}, str(schema.get("description", ""))
    return kind, {}, ""


def _column_type(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.IntType):
        return "integer"
    if isinstance(kind, inspect.ListType):
        return "list"
    if isinstance(kind, inspect.StrType | inspect.LiteralType):
        return "text"
    return "object"


def _walk(struct: type[msgspec.Struct], prefix: str) -> Iterator[tuple[Member, inspect.Type]]:
    fields = inspect.type_info(struct)
    if not isinstance(fields, inspect.StructType):
        raise TypeError(struct)
    for field in fields.fields:
        kind, extra, description = _bare(field.type)
        path = prefix + field.name
        if isinstance(kind, inspect.StructType) and not prefix:
            yield from _walk(kind.cls, f"{path}.")
            continue
        values = tuple(map(str, kind.values)) if isinstance(kind, inspect.LiteralType) else ()
        member = Member(
            path,
            extra.get("kind", "fact"),
            _column_type(kind),
            description,
            extra.get("term", ""),
            values,
            field.required,
        )
        yield member, kind


MODEL: Final = tuple(_walk(Record, ""))  # each member with its type in the model
MEMBERS: Final = tuple(member for member, _ in MODEL)
CONTENTS: Final = tuple(member.path for member in MEMBERS if member.kind == "content")
PERSONS: Final = tuple(member.path for member in MEMBERS if member.kind == "person")

_NAMES: Final = tuple(sorted({m.path for m in MEMBERS} | {m.path.partition(".")[0] for m in MEMBERS}))


def nearest(path: str) -> str | None:
    """The member whose name is nearest to one that does not exist, None where nothing is near."""
    facet, dot, name = path.rpartition(".")
    siblings = [m for m in _NAMES if m.rpartition(".")[0] == facet]
    near = difflib.get_close_matches(path, siblings, n=1, cutoff=0.8) or [
        m for m in _NAMES if dot and m.startswith(f"{facet}.{name[:3]}")
    ]
    near = near or difflib.get_close_matches(path, _NAMES, n=1, cutoff=NEAR_ENOUGH)
    return near[0] if near else None
