"""`agent-ledger receipt`."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError, Exit
from ledger.cli.get import fetch
from ledger.cli.target import Data, Json, TokenFile, Url, connect
from ledger.client.pins import read_pin
from ledger.core import canonical
from ledger.core.checkpoint import Checkpoint, parse_checkpoint
from ledger.core.entry import Entry, parse_entry
from ledger.core.errors import FormatError, LedgerError, VerificationError
from ledger.core.note import VerifierKey, parse_note, parse_vkey
from ledger.core.receipt import Receipt, format_receipt, parse_receipt, verify_receipt

receipt = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

VerifierKeyOption = Annotated[
    str | None,
    typer.Option(
        "--vkey",
        help="The log's verifier key as you keep it: its text, or a file with it (default: as first seen).",
    ),
]


@receipt.callback()
def _about() -> None:
    """Fetch receipts, and check them offline.

    A receipt proves for ever that an entry stands in the log at its place. The entry travels in the receipt's extra line.
    """


@receipt.command()
def get(
    which: Annotated[
        str, typer.Argument(metavar="ID|SEQ", help="A record's id, or an entry's place in the log.")
    ],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write (default: stdout).")
    ] = None,
    by_id: Annotated[bool, typer.Option("--id", help="It is an id even though it is a number.")] = False,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Fetch the receipt of one entry, and the entry with it. Nothing of its contents is in there."""
    with connect(data, url, token_file) as client:
        stored = fetch(client, which, by_id=by_id)
        text = client.receipt(int(stored["seq"]))
        key = parse_vkey(client.log()["verifier_key"])
    entry = canonical.dumps(stored["entry"])
    complete = format_receipt(replace(parse_receipt(text), extra=entry))
    verify_receipt(complete, entry, [key])
    if output is None:
        sys.stdout.write(complete.decode())
    else:
        output.write_bytes(complete)
        terminal.say(f"the receipt of entry {stored['seq']} is in {output}")


@receipt.command()
def check(
    file: Annotated[Path, typer.Argument(help="The receipt.")],
    *,
    entry: Annotated[
        Path | None,
        typer.Option("--entry", help="The entry's canonical JSON (default: what the receipt carries)."),
    ] = None,
    vkey: VerifierKeyOption = None,
    as_json: Json = False,
) -> None:
    """Check a receipt offline: exit status 0 when it holds, 1 when it does not."""
    text = file.read_bytes()
    try:
        held = parse_receipt(text)
        covered = _entry_bytes(entry, held)
        key = _key(vkey, held)
        checkpoint = verify_receipt(text, covered, [key], key.name)
        found = parse_entry(covered)
        if found.seq != held.index:
            raise CommandError(
                f"the entry says seq {found.seq}, the receipt index {held.index}", Exit.FINDINGS
            )
    except (FormatError, VerificationError) as error:
        raise CommandError(f"{file}: {error.detail} [{error.code}]", Exit.FINDINGS) from None
    _print(found, checkpoint, key, as_json=as_json)


def verifier_key(text: str) -> VerifierKey:
    """The key that an option gives: its text, or the name of a file with it.

    Raises:
        CommandError: it is neither.
    """
    try:
        path = Path(text)
        return parse_vkey((path.read_text(encoding="utf-8") if path.is_file() else text).strip())
    except (LedgerError, OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--vkey {text}: {error}") from None


def _entry_bytes(path: Path | None, held: Receipt) -> bytes:
    if path is not None:
        return path.read_bytes().rstrip(b"\n")
    if held.extra is None:
        raise CommandError("this receipt carries no entry: name the entry's file with --entry")
    return held.extra


def _key(text: str | None, held: Receipt) -> VerifierKey:
    if text is not None:
        return verifier_key(text)
    origin = parse_checkpoint(parse_note(held.checkpoint_note).text).origin
    if (pin := read_pin(origin)) is None:
        raise CommandError(f"the verifier key of {origin} is not known here: give it with --vkey")
    return pin.key


def _print(entry: Entry, checkpoint: Checkpoint, key: VerifierKey, *, as_json: bool) -> None:
    shown: dict[str, Any] = {
        "verdict": "holds",
        "origin": checkpoint.origin,
        "seq": entry.seq,
        "id": entry.members.get("id"),
        "type": entry.members.get("type"),
        "recorded_at": entry.recorded_at,
        "submitter": entry.submitter,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "verifier_key": str(key),
    }
    terminal.print_facts("proved", shown, as_json=as_json)
    terminal.say(
        f"holds: entry {entry.seq} stands in {checkpoint.origin} as the checkpoint of size {checkpoint.size} covers it"
    )
