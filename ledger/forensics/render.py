"""A query's result as JSON, CSV or Arrow IPC, within a cap of rows and one of bytes. Runs in the worker: values are hostile too.

JSON: times are RFC 3339 text in UTC, bytes are hex, integers beyond 2^53 and exact decimals are text, nested values are nested.
"""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa

from ledger.core.canonical import MAX_INTEGER
from ledger.core.errors import Code, LedgerError

JSON = "application/json"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
MEDIA_TYPES = (JSON, CSV, ARROW)

PART_ROWS = 500
Facts: TypeAlias = Callable[[], dict[str, Any]]
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (a bare origin for microseconds; the zone is written as Z)


class Column(NamedTuple):
    """A result column: its name and DuckDB type."""

    name: str
    type: str


class Rendered(NamedTuple):
    """What goes to the client."""

    body: bytes
    row_count: int
    truncated: bool


def render(
    columns: list[Column], batches: pa.RecordBatchReader, media: str, caps: tuple[int, int], facts: Facts
) -> Rendered:
    """The result's body.

    Args:
        columns: names and types, as DuckDB says them.
        batches: the rows; one more than the cap shows that there are more.
        media: one of `MEDIA_TYPES`.
        caps: most rows, most bytes.
        facts: gives what the JSON body says after the rows (size, root, seconds).

    Raises:
        LedgerError: `query-failed` when a single row is larger than the cap of bytes.
    """
    max_rows, max_bytes = caps
    if media == ARROW:
        return _arrow(batches, max_rows, max_bytes)
    encode = _csv_line if media == CSV else _json_line
    lines, count, size, truncated = [], 0, 0, False
    for row in _rows(columns, batches):
        line = encode(columns, row) if count < max_rows else b""
        size += len(line) + 1
        if count == max_rows or size > max_bytes:
            truncated = True
            break
        lines.append(line)
        count += 1
    if truncated and not count and max_rows:
        raise _too_wide(max_bytes)
    if media == CSV:
        header = _csv_line([Column("", "VARCHAR")] * len(columns), [column.name for column in columns])
        return Rendered(b"".join([header, *lines]), count, truncated)
    head = {"columns": [column._asdict() for column in columns]}
    tail = {"row_count": count, "truncated": truncated, **facts()}
    body = (
        json.dumps(head, ensure_ascii=False)[:-1].encode()
        + b', "rows": ['
        + b", ".join(lines)
        + b"], "
        + json.dumps(tail)[1:].encode()
    )
    return Rendered(body, count, truncated)


def _too_wide(max_bytes: int) -> LedgerError:
    return LedgerError(
        Code.QUERY_FAILED,
        f"one row of the answer is larger than {max_bytes} bytes: select fewer or shorter columns",
        limit=max_bytes,
    )


def _arrow(batches: pa.RecordBatchReader, max_rows: int, max_bytes: int) -> Rendered:
    kept, count, size, truncated = [], 0, 0, False
    for part in _parts(batches):
        fits = part.slice(0, max_rows - count)
        while fits.num_rows and size + fits.nbytes > max_bytes:
            fits = fits.slice(0, fits.num_rows // 2)
        kept.append(fits)
        count += fits.num_rows
        size += fits.nbytes
        truncated = fits.num_rows < part.num_rows
        if truncated:
            break
    if truncated and not count and max_rows:
        raise _too_wide(max_bytes)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches.schema) as writer:
        for part in kept:
            writer.write_batch(part)
    return Rendered(sink.getvalue().to_pybytes(), count, truncated)


def _rows(columns: list[Column], batches: pa.RecordBatchReader) -> Iterable[tuple[Any, ...]]:
    convert = [
        _converter(field.type, column.type) for field, column in zip(batches.schema, columns, strict=True)
    ]
    for part in _parts(batches):
        yield from zip(*(to(part.column(at)) for at, to in enumerate(convert)), strict=True)


def _parts(batches: pa.RecordBatchReader) -> Iterable[pa.RecordBatch]:
    """The rows in small slices: a cap is met before much has been turned into values."""
    for batch in batches:
        for low in range(0, batch.num_rows, PART_ROWS):
            yield batch.slice(low, PART_ROWS)


def _converter(arrow: pa.DataType, duck: str) -> Callable[[pa.Array], list[Any]]:
    """From an Arrow column to plain values for JSON."""
    if pa.types.is_timestamp(arrow):
        return lambda array: [
            None if value is None else _time(value, arrow.unit, zone=arrow.tz is not None)
            for value in array.cast(pa.int64()).to_pylist()
        ]
    if isinstance(arrow, pa.BaseExtensionType):
        storage = _converter(arrow.storage_type, duck)
        return lambda array: storage(array.storage)
    if duck == "JSON":
        return lambda array: [_parsed(value) for value in array.to_pylist()]
    if pa.types.is_string(arrow) or pa.types.is_boolean(arrow):
        return lambda array: array.to_pylist()
    return lambda array: [_plain(value) for value in _values(array)]


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


def _json_line(_columns: list[Column], row: Iterable[Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")


def _csv_line(columns: list[Column], row: Iterable[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow([_csv_cell(value) for _, value in zip(columns, row, strict=True)])
    return line.getvalue().encode("utf-8", "replace")


def _csv_cell(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets a leading apostrophe (threat 38); numbers stay numbers."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value
