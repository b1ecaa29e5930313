import tracemalloc

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.ingest.native import read_records
from ledger.records.limits import BODY_RECORDS

JSON, NDJSON = "application/json", "application/x-ndjson"


def test_a_body_is_split_without_changing_a_byte_of_a_record():
    assert read_records(b' {"a": 1.0} ', JSON) == ([b' {"a": 1.0} '], False)
    assert read_records(b' [ {"a": 1.0},\n{"b" : "\\u0061"} ] ', JSON) == (
        [b'{"a": 1.0}', b'{"b" : "\\u0061"}'],
        True,
    )
    assert read_records(b'{"a":1}\r\n\n{"b":"\xe2\x80\xa8"}\n', NDJSON) == (
        [b'{"a":1}\r', b'{"b":"\xe2\x80\xa8"}'],
        True,
    )


@pytest.mark.parametrize(
    ("body", "media_type", "code"),
    [
        (b"[]", JSON, Code.MALFORMED_JSON),
        (b"\n\n", NDJSON, Code.MALFORMED_JSON),
        (b"[1,", JSON, Code.MALFORMED_JSON),
        (b"[" * 100_000, JSON, Code.TOO_DEEP),
        (b"{}", "text/xml", Code.UNSUPPORTED_MEDIA_TYPE),
        (b"{}\n" * (BODY_RECORDS + 1), NDJSON, Code.TOO_MANY_RECORDS),
        (b"\n" * 1_000_000, NDJSON, Code.TOO_MANY_RECORDS),
        (b"[" + b"{}," * BODY_RECORDS + b"{}]", JSON, Code.TOO_MANY_RECORDS),
        (b"[{}]{}", JSON, Code.MALFORMED_JSON),
    ],
)
def test_a_body_that_is_no_batch_of_records_is_refused(body, media_type, code):
    with pytest.raises(LedgerError) as refused:
        read_records(body, media_type)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"[" + b"1," * 2_000_000 + b"1]", JSON),
        (b"1\n" * 2_000_000, NDJSON),
        (b"\n" * 4_000_000, NDJSON),
    ],
)
def test_millions_of_tiny_records_are_refused_before_they_are_made(body, media_type):  # threats 28, 51
    read_records(b"[1]", JSON)  # what is made once is made
    tracemalloc.start()
    try:
        with pytest.raises(LedgerError) as refused:
            read_records(body, media_type)
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert refused.value.code == Code.TOO_MANY_RECORDS


def test_a_batch_may_have_as_many_records_as_the_limit_says():
    records = [b"{}"] * BODY_RECORDS
    assert read_records(b"[" + b",".join(records) + b"]", JSON) == (records, True)
    assert read_records(b"\n\n".join(records) + b"\n", NDJSON) == (records, True)
