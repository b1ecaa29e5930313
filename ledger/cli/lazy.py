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
    "schema": Place("ledger.cli.schema", "schema", "Show what a query sees: views, columns, meanings."),
    "verify": Place(
        "ledger.cli.verify", "verify", "Verify a running ledger, a data folder, an export or evidence."
    ),
    "receipt": Place("ledger.cli.receipt", "receipt", "Fetch receipts, and check them offline."),
    "export": Place("ledger.cli.export", "export", "Copy a ledger into a folder that verifies offline."),
    "evidence": Place(
        "ledger.cli.evidence", "evidence", "Write chosen entries with what proves them into one file."
    ),
    "backup": Place("ledger.cli.backup", "backup", "Back a log up, beside its running server or stopped."),
    "restore": Place(
        "ledger.cli.backup", "restore_", "Bring a log back from a backup, or a segment; or succeed it."
    ),
    "migrate": Place(
        "ledger.cli.migrate", "migrate_", "Bring an earlier release's folder to this one's storage."
    ),
    "dump": Place("ledger.cli.transfer", "dump_", "Write a whole log as Parquet, to move it."),
    "load": Place("ledger.cli.transfer", "load_", "Make a data folder of a dump."),
    "import": Place("ledger.cli.importing", "importing", "Post what other programs recorded."),
    "gateway": Place(
        "ledger.cli.gateway", "gateway", "Stand between an MCP client and its server, and record."
    ),
    "seal": Place("ledger.cli.seal", "seal", "Seal what is written so far into segments that never change."),
    "segments": Place("ledger.cli.seal", "segments", "List the sealed segments."),
    "retention": Place("ledger.cli.retention", "retention", "Set, list and run retention policies."),
    "hold": Place("ledger.cli.hold", "hold", "Place, list and release legal holds."),
    "erase": Place("ledger.cli.erase", "erase", "Erase a person, records, or what a SELECT gives, for good."),
    "subject": Place("ledger.cli.subject", "subject", "Write what is stored of a person, for the person."),
    "compact": Place("ledger.cli.compact", "compact", "Take off the disk what is erased or retired."),
    "objects": Place("ledger.cli.objects", "objects", "Segments in an object store: status, send, move."),
    "alerts": Place("ledger.cli.alerts", "alerts", "Check the file of alert rules; send each target a test."),
    "witness": Place(
        "ledger.cli.witness", "witness", "Be a witness of other logs: cosign what only ever grows."
    ),
    "calls": Place(
        "ledger.cli.calls", "calls", "Calls between organisations: take and check peers' receipts."
    ),
    "token": Place("ledger.cli.token", "token", "Grant, list, rotate and revoke tokens: who may do what."),
    "signer": Place(
        "ledger.cli.signer", "signer", "Hold a log's key in a process of its own, and sign for its server."
    ),
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
