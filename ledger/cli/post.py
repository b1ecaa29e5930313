"""`agent-ledger post`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError, Exit
from ledger.cli.posting import Posted, batches, post_batch
from ledger.cli.reading import record_of, records_in
from ledger.cli.target import Data, Json, TokenFile, Url, connect

STDIN = Path("-")
MAX_SHOWN_REFUSALS = 20


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
    posted, refusals = Posted(), 0
    every = terminal.wants_json(as_json)
    with connect(data, url, token_file) as client, terminal.progress("records") as bar:
        task = bar.add_task("posting", total=None)
        for batch in [list(records)] if atomic else batches(records):
            for result in post_batch(client, batch, posted, atomic=atomic):
                if every:
                    terminal.write(json.dumps(result, ensure_ascii=False) + "\n")
                if "seq" not in result:
                    refusals += 1
                    _say_refusal(result, refusals)
            bar.update(task, completed=posted.total)
    _conclude(posted, every)


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


def _say_refusal(problem: dict[str, Any], count: int) -> None:
    if count <= MAX_SHOWN_REFUSALS:
        code = str(problem.get("type", "")).rpartition(":")[2]
        terminal.complain(f"record {problem.get('record')}: {problem.get('detail')} [{code}]")
    elif count == MAX_SHOWN_REFUSALS + 1:
        terminal.complain("and more; with --json each is on stdout")


def _conclude(posted: Posted, every: bool) -> None:
    if not posted.total:
        raise CommandError("nothing to post: no record was found")
    if not every:
        terminal.print_table(["", "records"], posted.summary().items())
    terminal.say(posted.sentence())
    if posted.refused:
        raise typer.Exit(Exit.REFUSED)
