"""`agent-ledger tail`."""

import json
from typing import Annotated, Any

import typer
from rich.text import Text

from ledger.cli import terminal
from ledger.cli.exits import CommandError
from ledger.cli.target import Data, Json, TokenFile, Url, connect
from ledger.client.following import follow as follow_log
from ledger.records.selection import SELECTABLE, Selection, parse_selection

STYLES = {"failure": "red", "denied": "yellow", "timeout": "red"}


def tail(
    *,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, help="How many of the newest entries to begin with.")
    ] = 10,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with those that come, until interrupted.")
    ] = False,
    select: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="NAME=VALUE",
            help=f"Only entries with this {', '.join(SELECTABLE)}; several values of one name are alternatives. `type=action.*`",
        ),
    ] = None,
    contents: Annotated[
        bool, typer.Option("--contents", help="With -f and --json: contents and persons too.")
    ] = False,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Show the newest entries, one a line, the newest last."""
    selection = _selection(select or [])
    every = terminal.wants_json(as_json)
    with connect(data, url, token_file) as client:
        size = int(client.log()["size"])
        start = max(0, size - lines)
        if follow:
            for stored in follow_log(client, start, select=selection.wanted, contents=contents and every):
                _show(stored, every)
            return
        for seq in range(start, size):
            stored = client.entry(seq)
            if selection.matches(stored["submitter"], stored["entry"]["record"]):
                _show(stored, every)


def _selection(given: list[str]) -> Selection:
    wanted: dict[str, list[str]] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals:
            raise CommandError(f"--only {each}: write it NAME=VALUE; NAME is one of {', '.join(SELECTABLE)}")
        wanted.setdefault(name, []).append(value)
    return parse_selection(wanted)


def _show(stored: dict[str, Any], every: bool) -> None:
    if every:
        terminal.write(json.dumps(stored, ensure_ascii=False) + "\n")
    else:
        terminal.out.print(line(stored), soft_wrap=True)


def line(stored: dict[str, Any]) -> Text:
    """One entry as a line: place, time, type, who, what, to what, how it ended."""
    record = stored["entry"]["record"]
    identity, tool, resource = (record.get(name, {}) for name in ("identity", "tool", "resource"))
    status = record.get("outcome", {}).get("status", "")
    text = Text()
    text.append(f"{stored['seq']:>8} ", style="dim")
    text.append(f"{stored['recorded_at'][:19]}Z ", style="dim")
    words = [
        (record["type"], "cyan"),
        (identity.get("agent_name") or identity.get("agent_id") or stored["submitter"], ""),
        (tool.get("name", ""), "bold"),
        (resource.get("id") or resource.get("type", ""), ""),
        (record.get("policy", {}).get("effect", ""), "magenta"),
        (status, STYLES.get(status, "green")),
    ]
    for word, style in words:
        if word:
            text.append(f" {terminal.escape(str(word))}", style=style)
    return text
