"""Verifies everything that is stored of a log, as an outsider would: shares only `core` with the writer.

`verify_folder` reads a stopped log's folder, `verify_live` a running one. Every column of every table is either checked against the signed
bytes, or reported as something that the log does not cover.
"""

import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from ledger.core.checkpoint import parse_checkpoint
from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.note import VerifierKey, parse_note, parse_vkey
from ledger.core.report import Findings, Kind, Level, Report
from ledger.core.stretch import STRETCH_ENTRIES, Hints, Outcome, check_stretch
from ledger.core.verify import Pin, Verifier
from ledger.log.anchor import HeadAnchor, default_anchor
from ledger.log.beside import SHAPES, Absences, Beside, Explained, Groups
from ledger.log.log import DATABASE
from ledger.log.readonly import ReadOnly, Stretch, UnreadableError, as_person, as_stretch, refuse_running
from ledger.log.schema import ROW_SCHEMA

AHEAD = 4  # stretches that each process has or waits for
HEAD_WAIT_S = 2.0
HEAD_POLL_S = 0.01

Progress = Callable[[int, int], None]
_Check = Callable[[int, Hints], "Checked | str"]


class Checked(NamedTuple):
    """A stretch that was verified by itself, with what stands beside it."""

    outcome: Outcome
    absences: Absences
    first_row: tuple[int, str] | None
    last_row: tuple[int, str, bool]


class _Running(Protocol):
    """What `verify_live` needs of `ledger.log.log.Log`."""

    vkey: str

    def head(self) -> Any: ...
    def rows(self, start: int, end: int, *, contents: bool = True) -> Iterator[pa.RecordBatch]: ...
    def person_rows(self, start: int, end: int) -> pa.Table: ...
    def anchored(self) -> str: ...


def verify_folder(
    data: Path,
    *,
    vkey: VerifierKey | None = None,
    pins: Iterable[Pin | bytes] = (),
    receipts: Iterable[bytes] = (),
    anchor: Path | None = None,
    progress: Progress | None = None,
    processes: int = 1,
) -> Report:
    """Verify the folder of a stopped log. Nothing in it is changed.

    Args:
        data: the folder.
        vkey: the log's first key, got elsewhere; else what entry 0 says is taken, and the report says so.
        pins: checkpoints kept elsewhere.
        receipts: receipts kept elsewhere.
        anchor: a head anchor that is kept out of reach of the log's machine; then it counts as an anchor. The default one, beside the
            folder, is compared too where it is there, but does not count: who can rewrite the one can rewrite the other.
        progress: told entries done and in all.
        processes: how many to spread the work over.

    Raises:
        LedgerError: `not-found` where there is no log, `locked` where its writer runs.
        OSError: the head anchor cannot be read.
    """
    path = data / DATABASE
    if not path.exists():
        raise LedgerError(Code.NOT_FOUND, f"there is no log in {data}")
    refuse_running(data)
    pins = [*pins, *_anchor_pin(anchor or default_anchor(data), outside=anchor is not None)]
    try:
        source = ReadOnly(path)
    except UnreadableError as error:
        return _unreadable(f"the database {path.name}", str(error))
    try:
        verifier = _verifier(source, vkey, pins, receipts)
        return (
            verifier if isinstance(verifier, Report) else _verify(source, path, verifier, progress, processes)
        )
    except UnreadableError as error:
        return _unreadable(f"the database {path.name}", str(error))
    finally:
        source.close()


def _verifier(
    source: ReadOnly, vkey: VerifierKey | None, pins: Sequence[Pin | bytes], receipts: Iterable[bytes]
) -> Verifier | Report:
    """A verifier of what was opened; or a report, where there is nothing to begin with."""
    findings = Findings()
    if not source.check_shape(findings):
        return _only(findings)
    key = vkey or _key_of(source.entry(0))
    if key is None:
        return _unreadable("entry 0", "it names no verifier key that could be used; give the one you know")
    verifier = Verifier(key, pins=pins, receipts=receipts, level=Level.EVERYTHING, own_key=vkey is None)
    verifier.findings.take(findings.kept)
    return verifier


def _verify(
    source: ReadOnly, path: Path, verifier: Verifier, progress: Progress | None, processes: int
) -> Report:
    end = source.end(verifier.findings)
    introduced = source.introduced(verifier.findings)
    source.strangers(end, verifier.findings)
    joiner = Joiner(verifier, end, progress)
    starts = source.stretches(end)

    def check(start: int, hints: Hints) -> Checked | str:
        return _check(source, start, end, hints, introduced)

    if processes == 1 or len(starts) == 1:
        for start in starts:
            joiner.take(start, check(start, verifier.hints(start)))
    else:
        _spread(path, starts, joiner, check, processes)
    return joiner.finish()


def _check(source: ReadOnly, start: int, end: int, hints: Hints, introduced: dict[str, int]) -> Checked | str:
    """A stretch, or why it cannot be read."""
    findings = Findings()
    try:
        stretch = source.stretch(start, end, findings)
    except UnreadableError as error:
        return str(error)
    return check_beside(stretch, hints, introduced, findings)


def check_beside(stretch: Stretch, hints: Hints, introduced: dict[str, int], findings: Findings) -> Checked:
    """Verify a stretch and what stands beside it."""
    beside = Beside(stretch.rows, stretch.persons, introduced, findings)
    outcome = check_stretch(stretch.stored, hints, beside.visit, SHAPES)
    beside.finish()
    every = Findings()  # what is wrong with an entry comes before what that leaves beside it
    every.take(outcome.findings, outcome.unlisted)
    every.take(findings.kept, findings.count - len(findings.kept))
    unlisted = every.count - len(every.kept)
    return Checked(
        outcome._replace(findings=every.kept, unlisted=unlisted),
        beside.absences,
        beside.groups.first,
        beside.groups.last,
    )


class Joiner:
    """Takes checked stretches in order: entries to the verifier, absences to their explanation."""

    def __init__(self, verifier: Verifier, end: int, progress: Progress | None) -> None:
        self.verifier = verifier
        self.end, self._progress = end, progress
        self._explained = Explained()
        self._groups = Groups(verifier.findings)

    def take(self, start: int, checked: Checked | str) -> None:
        """Take in the next stretch, or why it could not be read."""
        verifier = self.verifier
        if isinstance(checked, str):
            if start > verifier.size:
                verifier.skip(start)
            stop = min(start + STRETCH_ENTRIES, self.end)
            verifier.skip(stop, unreadable=checked)
        else:
            outcome = checked.outcome
            self._groups.join(checked.first_row, checked.last_row)
            verifier.join(outcome)
            self._explained.take(checked.absences, outcome.own)
        if self._progress is not None:
            self._progress(verifier.size, self.end)

    def finish(self) -> Report:
        """The report."""
        self._explained.finish(self.verifier.findings)
        self.verifier.withheld, self.verifier.erased = self._explained.withheld, self._explained.erased
        return self.verifier.finish()


# ---- several processes

_worker: dict[str, Any] = {}


def _start_worker(path: Path) -> None:
    source = ReadOnly(path)
    _worker.update(source=source, introduced=source.introduced(Findings()))


def _work(start: int, end: int, hints: Hints) -> Checked | str:
    return _check(_worker["source"], start, end, hints, _worker["introduced"])


def _spread(path: Path, starts: Sequence[int], joiner: Joiner, check: _Check, processes: int) -> None:
    """Check stretches in several processes, this one among them; join them in order. Each process reads the file itself."""
    context = multiprocessing.get_context("spawn")  # a fork would share the open database
    end, verifier = joiner.end, joiner.verifier
    todo = deque(starts)
    waiting: deque[tuple[int, Future[Checked | str]]] = deque()
    with ProcessPoolExecutor(processes - 1, context, _start_worker, (path,)) as pool:
        busy: set[Future[Checked | str]] = set()
        while todo or waiting:
            busy = {future for future in busy if not future.done()}
            while todo and len(busy) < AHEAD * (processes - 1):
                start = todo.popleft()
                waiting.append((start, pool.submit(_work, start, end, verifier.hints(start))))
                busy.add(waiting[-1][1])
            if todo and not waiting[0][1].done():
                start = todo.popleft()
                here: Future[Checked | str] = Future()
                here.set_result(check(start, verifier.hints(start)))
                waiting.append((start, here))
            else:
                joiner.take(waiting[0][0], waiting.popleft()[1].result())


# ---- a running log


def verify_live(
    log: _Running,
    *,
    vkey: VerifierKey | None = None,
    pins: Iterable[Pin | bytes] = (),
    receipts: Iterable[bytes] = (),
    progress: Progress | None = None,
) -> Report:
    """Verify a running log up to its newest checkpoint at the moment of the call.

    It reads through the writer's own database, which cannot be shared: for an outsider's view stop it and use `verify_folder`, or
    read its tiles (`ledger.client.sources`).

    Raises:
        LedgerError: `storage-failed`, when the database cannot be read at all.
    """
    anchor = list(_anchor_pin(Path(log.anchored()), outside=False))
    end = _head_with(log, anchor)
    key = vkey or parse_vkey(log.vkey)
    verifier = Verifier(
        key, pins=[*pins, *anchor], receipts=receipts, level=Level.EVERYTHING, own_key=vkey is None
    )
    persons = [as_person(row) for row in log.person_rows(0, end).to_pylist()]
    introduced: dict[str, int] = {}
    for person in persons:
        introduced.setdefault(person.commitment, person.seq)
    joiner = Joiner(verifier, end, progress)
    for start in range(0, end, STRETCH_ENTRIES):
        joiner.take(start, _check_live(log, start, end, verifier.hints(start), introduced))
    return joiner.finish()


def _check_live(
    log: _Running, start: int, end: int, hints: Hints, introduced: dict[str, int]
) -> Checked | str:
    findings = Findings()
    stop = min(start + STRETCH_ENTRIES, end)
    try:
        table = pa.Table.from_batches(list(log.rows(start, min(stop + 2, end))), ROW_SCHEMA)
        persons = [as_person(row) for row in log.person_rows(start, stop).to_pylist()]
    except LedgerError as error:
        return error.detail
    return check_beside(as_stretch(start, stop, table, persons, findings), hints, introduced, findings)


def _head_with(log: _Running, anchor: Sequence[Pin]) -> int:
    """The log's size now, once it shows what the anchor, which is written a moment before, says already."""
    anchored = _size_of(anchor[0].note) if anchor else 0
    deadline = time.monotonic() + HEAD_WAIT_S
    while (size := int(log.head().size)) < anchored and time.monotonic() < deadline:
        time.sleep(HEAD_POLL_S)
    return size


def _size_of(note: bytes) -> int:
    try:
        return parse_checkpoint(parse_note(note).text).size
    except LedgerError:
        return 0


# ---- what is compared, and what cannot be read


def _anchor_pin(path: Path, *, outside: bool) -> Iterator[Pin]:
    try:
        note = HeadAnchor(path).read()
    except LedgerError as error:
        note, path = b"", Path(f"{path} ({error.detail})")  # reported as the anchor that could not be read
    if note is not None:
        yield Pin(note, f"head anchor {path}", outside)
    elif outside:
        raise LedgerError(Code.NOT_FOUND, f"there is no head anchor at {path}")


def _key_of(genesis: bytes | None) -> VerifierKey | None:
    """The key that entry 0 names: the log's own word."""
    try:
        ext: Any = parse_entry(genesis or b"").members.get("ext")
        return parse_vkey(ext["log.vkey"])
    except (LedgerError, TypeError, KeyError, AttributeError):
        return None


def _unreadable(where: str, detail: str) -> Report:
    findings = Findings()
    findings.add(Kind.UNVERIFIABLE, where, detail, 0)
    return _only(findings)


def _only(findings: Findings) -> Report:
    """The report where nothing could be checked."""
    return Report("", 0, b"", 0, findings=findings.listed(), level=Level.EVERYTHING, own_key=True)
