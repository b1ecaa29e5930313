"""Logs of a given size: filled in process, the records read by processes beside it; cloned so that measuring one leaves it as it was."""

import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks import mixed, records
from benchmarks.options import Options
from benchmarks.peers.ours import ORIGIN, SUBMITTER, submit
from ledger.log.log import Log
from ledger.records.prepare import prepare
from ledger.records.prepared import Person, Prepared
from ledger.storage.anchor import default_anchor
from ledger.storage.layout import IDS, SEGMENTS

CHUNK, AHEAD = 1_000, 8
PATIENCE_S = 600.0
_people: dict[bytes, Person] = {}


class Kind(NamedTuple):
    """What a log is filled with.

    Attributes:
        texts: the records of chunk 0, 1, …, each with who submits it.
        people: everybody whom they name.
    """

    texts: Callable[[int], list[tuple[str, str]]]
    people: tuple[str, ...]


def _alike(chunk: int) -> list[tuple[str, str]]:  # noqa: ARG001 - each has ids of its own
    return [(SUBMITTER, text) for text in records.texts(CHUNK)]


ALIKE = Kind(_alike, tuple({records.record(number, "x")["request"]["user"] for number in range(CHUNK)}))
MIXED = Kind(mixed.texts, mixed.EVERYBODY)


class _Known:
    """The log's persons, in a process that reads records for it."""

    def person(self, value: bytes) -> Person:
        return _people[value]


def _begin(people: dict[bytes, Person]) -> None:
    _people.update(people)


def _read(kind: Kind, chunk: int) -> list[Prepared]:
    known = _Known()
    return [
        prepare(line.encode(), submitter=submitter, persons=known, origin=ORIGIN, agent_key=lambda _: None)
        for submitter, line in kind.texts(chunk)
    ]


@contextmanager
def kept(options: Options) -> Iterator[Path]:
    """Where logs are: the folder that the caller keeps, or one that goes."""
    if options.cache is not None:
        cache = options.cache / ("quick" if options.quick else "full")
        cache.mkdir(parents=True, exist_ok=True)
        yield cache.resolve()
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        yield Path(temporary)


def filled(data: Path, size: int, kind: Kind = ALIKE, *, of: Path | None = None, **opening) -> Path:
    """A log of that size in `data`, grown out of `of`; made where it is not there. Its last rename is what makes it count."""
    growing = data.with_name(f"growing-{data.name}")
    if not data.exists():
        if of is None:  # what was begun and never finished
            shutil.rmtree(growing, ignore_errors=True)
            default_anchor(growing).unlink(missing_ok=True)
        elif not growing.exists():
            clone(of, growing)
        began = time.perf_counter()
        fill(growing, size, kind, **opening)
        print(f"a log of {size} entries took {time.perf_counter() - began:.0f} s to make", file=sys.stderr)
        default_anchor(growing).rename(default_anchor(data))
        growing.rename(data)
    return data


def fill(data: Path, size: int, kind: Kind = ALIKE, **opening) -> None:
    """Grow the log in `data`, which is made where it is not there, to `size` entries, and wait until what is full is sealed."""
    if not data.exists():
        Log.create(data, ORIGIN)
    log = Log.open(data, **opening)
    people = {value: log.persons.person(value) for value in (f'"{user}"'.encode() for user in kind.people)}
    missing = size - log.head().size
    spawn = multiprocessing.get_context("spawn")  # a fork would copy the log's threads' locks
    with ProcessPoolExecutor(os.cpu_count(), spawn, _begin, (people,)) as pool:
        waiting: deque = deque()
        for items in _ahead(pool, kind, missing):
            waiting.append(submit(log, items))
            while len(waiting) > AHEAD // 2:
                waiting.popleft()()
        while waiting:
            waiting.popleft()()
    until = time.monotonic() + PATIENCE_S
    while log.sealing().waiting and time.monotonic() < until:
        time.sleep(0.1)
    log.close()


def _ahead(pool: ProcessPoolExecutor, kind: Kind, missing: int) -> Iterator[list[Prepared]]:
    """So many records, chunk by chunk; a few chunks are begun before they are wanted."""
    begun = deque(pool.submit(_read, kind, chunk) for chunk in range(AHEAD))
    told, given = 0, 0
    while missing > given:
        items = begun.popleft().result()[: missing - given]
        begun.append(pool.submit(_read, kind, AHEAD + told))
        told, given = told + 1, given + len(items)
        yield items
        if sys.stderr.isatty() or told % 100 == 0:
            print(f"\r{given} of {missing} records", end="", file=sys.stderr, flush=True)
    for unwanted in begun:
        unwanted.cancel()


def clone(data: Path, copy: Path) -> None:
    """A log to write on. What is never changed in place, segments and runs of the id index, is the same file in both."""

    def link(source: str, target: str) -> str:
        inside = Path(source).relative_to(data).parts[0]
        if inside in {SEGMENTS, IDS}:
            os.link(source, target)
            return target
        return shutil.copy2(source, target)

    shutil.copytree(data, copy, copy_function=link)
    shutil.copy2(default_anchor(data), default_anchor(copy))


def sizes_of(data: Path) -> dict[str, int]:
    """Bytes on the disk by kind: the name of a file, or of its folder where its own says nothing."""
    found: dict[str, int] = {}
    for path in (path for path in data.rglob("*") if path.is_file()):
        folder = path.relative_to(data).parts[0]
        kind = path.stem.partition("-")[0] if folder == SEGMENTS else folder
        found[kind] = found.get(kind, 0) + path.stat().st_blocks * 512
    return found
