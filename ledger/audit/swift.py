"""Hashes and chain of a stretch from Arrow's own buffers: no entry becomes an object, unless it tells something.

This only ever says that a stretch is sound: each hash is the one stored, each `prev` the one before. Whatever is not plainly so is left to
`ledger.core.stretch.check_stretch`, which finds out what is wrong.
"""

from collections.abc import Iterator
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


def sound_stretch(start: int, stop: int, table: pa.Table) -> Sound | None:
    """A stretch whose hashes and chain hold; None where that is not plain.

    Args:
        start: its first entry.
        stop: the entry after its last.
        table: its rows, `COLUMNS`, and any after it.
    """
    count = stop - start
    if table.num_rows < count or any(table.column(name).null_count for name in COLUMNS[:3]):
        return None
    if not np.array_equal(
        table.column("seq").to_numpy(), np.arange(start, start + table.num_rows, dtype=np.uint64)
    ):
        return None
    texts = [_texts(chunk) for chunk in table.column("entry").chunks if len(chunk)]
    if any(bool(np.any(np.diff(each.ends) < _HEAD)) for each in texts):
        return None
    hashes = _hashes(texts, count)
    stored = b"".join(
        bytes(each.data[each.ends[0] : each.ends[-1]]) for each in map(_texts, table.column("hash").chunks)
    )
    if stored[: count * HASH_BYTES] != b"".join(hashes) or not _all_hashes(table):
        return None
    claims = _claims(texts)
    ahead = table.num_rows > count
    linked = hashes if ahead else hashes[:-1]
    if claims is None or claims[_HEX : (len(linked) + 1) * _HEX] != b"".join(linked).hex().encode():
        return None
    column = table.column("checkpoint").slice(0, count)
    notes = {
        start + i: column[i].as_py().encode() for i in pc.indices_nonzero(pc.is_valid(column)).to_pylist()
    }
    telling = [(start + i, data) for i, data in _telling(texts) if i < count]
    return Sound(start, hashes, claims[:_HEX], ahead, notes, telling)


def _texts(chunk: pa.Array) -> _Texts:
    _, ends, data = chunk.buffers()
    at = np.frombuffer(ends, np.int32, len(chunk) + 1, chunk.offset * 4)
    return _Texts(at, memoryview(data if data is not None else b""))


def _all_hashes(table: pa.Table) -> bool:
    return all(
        bool(np.all(np.diff(_texts(chunk).ends) == HASH_BYTES)) for chunk in table.column("hash").chunks
    )


def _hashes(texts: list[_Texts], count: int) -> list[bytes]:
    copy = _LEAF.copy
    hashes: list[bytes] = []
    for ends, data in texts:
        at = ends[: count - len(hashes) + 1].tolist()
        # `update` gives None: an expression costs less than statements.
        hashes += [
            (state := copy()).update(part) or state.digest()  # type: ignore[func-returns-value]
            for part in map(data.__getitem__, map(slice, at, at[1:]))
        ]
    return hashes


def _windows(data: Any, width: int) -> Any:
    """The `width` bytes from each place on, one item each: numpy copies an item at once, and a row of bytes one by one."""
    return np.ndarray((len(data) - width + 1,), f"V{width}", data, 0, (1,))


def _claims(texts: list[_Texts]) -> bytes | None:
    """What the entries say of the hash before them, in hex, one after the other; None where one does not begin so."""
    parts = []
    for ends, data in texts:
        heads = _windows(data, _HEAD)[ends[:-1]].view(np.uint8).reshape(-1, _HEAD)
        if not np.array_equal(heads[:, : len(_PREV)], np.broadcast_to(_PREV, (len(heads), len(_PREV)))):
            return None
        parts.append(heads[:, len(_PREV) :].tobytes())
    return b"".join(parts)


def _telling(texts: list[_Texts]) -> Iterator[tuple[int, bytes]]:
    """The entries of the log itself and those with a signature, and where each is; see `ledger.core.stretch`."""
    first = 0
    for each in texts:
        left = np.arange(len(each.ends) - 1)
        telling: list[int] = []
        for _ in range(_MAX_ENDS):
            if not len(left):
                break
            last = each.get(int(left[-1]))
            at = last.rfind(_SUBMITTER)
            if at <= 0:
                break
            end = last[at:]
            like = _ending(each, left, end)
            alike = left[like]
            if end == _OWN_END:
                telling += alike.tolist()
            else:  # a signature, an object, would stand right before the submitter
                before = np.frombuffer(each.data, np.uint8)[each.ends[alike + 1] - len(end) - 1]
                telling += alike[before == _BRACE].tolist()
            left = left[~like]
        telling += [i for i in left.tolist() if _tells(each.get(i))]
        for i in sorted(telling):
            yield first + i, each.get(i)
        first += len(each.ends) - 1


def _tells(entry: bytes) -> bool:
    at = entry.rfind(_SUBMITTER)
    return at <= 0 or entry[at - 1] == _BRACE or entry[at:] == _OWN_END


def _ending(texts: _Texts, places: Any, end: bytes) -> Any:
    """Which of the entries end so."""
    ends = texts.ends[places + 1]
    whole = ends - texts.ends[places] > len(end)
    from_ = np.where(whole, ends - len(end), 0)
    tails = _windows(texts.data, len(end))[from_].view(np.uint8).reshape(-1, len(end))
    return whole & np.all(tails == np.frombuffer(end, np.uint8), axis=1)
