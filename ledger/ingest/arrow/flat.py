"""Just enough of FlatBuffers to read the sizes in Arrow's metadata before Arrow's own reader allocates by them.

Every position is checked against the buffer before it is followed, and none is followed backwards into what holds no table: a lie
gives a FormatError and never a read outside. https://flatbuffers.dev/internals/
"""

import struct
from typing import Self

from ledger.core.errors import Code, FormatError

_OFFSET_BYTES = 4


def malformed(why: str) -> FormatError:
    """A refusal of the whole stream."""
    return FormatError(Code.MALFORMED_ARROW, f"the body is not an Arrow IPC stream: {why}")


class Table:
    """One table in a FlatBuffers buffer; fields are numbered as in Arrow's `.fbs` files, a union takes two numbers."""

    __slots__ = ("_data", "_fields", "_place", "_size")

    def __init__(self, data: memoryview, place: int) -> None:
        self._data, self._place = data, place
        self._fields = place - int(self._number("<i", place))
        self._size = int(self._number("<H", self._fields))

    @classmethod
    def root(cls, data: memoryview) -> Self:
        """The table that the buffer begins with."""
        (place,) = _unpacked("<I", data, 0)
        return cls(data, place)

    def number(self, field: int, form: str, default: int = 0) -> int:
        """A scalar field; `form` as `struct` has it."""
        at = self._at(field)
        return default if at is None else self._number(form, at)

    def table(self, field: int) -> "Table | None":
        """A table field."""
        at = self._at(field)
        return None if at is None else Table(self._data, self._followed(at))

    def pairs(self, field: int, limit: int) -> list[tuple[int, int]]:
        """A vector of structs of two int64."""
        numbers = self._vector(field, 2 * limit, "q", 2)
        return list(zip(numbers[::2], numbers[1::2], strict=True))

    def length(self, field: int) -> int:
        """How many elements a vector field says it has."""
        at = self._at(field)
        return 0 if at is None else self._number("<I", self._followed(at))

    def _vector(self, field: int, limit: int, form: str, width: int) -> tuple[int, ...]:
        at = self._at(field)
        if at is None:
            return ()
        start = self._followed(at)
        count = self._number("<I", start) * width
        if count > limit:
            raise malformed("its metadata lists more buffers than its columns could have")
        return _unpacked(f"<{count}{form}", self._data, start + _OFFSET_BYTES)

    def _at(self, field: int) -> int | None:
        entry = _OFFSET_BYTES + 2 * field
        if entry + 2 > self._size:
            return None
        offset = self._number("<H", self._fields + entry)
        return self._place + offset if offset else None

    def _followed(self, at: int) -> int:
        return at + self._number("<I", at)

    def _number(self, form: str, at: int) -> int:
        return _unpacked(form, self._data, at)[0]


def _unpacked(form: str, data: memoryview, at: int) -> tuple[int, ...]:
    if at < 0:
        raise malformed("its metadata points outside itself")
    try:
        return struct.unpack_from(form, data, at)
    except struct.error:
        raise malformed("its metadata points outside itself") from None
