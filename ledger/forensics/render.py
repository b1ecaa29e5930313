"""A query's result as JSON, NDJSON, CSV, Arrow IPC or Parquet, within a cap of rows and one of bytes. Runs in the worker.

JSON: columns, rows, then what the answer stands on. NDJSON: a row a line, an object by column; where there are more rows, a last line
that says so. CSV: RFC 4180 with a header. Arrow and Parquet: what the answer stands on is metadata of the schema.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from ledger.core.errors import Code, LedgerError
from ledger.forensics.values import converter

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
CSV_RAW: Final = "text/csv; formulas=raw"  # for programs: what a spreadsheet would run stays as it is
ARROW: Final = "application/vnd.apache.arrow.stream"
PARQUET: Final = "application/vnd.apache.parquet"
MEDIA_TYPES: Final = (JSON, NDJSON, CSV, CSV_RAW, ARROW, PARQUET)

PART_ROWS: Final = 500
Facts: TypeAlias = Callable[[], dict[str, Any]]
# What Excel, LibreOffice and Sheets take for the beginning of a formula, wide forms too
# (https://owasp.org/www-community/attacks/CSV_Injection).
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - these are meant


_encode = msgspec.json.Encoder().encode


class Column(NamedTuple):
    """A result column: its name and DuckDB type."""

    name: str
    type: str


class Rendered(NamedTuple):
    """What goes to the client."""

    body: bytes
    row_count: int
    truncated: bool


class _Lines(NamedTuple):
    """The rows that fit, each as it is written."""

    lines: list[bytes]
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
        facts: gives what the answer stands on (size, root, seconds), once the rows are there.

    Raises:
        LedgerError: `query-failed` when a single row is larger than the cap of bytes.
    """
    if media in (ARROW, PARQUET):
        return _columnar(batches, media, caps, facts)
    if media in (CSV, CSV_RAW):
        return _csv(columns, batches, media, caps)
    if media == NDJSON:
        return _ndjson(columns, batches, caps)
    found = _lines(columns, batches, caps, _json_text)
    tail = {"row_count": len(found.lines), "truncated": found.truncated, **facts()}
    head = _json_text({"columns": [column._asdict() for column in columns]})[:-1]
    body = head + b',"rows":[' + b",".join(found.lines) + b"]," + _json_text(tail)[1:]
    return Rendered(body, len(found.lines), found.truncated)


def with_next(body: bytes, media: str, cursor: str) -> bytes:
    """A truncated body that also says how to go on, where its format has a place for that: JSON and NDJSON."""
    if media == JSON:
        return body[:-1] + b',"next":' + _json_text(cursor) + b"}"
    if media == NDJSON:
        return body[:-3] + b',"next":' + _json_text(cursor) + b"}}\n"
    return body


def _ndjson(columns: list[Column], batches: pa.RecordBatchReader, caps: tuple[int, int]) -> Rendered:
    names = [column.name for column in columns]
    found = _lines(columns, batches, caps, lambda row: _json_text(dict(zip(names, row, strict=True))) + b"\n")
    count = len(found.lines)
    last = [_json_text({"truncated": {"row_count": count}}) + b"\n"] if found.truncated else []
    return Rendered(b"".join(found.lines + last), count, found.truncated)


def _csv(columns: list[Column], batches: pa.RecordBatchReader, media: str, caps: tuple[int, int]) -> Rendered:
    safe = media == CSV
    found = _lines(columns, batches, caps, lambda row: _csv_line(row, safe=safe))
    header = _csv_line([column.name for column in columns], safe=safe)
    return Rendered(b"".join([header, *found.lines]), len(found.lines), found.truncated)


def _lines(
    columns: list[Column],
    batches: pa.RecordBatchReader,
    caps: tuple[int, int],
    encode: Callable[[tuple[Any, ...]], bytes],
) -> _Lines:
    max_rows, max_bytes = caps
    lines: list[bytes] = []
    size = 0
    for row in _rows(columns, batches):
        if len(lines) == max_rows:
            return _Lines(lines, truncated=True)
        line = encode(row)
        size += len(line) + 1
        if size > max_bytes:
            if not lines:
                raise _too_wide(max_bytes)
            return _Lines(lines, truncated=True)
        lines.append(line)
    return _Lines(lines, truncated=False)


def _too_wide(max_bytes: int) -> LedgerError:
    return LedgerError(
        Code.QUERY_FAILED,
        f"one row of the answer is larger than {max_bytes} bytes: select fewer or shorter columns",
        limit=max_bytes,
    )


def _columnar(batches: pa.RecordBatchReader, media: str, caps: tuple[int, int], facts: Facts) -> Rendered:
    max_rows, max_bytes = caps
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
    told = {"row_count": count, "truncated": truncated, **facts()}
    metadata = {f"ledger.{name}": json.dumps(value).strip('"') for name, value in told.items()}
    table = pa.Table.from_batches(kept, batches.schema).replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    if media == PARQUET:
        pq.write_table(table, sink, compression="zstd")
    else:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    return Rendered(sink.getvalue().to_pybytes(), count, truncated)


def _rows(columns: list[Column], batches: pa.RecordBatchReader) -> Iterable[tuple[Any, ...]]:
    convert = [
        converter(field.type, column.type) for field, column in zip(batches.schema, columns, strict=True)
    ]
    for part in _parts(batches):
        yield from zip(*(to(part.column(at)) for at, to in enumerate(convert)), strict=True)


def _parts(batches: pa.RecordBatchReader) -> Iterable[pa.RecordBatch]:
    """The rows in small slices: a cap is met before much has been turned into values."""
    for batch in batches:
        for low in range(0, batch.num_rows, PART_ROWS):
            yield batch.slice(low, PART_ROWS)


def _json_text(value: Any) -> bytes:
    try:
        return _encode(value)
    except UnicodeEncodeError:  # half of a surrogate pair, which a JSON text may hold
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def _csv_line(row: Iterable[Any], *, safe: bool) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow([_csv_cell(value, safe=safe) for value in row])
    return line.getvalue().encode("utf-8", "replace")


def _csv_cell(value: Any, *, safe: bool) -> Any:
    """Text that a spreadsheet would take for a formula gets a leading apostrophe (threat 38); numbers stay numbers."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    if safe and isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value
