"""Columns as they were sent → text and int64 alone: dictionaries and views written out, timestamps and nested values as text.

A dictionary says a long value once and points at it ten thousand times, a view does the same: what they become is added up before it is made.
"""

from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from ledger.ingest.arrow.framing import too_large
from ledger.records.columns import Column
from ledger.records.limits import BODY_BYTES, MAX_LIST_ITEMS

_VIEW_INTS: Final = 4  # of a string view: its length, and three that say where it lies
_SECONDS_OF: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FIRST_S, _END_S = -62_135_596_800, 253_402_300_800  # the years 1 to 9999
_encode = msgspec.json.Encoder().encode


class Budget:
    """How many bytes the columns may still become."""

    def __init__(self, left: int = BODY_BYTES) -> None:
        self._left = left

    def spend(self, size: int) -> None:
        """Count what is about to be made.

        Raises:
            LedgerError: `body-too-large`.
        """
        self._left -= size
        if self._left < 0:
            raise too_large()


def plain(column: Column, array: pa.Array, budget: Budget) -> pa.Array:
    """A validated column as `pa.string()` or `pa.int64()`.

    Raises:
        LedgerError: `body-too-large`.
    """
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if types.is_null(array.type):
        return pa.nulls(len(array), pa.int64() if column.shape == "int64" else pa.string())
    if types.is_integer(array.type):
        return _int64(array)
    if types.is_timestamp(array.type):
        return _times(array)
    if types.is_nested(array.type):
        return _json(array, budget)
    return _text(array, budget)


def _text(array: pa.Array, budget: Budget) -> pa.Array:
    if types.is_dictionary(array.type):
        values = _text(array.dictionary, budget)
        size = pc.sum(pc.binary_length(values).take(array.indices)).as_py()
        budget.spend(size or 0)
        return values.take(array.indices)
    if types.is_string_view(array.type):
        budget.spend(_view_bytes(array))
    return array if types.is_string(array.type) else array.cast(pa.string())


def _view_bytes(array: pa.Array) -> int:
    """Length of all texts of a view. Nothing in Arrow's library says it."""
    views = array.buffers()[1]
    if views is None or not len(array):
        return 0
    first = array.offset * _VIEW_INTS
    lengths = (
        memoryview(views)[: 4 * (first + len(array) * _VIEW_INTS)].cast("B").cast("i")[first::_VIEW_INTS]
    )
    return sum(size for size, valid in zip(lengths, array.is_valid().to_pylist(), strict=True) if valid)


def _int64(array: pa.Array) -> pa.Array:
    if types.is_uint64(array.type):  # what is too large stays too large
        array = pc.min_element_wise(array, pa.scalar(2**63 - 1, pa.uint64()), skip_nulls=False)
    return array.cast(pa.int64())


def _times(array: pa.Array) -> pa.Array:
    """As RFC 3339, with as many digits as the unit has. What lies outside the years that it can say is left a number, and refused."""
    unit = _SECONDS_OF[array.type.unit]
    numbers = array.cast(pa.int64())
    if not len(array) or array.null_count == len(array):
        return numbers.cast(pa.string())
    sayable = pc.and_(
        pc.greater_equal(numbers, max(_FIRST_S * unit, -(2**63))),
        pc.less(numbers, min(_END_S * unit, 2**63 - 1)),
    )
    # Without its zone, which is UTC: for one Arrow looks into the machine's time zone database, and there may be none.
    safe = pc.if_else(sayable, numbers, pa.scalar(0, pa.int64())).cast(pa.timestamp(array.type.unit))
    said = pc.binary_join_element_wise(pc.binary_replace_slice(safe.cast(pa.string()), 10, 11, "T"), "Z", "")
    return pc.if_else(sayable, said, numbers.cast(pa.string()))


def _json(array: pa.Array, budget: Budget) -> pa.Array:
    """Each row's nested value as JSON, null members left out: they are missing."""
    for leaf in _leaves(array):
        if types.is_string_view(leaf.type):
            budget.spend(_view_bytes(leaf))
    texts = (None if value is None else _encode(_present(value)).decode() for value in map(_as_py, array))
    return pa.array(texts, pa.string(), size=len(array))


def _as_py(value: pa.Scalar) -> Any:
    """A list is cut at one more than a record may have: that is refused like a million more, and costs less."""
    if isinstance(value, pa.ListScalar | pa.LargeListScalar) and value.is_valid:
        return value.values.slice(0, MAX_LIST_ITEMS + 1).to_pylist()
    return value.as_py()


def _leaves(array: pa.Array) -> list[pa.Array]:
    if types.is_struct(array.type):
        return [leaf for index in range(array.type.num_fields) for leaf in _leaves(array.field(index))]
    if types.is_nested(array.type):
        return _leaves(array.values)
    return [array]


def _present(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _present(below) for name, below in value.items() if below is not None}
    if isinstance(value, list):
        return [_present(item) for item in value]
    return value
