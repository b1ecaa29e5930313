"""Which columns a stream may have, and of which Arrow types. The description for other programs is schemas/record.arrow.json.

A column is refused as a whole, before a row is read: a name that is no member's, a type that cannot hold it. What is wrong with a value is
said for its record, as for any other.
"""

import difflib
from typing import Any, Final

import pyarrow as pa
from pyarrow import types

from ledger.core.errors import Code, FormatError
from ledger.ingest.arrow.flat import malformed
from ledger.records.columns import COLUMNS, Column, Shape

SHOWN_CHARACTERS: Final = 80
UTC: Final = frozenset({"UTC", "Etc/UTC", "Z", "+00:00"})
_NEAR: Final = 0.6


def arrow_type(shape: Shape) -> pa.DataType:
    """The type that a column of this shape has where nothing speaks for another."""
    if isinstance(shape, list):
        return pa.list_(arrow_type(shape[0]))
    if isinstance(shape, dict):
        return pa.struct([pa.field(name, arrow_type(below)) for name, below in shape.items()])
    return pa.int64() if shape == "int64" else pa.string()


SCHEMA: Final = pa.schema([pa.field(column.name, arrow_type(column.shape)) for column in COLUMNS.values()])


def check_schema(schema: pa.Schema) -> list[Column]:
    """The columns of a stream, in its order.

    Raises:
        FormatError: `unknown-member` (with the nearest name), `invalid-member`, `malformed-arrow`.
    """
    names = schema.names
    if not names:
        raise malformed("it has no columns")
    columns = [_column(name) for name in names]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise malformed(f"the column {twice} is there twice")
    for column, field in zip(columns, schema, strict=True):
        _check_type(column, field.type)
    return columns


def _column(name: str) -> Column:
    column = COLUMNS.get(name)
    if column is not None:
        return column
    near = difflib.get_close_matches(name.replace(".", "_")[:SHOWN_CHARACTERS], COLUMNS, n=1, cutoff=_NEAR)
    hint = f"; did you mean {near[0]}?" if near else "; schemas/record.arrow.json has them all"
    raise FormatError(
        Code.UNKNOWN_MEMBER, f"the column {_shown(name)} is no member's{hint}", path=_shown(name)
    )


def _check_type(column: Column, kind: pa.DataType) -> None:
    if column.path == "time" and types.is_timestamp(kind):
        if kind.tz in UTC:
            return
        raise _wrong(column, kind, "a time is text (RFC 3339), or a timestamp with the time zone UTC")
    if isinstance(kind, pa.JsonType) and column.json:
        kind = kind.storage_type
    if types.is_null(kind) or (column.json and _is_text(kind)):
        return
    _check_shape(column, column.shape, kind, column.path)


def _check_shape(column: Column, shape: Shape, kind: pa.DataType, path: str) -> None:
    if isinstance(shape, list) and (types.is_list(kind) or types.is_large_list(kind)):
        _check_below(column, shape[0], kind.value_type, f"{path}[]")
    elif isinstance(shape, dict) and types.is_struct(kind) and kind.num_fields:
        names = [kind.field(index).name for index in range(kind.num_fields)]
        for index, name in enumerate(names):
            if name not in shape or names.count(name) > 1:
                near = difflib.get_close_matches(name[:SHOWN_CHARACTERS], shape, n=1)
                hint = f"; did you mean {near[0]}?" if near and near[0] not in names else ""
                below = f"{path}.{_shown(name)}"
                raise FormatError(
                    Code.UNKNOWN_MEMBER, f"{below} is not a member, or there twice{hint}", path=below
                )
            _check_below(column, shape[name], kind.field(index).type, f"{path}.{name}")
    elif not (types.is_integer(kind) if shape == "int64" else shape == "utf8" and _is_text(kind)):
        raise _wrong(column, kind, f"{path} is {_said(column, shape)}")


def _check_below(column: Column, shape: Shape, kind: pa.DataType, path: str) -> None:
    """Within a list or a struct: no dictionary, which no writer puts there and which would have to be bounded there too."""
    if types.is_dictionary(kind):
        raise _wrong(column, kind, f"{path} is {_said(column, shape)}, plain within a nested column")
    _check_shape(column, shape, kind, path)


def _is_text(kind: pa.DataType) -> bool:
    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _said(column: Column, shape: Shape) -> str:
    if shape == "int64":
        return "a whole number: send an integer type"
    if column.json and column.kind == "content":
        return "JSON as text: send a string type"
    return "text: send a string type" if shape == "utf8" else f"{arrow_type(shape)}, or its JSON as text"


def _wrong(column: Column, kind: Any, why: str) -> FormatError:
    return FormatError(
        Code.INVALID_MEMBER, f"the column {column.name} is {_shown(str(kind))}: {why}", path=column.path
    )


def _shown(text: str) -> str:
    shown = ascii(text)[1:-1]
    return shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[:SHOWN_CHARACTERS]}…"
