"""`agent-ledger keys`: the log's own key, and which agents' signatures it accepts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError
from ledger.cli.target import Data, HeadAnchor, Json, TokenFile, Url, connect, data_folder
from ledger.core.ed25519 import check_public_key
from ledger.core.text import format_base64, parse_base64
from ledger.log.log import Log
from ledger.records.limits import MAX_NAME_CHARACTERS

keys = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(help="The key's id: entries name it beside the signature.")]


@keys.callback()
def _about() -> None:
    """Show the log's key; list, grant and revoke agents' keys.

    A grant and a revocation are entries of the log, written on its data folder while no server runs.
    """


@keys.command()
def show(*, data: Data = None, url: Url = None, token_file: TokenFile = None, as_json: Json = False) -> None:
    """The running log's origin and verifier key: compare it with the one you keep elsewhere."""
    with connect(data, url, token_file) as client:
        log = client.log()
    shown = {"origin": log["origin"], "verifier_key": log["verifier_key"]}
    terminal.print_facts("of the log", shown, as_json=as_json)


@keys.command(name="list")
def list_(*, data: Data = None, head_anchor: HeadAnchor = None, as_json: Json = False) -> None:
    """The agents' keys in force."""
    with _opened(data, head_anchor) as log:
        rows = [(key_id, format_base64(public)) for key_id, public in sorted(log.agent_keys().items())]
    if terminal.wants_json(as_json):
        terminal.print_json([{"key_id": key_id, "public_key": public} for key_id, public in rows])
    else:
        terminal.print_table(["key id", "public key"], rows)


@keys.command()
def grant(
    key_id: KeyId,
    public_key: Annotated[str, typer.Argument(help="The Ed25519 public key, 32 bytes in base64.")],
    *,
    subject: Annotated[str, typer.Option(help="Whose it is: stands in the log, so no person's name.")] = "",
    data: Data = None,
    head_anchor: HeadAnchor = None,
) -> None:
    """Accept records that this key signed, from now on."""
    if not 1 <= len(key_id) <= MAX_NAME_CHARACTERS:
        raise CommandError(
            f"a key's id is 1 to {MAX_NAME_CHARACTERS} characters: no record could name this one"
        )
    _check_key(public_key)
    with _opened(data, head_anchor) as log:
        if log.was_granted(key_id):
            raise CommandError(f"there is, or was, a key {key_id}: a key's id is given once; choose another")
        ext: dict[str, Any] = {"log.key_id": key_id, "log.public_key": public_key}
        written = log.append_own("log.access_granted", ext | ({"log.subject": subject} if subject else {}))
    terminal.say(f"the key {key_id} is granted by entry {written.seq}")


@keys.command()
def revoke(key_id: KeyId, *, data: Data = None, head_anchor: HeadAnchor = None) -> None:
    """Accept no more records that this key signed. What it signed before stays good."""
    with _opened(data, head_anchor) as log:
        if key_id not in log.agent_keys():
            raise CommandError(f"there is no key {key_id} in force")
        written = log.append_own("log.access_revoked", {"log.key_id": key_id})
    terminal.say(f"the key {key_id} is revoked by entry {written.seq}")


def _check_key(text: str) -> None:
    try:
        public = parse_base64(text)
    except ValueError as error:
        raise CommandError(f"the public key is {error}") from None
    check_public_key(public)


@contextmanager
def _opened(data: Data, head_anchor: HeadAnchor) -> Iterator[Log]:
    log = Log.open(data_folder(data), anchor=head_anchor)
    try:
        yield log
    finally:
        log.close()
