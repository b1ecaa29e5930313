"""`agent-ledger token`: works on the data folder; a running server takes a change in within a second."""

from typing import Annotated

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError
from ledger.cli.folder import token_store
from ledger.cli.target import Data, Json, data_folder
from ledger.trust.tokens import Role, TokenStore

token = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Whose it is: a-z, 0-9 and -; entries name it as their submitter.")]


@token.callback()
def _about() -> None:
    """Make, list and revoke the tokens of a data folder on this machine."""


@token.command()
def create(
    name: Name,
    *,
    role: Annotated[
        list[Role],
        typer.Option("--role", "-r", help="What it may do; may be given more than once."),
    ],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a token and print it: it is shown this once, and stored as a hash."""
    secret = _tokens(data).create(name, role)
    if as_json:
        terminal.print_json({"name": name, "roles": role, "token": secret})
    else:
        terminal.out.print(secret, soft_wrap=True)
    terminal.say(
        "it is not shown again: put it into a file that only its user can read, and name that with --token-file"
    )


@token.command(name="list")
def list_(*, data: Data = None, as_json: Json = False) -> None:
    """Everyone who holds a token, with what it permits."""
    holders = _tokens(data).list()
    if terminal.wants_json(as_json):
        terminal.print_json(
            [{"name": each.name, "roles": each.roles, "created_at": each.created_at} for each in holders]
        )
    else:
        terminal.print_table(
            ["name", "roles", "permits", "made"],
            [(h.name, ", ".join(h.roles), ", ".join(sorted(h.operations)), h.created_at) for h in holders],
        )


@token.command()
def revoke(name: Name, *, data: Data = None) -> None:
    """Make a token worthless. What it wrote stays in the log under its name."""
    _tokens(data).revoke(name)
    terminal.say(f"the token {name} is revoked; a running server knows within a second")


def _tokens(data: Data) -> TokenStore:
    folder = data_folder(data)
    if not folder.is_dir():
        raise CommandError(f"there is no folder {folder}; `agent-ledger init` makes one")
    return token_store(folder)
