"""`agent-ledger receipt`."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError, Exit
from ledger.cli.get import fetch
from ledger.cli.policy import Asking, MaxAge, PolicyFile
from ledger.cli.target import Data, Json, TokenFile, Url, WitnessFolder, connect, witness_folder
from ledger.client.keys import own_keys
from ledger.client.pins import read_pin
from ledger.core import canonical
from ledger.core.checkpoint import Checkpoint, parse_checkpoint
from ledger.core.entry import Entry, parse_entry
from ledger.core.errors import FormatError, LedgerError, VerificationError
from ledger.core.keyhistory import KeyHistory, parse_history
from ledger.core.note import VerifierKey, parse_note, parse_vkey
from ledger.core.quorum import Witnessed
from ledger.core.receipt import Receipt, format_receipt, parse_receipt, verify_receipt
from ledger.records.bounded import read_bounded
from ledger.witness.followed import Followed
from ledger.witness.peers import Peers

receipt = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

VerifierKeyOption = Annotated[
    str | None,
    typer.Option(
        "--vkey",
        help="A verifier key of the log as you keep it: its text, or a file with it (default: as seen).",
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
        keys = own_keys(client)
    entry = canonical.dumps(stored["entry"])
    complete = format_receipt(replace(parse_receipt(text), extra=entry))
    verify_receipt(complete, entry, keys.keys, keys.origin)
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
    proof: Annotated[
        Path | None,
        typer.Option(
            "--keys",
            help="The log's proof of its keys (`agent-ledger keys proof`, or keys.json of an export), where it was rotated (default: as seen, or as followed of a peer).",
        ),
    ] = None,
    policy: PolicyFile = None,
    max_age: MaxAge = None,
    folder: WitnessFolder = None,
    as_json: Json = False,
) -> None:
    """Check a receipt offline, a peer's under the key of the handshake: exit status 0 when it holds, 1 when it does not."""
    text = read_bounded(file)
    asking = Asking.read(policy, max_age)
    witnessed: Witnessed | None = None
    try:
        held = parse_receipt(text)
        covered = _entry_bytes(entry, held)
        keys = _keys(vkey, proof, held, asking, folder)
        keys.open(held.checkpoint_note)
        checkpoint = verify_receipt(text, covered, keys.keys, keys.origin)
        found = parse_entry(covered)
        if found.seq != held.index:
            raise CommandError(
                f"the entry says seq {found.seq}, the receipt index {held.index}", Exit.FINDINGS
            )
        if asking is not None:
            witnessed = asking.verify(held.checkpoint_note, keys)
    except (FormatError, VerificationError) as error:
        raise CommandError(f"{file}: {error.detail} [{error.code}]", Exit.FINDINGS) from None
    _print(found, checkpoint, keys.at(checkpoint.size).key, witnessed, as_json=as_json)


def verifier_key(text: str, option: str = "--vkey") -> VerifierKey:
    """The key that an option gives: its text, or the name of a file with it.

    Raises:
        CommandError: it is neither.
    """
    try:
        path = Path(text)
        return parse_vkey((read_bounded(path).decode("utf-8") if path.is_file() else text).strip())
    except (LedgerError, OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{option} {text}: {error}") from None


def _entry_bytes(path: Path | None, held: Receipt) -> bytes:
    if path is not None:
        return read_bounded(path).rstrip(b"\n")
    if held.extra is None:
        raise CommandError("this receipt carries no entry: name the entry's file with --entry")
    return held.extra


def _keys(
    text: str | None, proof: Path | None, held: Receipt, asking: Asking | None, folder: Path | None
) -> KeyHistory:
    """The keys of the receipt's log: those that the one which is known leads to, where their proof is given or was seen."""
    origin = parse_checkpoint(parse_note(held.checkpoint_note).text).origin
    pin = read_pin(origin)
    known = _known(origin, text, asking, folder) or (pin.key if pin is not None else None)
    if known is None:
        raise CommandError(f"the verifier key of {origin} is not known here: give it with --vkey")
    if proof is not None:
        return parse_history(read_bounded(proof), known)
    if pin is not None and known in pin.keys.keys:
        return pin.keys
    return Followed(witness_folder(folder)).keys(known)


def _known(origin: str, text: str | None, asking: Asking | None, folder: Path | None) -> VerifierKey | None:
    """The key that somebody gave for a log: here, in a policy, or in a handshake."""
    if text is not None:
        return verifier_key(text)
    if asking is not None and (key := asking.key(origin)) is not None:
        return key
    peers = Peers(witness_folder(folder)).list()
    return next((each.invitation.log for each in peers if each.invitation.log.name == origin), None)


def _print(
    entry: Entry, checkpoint: Checkpoint, key: VerifierKey, witnessed: Witnessed | None, *, as_json: bool
) -> None:
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
        "witnessed_by": list(witnessed.by) if witnessed is not None else None,
    }
    terminal.print_facts("proved", shown, as_json=as_json)
    terminal.say(
        f"holds: entry {entry.seq} stands in {checkpoint.origin} as the checkpoint of size {checkpoint.size} covers it"
    )
    if witnessed is None:
        terminal.say("  whether others were shown the same log is not asked: --policy does")
    else:
        terminal.say(f"  {witnessed.what}")
