"""Which ledger a command is about: the data folder, the address, the token."""

import ipaddress
import json
import os
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from ledger.cli.exits import CommandError
from ledger.client.http import LedgerClient

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
Json = Annotated[bool, typer.Option("--json", help="JSON even on a terminal.")]


def data_folder(data: Path | None) -> Path:
    """The folder a command is about."""
    return (data or Path.home() / ".local" / "share" / "agent-ledger").expanduser().absolute()


def connect(data: Path | None, url: str | None, token_file: Path | None) -> LedgerClient:
    """A client of the ledger that the options name.

    Raises:
        CommandError: an option is no good, or no token was found.
    """
    folder = data_folder(data)
    address = url or serving_url(folder) or f"http://{DEFAULT_HOST}:{DEFAULT_PORT}"
    try:
        return LedgerClient(address, find_token(folder, address, token_file))
    except ValueError as error:
        raise CommandError(str(error)) from None


def serving_url(folder: Path) -> str | None:
    """Where the folder's server said it listens, or None."""
    try:
        return str(json.loads((folder / SERVING).read_text(encoding="utf-8"))["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def find_token(folder: Path, url: str, token_file: Path | None) -> str | None:
    """The token to send: the file that was named, the variable, or the local admin token.

    The last goes to this machine only: another address must be given its token on purpose.
    """
    if token_file is not None:
        return _read_token(token_file)
    if token := os.environ.get(TOKEN_VARIABLE):
        return token.strip()
    local = folder / CLI_TOKEN
    return _read_token(local) if _is_loopback(url) and local.exists() else None


def _read_token(path: Path) -> str:
    try:
        token = path.read_bytes()[:MAX_TOKEN_BYTES].decode("ascii").strip()
    except OSError as error:
        raise CommandError(f"the token file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"the token file {path} holds something else than a token") from None
    if not token:
        raise CommandError(f"the token file {path} is empty")
    return token


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
