"""`agent-ledger import`: what other programs recorded, posted as records."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
import zstandard
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ledger.cli import terminal
from ledger.cli.agentdojo.runs import parse_run, records
from ledger.cli.exits import CommandError, Exit
from ledger.cli.posting import Posted, Refusals, batches, post_batch, was_refused
from ledger.cli.target import Data, Json, TokenFile, Url, connect
from ledger.core.errors import LedgerError

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
MAX_LINE_BYTES = 64_000_000

importing = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@importing.callback()
def _about() -> None:
    """Post what other programs recorded. Ids follow from the source, so importing again adds nothing."""


@importing.command()
def agentdojo(
    files: Annotated[list[Path], typer.Argument(help="Runs, one JSON object a line; plain or zstd.")],
    *,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Import AgentDojo runs: each tool call that was executed becomes one action, each run one request."""
    posted, refusals = Posted(), Refusals()
    with connect(data, url, token_file) as client, _progress() as bar:
        task = bar.add_task("importing", total=sum(path.stat().st_size for path in files), records=0)
        for batch in batches(_records(files, bar, task)):
            for result in post_batch(client, batch, posted):
                if was_refused(result):
                    refusals.say(result)
            bar.update(task, records=posted.total)
    if terminal.wants_json(as_json):
        terminal.print_json(posted.summary())
    terminal.say(posted.sentence())
    if posted.refused:
        raise typer.Exit(Exit.REFUSED)


def _records(files: list[Path], bar: Progress, task: TaskID) -> Iterator[bytes]:
    before = 0
    for path in files:
        with path.open("rb") as stream:
            for number, line in enumerate(_lines(stream, path), 1):
                try:
                    yield from records(parse_run(line))
                except LedgerError as error:
                    raise CommandError(f"{path}, line {number}: {error.detail}") from None
                bar.update(task, completed=before + stream.tell())
        before += path.stat().st_size


def _lines(stream: BinaryIO, path: Path) -> Iterator[bytes]:
    """The lines of a file, decompressed where it begins like zstd; an empty line is none.

    Raises:
        CommandError: a line is too long, or the compressed data is damaged.
    """
    compressed = stream.read(len(ZSTD_MAGIC)) == ZSTD_MAGIC
    stream.seek(0)
    # Both are raw enough for a BufferedReader: they have readinto.
    raw: Any = (
        zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True) if compressed else stream
    )
    text = io.BufferedReader(raw)
    try:
        while line := text.readline(MAX_LINE_BYTES):
            if len(line) == MAX_LINE_BYTES:
                raise CommandError(f"{path}: a line is longer than {MAX_LINE_BYTES:,} bytes")
            if line.strip():
                yield line
    except zstandard.ZstdError as error:
        raise CommandError(f"{path}: {error}") from None


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[records]:,} records"),
        TimeElapsedColumn(),
        console=terminal.err,
        transient=True,
        disable=not terminal.err.is_terminal,
    )
