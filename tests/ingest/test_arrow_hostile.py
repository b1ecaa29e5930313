"""Arrow streams from somebody who may want to hurt us: refused, in bounded memory, and the process lives."""

import io
import struct
import subprocess
import sys

import pyarrow as pa
import pytest

from ledger.core.errors import Code, LedgerError
from ledger.ingest.arrow.framing import MAX_MESSAGES, check_framing
from ledger.records.limits import BODY_BYTES, BODY_RECORDS
from tests.faults.server import ROOT
from tests.ingest.arrows import stream

TIME = "2026-11-21T09:30:00Z"
FLAT_BYTES = 4 * BODY_BYTES  # what a body of 32 MiB may take of Arrow's memory while it is read


def rows(count, **columns):
    return pa.table({"type": ["note"] * count, "time": [TIME] * count, **columns})


def refusal(judge, body):
    """The refusal of a whole stream, made in flat memory."""
    pool = pa.default_memory_pool()
    pool.release_unused()
    before, worst = pool.bytes_allocated(), pool.max_memory()
    with pytest.raises(LedgerError) as refused:
        judge.arrow(body)
    assert pool.max_memory() <= max(worst, before + FLAT_BYTES)
    return refused.value


def test_what_becomes_large_is_refused_by_its_metadata_and_never_made(judge):
    """256 MiB of text in a few kilobytes of ZSTD: made by another process, so that this one's memory shows what reading it takes."""
    make = (
        "import sys, pyarrow as pa; from tests.ingest.arrows import stream\n"
        "text = 'a' * 2**20\n"
        "column = pa.chunked_array([pa.array([text] * 64) for _ in range(4)]).cast(pa.large_string())\n"
        "data = pa.table({'type': ['note'] * 256, 'time': ['x'] * 256, 'tool_name': column})\n"
        "sys.stdout.buffer.write(stream(data, compression='zstd'))"
    )
    body = subprocess.run([sys.executable, "-c", make], check=True, capture_output=True, cwd=ROOT).stdout
    assert len(body) < BODY_BYTES / 8
    error = refusal(judge, body)
    assert (error.code, error.members["limit"]) == (Code.BODY_TOO_LARGE, BODY_BYTES)


@pytest.mark.parametrize("lie", [2**62, -2, 1, 10**6])
def test_a_compressed_buffer_is_held_to_the_length_it_claims(judge, lie):
    text = "a" * 5_000
    body = stream(rows(1, tool_name=[text]), compression="zstd")
    at = body.index(struct.pack("<q", len(text)) + b"\x28\xb5\x2f\xfd")  # the length, then a ZSTD frame
    error = refusal(judge, body[:at] + struct.pack("<q", lie) + body[at + 8 :])
    assert error.code in {Code.MALFORMED_ARROW, Code.BODY_TOO_LARGE}


@pytest.mark.parametrize("kind", ["dictionary", "view", "nested view"])
def test_a_long_value_that_many_rows_point_at_is_counted_for_each_of_them(judge, kind):
    long = '"' + "x" * (1024 * 1024 - 2) + '"'
    count = 10_000
    if kind == "dictionary":
        column = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), [long])
        error = refusal(judge, stream(rows(count, tool_arguments=column)))
    else:
        one = pa.array([long], pa.string_view())
        views = pa.py_buffer(one.buffers()[1].to_pybytes()[:16] * count)
        column = pa.Array.from_buffers(pa.string_view(), count, [None, views, one.buffers()[2]])
        if kind == "view":
            error = refusal(judge, stream(rows(count, tool_arguments=column)))
        else:
            scopes = pa.ListArray.from_arrays(pa.array(range(count + 1), pa.int32()), column)
            error = refusal(judge, stream(rows(count, identity_scopes=scopes)))
    assert error.code == Code.BODY_TOO_LARGE


def test_a_large_dictionary_is_not_looked_through_again_for_a_thousand_batches(judge):
    values = pa.array(["y" * 1_000_000])
    column = pa.DictionaryArray.from_arrays(pa.array([None] * 500, pa.int32()), values)
    assert refusal(judge, stream(rows(500, tool_name=column), rows_per_batch=1)).code == Code.BODY_TOO_LARGE


@pytest.mark.parametrize("count", [BODY_RECORDS + 1, 10_000_000, 2**40])
def test_rows_without_a_byte_are_counted(judge, count):
    """Columns of nulls have no buffers: any number of rows fits into a few hundred bytes."""
    nulls = pa.Array.from_buffers(pa.null(), count, [None])
    batch = pa.record_batch([nulls], names=["type"])
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(allow_64bit=True)
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    assert refusal(judge, sink.getvalue()).code == Code.TOO_MANY_RECORDS


def test_as_many_rows_as_a_body_may_have_are_each_refused_when_they_say_nothing(judge):
    outcomes = judge.arrow(stream(pa.table({"type": pa.nulls(BODY_RECORDS)})))
    assert {(outcome.code, outcome.path) for outcome in outcomes} == {(Code.MISSING_MEMBER, "type")}
    assert len(outcomes) == BODY_RECORDS


@pytest.mark.parametrize(
    "data",
    [rows(0), pa.table({"type": []}), pa.schema([("type", pa.string())]).empty_table()],
    ids=["no rows", "null column", "no batches"],
)
def test_a_stream_without_a_record_is_refused(judge, data):
    error = refusal(judge, stream(data))
    assert error.code == Code.MALFORMED_ARROW
    assert "no record" in error.detail


def test_a_stream_without_columns_is_refused(judge):
    body = stream(rows(3).select([]))
    assert refusal(judge, body).code == Code.MALFORMED_ARROW


def test_offsets_that_point_outside_or_backwards_are_refused_before_anything_looks(judge):
    body = stream(rows(3, tool_name=["one", "two", "three"]))
    offsets = struct.pack("<4i", 0, 3, 6, 11)
    for wrong in ((0, 3, 6, 2**31 - 1), (0, 3, 2, 11), (-8, 3, 6, 11), (0, 3, 6, 4096)):
        assert body.count(offsets) == 1
        error = refusal(judge, body.replace(offsets, struct.pack("<4i", *wrong)))
        assert error.code == Code.MALFORMED_ARROW


def test_an_index_outside_its_dictionary_is_refused(judge):
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0x55], pa.int8()), ["a", "b"], safe=False)
    assert refusal(judge, stream(rows(3, tool_name=column))).code == Code.MALFORMED_ARROW


def test_text_that_is_not_utf8_is_refused(judge):
    body = stream(rows(1, tool_name=["marker"]))
    assert refusal(judge, body.replace(b"marker", b"\xff\xfeark\x80")).code == Code.MALFORMED_ARROW


def test_a_buffer_outside_its_message_is_refused(judge):
    body = stream(rows(1, tool_name=["marker"]))
    place = struct.pack(
        "<qq", body.index(b"marker") - body.index(b"note"), 6
    )  # offset and length, as the metadata have them
    assert body.count(place[8:]) >= 1
    broken = body.replace(place[8:], struct.pack("<q", 2**40))
    assert refusal(judge, broken).code == Code.MALFORMED_ARROW


def test_nesting_that_never_ends_is_refused(judge):
    for depth in (5, 60, 200, 5_000):
        kind = pa.string()
        for _ in range(depth):
            kind = pa.list_(kind)
        schema = pa.schema([("identity_scopes", kind)]).serialize().to_pybytes()
        batch = stream(rows(1))
        body = schema + batch[batch.index(b"\xff\xff\xff\xff", 8) :]
        assert refusal(judge, body).code in {Code.MALFORMED_ARROW, Code.INVALID_MEMBER}


@pytest.mark.parametrize(
    "kind",
    [
        pa.map_(pa.string(), pa.string()),
        pa.dense_union([pa.field("a", pa.string())]),
        pa.run_end_encoded(pa.int32(), pa.string()),
        pa.list_view(pa.string()),
        pa.list_(pa.dictionary(pa.int8(), pa.string())),
        pa.list_(pa.null()),
        pa.list_(pa.string(), 2),
        pa.struct([]),
        pa.list_(pa.struct([])),
        pa.binary_view(),
        pa.dictionary(pa.int8(), pa.int64()),
        pa.dictionary(pa.int8(), pa.list_(pa.string())),
        pa.opaque(pa.string(), "x", "y"),
        pa.uuid(),
        pa.decimal128(5),
        pa.month_day_nano_interval(),
    ],
    ids=str,
)
def test_types_that_no_member_has_are_refused(judge, kind):
    for name in ("identity_scopes", "tool_name", "tool_facts", "source_seq", "tool_arguments"):
        data = pa.schema([("type", pa.string()), (name, kind)])
        body = stream(rows(1))
        error = refusal(judge, data.serialize().to_pybytes() + body[body.index(b"\xff\xff\xff\xff", 8) :])
        assert error.code in {Code.INVALID_MEMBER, Code.MALFORMED_ARROW}


def test_a_list_of_millions_costs_no_more_than_one_that_is_a_little_too_long(judge):
    scopes = pa.ListArray.from_arrays([0, 0, 4_000_000], pa.array(["a"] * 4_000_000))
    first, second = judge.arrow(stream(rows(2, identity_scopes=scopes)))
    assert first.record
    assert (second.code, second.path) == (Code.INVALID_MEMBER, "identity.scopes")


def test_a_dictionary_in_pieces_is_refused_and_one_that_is_replaced_is_read(judge):
    first, second = (
        pa.record_batch(rows(2, tool_name=pa.array(names).dictionary_encode()).to_batches()[0])
        for names in (["a", "b"], ["a", "c"])
    )
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, first.schema) as writer:
        writer.write_batch(first)
        writer.write_batch(second)
    names = [outcome.record.partition(b'"name":')[2][:3] for outcome in judge.arrow(sink.getvalue())]
    assert names == [b'"a"', b'"b"', b'"a"', b'"c"']
    longer = pa.record_batch(rows(3, tool_name=pa.array(["a", "b", "c"]).dictionary_encode()).to_batches()[0])
    sink = io.BytesIO()
    with pa.ipc.new_stream(
        sink, first.schema, options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    ) as writer:
        writer.write_batch(first)
        writer.write_batch(longer)
    assert "delta" in refusal(judge, sink.getvalue()).detail


def test_more_messages_than_anybody_sends_are_refused(judge):
    body = stream(rows(MAX_MESSAGES + 1), rows_per_batch=1)
    assert refusal(judge, body).code == Code.MALFORMED_ARROW


def test_a_column_that_is_there_twice_is_refused(judge):
    data = rows(1, tool_name=["a"]).append_column("tool_name", pa.array(["b"]))
    assert "twice" in refusal(judge, stream(data)).detail


@pytest.mark.parametrize("more", [b"\0", b"\xff" * 8, b"records"])
def test_bytes_after_the_end_are_not_passed_over(judge, more):
    assert refusal(judge, stream(rows(1)) + more).code == Code.MALFORMED_ARROW


def test_a_stream_cut_off_anywhere_is_refused_or_says_as_much_as_it_says():
    body = stream(rows(2, tool_name=["a", "b"]))
    refused = 0
    for end in range(len(body)):
        try:
            check_framing(body[:end])
        except LedgerError:
            refused += 1
    assert refused >= len(body) - 8  # without the mark of its end it is whole (the format allows that)


def test_thousands_of_broken_streams_are_refused_and_the_process_lives():
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "tests.ingest.mutate", "7", "3000"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "'refused'" in done.stdout
