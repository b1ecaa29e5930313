"""`agent-ledger keys`: the log's own keys, and which agents' signatures it accepts."""

from typing import Annotated, Any

import typer

from ledger.cli import terminal
from ledger.cli.access import access
from ledger.cli.exits import CommandError
from ledger.cli.keyhome import home, move
from ledger.cli.keyhome import prepare as prepare_in
from ledger.cli.target import Data, HeadAnchor, Json, TokenFile, Url, connect
from ledger.client.keys import own_keys
from ledger.core.errors import LedgerError
from ledger.core.note import fingerprint, parse_vkey

keys = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(help="The key's id: entries name it beside the signature.")]
Reason = Annotated[str, typer.Option("--reason", help="Why: stands in the log.")]


@keys.callback()
def _about() -> None:
    """Rotate and revoke the log's keys, and say where they live; grant and revoke agents' keys; at the running server or on the data folder.

    All of it is entries of the log, and counts from them on.
    """


keys.command()(home)
keys.command()(move)


@keys.command()
def show(*, data: Data = None, url: Url = None, token_file: TokenFile = None, as_json: Json = False) -> None:
    """The running log's origin and first verifier key, to compare with the one you keep elsewhere; and the key in force."""
    with connect(data, url, token_file) as client:
        found = own_keys(client)
    shown = {
        "origin": found.origin,
        "verifier_key": str(found.first),
        "fingerprint": fingerprint(found.first),
        "current_key": str(found.current),
    }
    terminal.print_facts("of the log", shown, as_json=as_json)


@keys.command(name="list")
def list_(
    *,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    head_anchor: HeadAnchor = None,
    as_json: Json = False,
) -> None:
    """The log's keys, each with the entries it signs for; and the agents' keys in force."""
    with access(data, url, token_file, head_anchor) as granted:
        own, agents = granted.log_keys(), granted.keys()
    if terminal.wants_json(as_json):
        terminal.print_json(
            [*({"of": "agent", **each} for each in agents), *({"of": "log", **each} for each in own)]
        )
        return
    columns = ["the log's key", "from entry", "to", "revoked from"]
    terminal.print_table(columns, [_row(each) for each in own])
    rows = [(each["key_id"], each["public_key"]) for each in agents]
    terminal.print_table(["agent's key id", "public key"], rows)


def _row(key: dict[str, Any]) -> tuple[str, str, str, str]:
    upto = "in force" if key["to"] is None else str(key["to"])
    revoked = "" if key["revoked_from"] is None else str(key["revoked_from"])
    return key["verifier_key"], str(key["from"]), upto, revoked


@keys.command()
def rotate(
    *,
    reason: Reason = "",
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Only make the next key, to tell witnesses of it before.")
    ] = False,
    to: Annotated[
        str | None,
        typer.Option(
            "--home",
            metavar="HOME",
            help="With --prepare: where the next key lives, as for `init --key` (default: where the one in force does).",
        ),
    ] = None,
    confirm: Annotated[
        int | None,
        typer.Option(
            "--confirm",
            min=0,
            metavar="SEQ",
            help="Do what another administrator asked for in this entry (serve --four-eyes).",
        ),
    ] = None,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    head_anchor: HeadAnchor = None,
    as_json: Json = False,
) -> None:
    """Sign the log with another key from now on. Nothing stops, and nothing that was signed before loses its worth."""
    if to is not None:
        if not prepare:
            raise CommandError("--home is for --prepare: it is the next key that lives there")
        prepare_in(data, to)
    with access(data, url, token_file, head_anchor) as granted:
        if prepare:
            fresh = granted.next_key()
            shown = {"next_key": fresh, "fingerprint": fingerprint(parse_vkey(fresh))}
            terminal.print_facts("of the next key", shown, as_json=as_json)
            return
        answer = granted.rotate_key(reason) if confirm is None else granted.confirm_key(confirm)
    _tell(answer, as_json=as_json)


@keys.command()
def proof(*, data: Data = None, url: Url = None, token_file: TokenFile = None) -> None:
    """Print the proof of the running log's keys: whoever knows one of them knows all by it (`receipt check --keys`)."""
    with connect(data, url, token_file) as client:
        found = client.key_proof()
    terminal.write(found.decode())


@keys.command()
def grant(
    key_id: KeyId,
    public_key: Annotated[str, typer.Argument(help="The Ed25519 public key, 32 bytes in base64.")],
    *,
    subject: Annotated[str, typer.Option(help="Whose it is: stands in the log, so no person's name.")] = "",
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    head_anchor: HeadAnchor = None,
) -> None:
    """Accept records that this agent's key signed, from now on."""
    body = {"key_id": key_id, "public_key": public_key, "subject": subject}
    with access(data, url, token_file, head_anchor) as granted:
        seq = granted.grant_key(body)
    terminal.say(f"the key {key_id} is granted by entry {seq}")


@keys.command()
def revoke(
    key: Annotated[
        str,
        typer.Argument(help="An agent's key by its id, or one of the log's earlier keys as it is listed."),
    ],
    *,
    start: Annotated[
        int | None,
        typer.Option(
            "--from",
            min=0,
            metavar="SEQ",
            help="Of a key of the log: from which entry on its signatures count for nothing.",
        ),
    ] = None,
    reason: Reason = "",
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    head_anchor: HeadAnchor = None,
    as_json: Json = False,
) -> None:
    """Accept no more records that an agent's key signed (what it signed before stays good); or say when a key of the log fell into other hands."""
    with access(data, url, token_file, head_anchor) as granted:
        if _is_log_key(key):
            if start is None:
                raise CommandError(
                    "from which entry on? --from says it: `keys list` has what the key signs for"
                )
            _tell(granted.revoke_log_key(key, start, reason), as_json=as_json)
            return
        if start is not None or reason:
            raise CommandError(
                "--from and --reason are for a key of the log: an agent's counts to its revocation"
            )
        seq = granted.revoke_key(key)
    terminal.say(f"the key {key} is revoked by entry {seq}")


def _is_log_key(text: str) -> bool:
    try:
        parse_vkey(text)
    except LedgerError:
        return False
    return True


def _tell(answer: dict[str, Any], *, as_json: bool) -> None:
    terminal.print_facts("of the log's keys", answer, as_json=as_json)
    if "asked_in" in answer:
        terminal.say(
            f"asked for in entry {answer['asked_in']}: another administrator confirms it, with `agent-ledger keys rotate --confirm "
            f"{answer['asked_in']}`"
        )
    else:
        terminal.say(
            f"done by entry {answer['seq']}; {answer['current_key']} signs. Keep a copy of the new key where you keep copies"
        )
