"""How each kind of ledger is verified: against what was kept, and against what this user saw of it before."""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, Self

from ledger.cli import terminal
from ledger.cli.exits import CommandError, Exit
from ledger.cli.target import HEAD_ANCHOR_VARIABLE
from ledger.client.http import LedgerClient, ProblemError
from ledger.client.pins import Pin as Remembered
from ledger.client.pins import read_pin, remember
from ledger.client.sources import FolderSource, HttpSource, Source
from ledger.client.verify import verify_source
from ledger.core.checkpoint import Checkpoint, parse_checkpoint
from ledger.core.errors import LedgerError
from ledger.core.note import VerifierKey, parse_note, parse_vkey
from ledger.core.report import Report
from ledger.core.verify import Pin

Progress = Callable[[int, int], None]

SEEN = "checkpoint this user saw last"
POLL_S = 0.2
BUSY, FORBIDDEN = 429, 403
MAX_WAITS = 120
MAX_WAIT_S = 5.0


class Checked(NamedTuple):
    """A verification's report, and what to remember of the log if nothing was found anywhere."""

    report: dict[str, Any]
    newest: tuple[str, Remembered] | None = None

    def keep(self) -> None:
        """Remember it. The caller has seen that nothing was found."""
        if self.newest is not None:
            path = remember(*self.newest)
            terminal.say(f"remembered for the next time: {path}", style="dim")


class Kept(NamedTuple):
    """What the user has of the log from elsewhere.

    Attributes:
        checkpoints: signed notes, with the names of their files.
        receipts: receipts.
        key: the log's verifier key as the user knows it, or None.
        remember: whether what was seen of the log before counts, and what is seen now is kept.
    """

    checkpoints: tuple[tuple[str, bytes], ...]
    receipts: tuple[bytes, ...]
    key: VerifierKey | None
    remember: bool

    @classmethod
    def read(
        cls, checkpoints: Iterable[Path], receipts: Iterable[Path], key: VerifierKey | None, *, remember: bool
    ) -> Self:
        """Read the files.

        Raises:
            OSError: one cannot be read.
        """
        notes = tuple((str(path), path.read_bytes()) for path in checkpoints)
        return cls(notes, tuple(path.read_bytes() for path in receipts), key, remember)

    def seen(self, origin: str | None) -> Remembered | None:
        """What this user saw of the log before, unless it shall not count."""
        return read_pin(origin) if self.remember and origin is not None else None

    def pins(self, seen: Remembered | None) -> list[Pin]:
        """Everything to compare the log with."""
        pins = [Pin(note, f"checkpoint {name}") for name, note in self.checkpoints]
        return pins if seen is None else [*pins, Pin(seen.checkpoint, SEEN)]


def check_running(client: LedgerClient, kept: Kept, progress: Progress) -> Checked:
    """Verify a running ledger by what it serves to anyone: checkpoint, tiles, entries."""
    return _check(HttpSource(client), parse_vkey(client.log()["verifier_key"]), kept, progress)


def check_export(folder: Path, kept: Kept, progress: Progress) -> Checked:
    """Verify an exported folder. It is of some moment: that this user saw more of the log since is no finding."""
    source = FolderSource(folder)
    return _check(source, source.verifier_key(), kept, progress, of_some_moment=True)


def _check(
    source: Source, own: VerifierKey | None, kept: Kept, progress: Progress, *, of_some_moment: bool = False
) -> Checked:
    note = source.checkpoint()
    head = _head(note)
    origin = head.origin if head else own.name if own else None
    seen = kept.seen(origin)
    key = kept.key or (seen.key if seen else None)
    trusted = key or own
    if trusted is None:
        raise CommandError(f"the verifier key of {origin} is not known here: give it with --vkey")
    older = of_some_moment and seen is not None and head is not None and _size(seen) > head.size
    report = verify_source(
        source,
        vkey=trusted,
        own_key=key is None,
        pins=kept.pins(None if older else seen),
        receipts=kept.receipts,
        progress=progress,
    )
    if older:
        terminal.say(f"this user saw {origin} at a larger size since: that was not compared")
    newest = (report.origin, Remembered(trusted, note)) if kept.remember and not older else None
    return Checked(report.to_dict(), newest)


def check_folder(
    folder: Path, kept: Kept, head_anchor: Path | None, processes: int, progress: Progress
) -> Checked:
    """Verify everything in a stopped log's data folder."""
    from ledger.log.fsck import verify_folder  # noqa: PLC0415 - a running ledger is verified without a database
    from ledger.log.keys import load_key  # noqa: PLC0415

    try:
        origin = load_key(folder / "log.key").key.name
    except LedgerError:
        origin = None  # a copy without its key: what was kept is what there is
    seen = kept.seen(origin)
    report: Report = verify_folder(
        folder,
        vkey=kept.key or (seen.key if seen else None),
        pins=kept.pins(seen) + ([] if head_anchor else _writers_anchor()),
        receipts=kept.receipts,
        anchor=head_anchor,
        progress=progress,
        processes=processes,
    )
    return Checked(report.to_dict())


def _writers_anchor() -> list[Pin]:
    """The head anchor where this machine's settings put it: compared, but who writes the log writes it too."""
    from ledger.log.anchor import HeadAnchor  # noqa: PLC0415

    path = os.environ.get(HEAD_ANCHOR_VARIABLE)
    try:
        note = HeadAnchor(Path(path)).read() if path else None
    except LedgerError:
        note = b""  # the verification says that it cannot be read
    return [] if note is None else [Pin(note, f"head anchor {path}", outside=False)]


def check_server(client: LedgerClient, kept: Kept, progress: Progress) -> Checked | None:
    """Have a running ledger verify all that it stores; None where the token may not ask for it.

    It takes one checkpoint: the first that was given, or the one seen last.

    Raises:
        CommandError: the ledger's verification broke off, or another one does not end.
    """
    seen = kept.seen(client.log()["origin"])
    notes = [note for _, note in kept.checkpoints] + ([seen.checkpoint] if seen else [])
    try:
        job = _start(client, notes[0].decode() if notes else None, [text.decode() for text in kept.receipts])
    except ProblemError as problem:
        if problem.status != FORBIDDEN:
            raise
        terminal.say(
            "what it stores beside its entries was not checked: that needs a token with the role auditor"
        )
        return None
    while True:
        state = client.verification(job)
        progress(state["done"], state["total"])
        if state["state"] == "finished":
            return Checked(_report(state.get("report")))
        if state["state"] == "failed":
            raise CommandError(
                f"the ledger's own verification broke off: {state.get('problem', {}).get('detail')}",
                Exit.UNREACHABLE,
            )
        time.sleep(POLL_S)


def _report(found: Any) -> dict[str, Any]:
    """A report as a server sent it.

    Raises:
        CommandError: it is none.
    """
    if isinstance(found, dict) and found.keys() >= Report("", 0, b"", 0).to_dict().keys():
        return found
    raise CommandError("the ledger's report is none that this command can read", Exit.UNREACHABLE)


def _start(client: LedgerClient, checkpoint: str | None, receipts: list[str]) -> str:
    for _ in range(MAX_WAITS):
        try:
            return client.start_verification(checkpoint, receipts)
        except ProblemError as problem:
            if problem.status != BUSY:
                raise
            time.sleep(min(problem.retry_after_s or 1.0, MAX_WAIT_S))
    raise CommandError("another verification runs there and does not end", Exit.UNREACHABLE)


def _head(note: bytes) -> Checkpoint | None:
    """What a checkpoint says, None where it does not parse: that is for the verification to report."""
    try:
        return parse_checkpoint(parse_note(note).text)
    except LedgerError:
        return None


def _size(seen: Remembered) -> int:
    return parse_checkpoint(parse_note(seen.checkpoint).text).size
