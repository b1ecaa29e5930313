"""`agent-ledger init`."""

import platform
import re
import secrets
from typing import Annotated

import typer

from ledger.cli import terminal
from ledger.cli.folder import ensure_local_token
from ledger.cli.target import CLI_TOKEN, Data, HeadAnchor, Json, data_folder
from ledger.log.keys import environment_origin
from ledger.log.log import Log

Origin = Annotated[
    str | None,
    typer.Option(
        "--origin",
        envvar="AGENT_LEDGER_ORIGIN",
        help="The log's name, for ever: a host and a path (default: this machine and a number).",
    ),
]

KeyHome = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="HOME",
        help="Where the log's signing key lives: file, environment, or ssh-agent:SOCKET[#SHA256:FINGERPRINT] (docs/keys.md). "
        "By default AGENT_LEDGER_KEY where that is set, else a fresh key in the folder.",
    ),
]


def init(
    *,
    data: Data = None,
    origin: Origin = None,
    head_anchor: HeadAnchor = None,
    key: KeyHome = None,
    as_json: Json = False,
) -> None:
    """Make a log: its folder, its signing key, its first entry, and a token for this machine's commands."""
    folder = data_folder(data)
    Log.create(folder, origin or default_origin(), anchor=head_anchor, key=key)
    log = Log.open(folder, anchor=head_anchor)
    ensure_local_token(folder, log)
    made = {
        "data": str(folder),
        "origin": log.origin,
        "verifier_key": log.vkey,
        "head_anchor": log.anchored(),
    }
    log.close()
    terminal.print_facts("of the log", made, as_json=as_json)
    terminal.say(
        f"keep the verifier key where this machine cannot change it. The admin token for commands here is in {folder / CLI_TOKEN}; "
        "next: agent-ledger serve"
    )


def default_origin() -> str:
    """A name for a log that was given none: its key's in the environment, else this machine and eight hex digits so that no two logs share it."""
    if (named := environment_origin()) is not None:
        return named
    host = re.sub(r"[^A-Za-z0-9.-]", "-", platform.node()) or "localhost"
    return f"{host}/{secrets.token_hex(4)}"
