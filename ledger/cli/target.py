"""Which ledger a command is about: the data folder, the address, the token."""

import ipaddress
import json
import os
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from ledger.cli.exits import CommandError
from ledger.client.address import pinned_context
from ledger.client.http import LedgerClient
from ledger.records.bounded import read_bounded

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8731
CLI_TOKEN = "cli.token"  # noqa: S105 - a file's name
SERVING = "serving.json"
TOKEN_VARIABLE = "AGENT_LEDGER_TOKEN"  # noqa: S105 - a variable's name
HEAD_ANCHOR_VARIABLE = "AGENT_LEDGER_HEAD_ANCHOR"
MAX_TOKEN_BYTES = 4_096

Data = Annotated[
    Path | None,
    typer.Option(
        "--data", envvar="AGENT_LEDGER_DATA", help="The data folder (default: ~/.local/share/agent-ledger)."
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="AGENT_LEDGER_URL",
        help="The ledger's address (default: where the data folder's server listens).",
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        help=f"A file with the token (default: ${TOKEN_VARIABLE}, then the data folder's {CLI_TOKEN}).",
    ),
]
HeadAnchor = Annotated[
    Path | None,
    typer.Option(
        "--head-anchor",
        envvar=HEAD_ANCHOR_VARIABLE,
        help="Where the newest checkpoint also stands (default: beside the folder).",
    ),
]
WitnessFolder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        envvar="AGENT_LEDGER_WITNESS",
        help="The witness's folder (default: ~/.local/share/agent-ledger-witness).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON even on a terminal.")]


def data_folder(data: Path | None) -> Path:
    """The folder a command is about."""
    return (data or Path.home() / ".local" / "share" / "agent-ledger").expanduser().absolute()


def witness_folder(folder: Path | None) -> Path:
    """The witness's folder that a command is about."""
    return (folder or Path.home() / ".local" / "share" / "agent-ledger-witness").expanduser().absolute()


def connect(data: Path | None, url: str | None, token_file: Path | None) -> LedgerClient:
    """A client of the ledger that the options name.

    Raises:
        CommandError: an option is no good, or no token was found.
    """
    folder = data_folder(data)
    address = url or serving_url(folder) or f"http://{DEFAULT_HOST}:{DEFAULT_PORT}"
    try:
        pinned = _serving(folder).get("certificate") if url is None else None
        tls = pinned_context(Path(pinned)) if isinstance(pinned, str) else None
        return LedgerClient(address, find_token(folder, address, token_file), tls=tls)
    except ValueError as error:
        raise CommandError(str(error)) from None


def serving_url(folder: Path) -> str | None:
    """Where the folder's server said it listens, or None."""
    url = _serving(folder).get("url")
    return None if url is None else str(url)


def _serving(folder: Path) -> dict[str, Any]:
    """What the folder's server left there."""
    try:
        found = json.loads((folder / SERVING).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def find_token(folder: Path, url: str, token_file: Path | None) -> str | None:
    """The token to send: the file that was named, the variable, or the local admin token.

    The last goes to this machine only: another address must be given its token on purpose.
    """
    if token_file is not None:
        return _read_token(token_file)
    if token := os.environ.get(TOKEN_VARIABLE):
        return token.strip()
    local = folder / CLI_TOKEN
    return _read_token(local) if is_loopback(url) and local.exists() else None


def _read_token(path: Path) -> str:
    try:
        token = read_bounded(path, MAX_TOKEN_BYTES).decode("ascii").strip()
    except OSError as error:
        raise CommandError(f"the token file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"the token file {path} holds something else than a token") from None
    if not token:
        raise CommandError(f"the token file {path} is empty")
    return token


def is_loopback(url: str) -> bool:
    """Whether an address is this machine's own."""
    host = ""
    try:
        host = urlsplit(url).hostname or ""
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
