"""`agent-ledger schema`."""

from typing import Annotated

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError
from ledger.cli.target import Data, TokenFile, Url, connect

Json = Annotated[
    bool, typer.Option("--json", help="Print JSON (the default when the output is no terminal).")
]


def schema(
    view: Annotated[
        str | None, typer.Argument(help="One view; without it, the list.", show_default=False)
    ] = None,
    *,
    as_json: Json = False,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Show the views that a query sees; with a name its columns, what they mean, and whose term each follows."""
    with connect(data, url, token_file) as client:
        tables = {table["name"]: table for table in client.tables()}
    if view is not None and view not in tables:
        raise CommandError(f"there is no view {view}; there are: {', '.join(tables)}")
    if terminal.wants_json(as_json):
        terminal.print_json({"tables": list(tables.values())} if view is None else tables[view])
    elif view is None:
        rows = [(name, table["answers"], str(len(table["columns"]))) for name, table in tables.items()]
        terminal.print_table(["view", "a row is", "columns"], rows, whole_names=True)
    else:
        columns = [
            (column["name"], column["type"], column["kind"], column["about"], column["term"])
            for column in tables[view]["columns"]
        ]
        terminal.print_table(["column", "type", "kind", "meaning", "term"], columns, whole_names=True)
