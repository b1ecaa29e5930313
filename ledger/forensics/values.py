"""A result's values as plain ones, for JSON and CSV. Runs in the worker: values are hostile too.

Times are RFC 3339 text in UTC, bytes are hex, integers beyond 2^53 and exact decimals are text, nested values are nested.
"""

import json
import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ledger.core.canonical import MAX_INTEGER

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (a bare origin for microseconds; the zone is written as Z)


def converter(arrow: pa.DataType, duck: str) -> Callable[[pa.Array], list[Any]]:
    """From an Arrow column to plain values.

    Args:
        arrow: the column's type.
        duck: its DuckDB type, which tells JSON from text.
    """
    if pa.types.is_timestamp(arrow):
        return lambda array: [
            None if value is None else _time(value, arrow.unit, zone=arrow.tz is not None)
            for value in array.cast(pa.int64()).to_pylist()
        ]
    if isinstance(arrow, pa.BaseExtensionType):
        storage = converter(arrow.storage_type, duck)
        return lambda array: storage(array.storage)
    if duck == "JSON":
        return lambda array: [_parsed(value) for value in array.to_pylist()]
    if _as_they_are(arrow):
        return lambda array: array.to_pylist()
    if pa.types.is_integer(arrow):
        return _integers
    return lambda array: [_plain(value) for value in _values(array)]


def _as_they_are(arrow: pa.DataType) -> bool:
    """Is each of Python's values a plain one already?"""
    if pa.types.is_list(arrow):
        return _as_they_are(arrow.value_type)
    return bool(pa.types.is_string(arrow) or pa.types.is_boolean(arrow))


def _integers(array: pa.Array) -> list[Any]:
    bounds = pc.min_max(array).as_py()
    if bounds["min"] is None or (bounds["min"] >= -MAX_INTEGER and bounds["max"] <= MAX_INTEGER):
        return list(array.to_pylist())
    return [_plain(value) for value in array.to_pylist()]


def _values(array: pa.Array) -> list[Any]:
    """Python values. Nested times lose their zone first, which is UTC: Arrow would need a time zone database for it."""
    if pa.types.is_nested(array.type):
        array = array.cast(_zoneless(array.type))
    return list(array.to_pylist(maps_as_pydicts="lossy"))


def _zoneless(arrow: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(arrow) and arrow.tz is not None:
        return pa.timestamp(arrow.unit)
    if pa.types.is_list(arrow):
        return pa.list_(_zoneless(arrow.value_type))
    if pa.types.is_struct(arrow):
        return pa.struct([pa.field(field.name, _zoneless(field.type)) for field in arrow])
    return arrow


def _time(value: int, unit: str, *, zone: bool) -> str | None:
    microseconds = {"s": 1_000_000, "ms": 1_000, "us": 1}.get(unit)
    try:
        whole = value // 1_000 if microseconds is None else value * microseconds
        return (_EPOCH + timedelta(microseconds=whole)).isoformat() + ("Z" if zone else "")
    except OverflowError:
        return "infinity" if value > 0 else "-infinity"


def _parsed(text: str | None) -> Any:
    try:
        return None if text is None else _plain(json.loads(text))
    except (ValueError, RecursionError):
        return text


def _plain(value: Any) -> Any:  # noqa: PLR0911  (one line for each kind of value)
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if -MAX_INTEGER <= value <= MAX_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return (
            _plain(int(value))
            if value == value.to_integral_value() and value.as_tuple().exponent == 0
            else str(value)
        )
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat() + ("" if value.tzinfo else "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    return str(value)
