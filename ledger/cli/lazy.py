"""Commands that are imported when they are called, and not before: `post --help` needs no database."""

from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Place(NamedTuple):
    """Where a command is: the module and, in it, a function or a `typer.Typer`; and the line about it in the list."""

    module: str
    name: str
    about: str


COMMANDS = {
    "init": Place(
        "ledger.cli.init", "init", "Make a log: its folder, its key, its first entry, a first token."
    ),
    "serve": Place("ledger.cli.serve", "serve", "Serve a log over HTTP; make it first where there is none."),
    "post": Place("ledger.cli.post", "post", "Post records: from files, from stdin, or from --field."),
    "get": Place("ledger.cli.get", "get", "Show a record by its id or its place in the log."),
    "tail": Place("ledger.cli.tail", "tail", "Show the newest entries, and with -f those that follow."),
    "query": Place("ledger.cli.query", "query", "Run a named question, or list them."),
    "sql": Place("ledger.cli.query", "sql", "Run one SELECT over the log."),
    "verify": Place("ledger.cli.verify", "verify", "Verify a running ledger, a data folder or an export."),
    "receipt": Place("ledger.cli.receipt", "receipt", "Fetch receipts, and check them offline."),
    "export": Place("ledger.cli.export", "export", "Copy a ledger into a folder that verifies offline."),
    "import": Place("ledger.cli.importing", "importing", "Post what other programs recorded."),
    "gateway": Place(
        "ledger.cli.gateway", "gateway", "Stand between an MCP client and its server, and record."
    ),
    "token": Place("ledger.cli.token", "token", "Make, list and revoke the tokens of a data folder."),
    "keys": Place("ledger.cli.keys", "keys", "Show the log's key; grant and revoke agents' keys."),
}


class LazyGroup(TyperGroup):
    """A group that knows its commands by name and first line, and loads the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, place in COMMANDS.items():
            self.commands[name] = TyperCommand(name, help=place.about)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, loaded, and the arguments after its name."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and load(str(name)), rest


def load(name: str) -> Any:
    """A command, imported from its place."""
    place = COMMANDS[name]
    found = getattr(import_module(place.module), place.name)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name)(found)
        found = single
    return typer.main.get_command(found)
