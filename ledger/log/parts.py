"""Where the entries of a log are: in which segment or hot file, from which one on."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from ledger.storage.hot import HotFile
from ledger.storage.removed import Removed
from ledger.storage.segment import Segment

Source: TypeAlias = HotFile | Segment


class Part(NamedTuple):
    """Entries from `start` on, and where they are.

    Attributes:
        start: the first.
        source: where.
        removed: of a full hot file: what was gone when its last entry was written; None where it was full at the start already.
        filled: how much of what a hot file takes is in it, of one that is full; one that was sealed on purpose may be small.
    """

    start: int
    source: Source
    removed: Removed | None = None
    filled: float = 0.0


class Full(NamedTuple):
    """A hot file that waits to be sealed: its entries, [start, end), and `Part.removed`."""

    start: int
    end: int
    file: HotFile
    removed: Removed | None


class Hot(NamedTuple):
    """A hot file that was found: its generation and its entries, [start, end)."""

    generation: int
    start: int
    end: int
    file: HotFile


def full_parts(parts: Sequence[Part]) -> list[Full]:
    """The hot files that wait to be sealed: all but the last, which is written."""
    return [
        Full(part.start, after.start, part.source, part.removed)
        for part, after in pairwise(parts)
        if isinstance(part.source, HotFile)
    ]


def filled_by(parts: Sequence[Part]) -> float:
    """How much waits to be sealed, in full hot files."""
    return sum(part.filled for part in parts if isinstance(part.source, HotFile))


def sealed_end(parts: Sequence[Part]) -> int:
    """The number of entries that are in segments."""
    return next((part.start for part in parts if isinstance(part.source, HotFile)), 0)


def newest_note(parts: Sequence[Part]) -> bytes | None:
    """The signed note on the newest row, None where there is none.

    Raises:
        ClosedError: a hot file was sealed meanwhile.
    """
    for part in reversed(parts):
        if isinstance(part.source, Segment):
            return part.source.manifest.checkpoint
        if part.source.bounds() is not None:
            return part.source.newest_checkpoint()
    return None
