"""The record as columns: a table in which each member has one, named as in the `records` view. Read off the model.

A member that is a list or an object is one column too: nested, or its JSON as text. A member that is committed to has a second one,
`<column>_commitment`, for who keeps the value to itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from msgspec import inspect

from ledger.records.members import MODEL

COMMITMENT: Final = "_commitment"
_HEX_64: Final = "[0-9a-f]{64}"

# What a column holds: "utf8", "int64", the element of a list in a list of one, or the fields of a struct by name.
Shape: TypeAlias = "str | list[Shape] | dict[str, Shape]"


@dataclass(frozen=True, eq=False, slots=True)
class Column:
    """One column. There is one of each: it is equal to itself alone.

    Attributes:
        name: `tool_call_id`.
        path: its member, `tool.call_id`.
        kind: fact, content, person, or commitment.
        json: its text is JSON: a content, a list, an object.
        shape: what it holds. Where `json` is set, JSON as "utf8" will do.
        min: fewest characters of a text, or the smallest integer.
        max: most characters, or the largest integer.
        pattern: that a text matches as a whole, None where any does. Without anchors.
        values: the only texts it may hold; () where there is no such list.
        required: it must be there where its facet is.
    """

    name: str
    path: str
    kind: str
    json: bool
    shape: Shape
    min: int
    max: int
    pattern: str | None
    values: tuple[str, ...]
    required: bool = False


def column_name(path: str) -> str:
    """A member's column: `tool.call_id` → `tool_call_id`."""
    return path.replace(".", "_")


def _columns() -> Iterator[Column]:
    """In the model's order, each commitment after its member."""
    for member, kind in MODEL:
        name, committed = column_name(member.path), member.kind != "fact"
        yield Column(
            name,
            member.path,
            member.kind,
            member.kind == "content" or (not committed and member.type in {"list", "object"}),
            "utf8" if committed else _shape(kind),
            *_bounds(kind),
            _pattern(kind),
            member.values,
            member.required,
        )
        if committed:
            yield Column(name + COMMITMENT, member.path, "commitment", False, "utf8", 64, 64, _HEX_64, ())


def _shape(kind: Any) -> Shape:
    if isinstance(kind, inspect.UnionType):
        kind = next(part for part in kind.types if not isinstance(part, inspect.NoneType))
    if isinstance(kind, inspect.Metadata):
        return _shape(kind.type)
    if isinstance(kind, inspect.IntType):
        return "int64"
    if isinstance(kind, inspect.ListType):
        return [_shape(kind.item_type)]
    if isinstance(kind, inspect.StructType):
        return {field.name: _shape(field.type) for field in kind.fields}
    if isinstance(kind, inspect.DictType) and isinstance(kind.key_type, inspect.LiteralType):
        return {str(key): _shape(kind.value_type) for key in kind.key_type.values}
    return "utf8"


def _bounds(kind: inspect.Type) -> tuple[int, int]:
    if isinstance(kind, inspect.IntType):
        return kind.ge or 0, kind.le or 0
    if isinstance(kind, inspect.StrType):
        return kind.min_length or 0, kind.max_length or 0
    return 0, 0


def _pattern(kind: inspect.Type) -> str | None:
    pattern = kind.pattern if isinstance(kind, inspect.StrType) else None
    return None if pattern is None else pattern.removeprefix("^").removesuffix(r"(?!\n)").removesuffix("$")


COLUMNS: Final = {column.name: column for column in _columns()}
