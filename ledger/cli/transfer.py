"""`agent-ledger dump` and `agent-ledger load`: a whole log between storages. `export` is for outsiders: it has hashes and entries alone."""

from pathlib import Path
from typing import Annotated

import typer

from ledger.cli import terminal
from ledger.cli.objects import CACHE_MIB, MovedTo, ObjectsCacheMib, ObjectsEndpoint, fetching
from ledger.cli.receipt import VerifierKeyOption, verifier_key
from ledger.cli.seen import KeyProof, keys_seen
from ledger.cli.target import Data, HeadAnchor, Json, data_folder
from ledger.client.pins import read_pin
from ledger.storage.anchor import default_anchor
from ledger.upkeep.load import load
from ledger.upkeep.outside import Seen, read_anchor, read_checkpoints
from ledger.upkeep.sources import opened_folder
from ledger.upkeep.transfer import dump, read_about


def dump_(
    folder: Annotated[Path, typer.Argument(help="Where to write; made here.")],
    *,
    no_contents: Annotated[
        bool,
        typer.Option(
            "--no-contents", help="Without contents and persons: to be read, not to be loaded again."
        ),
    ] = False,
    data: Data = None,
    objects: MovedTo = None,
    objects_endpoint: ObjectsEndpoint = None,
    objects_cache_mib: ObjectsCacheMib = CACHE_MIB,
    as_json: Json = False,
) -> None:
    """Write a stopped log, or a backup of a running one (--data BACKUP), as Parquet: every entry, content, person and checkpoint."""
    from_folder = data_folder(data)
    with (
        fetching(from_folder, objects, objects_endpoint, objects_cache_mib) as fetch,
        opened_folder(from_folder, fetch=fetch) as source,
        terminal.progress("entries") as bar,
    ):
        task = bar.add_task("dumping", total=None)
        about = dump(
            source,
            folder,
            contents=not no_contents,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    facts = {"folder": str(folder), "origin": about.origin, "size": about.size, "root": about.root}
    terminal.print_facts("dumped", facts, as_json=as_json)
    if about.contents:
        terminal.say("contents and persons are in it in clear: guard it as you guard the log")


def load_(
    folder: Annotated[Path, typer.Argument(metavar="DUMP", help="What `dump` wrote.")],
    data: Annotated[Path, typer.Argument(help="The data folder to make.")],
    *,
    key: Annotated[
        Path | None, typer.Option("--key", help="The log's signing key: with it the log can be continued.")
    ] = None,
    sealed: Annotated[
        bool, typer.Option("--sealed", help="Make sealed segments at once; needs --key, which signs them.")
    ] = False,
    head_anchor: HeadAnchor = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", "-c", help="A checkpoint that a client or a witness has."),
    ] = None,
    vkey: VerifierKeyOption = None,
    proof: KeyProof = None,
    as_json: Json = False,
) -> None:
    """Make a data folder of a dump: the same entries, root, checkpoints and receipts. Everything is verified before it is there."""
    to = data.expanduser().absolute()
    about, keys, _ = read_about(folder, verifier_key(vkey) if vkey else None)
    pin = read_pin(about.origin)
    known = verifier_key(vkey) if vkey else pin.known_in(keys) if pin else None
    seen = [*read_anchor(head_anchor or default_anchor(to)), *read_checkpoints(checkpoint or [])]
    if pin is not None:
        seen.append(Seen("checkpoint this user saw last", pin.checkpoint))
    with terminal.progress("entries") as bar:
        task = bar.add_task("loading", total=None)
        head = load(
            folder,
            to,
            vkey=known,
            key=key,
            sealed=sealed,
            seen=seen if key else [],
            later=keys_seen(keys, proof) if key else None,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    facts = {"data": str(to), "origin": head.origin, "size": head.size, "root": head.root.hex()}
    terminal.print_facts("loaded", facts, as_json=as_json)
    if key is None:
        terminal.say(
            "it has no signing key: it can be verified, read and dumped, and not be continued (--key)"
        )
