"""One row as the JSON record it stands for: what is read wherever the columns leave a doubt, so that a record is judged by one judge."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from ledger.core.errors import Code, FormatError
from ledger.records.columns import COLUMNS, Column

_encode = msgspec.json.Encoder().encode
_one_value = msgspec.json.Decoder(Raw).decode


def record_json(cells: Mapping[str, str | int]) -> bytes:
    """The record of a row.

    Args:
        cells: what is not null, by the column's name.

    Raises:
        FormatError: `malformed-json` (a content that is not one JSON value), `invalid-member` (a value and its commitment).
    """
    record: dict[str, Any] = {}
    for name, column in COLUMNS.items():  # the order decides which of two faults is told
        if name not in cells:
            continue
        facet, _, member = column.path.rpartition(".")
        place = record.setdefault(facet, {}) if facet else record
        if member in place:
            raise FormatError(
                Code.INVALID_MEMBER,
                f"{column.path}: {name} and the value itself are both there; send one of them",
                path=column.path,
            )
        place[member] = _value(column, cells[name])
    return _encode(record)


def _value(column: Column, cell: str | int) -> Any:
    if column.kind == "commitment":
        return {"commitment": cell}
    return _checked_json(column, cell) if column.json and isinstance(cell, str) else cell


def _checked_json(column: Column, text: str) -> Raw:
    """JSON that stays where it is put: a text of two values, or of half a one, would say something about the members beside it.

    Whether it is what a record may hold is said of the whole record.
    """
    data = text.encode()
    try:
        return _one_value(data)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        json.loads(data)  # kinder in what it takes for one value: lone surrogates, NaN
    except (ValueError, RecursionError) as error:
        raise FormatError(
            Code.TOO_DEEP if isinstance(error, RecursionError) else Code.MALFORMED_JSON,
            f'{column.path} is not JSON: {error}; a plain text is sent in its quotes, as "…"',
            path=column.path,
        ) from None
    return Raw(data)
