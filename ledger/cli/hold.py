"""`agent-ledger hold`: legal holds."""

import re
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError
from ledger.cli.retention import read_select
from ledger.cli.target import Data, Json, TokenFile, Url, connect

PLACE_TIMEOUT_S = 600.0
_RANGE = re.compile(r"(\d{1,15})(?:-(\d{1,15}))?", re.ASCII)

hold = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The hold's name, as the case is called: it stands in the log.")]
Reason = Annotated[str, typer.Option("--reason", help="Why: stands in the log, so no person's name.")]


@hold.callback()
def _about() -> None:
    """Place, list and release legal holds. What is held is neither retired nor erased, whoever asks for it."""


@hold.command()
def place(
    name: Name,
    *,
    reason: Reason,
    entries: Annotated[
        list[str] | None,
        typer.Option(
            "--entries",
            help="An entry, or a stretch like 100-199; may be given more than once.",
            metavar="FROM-TO",
        ),
    ] = None,
    select: Annotated[
        str | None,
        typer.Option(
            "--select",
            help="What this SELECT gives in its column `seq` now; @file reads it.",
            metavar="SELECT",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="All entries, also those still to come.")
    ] = False,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Keep entries, and all that belongs to them, until the hold is released."""
    if (entries is not None) + (select is not None) + everything != 1:
        raise CommandError("say what is held: --entries, --select or --everything")
    body: dict[str, Any] = {"reason": reason}
    if entries is not None:
        body["ranges"] = [_range(text) for text in entries]
    elif select is not None:
        body["select"] = read_select(select)
    else:
        body["everything"] = True
    with connect(data, url, token_file) as client:
        answer = client.ask("PUT", f"/v1/holds/{quote(name, safe='')}", body, timeout_s=PLACE_TIMEOUT_S)
    said = ", ".join(map(str, answer["seqs"]))
    terminal.say(f"the hold {name} keeps {answer['entries']:,} entries of today's log, said in entry {said}")


@hold.command(name="list")
def list_(*, data: Data = None, url: Url = None, token_file: TokenFile = None, as_json: Json = False) -> None:
    """The holds in force."""
    with connect(data, url, token_file) as client:
        answer = client.ask("GET", "/v1/holds")
    if terminal.wants_json(as_json):
        terminal.print_json(answer)
        return
    rows = [(h["hold"], h["entries"], _shown(h), h["reason"], h["by"]) for h in answer["holds"]]
    terminal.print_table(["hold", "entries", "which", "reason", "placed by"], rows, whole_names=True)


@hold.command()
def release(
    name: Name, *, reason: Reason, data: Data = None, url: Url = None, token_file: TokenFile = None
) -> None:
    """End a hold: policies and erasures may take again what it kept."""
    with connect(data, url, token_file) as client:
        answer = client.ask("POST", f"/v1/holds/{quote(name, safe='')}/release", {"reason": reason})
    terminal.say(f"the hold {name} is released by entry {answer['seq']}")


def _range(text: str) -> list[int]:
    match = _RANGE.fullmatch(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if last < first:
        raise CommandError(f"--entries {text}: an entry like 17, or a stretch like 100-199")
    return [first, last + 1]


def _shown(held: dict[str, Any]) -> str:
    shown = [
        f"{start} to {end - 1}" if end < 2**53 - 1 else f"{start} and all later"
        for start, end in held["ranges"][:3]
    ]
    more = held["ranges_in_all"] - len(shown)
    return ", ".join(shown) + (f" and {more} more stretches" if more else "")
