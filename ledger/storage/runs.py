"""Sorted runs: the files of the id index. Each says which entries of a range may have a given key.

A file `<start>-<end>.ids` is a header of 64 bytes, then one key per entry of [start, end) in ascending order, then the place of each:

    magic (16) | start (8) | end (8) | SHA-256 of what follows and of start and end (32) | keys (8 each) | seq - start (4 each)

All numbers are little-endian. A run is written beside its place, synced and renamed; it never changes; it is read through a memory
map, so that the kernel may take the memory back. It is derived: one that is damaged is thrown away and made anew.
"""

import hashlib
import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from ledger.storage.files import sync_folder

SUFFIX: Final = ".ids"
PIECE_ENTRIES: Final = 1 << 16  # merged at a time: numpy then keeps no other thread waiting for a millisecond
SYNC_BYTES: Final = 8 * 1024 * 1024  # at a time: commits wait for the same disk
RUN_ENTRIES_LIMIT: Final = 1 << 32  # a place has four bytes
BUCKET_KEYS: Final = 32
FEW: Final = 32  # ids that a plain search finds sooner
_MAGIC: Final = b"ledger ids v1\n\0\0"
_HEADER: Final = struct.Struct("<16sQQ32s")
_KEY, _PLACE = np.dtype("<u8"), np.dtype("<u4")
_READ_BYTES: Final = 1 << 20
_MODE: Final = 0o600

Keys = NDArray[np.uint64]
Places = NDArray[np.uint32]


class RunDamaged(Exception):  # noqa: N818 - says what is, and is never shown to anyone: the run is made anew
    """The file is not the run that its name promises."""


@dataclass(frozen=True, eq=False)
class Run:
    """An open run: entry `start + places[i]` has key `keys[i]`; the keys ascend. Memory-mapped, read by any thread."""

    path: Path
    start: int
    end: int
    keys: Keys
    places: Places
    directory: "Directory"

    def find(self, wanted: Keys) -> Iterator[tuple[int, int]]:
        """(index in `wanted`, seq) of every entry whose key is one of `wanted`, which must ascend."""
        lows = self.directory.lows(self.keys, wanted)
        inside = np.minimum(lows, len(self.keys) - 1)
        for index in np.flatnonzero(self.keys[inside] == wanted).tolist():
            at = int(lows[index])
            while at < len(self.keys) and self.keys[at] == wanted[index]:
                yield index, self.start + int(self.places[at])
                at += 1


class Directory:
    """Where the keys with given leading bits begin: six steps find a key in a run, which near memory then takes, instead of twenty-three.

    It takes 4 bytes for each `BUCKET_KEYS` keys, and is made at each start.
    """

    def __init__(self, keys: Keys) -> None:
        bits = max(0, (len(keys) // BUCKET_KEYS).bit_length() - 1)
        self._shift = np.uint64(64 - bits)
        self._begins: Places = np.zeros(0, _PLACE)
        self._steps = 0
        if bits:
            bounds = np.arange(1 << bits, dtype=_KEY) << self._shift
            self._begins = np.append(np.searchsorted(keys, bounds), len(keys)).astype(_PLACE)
            self._steps = int(np.diff(self._begins).max()).bit_length()

    def lows(self, keys: Keys, wanted: Keys) -> NDArray[np.intp]:
        """What `np.searchsorted(keys, wanted)` gives."""
        if not self._steps or len(wanted) < FEW:
            return np.searchsorted(keys, wanted)
        bucket = (wanted >> self._shift).astype(np.intp)
        lows, highs = self._begins[bucket].astype(np.intp), self._begins[bucket + 1].astype(np.intp)
        for _ in range(self._steps):
            middles = (lows + highs) >> 1
            less = (keys[np.minimum(middles, len(keys) - 1)] < wanted) & (middles < highs)
            lows, highs = np.where(less, middles + 1, lows), np.where(less, highs, middles)
        return lows


def run_name(start: int, end: int) -> str:
    """The name of the run of the entries [start, end)."""
    return f"{start:016d}-{end:016d}{SUFFIX}"


def parse_run_name(name: str) -> tuple[int, int] | None:
    """Start and end of the run with this name, None where it is no run's."""
    start, _, end = name.removesuffix(SUFFIX).partition("-")
    if not (start.isdecimal() and end.isdecimal() and name.isascii()):
        return None
    place = int(start), int(end)
    return place if place[0] < place[1] and run_name(*place) == name else None


def open_run(path: Path) -> Run:
    """Open a run, having read every byte of it and compared the digest.

    Raises:
        RunDamaged: it is not whole, or cannot be read.
    """
    place = parse_run_name(path.name)
    if place is None:
        raise RunDamaged(f"{path.name} is not the name of a run")
    start, end = place
    try:
        with path.open("rb") as file:
            header = _HEADER.unpack(file.read(_HEADER.size))
            if header[:3] != (_MAGIC, start, end) or os.fstat(file.fileno()).st_size != _size(end - start):
                raise RunDamaged(f"{path} is not a run of the entries {start} to {end - 1}")
            if _read_digest(file, start, end) != header[3]:
                raise RunDamaged(f"{path} was altered since it was written")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError, struct.error) as error:
        raise RunDamaged(f"{path} cannot be read: {error}") from error
    count = end - start
    keys: Keys = np.frombuffer(mapped, _KEY, count, _HEADER.size)
    places: Places = np.frombuffer(mapped, _PLACE, count, _HEADER.size + 8 * count)
    return Run(path, start, end, keys, places, Directory(keys))


def write_run(folder: Path, start: int, keys: Keys) -> Path:
    """Make the run of the entries from `start`, whose keys are given in the order of the entries; on return it is durable.

    Raises:
        OSError: there is no such run, or the one that was there before.
    """
    order = np.argsort(keys, kind="stable")
    pieces = [(keys[order].astype(_KEY), order.astype(_PLACE))]
    return _write(folder, start, start + len(keys), iter(pieces))


def merge_runs(folder: Path, runs: Sequence[Run]) -> Path:
    """Make one run of several that adjoin; on return it is durable, and they are still there.

    It takes the runs apart by ranges of keys, so memory is bounded by `PIECE_ENTRIES` whatever their length: keys are hashes, and spread evenly.

    Raises:
        OSError: there is no such run.
    """
    return _write(folder, runs[0].start, runs[-1].end, _merged(runs))


def _merged(runs: Sequence[Run]) -> Iterator[tuple[Keys, Places]]:
    base, total = runs[0].start, runs[-1].end - runs[0].start
    longest = max(runs, key=lambda run: len(run.keys)).keys
    bounds = longest[:: max(1, len(longest) * PIECE_ENTRIES // total)][1:].copy()
    cuts = [[0, *np.searchsorted(run.keys, bounds).tolist(), len(run.keys)] for run in runs]
    for piece in range(len(bounds) + 1):
        parts = [slice(cut[piece], cut[piece + 1]) for cut in cuts]
        keys = np.concatenate([run.keys[part] for run, part in zip(runs, parts, strict=True)])
        places = np.concatenate(
            [run.places[part] + np.uint32(run.start - base) for run, part in zip(runs, parts, strict=True)]
        )
        order = np.argsort(keys, kind="stable")
        yield keys[order], places[order]


def _write(folder: Path, start: int, end: int, pieces: Iterator[tuple[Keys, Places]]) -> Path:
    path = folder / run_name(start, end)
    beside = folder / f".{path.name}.new"
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
    try:
        of_keys, of_places = hashlib.sha256(), hashlib.sha256()
        at, then = _HEADER.size, _HEADER.size + 8 * (end - start)
        synced = at
        for keys, places in pieces:
            at = _put(fd, at, keys, of_keys)
            then = _put(fd, then, places, of_places)
            if at - synced >= SYNC_BYTES:
                os.fdatasync(fd)
                synced = at
        digest = _digest(start, end, of_keys.digest(), of_places.digest())
        _put(fd, 0, np.frombuffer(_HEADER.pack(_MAGIC, start, end, digest), np.uint8), hashlib.sha256())
        os.fsync(fd)
    except BaseException:
        beside.unlink(missing_ok=True)  # on a full disk it would stand in the way of what matters
        raise
    finally:
        os.close(fd)
    beside.rename(path)
    sync_folder(folder)
    return path


def _put(fd: int, at: int, numbers: NDArray[Any], digest: Any) -> int:
    view = numbers.data.cast("B")
    digest.update(view)
    while view:
        count = os.pwrite(fd, view, at)
        at += count
        view = view[count:]
    return at


def _size(count: int) -> int:
    return _HEADER.size + (_KEY.itemsize + _PLACE.itemsize) * count


def _digest(start: int, end: int, of_keys: bytes, of_places: bytes) -> bytes:
    return hashlib.sha256(b"%d-%d" % (start, end) + of_keys + of_places).digest()


def _read_digest(file: BinaryIO, start: int, end: int) -> bytes:
    digests = []
    for width in (_KEY.itemsize, _PLACE.itemsize):
        digest, left = hashlib.sha256(), width * (end - start)
        while left and (some := file.read(min(left, _READ_BYTES))):
            digest.update(some)
            left -= len(some)
        digests.append(digest.digest())
    return _digest(start, end, *digests)
