"""Records as Arrow streams, for tests."""

import io
import json

import msgspec
import pyarrow as pa

from ledger.records.columns import COLUMNS

ABSENT = object()


def at(record, path):
    """A member's value, ABSENT where there is none."""
    for name in path.split("."):
        if not isinstance(record, dict) or name not in record:
            return ABSENT
        record = record[name]
    return record


def cell(column, value):
    """A value as its column holds it; a content may be given in its very bytes."""
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    return json.dumps(value, ensure_ascii=False) if column.json else value


def table(records):
    """Records in their columns; what is missing is null."""
    columns = {}
    for column in COLUMNS.values():
        values = [at(record, column.path) for record in records]
        withheld = [isinstance(value, dict) and value.keys() == {"commitment"} for value in values]
        if column.kind == "commitment":
            values = [
                value["commitment"] if kept else ABSENT for value, kept in zip(values, withheld, strict=True)
            ]
        elif column.kind in {"content", "person"}:
            values = [ABSENT if kept else value for value, kept in zip(values, withheld, strict=True)]
        cells = [None if value is ABSENT else cell(column, value) for value in values]
        if column.name == "type" or any(value is not None for value in cells):
            columns[column.name] = pa.array(cells, pa.int64() if column.shape == "int64" else pa.string())
    return pa.table(columns)


def stream(data, *, rows_per_batch=None, **options):
    """A table as an Arrow IPC stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, data.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(data, max_chunksize=rows_per_batch)
    return sink.getvalue()


def lines(records):
    """The same records as JSON."""
    return [msgspec.json.encode(record) for record in records]
