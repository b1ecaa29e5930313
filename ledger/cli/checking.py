"""How each kind of ledger is verified: against what was kept, and against what this user saw of it before."""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from ledger.cli import terminal
from ledger.cli.exits import CommandError, Exit
from ledger.cli.fork import fork_shown
from ledger.cli.policy import Asking, required
from ledger.cli.recording import Recording
from ledger.client.http import LedgerClient, ProblemError
from ledger.client.pins import Pin as Remembered
from ledger.client.pins import read_pin, remember
from ledger.client.sources import FolderSource, HttpSource, Source
from ledger.client.verify import verify_source
from ledger.core.checkpoint import Checkpoint, parse_checkpoint
from ledger.core.errors import LedgerError
from ledger.core.keyhistory import KeyHistory, parse_history
from ledger.core.note import VerifierKey, parse_note, parse_vkey
from ledger.core.receipt import parse_receipt
from ledger.core.report import Level, Report
from ledger.core.verify import Pin
from ledger.records.bounded import read_bounded

Progress = Callable[[int, int], None]

SEEN = "checkpoint this user saw last"
POLL_S = 0.2
BUSY, FORBIDDEN = 429, 403
MAX_WAITS = 120
MAX_WAIT_S = 5.0


class Checked(NamedTuple):
    """A verification's report, what to remember of the log if nothing was found anywhere, and where a proof that it forked was written."""

    report: dict[str, Any]
    newest: tuple[str, Remembered] | None = None
    fork_proof: Path | None = None

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
        asking: what is asked of witnesses, None where nothing is.
    """

    checkpoints: tuple[tuple[str, bytes], ...]
    receipts: tuple[bytes, ...]
    key: VerifierKey | None
    remember: bool
    asking: Asking | None = None

    @classmethod
    def read(
        cls,
        checkpoints: Iterable[Path],
        receipts: Iterable[Path],
        key: VerifierKey | None,
        *,
        remember: bool,
        asking: Asking | None = None,
    ) -> Self:
        """Read the files.

        Raises:
            OSError: one cannot be read.
        """
        notes = tuple((str(path), read_bounded(path)) for path in checkpoints)
        known = key or (asking.key(None) if asking is not None else None)
        return cls(notes, tuple(read_bounded(path) for path in receipts), known, remember, asking)

    def seen(self, origin: str | None) -> Remembered | None:
        """What this user saw of the log before, unless it shall not count."""
        return read_pin(origin) if self.remember and origin is not None else None

    def pins(self, seen: Remembered | None) -> list[Pin]:
        """Everything to compare the log with."""
        pins = [Pin(note, f"checkpoint {name}") for name, note in self.checkpoints]
        return pins if seen is None else [*pins, Pin(seen.checkpoint, SEEN)]

    def notes(self, seen: Remembered | None) -> list[bytes]:
        """Every signed checkpoint among them, the ones of receipts too."""
        own = [] if seen is None else [seen.checkpoint]
        return [*(note for _, note in self.checkpoints), *own, *_notes(self.receipts)]

    def witnessed(self, offered: Iterable[bytes], log: KeyHistory | None) -> tuple[list[Pin], str]:
        """What meets the policy of what was kept and what the log itself shows, and why the rest does not."""
        if self.asking is None or log is None:
            return [], "the log's key is not known: give it with --vkey"
        kept = [note for _, note in self.checkpoints]
        return self.asking.pins([*kept, *_notes(self.receipts), *offered], log)

    def judged(self, report: Report, witnessed: tuple[list[Pin], str]) -> Report:
        """The report, with a finding where the policy asks for witnesses and none agrees."""
        return report if self.asking is None else required(report, *witnessed)


def check_running(client: LedgerClient, kept: Kept, recording: Recording, progress: Progress) -> Checked:
    """Verify a running ledger by what it serves to anyone: checkpoint, tiles, entries."""
    return _check(HttpSource(client), parse_vkey(client.log()["verifier_key"]), kept, recording, progress)


def check_export(folder: Path, kept: Kept, recording: Recording, progress: Progress) -> Checked:
    """Verify an exported folder. It is of some moment: that this user saw more of the log since is no finding."""
    source = FolderSource(folder)
    return _check(source, source.verifier_key(), kept, recording, progress, of_some_moment=True)


def _check(
    source: Source,
    own: VerifierKey | None,
    kept: Kept,
    recording: Recording,
    progress: Progress,
    *,
    of_some_moment: bool = False,
) -> Checked:
    # First: the checkpoint is then no smaller.
    cosigned = source.cosigned() if kept.asking is not None else None
    note = source.checkpoint()
    head = _head(note)
    origin = head.origin if head else own.name if own else None
    seen = kept.seen(origin)
    key = kept.key or (seen.key if seen else None)
    trusted = key or own
    if trusted is None:
        raise CommandError(f"the verifier key of {origin} is not known here: give it with --vkey")
    state: dict[str, Any] | None = None

    def keep(at: dict[str, Any]) -> None:
        nonlocal state
        state = at
        recording.save(keys.first, Level.ENTRIES, at)

    proof = source.key_proof()
    keys, trusted = _followed(proof, [trusted, *(seen.keys.keys if seen and not kept.key else ())])
    witnessed = kept.witnessed([note] if cosigned is None else [note, cosigned], keys)
    older = of_some_moment and seen is not None and head is not None and _size(seen) > head.size
    report = verify_source(
        source,
        vkey=trusted,
        own_key=key is None,
        pins=[*kept.pins(None if older else seen), *witnessed[0]],
        receipts=kept.receipts,
        progress=progress,
        since=recording.begin(Level.ENTRIES, keys.first),
        keep=keep,
    )
    recording.finish(report, keys.first, state)
    report = kept.judged(report, witnessed)
    if older:
        terminal.say(f"this user saw {origin} at a larger size since: that was not compared")
    newest, rotated = None, proof if len(keys.terms) > 1 else None
    if kept.remember and not older and head is not None:
        newest = (report.origin, Remembered(keys.at(head.size).key, note, rotated))
    return Checked(
        report.to_dict(), newest, fork_shown(source, report, keys.first, kept.notes(seen), proof=rotated)
    )


def _followed(proof: bytes | None, known: Sequence[VerifierKey]) -> tuple[KeyHistory, VerifierKey]:
    """The log's keys, and which of those that are known they follow from: an export may be of a time before the newest.

    Where the proof of others does not hold, the first one that is known alone: the verification then tells what that one did not sign.
    """
    why = ""
    for key in known if proof is not None else ():
        try:
            return parse_history(proof or b"", key), key
        except LedgerError as error:
            why = why or error.detail
    if why:
        terminal.say(f"the log's proof of its keys is not believed: {why}", style="yellow")
    return KeyHistory.begin(known[0]), known[0]


def _notes(receipts: Iterable[bytes]) -> list[bytes]:
    """The checkpoints of receipts that parse; the others are for the verification to report."""
    found = []
    for receipt in receipts:
        with contextlib.suppress(LedgerError):
            found.append(parse_receipt(receipt).checkpoint_note)
    return found


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
