"""`agent-ledger signer`: the log's key in a process of its own, which signs for the server by the ssh-agent protocol."""

import logging
import pwd
import signal
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError
from ledger.cli.target import Json
from ledger.core.errors import Code, LedgerError
from ledger.core.note import ED25519, fingerprint, format_vkey
from ledger.log.keys import create_key
from ledger.log.secret import read_secret
from ledger.log.sshwire import Identity
from ledger.signer.memory import close_memory
from ledger.signer.serving import Listening, Signer

signer = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

KeyFile = Annotated[Path, typer.Argument(metavar="KEY", help="The key file.")]


@signer.callback()
def _about() -> None:
    """Hold a log's key where its server cannot read it: another process, best another user's.

    It signs checkpoints and manifests of that one log, and nothing else. A log is made with it by `init --key ssh-agent:SOCKET`.
    """


@signer.command()
def init(
    key: KeyFile,
    *,
    origin: Annotated[str, typer.Option("--origin", help="The log's name, for ever.")],
    as_json: Json = False,
) -> None:
    """Make a key for a log. Keep a copy offline: without it the log cannot be continued."""
    made = create_key(key.expanduser(), origin).key
    shown = {"origin": origin, "verifier_key": format_vkey(made), "fingerprint": fingerprint(made)}
    terminal.print_facts("of the key", shown, as_json=as_json)


@signer.command()
def serve(
    key: KeyFile,
    socket: Annotated[Path, typer.Argument(metavar="SOCKET", help="Where to listen; made, mode 0600.")],
    *,
    user: Annotated[
        list[str] | None,
        typer.Option(
            "--user",
            metavar="NAME|UID",
            help="Who may ask, in place of this command's own user; may be given more than once.",
        ),
    ] = None,
) -> None:
    """Sign for whoever may ask, until SIGTERM. What is refused is a line on stderr."""
    close_memory()
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    held, seed = read_secret(key.expanduser(), "`agent-ledger signer init` makes one")
    if held.algorithm != ED25519:
        raise LedgerError(Code.KEY_FILE, f"the signing key {key} is a witness's, not a log's")
    answering = Signer(held, seed)
    listening = Listening(answering, socket.expanduser().absolute(), users=[*map(_uid, user or [])])

    def stop(_number: int, _frame: FrameType | None) -> None:
        listening.close()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    shown = Identity(held.public, "").fingerprint
    terminal.say(f"signing for {held.name} with {shown} at {socket}")
    listening.serve()
    counted = ", ".join(f"{count:,} {kind}" for kind, count in answering.signed.most_common())
    terminal.say(f"stopped; signed {counted or 'nothing'}")


def _uid(user: str) -> int:
    try:
        return int(user) if user.isascii() and user.isdigit() else pwd.getpwnam(user).pw_uid
    except KeyError:
        raise CommandError(f"--user {user}: there is no such user") from None
