"""`agent-ledger export`."""

from pathlib import Path
from typing import Annotated

import typer

from ledger.cli import terminal
from ledger.cli.receipt import VerifierKeyOption, verifier_key
from ledger.cli.target import Data, Json, TokenFile, Url, connect
from ledger.client.export import export_log
from ledger.client.sources import HttpSource


def export(
    folder: Annotated[
        Path, typer.Argument(help="Where to write; an earlier export of the log is brought up to date.")
    ],
    *,
    vkey: VerifierKeyOption = None,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Copy a running ledger's checkpoint, entries and hashes into a folder that verifies offline. Contents stay behind."""
    with connect(data, url, token_file) as client, terminal.progress("files") as bar:
        task = bar.add_task("exporting", total=None)
        head = export_log(
            HttpSource(client),
            folder,
            lambda done, total: bar.update(task, completed=done, total=total),
            vkey=verifier_key(vkey) if vkey else None,
        )
    made = {"folder": str(folder), "origin": head.origin, "size": head.size, "root": head.root.hex()}
    terminal.print_facts("exported", made, as_json=as_json)
    terminal.say(f"verify it with: agent-ledger verify {folder}")
