"""Hashes and chain of a stretch from Arrow's own buffers: no entry becomes an object, unless it tells something.

This only ever says that a stretch is sound: each hash is the one stored, each `prev` the one before. Whatever is not plainly so is left to
`ledger.core.stretch.check_stretch`, which finds out what is wrong.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ledger.core.entry import OWN_SUBMITTER
from ledger.core.merkle import HASH_BYTES
from ledger.core.stretch import Sound

COLUMNS: Final = ("seq", "hash", "entry", "checkpoint")
_LEAF: Final = sha256(b"\x00")
_PREV: Final = np.frombuffer(b'{"prev":"', np.uint8)
_HEX: Final = 2 * HASH_BYTES
_HEAD: Final = len(_PREV) + _HEX
_SUBMITTER: Final = b',"submitter":"'
_OWN_END: Final = _SUBMITTER + OWN_SUBMITTER.encode() + b'","v":1}'
_BRACE: Final = ord("}")
_MAX_ENDS: Final = 8  # submitters that are looked for column-wise; those of further ones are read one by one


class _Texts(NamedTuple):
    """A column of texts: where each begins in the bytes of all, and where the last ends."""

    ends: Any
    data: Any

    def get(self, i: int) -> bytes:
        return bytes(self.data[self.ends[i] : self.ends[i + 1]])


class Plain(NamedTuple):
    """Rows that follow one another, each with a hash and an entry that begins with one. Nothing of that is checked yet.

    Attributes:
        first: the seq of the first.
        entries: their entries.
        hashes: their hashes as stored, one after the other.
        claims: what the entries say of the hash before them, in hex, one after the other.
        notes: the signed checkpoints stored on them, by seq.
        telling: the log's own entries and those with a signature, by seq; see `ledger.core.stretch`.
    """

    first: int
    entries: _Texts
    hashes: bytes
    claims: bytes
    notes: dict[int, bytes]
    telling: dict[int, bytes]


class Part(NamedTuple):
    """The entries [low, high) of some rows."""

    rows: Plain
    low: int
    high: int

    def places(self, width: int) -> slice:
        """Where theirs are in what has `width` bytes for each row."""
        return slice((self.low - self.rows.first) * width, (self.high - self.rows.first) * width)


def plain_rows(first: int, table: pa.Table) -> Plain | None:
    """Rows as their buffers have them; None where they are not plain.

    Args:
        first: the seq that the first has to have.
        table: the rows, `COLUMNS`.
    """
    if not table.num_rows or any(table.column(name).null_count for name in COLUMNS[:3]):
        return None
    seqs = table.column("seq").to_numpy()
    if not np.array_equal(seqs, np.arange(first, first + table.num_rows, dtype=np.uint64)):
        return None
    entries, hashes = _texts(table.column("entry")), _texts(table.column("hash"))
    if np.any(np.diff(entries.ends) < _HEAD) or not np.all(np.diff(hashes.ends) == HASH_BYTES):
        return None
    claims = _claims(entries)
    if claims is None:
        return None
    column = table.column("checkpoint")
    return Plain(
        first,
        entries,
        bytes(hashes.data[hashes.ends[0] : hashes.ends[-1]]),
        claims,
        {first + i: column[i].as_py().encode() for i in pc.indices_nonzero(column.is_valid()).to_pylist()},
        {first + i: entries.get(i) for i in sorted(_telling(entries))},
    )


def sound_stretch(start: int, stop: int, parts: Sequence[Part]) -> Sound | None:
    """A stretch whose hashes and chain hold; None where that is not plain.

    Args:
        start: its first entry.
        stop: the entry after its last.
        parts: its entries, and any after them.
    """
    ends = [start, *(part.high for part in parts)]
    if ends[:-1] != [part.low for part in parts] or ends[-1] < stop:
        return None
    hashes: list[bytes] = []
    for part in parts:
        hashes += leaf_hashes(part._replace(high=min(part.high, stop)))
    computed = b"".join(hashes)
    if not b"".join(part.rows.hashes[part.places(HASH_BYTES)] for part in parts).startswith(computed):
        return None
    claims = b"".join(part.rows.claims[part.places(_HEX)] for part in parts)
    ahead = ends[-1] > stop
    linked = computed if ahead else computed[:-HASH_BYTES]
    if not claims.startswith(linked.hex().encode(), _HEX):
        return None
    notes = {seq: note for part in parts for seq, note in part.rows.notes.items() if start <= seq < stop}
    telling = [item for part in parts for item in part.rows.telling.items() if start <= item[0] < stop]
    return Sound(start, hashes, claims[:_HEX], ahead, notes, telling)


def leaf_hashes(part: Part) -> list[bytes]:
    """The hashes computed of the entries' bytes."""
    copy, data = _LEAF.copy, part.rows.entries.data
    at = part.rows.entries.ends[part.low - part.rows.first : part.high - part.rows.first + 1].tolist()
    # `update` gives None: an expression costs less than statements.
    return [
        (state := copy()).update(entry) or state.digest()  # type: ignore[func-returns-value]
        for entry in map(data.__getitem__, map(slice, at, at[1:]))
    ]


def _texts(column: pa.ChunkedArray) -> _Texts:
    chunk = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    _, ends, data = chunk.buffers()
    at = np.frombuffer(ends, np.int32, len(chunk) + 1, chunk.offset * 4)
    return _Texts(at, memoryview(data if data is not None else b""))


def _windows(data: Any, width: int) -> Any:
    """The `width` bytes from each place on, one item each: numpy copies an item at once, and a row of bytes one by one."""
    return np.ndarray((len(data) - width + 1,), f"V{width}", data, 0, (1,))


def _claims(entries: _Texts) -> bytes | None:
    """What the entries say of the hash before them, in hex, one after the other; None where one does not begin so."""
    heads = _windows(entries.data, _HEAD)[entries.ends[:-1]].view(np.uint8).reshape(-1, _HEAD)
    if not np.array_equal(heads[:, : len(_PREV)], np.broadcast_to(_PREV, (len(heads), len(_PREV)))):
        return None
    return bytes(heads[:, len(_PREV) :].tobytes())


def _telling(entries: _Texts) -> list[int]:
    """The places of the log's own entries and of those with a signature."""
    left = np.arange(len(entries.ends) - 1)
    telling: list[int] = []
    for _ in range(_MAX_ENDS):
        if not len(left):
            break
        last = entries.get(int(left[-1]))
        at = last.rfind(_SUBMITTER)
        if at <= 0:
            break
        end = last[at:]
        like, before = _ending(entries, left, end)
        # A signature, an object, would stand right before the submitter.
        telling += left[like if end == _OWN_END else like & (before == _BRACE)].tolist()
        left = left[~like]
    return telling + [i for i in left.tolist() if _tells(entries.get(i))]


def _tells(entry: bytes) -> bool:
    at = entry.rfind(_SUBMITTER)
    return at <= 0 or entry[at - 1] == _BRACE or entry[at:] == _OWN_END


def _ending(entries: _Texts, places: Any, end: bytes) -> tuple[Any, Any]:
    """Which of the entries end so, and what byte stands before."""
    ends, width = entries.ends[places + 1], len(end) + 1
    whole = ends - entries.ends[places] >= width
    tails = _windows(entries.data, width)[np.where(whole, ends - width, 0)].view(np.uint8).reshape(-1, width)
    same = tails[:, 1:].tobytes() == end * len(places)  # most often they are, and that costs less to see
    like = whole if same else whole & np.all(tails[:, 1:] == np.frombuffer(end, np.uint8), axis=1)
    return like, tails[:, 0]
