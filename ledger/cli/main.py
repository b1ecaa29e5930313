"""`agent-ledger`: from the arguments to the exit status."""

import sys
from typing import Annotated, NoReturn

import typer

from ledger import __version__
from ledger.cli.exits import CommandError, Exit
from ledger.cli.lazy import LazyGroup

SERVER_ERROR = 500

app = typer.Typer(
    cls=LazyGroup,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="An append-only, signed audit ledger for the actions of AI agents.",
)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    if version:
        sys.stdout.write(f"{__version__}\n")
        raise typer.Exit


def main() -> NoReturn:
    """Run the command that the arguments name; an error is one line on stderr and an exit status."""
    try:
        app(prog_name="agent-ledger")
    except Exception as error:  # noqa: BLE001 - raised again unless it is one of those that end a command
        _end(error)
    sys.exit(Exit.GOOD)


def _end(error: Exception) -> NoReturn:
    # Imported here: a command that ends well needs none of it.
    from ledger.cli import terminal  # noqa: PLC0415
    from ledger.client.http import ProblemError, UnreachableError  # noqa: PLC0415
    from ledger.core.errors import LedgerError  # noqa: PLC0415

    match error:
        case CommandError(detail=detail, status=status):
            pass
        case UnreachableError():
            detail, status = str(error), Exit.UNREACHABLE
        case ProblemError(status=http_status):
            detail = f"{error.detail} [{error.code}]"
            status = Exit.UNREACHABLE if http_status >= SERVER_ERROR else Exit.REFUSED
        case LedgerError(code=code):
            detail, status = f"{error.detail} [{code}]", Exit.REFUSED
        case OSError():
            detail, status = f"{error.filename or 'file'}: {error.strerror or error}", Exit.REFUSED
        case UnicodeError():
            detail, status = f"that is not UTF-8 text: {error}", Exit.REFUSED
        case _:
            raise error
    terminal.complain(detail)
    sys.exit(status)
