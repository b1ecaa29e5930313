"""`agent-ledger backup` and `agent-ledger restore`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.cli import terminal
from ledger.cli.objects import (
    CACHE_MIB,
    MovedTo,
    ObjectsCacheMib,
    ObjectsEndpoint,
    SeenIn,
    fetching,
    object_store,
)
from ledger.cli.receipt import VerifierKeyOption, verifier_key
from ledger.cli.seal import SEAL_TIMEOUT_S
from ledger.cli.seen import KeyProof, keys_seen
from ledger.cli.target import Data, HeadAnchor, Json, TokenFile, Url, connect, data_folder
from ledger.client.pins import read_pin
from ledger.core.errors import Code, LedgerError
from ledger.core.note import VerifierKey
from ledger.log.keys import FILE, home_of
from ledger.log.log import Log
from ledger.storage.anchor import default_anchor
from ledger.storage.layout import KEY
from ledger.storage.segment import Fetch
from ledger.trust.local import make_local_token
from ledger.upkeep.backup import back_up
from ledger.upkeep.backupset import Backup, open_backup
from ledger.upkeep.outside import Seen, read_anchor, read_checkpoints, read_objects
from ledger.upkeep.repair import repair_segment
from ledger.upkeep.restore import Restored, finish_anchor, restore, restore_as

if TYPE_CHECKING:
    from ledger.storage.objects import ObjectStore

Source = Annotated[
    Path, typer.Argument(metavar="BACKUP", help="A backup, or a set of them: then its newest.")
]
Folder = Annotated[Path, typer.Argument(metavar="DATA", help="The data folder to make.")]
Checkpoints = Annotated[
    list[Path] | None,
    typer.Option(
        "--checkpoint", "-c", help="A checkpoint that a client or a witness has; more than one may be given."
    ),
]


def backup(
    place: Annotated[Path, typer.Argument(metavar="SET", help="Where this log's backups are kept.")],
    *,
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Copy the signing key too: then guard the backup like the key.")
    ] = False,
    keep: Annotated[
        int | None, typer.Option("--keep", min=1, help="Afterwards remove all but the newest so many.")
    ] = None,
    reread: Annotated[
        bool,
        typer.Option(
            "--reread", help="Compare every file of the backup before with its digest, not a tenth of them."
        ),
    ] = False,
    data: Data = None,
    head_anchor: HeadAnchor = None,
    objects: MovedTo = None,
    objects_endpoint: ObjectsEndpoint = None,
    objects_cache_mib: ObjectsCacheMib = CACHE_MIB,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Back a log up beside its running server, or stopped. What did not change since the backup before is not copied again.

    The head anchor is never in a backup: it is there to contradict an old copy. Old backups hold what was erased since: see --keep.
    """
    folder = data_folder(data)
    with (
        fetching(folder, objects, objects_endpoint, objects_cache_mib) as fetch,
        terminal.progress("bytes") as bar,
    ):
        task = bar.add_task("copying", total=None)

        def seal() -> None:
            _seal(folder, url, token_file, head_anchor, fetch)

        made = back_up(
            folder,
            place,
            seal,
            with_key=with_key,
            keep=keep,
            reread=reread,
            fetch=fetch,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    facts = {
        "backup": str(made.folder),
        "origin": made.origin,
        "size": made.size,
        "copied_bytes": made.copied_bytes,
        "linked_bytes": made.linked_bytes,
        "reread_bytes": made.reread_bytes,
        "damaged": [str(path) for path in made.damaged],
        "removed": [str(path) for path in made.removed],
    }
    terminal.print_facts("of the backup", facts, as_json=as_json)
    if made.damaged:
        terminal.say(
            f"{made.damaged[0]} was gone or altered{_and_more(made.damaged)}: this backup has it from the log. Backups before it may share the "
            "damage, and the disk that they lie on is to be looked at",
            style="yellow",
        )
    if (home := home_of(folder / KEY)) != FILE:
        terminal.say(
            f"the signing key is not in it: it lives in {home}; see that it cannot be lost there, or only a successor can go on"
        )
    elif not with_key:
        terminal.say(
            f"the signing key is not in it: keep a copy of {folder / KEY} elsewhere, or only a successor can go on"
        )


def _and_more(paths: Sequence[Path]) -> str:
    return f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""


def _seal(
    folder: Path, url: str | None, token_file: Path | None, anchor: Path | None, fetch: Fetch | None
) -> None:
    """Have the server seal what is hot; or do it here where none runs."""
    try:
        log = Log.open(folder, anchor=anchor, fetch=fetch)
    except LedgerError as error:
        if error.code is not Code.LOCKED:
            raise
        with connect(folder, url, token_file) as client:
            client.ask("POST", "/v1/seal", timeout_s=SEAL_TIMEOUT_S)
        return
    try:
        log.seal()
    finally:
        log.close()


def restore_(
    source: Source,
    data: Folder,
    *,
    head_anchor: HeadAnchor = None,
    checkpoint: Checkpoints = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="The log's signing key, where the backup does not have it.")
    ] = None,
    new_origin: Annotated[
        str | None,
        typer.Option("--new-origin", help="Make a new log of this name that takes the old one's place."),
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", help="Why the old log is not continued: it stands in the new one.")
    ] = "",
    segment: Annotated[
        int | None,
        typer.Option(
            "--segment",
            min=0,
            help="Only put back what is damaged of the segment that begins with this entry.",
        ),
    ] = None,
    objects: SeenIn = None,
    objects_endpoint: ObjectsEndpoint = None,
    vkey: VerifierKeyOption = None,
    proof: KeyProof = None,
    as_json: Json = False,
) -> None:
    """Bring a log back from a backup, verified, unless the outside world has seen more of it than is in the backup.

    It is compared with the head anchor, with the checkpoints given, with the newest manifest in the object store, and with what this user
    saw of the log before.
    """
    folder = data.expanduser().absolute()
    anchor = head_anchor or default_anchor(folder)
    if finish_anchor(folder, anchor):
        terminal.say(f"{folder} was restored before, and its head anchor is in place now: {anchor}")
        return
    opened = _opened(source, verifier_key(vkey) if vkey else None)
    if segment is not None:
        repaired = repair_segment(opened, folder, segment)
        terminal.print_facts("of the segment", repaired._asdict(), as_json=as_json)
        terminal.say(f"verify the log now: agent-ledger verify {folder}")
        return
    store = object_store(opened.head.origin, objects, objects_endpoint) if objects else None
    seen = _outside(opened, anchor, checkpoint or [], store)
    keys = keys_seen(opened.keys, proof)
    with terminal.progress("bytes") as bar:
        task = bar.add_task("restoring", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if new_origin is None:
            restored = restore(opened, folder, key=key, seen=seen, keys=keys, progress=progress)
        else:
            restored = restore_as(
                opened,
                folder,
                new_origin,
                reason=reason,
                anchor=anchor,
                seen=seen,
                keys=keys,
                progress=progress,
            )
    make_local_token(folder)  # the old one was no part of the backup
    _tell(restored, folder, anchor, as_json=as_json)


def _opened(source: Path, vkey: VerifierKey | None) -> Backup:
    """The backup; under the key that this user saw the log with first, where none is given."""
    opened = open_backup(source, vkey)
    pin = read_pin(opened.head.origin)
    return opened if vkey or pin is None else open_backup(opened.folder, pin.known_in(opened.keys))


def _outside(
    opened: Backup, anchor: Path, checkpoints: list[Path], store: "ObjectStore | None"
) -> list[Seen]:
    """What the outside world has seen of the log, as far as this machine knows or was told."""
    pin = read_pin(opened.head.origin)
    remembered = [] if pin is None else [Seen("checkpoint this user saw last", pin.checkpoint)]
    sent = [] if store is None else read_objects(store, opened.head.origin)
    seen = [*read_anchor(anchor), *read_checkpoints(checkpoints), *sent, *remembered]
    if not seen:
        terminal.say(
            f"nothing outside the backup was found to compare it with: no head anchor at {anchor}, no checkpoint seen by this user. Ask whoever "
            "has a checkpoint or a receipt of the log (--checkpoint)",
            style="yellow",
        )
    return seen


def _tell(restored: Restored, folder: Path, anchor: Path, *, as_json: bool) -> None:
    facts = {
        "data": str(folder),
        "origin": restored.origin,
        "verifier_key": restored.vkey,
        "size": restored.size,
        "compared": list(restored.compared),
        "can_be_continued": restored.has_key,
    }
    terminal.print_facts("restored", facts, as_json=as_json)
    if not restored.has_key:
        terminal.say(
            "its signing key is not there: it can be verified, read and dumped, and not be continued (--key)"
        )
    elif anchor.exists():
        terminal.say(f"next: agent-ledger serve --data {folder}")
    else:
        terminal.say(
            f"there is no head anchor at {anchor}. If you know that nobody has seen more of this log: agent-ledger serve --data {folder} "
            "--accept-missing-anchor"
        )
