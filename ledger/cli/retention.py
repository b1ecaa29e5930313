"""`agent-ledger retention`: which contents and entries go, and when."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError
from ledger.cli.target import Data, Json, TokenFile, Url, connect

RUN_TIMEOUT_S = 3600.0

retention = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

Name = Annotated[
    str,
    typer.Argument(help="The policy's name: it stands in the log, and in what says that an entry is gone."),
]
Select = Annotated[
    str | None,
    typer.Option(
        "--select",
        help="A SELECT over `records` or `actions` with a column `seq`; @file reads it.",
        metavar="SELECT",
    ),
]
MIB = 2**20


@retention.callback()
def _about() -> None:
    """Set, list, remove and run retention policies.

    A policy takes contents, or entries with their contents, once they are sealed. Hashes stay: what is left still verifies. The
    server runs all policies once a day; a legal hold keeps what it names from all of them.
    """


@retention.command(name="set")
def set_(
    name: Name,
    *,
    contents: Annotated[bool, typer.Option("--contents", help="Take the contents.")] = False,
    entries: Annotated[
        bool, typer.Option("--entries", help="Take the entries, with their contents.")
    ] = False,
    after_days: Annotated[
        int | None, typer.Option("--after-days", min=0, help="What is older than this.")
    ] = None,
    select: Select = None,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Set a policy: by age, by a SELECT, or by both together."""
    if contents == entries:
        raise CommandError("say what the policy takes: --contents or --entries")
    body: dict[str, Any] = {"removes": "contents" if contents else "entries"}
    if after_days is not None:
        body["after_days"] = after_days
    if select is not None:
        body["select"] = read_select(select)
    with connect(data, url, token_file) as client:
        answer = client.ask("PUT", f"/v1/retention/policies/{quote(name, safe='')}", body)
    terminal.say(
        f"the policy {name} is set by entry {answer['seq']}; `agent-ledger retention run --dry-run` says what it would take now"
    )
    if answer.get("waits"):
        terminal.say("it waits for another administrator, who sets the same (serve --four-eyes)")


@retention.command(name="list")
def list_(*, data: Data = None, url: Url = None, token_file: TokenFile = None, as_json: Json = False) -> None:
    """The policies in force."""
    with connect(data, url, token_file) as client:
        answer = client.ask("GET", "/v1/retention/policies")
    if terminal.wants_json(as_json):
        terminal.print_json(answer)
        return
    rows = [(p["policy"], p["removes"], p["after_days"], p["select"], p["by"]) for p in answer["policies"]]
    terminal.print_table(["policy", "takes", "after days", "of", "set by"], rows, whole_names=True)


@retention.command()
def remove(name: Name, *, data: Data = None, url: Url = None, token_file: TokenFile = None) -> None:
    """End a policy. What it has taken stays away."""
    with connect(data, url, token_file) as client:
        answer = client.ask("DELETE", f"/v1/retention/policies/{quote(name, safe='')}")
    terminal.say(f"the policy {name} is ended by entry {answer['seq']}")


@retention.command()
def run(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Which ones; all where none is named.")
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what they would take now.")] = False,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Run policies now. What they take is read no more from then on; `agent-ledger compact` takes it off the disk."""
    body = {"policies": names or [], "dry_run": dry_run}
    with connect(data, url, token_file) as client:
        answer = client.ask("POST", "/v1/retention/run", body, timeout_s=RUN_TIMEOUT_S)
    if terminal.wants_json(as_json):
        terminal.print_json(answer)
        return
    rows = [row for plan in answer["plans"] for row in _rows(plan)]
    terminal.print_table(
        ["policy", "takes", "segment", "entries", "about MiB", "kept by a hold"], rows, whole_names=True
    )
    for plan in answer["plans"]:
        terminal.say(_told(plan, dry_run=dry_run))


def read_select(text: str) -> str:
    """A SELECT as it was given, or from `@file`."""
    return Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text


def _rows(plan: dict[str, Any]) -> list[tuple[Any, ...]]:
    name, removes = plan["policy"], plan["removes"]
    rows: list[tuple[Any, ...]] = [
        (name, removes, f"{s['start']} to {s['end'] - 1}", s["entries"], f"{s['bytes'] / MIB:.1f}", None)
        for s in plan["segments"]
    ]
    return [*rows, (name, removes, "all", plan["entries"], f"{plan['bytes'] / MIB:.1f}", plan["held"])]


def _told(plan: dict[str, Any], *, dry_run: bool) -> str:
    taken = f"{plan['policy']}: {'would take' if dry_run else 'took'} {plan['removes']} of {plan['entries']:,} entries"
    told = ", ".join(map(str, plan["told_in"]))
    return (
        taken
        + (f", said in entry {told}" if told else "")
        + (f"; {plan['held']:,} are kept by a legal hold" if plan["held"] else "")
        + (f"; {plan['later']:,} pieces are left for the next run" if plan["later"] else "")
    )
