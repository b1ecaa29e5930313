"""Values of an answer as JSON, whatever they are."""

import json

import pyarrow as pa
import pytest

from ledger.forensics.render import JSON, Column, render


@pytest.mark.parametrize(
    ("values", "arrow", "duck", "expected"),
    [
        (['"\\ud800x"'], pa.string(), "JSON", ["?x"]),  # half of a surrogate pair has no UTF-8
        ([2**53 - 1, 2**53, 2**64 - 1], pa.uint64(), "UBIGINT", [2**53 - 1, str(2**53), str(2**64 - 1)]),
        ([-5, None, 7], pa.int64(), "BIGINT", [-5, None, 7]),
        ([None, None], pa.int64(), "BIGINT", [None, None]),
        ([[2**60], None, []], pa.list_(pa.int64()), "BIGINT[]", [[str(2**60)], None, []]),
        ([["ä", None], None], pa.list_(pa.string()), "VARCHAR[]", [["ä", None], None]),
        ([float("nan"), 0.5], pa.float64(), "DOUBLE", ["nan", 0.5]),
    ],
)
def test_what_json_has_no_kind_for_is_text(values: list, arrow: pa.DataType, duck: str, expected: list):
    table = pa.table({"a": pa.array(values, arrow)})
    answer = json.loads(render([Column("a", duck)], table.to_reader(), JSON, (10, 10_000), dict).body)
    assert [row[0] for row in answer["rows"]] == expected
    assert answer["row_count"] == len(values)
