"""`agent-ledger`: from the arguments to the exit status."""

import os
import sys
from typing import Annotated, Any, NoReturn

import typer

from ledger import __version__
from ledger.cli.exits import CommandError, Exit
from ledger.cli.lazy import LazyGroup
from ledger.log.environment import take_secrets

SERVER_ERROR = 500


class Commands(LazyGroup):
    """The commands, and what it means that nobody hears them out."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Typer would end it with status 1, which says that something was found."""
        try:
            done = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # What is still in the buffer would be complained about at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(Exit.UNHEARD) from None
        return done


app = typer.Typer(
    cls=Commands,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="An append-only, signed audit ledger for the actions of AI agents.",
)


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"{__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and end.")
    ] = False,
) -> None: ...


def main() -> NoReturn:
    """Run the command that the arguments name; an error is one line on stderr and an exit status."""
    take_secrets()  # before anything that could hand them on
    try:
        app(prog_name="agent-ledger")
    except Exception as error:  # noqa: BLE001 - raised again unless it is one of those that end a command
        _end(error)
    sys.exit(Exit.GOOD)


def _end(error: Exception) -> NoReturn:
    # Imported here: a command that ends well needs none of it.
    from ledger.cli import terminal  # noqa: PLC0415
    from ledger.cli.entry import missing  # noqa: PLC0415
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
        case ModuleNotFoundError():
            detail, status = missing(error), Exit.REFUSED
        case OSError():
            detail, status = f"{error.filename or 'file'}: {error.strerror or error}", Exit.REFUSED
        case UnicodeError():
            detail, status = f"that is not UTF-8 text: {error}", Exit.REFUSED
        case _:
            raise error
    terminal.complain(detail)
    sys.exit(status)
