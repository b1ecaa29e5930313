"""`agent-ledger post`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError, Exit
from ledger.cli.posting import Posted, Refusals, batches, post_batch, was_refused
from ledger.cli.reading import record_of, records_in
from ledger.cli.target import Data, Json, TokenFile, Url, connect

STDIN = Path("-")
MAX_SHOWN = 20


def post(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Files with a JSON object, an array or NDJSON; - is stdin.", show_default=False),
    ] = None,
    *,
    field: Annotated[
        list[str] | None,
        typer.Option(
            "--field",
            "-f",
            help="A member of one record: tool.name=send_email, tool.arguments:='{\"to\": 1}'.",
        ),
    ] = None,
    atomic: Annotated[bool, typer.Option("--atomic", help="All of them in one batch, or none.")] = False,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Post records and print what became of each: the answer comes when they are durable and signed.

    A record that is refused does not stop the others; the exit status is 2 then.
    """
    records = _records(files or [], field or [])
    posted, shown = Posted(), _Shown(as_json=terminal.wants_json(as_json))
    with connect(data, url, token_file) as client, terminal.progress("records") as bar:
        task = bar.add_task("posting", total=None)
        for batch in filter(None, [list(records)]) if atomic else batches(records):
            for result in post_batch(client, batch, posted, atomic=atomic):
                shown.take(result)
            bar.update(task, completed=posted.total)
    if not posted.total:
        raise CommandError("nothing to post: no record was found")
    shown.end()
    terminal.say(posted.sentence())
    if posted.refused:
        raise typer.Exit(Exit.REFUSED)


class _Shown:
    """Results as they come: all of them as JSON, the first ones on a terminal; the first refusals in words."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._rows: list[tuple[Any, ...]] = []
        self._refusals = Refusals()
        self._good = 0

    def take(self, result: dict[str, Any]) -> None:
        """Take in one record's result."""
        if self._as_json:
            terminal.write(json.dumps(result, ensure_ascii=False) + "\n")
        if was_refused(result):
            self._refusals.say(result)
            return
        self._good += 1
        if len(self._rows) < MAX_SHOWN:
            there = "was there already" if result["existing"] else "appended"
            self._rows.append((result["id"], result["seq"], there, result["recorded_at"]))

    def end(self) -> None:
        """Print the table of a terminal."""
        if self._rows and not self._as_json:
            terminal.print_table(["id", "seq", "", "recorded at"], self._rows, whole_names=True)
            if more := self._good - len(self._rows):
                terminal.say(f"and {more:,} more", style="dim")


def _records(files: list[Path], fields: list[str]) -> Iterator[bytes]:
    if fields:
        if files:
            raise CommandError("post either files or one record of --field, not both")
        yield record_of(fields)
        return
    if not files and sys.stdin.isatty():
        raise CommandError("nothing to post: name a file, pipe records in, or use --field")
    for path in files or [STDIN]:
        if path == STDIN:
            yield from records_in(sys.stdin.buffer, "stdin")
        else:
            with path.open("rb") as stream:
                yield from records_in(stream, str(path))
