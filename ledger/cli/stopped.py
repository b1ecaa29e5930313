"""How a stopped log's data folder is verified: against what was kept, its head anchor, and what this user saw of it before."""

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ledger.cli import terminal
from ledger.cli.checking import Checked, Kept, Progress
from ledger.cli.fork import fork_shown
from ledger.cli.recording import Recording
from ledger.cli.target import HEAD_ANCHOR_VARIABLE
from ledger.core.errors import LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import VerifierKey
from ledger.core.report import Kind, Level
from ledger.core.verify import Pin

if TYPE_CHECKING:  # a running ledger is verified without a database here
    from ledger.audit.fsck import Verified
    from ledger.storage.segment import Fetch


class Reading(NamedTuple):
    """How a data folder is read: how much is checked, by how many processes, a head anchor that was kept elsewhere, the sealed part alone, and what
    brings files that were moved to an object store.
    """

    level: Level
    processes: int
    head_anchor: Path | None
    sealed_only: bool = False
    fetch: "Fetch | None" = None


def check_folder(
    folder: Path, kept: Kept, recording: Recording, reading: Reading, progress: Progress
) -> Checked:
    """Verify a stopped log's data folder."""
    from ledger.audit.fsck import Asked, audit  # noqa: PLC0415 - a running ledger is verified without a database
    from ledger.log.keys import load_key  # noqa: PLC0415

    try:
        origin = load_key(folder / "log.key").key.name
    except LedgerError:
        origin = None  # a copy without its key: what was kept is what there is
    seen = kept.seen(origin)
    vkey = kept.key or (seen.key if seen else None)
    witnessed = kept.witnessed(_cosigned(folder), _own_word(folder, vkey, reading) if kept.asking else None)
    pins = [*kept.pins(seen), *witnessed[0], *([] if reading.head_anchor else _writers_anchor())]
    asked = Asked(
        vkey=vkey,
        pins=tuple(pins),
        receipts=kept.receipts,
        anchor=reading.head_anchor,
        level=reading.level,
        sealed_only=reading.sealed_only,
        since=recording.begin(reading.level, vkey),
        processes=reading.processes,
        fetch=reading.fetch,
        progress=progress,
        save=lambda key, state: recording.save(key, reading.level, state),
    )
    verified = audit(folder, asked)
    recording.finish(*verified)
    notes = [*kept.notes(seen), *(pin.note for pin in pins), *_anchored(folder, reading)]
    proved = _fork_lying(folder, verified, notes, reading)
    return Checked(kept.judged(verified.report, witnessed).to_dict(), fork_proof=proved)


def _anchored(folder: Path, reading: Reading) -> list[bytes]:
    """What the head anchor says that the log was compared with."""
    from ledger.storage.anchor import HeadAnchor, default_anchor  # noqa: PLC0415 - as above

    with contextlib.suppress(LedgerError):
        note = HeadAnchor(reading.head_anchor or default_anchor(folder)).read()
        return [] if note is None else [note]
    return []


def _fork_lying(folder: Path, verified: "Verified", notes: list[bytes], reading: Reading) -> Path | None:
    """Where the report says that the log forked: the proof of that, made of what lies in the folder."""
    from ledger.audit.readonly import UnreadableError  # noqa: PLC0415 - as above
    from ledger.upkeep.shown import shown_by  # noqa: PLC0415

    key, report = verified.vkey, verified.report
    if key is None or not any(finding.kind is Kind.FORKED for finding in report.findings):
        return None
    try:
        with shown_by(folder, sealed_only=reading.sealed_only) as shown:
            return fork_shown(shown, report, key, notes, proof=shown.key_proof())
    except (LedgerError, UnreadableError) as error:
        terminal.say(f"no proof of that for others can be made of what is there: {error}", style="yellow")
        return None


def _own_word(folder: Path, known: VerifierKey | None, reading: Reading) -> KeyHistory | None:
    """The log's keys as its entries say, which the verification follows; with a key that is known, that one must be among them."""
    from ledger.audit.fsck import keys_of  # noqa: PLC0415 - as above

    keys = keys_of(folder, sealed_only=reading.sealed_only, fetch=reading.fetch)
    if known is not None and (keys is None or known not in keys.keys):
        return KeyHistory.begin(known)
    return keys


def _cosigned(folder: Path) -> list[bytes]:
    """The newest checkpoint with cosignatures that a data folder has: whose word they are is for the policy."""
    from ledger.witness.collected import FILE  # noqa: PLC0415 - a running ledger is verified without it

    path = folder / FILE
    return [path.read_bytes()] if path.is_file() else []


def _writers_anchor() -> list[Pin]:
    """The head anchor where this machine's settings put it: compared, but who writes the log writes it too."""
    from ledger.storage.anchor import HeadAnchor  # noqa: PLC0415

    path = os.environ.get(HEAD_ANCHOR_VARIABLE)
    try:
        note = HeadAnchor(Path(path)).read() if path else None
    except LedgerError:
        note = b""  # the verification says that it cannot be read
    return [] if note is None else [Pin(note, f"head anchor {path}", outside=False)]
