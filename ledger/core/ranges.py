"""Sets of sequence numbers as ranges: what a policy removed or a hold keeps may be millions of entries, and is few ranges.

A range is half-open, [from, to), and stands in the log's own entries as `[[from, to], …]`.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ledger.core.canonical import MAX_INTEGER
from ledger.core.errors import Code, LedgerError


class Ranges:
    """A set of sequence numbers. Never changed: operations make another. Costs 16 bytes a range."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        """Of pairs in any order, which may touch and overlap; an empty one counts for nothing."""
        self._starts, self._ends = array("Q"), array("Q")
        for start, end in sorted(pair for pair in pairs if pair[0] < pair[1]):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The ranges in order; no two of them touch."""
        return zip(self._starts, self._ends, strict=True)

    def __len__(self) -> int:
        """Number of ranges."""
        return len(self._starts)

    def __contains__(self, seq: int) -> bool:
        at = bisect_right(self._starts, seq) - 1
        return at >= 0 and seq < self._ends[at]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and (self._starts, self._ends) == (other._starts, other._ends)

    def __hash__(self) -> int:
        return hash((self._starts.tobytes(), self._ends.tobytes()))

    def __repr__(self) -> str:
        return f"Ranges({list(self)})"

    @property
    def count(self) -> int:
        """Number of sequence numbers in it."""
        return sum(self._ends) - sum(self._starts)

    def pairs(self) -> list[list[int]]:
        """As JSON has it; `parse_ranges` reads it."""
        return [list(pair) for pair in self]

    def __or__(self, other: "Ranges") -> "Ranges":
        many, few = (self, other) if len(self) >= len(other) else (other, self)
        made = many._copy()
        for start, end in few:
            first, beyond = bisect_left(made._ends, start), bisect_right(made._starts, end)
            if first < beyond:
                start, end = min(start, made._starts[first]), max(end, made._ends[beyond - 1])  # noqa: PLW2901
            made._splice(first, beyond, [(start, end)])
        return made

    def __sub__(self, other: "Ranges") -> "Ranges":
        made = self._copy()
        for start, end in other:
            first, beyond = bisect_right(made._ends, start), bisect_left(made._starts, end)
            if first < beyond:
                left = (made._starts[first], start)
                right = (end, made._ends[beyond - 1])
                made._splice(first, beyond, [pair for pair in (left, right) if pair[0] < pair[1]])
        return made

    def __and__(self, other: "Ranges") -> "Ranges":
        many, few = (self, other) if len(self) >= len(other) else (other, self)
        return Ranges(pair for start, end in few for pair in many.clip(start, end))

    def clip(self, low: int, high: int) -> "Ranges":
        """What of it lies in [low, high)."""
        first, beyond = bisect_right(self._ends, low), bisect_left(self._starts, high)
        made = Ranges()
        if first < beyond:
            made._starts, made._ends = self._starts[first:beyond], self._ends[first:beyond]
            made._starts[0], made._ends[-1] = max(low, made._starts[0]), min(high, made._ends[-1])
        return made

    def before(self, reached: Callable[[int], bool]) -> "Ranges":
        """What of it lies before the first sequence number that has `reached` something; all after that one have, too.

        Asks about few: a binary search.
        """
        within = bisect_left(self._starts, True, key=reached) - 1  # the range in which it may be
        if within < 0:
            return Ranges()
        start, end = self._starts[within], self._ends[within]
        return self.clip(0, start + bisect_left(range(start, end), True, key=reached))

    def _copy(self) -> "Ranges":
        made = Ranges()
        made._starts, made._ends = self._starts[:], self._ends[:]
        return made

    def _splice(self, first: int, beyond: int, pairs: list[tuple[int, int]]) -> None:
        self._starts[first:beyond] = array("Q", [start for start, _ in pairs])
        self._ends[first:beyond] = array("Q", [end for _, end in pairs])


def parse_ranges(value: Any) -> Ranges:
    """Ranges of parsed JSON: `[[from, to], …]`, 0 ≤ from < to ≤ 2^53-1.

    Raises:
        LedgerError: `invalid-parameter`.
    """
    if not isinstance(value, list):
        raise _no_range(value)
    return Ranges(map(_pair, value))


def _pair(value: Any) -> tuple[int, int]:
    match value:
        case [int(start), int(end)] if not isinstance(start, bool) and 0 <= start < end <= MAX_INTEGER:
            return start, end
    raise _no_range(value)


def _no_range(value: Any) -> LedgerError:
    shown = ascii(value)[:60]
    return LedgerError(
        Code.INVALID_PARAMETER, f"{shown} is no range of entries: [from, to] with 0 <= from < to is one"
    )
