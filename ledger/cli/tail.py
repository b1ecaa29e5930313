"""`agent-ledger tail`."""

import json
import time
from typing import Annotated, Any

import typer
from rich.text import Text

from ledger.cli import terminal
from ledger.cli.target import Data, Json, TokenFile, Url, connect
from ledger.client.http import LedgerClient

STYLES = {"failure": "red", "denied": "yellow", "timeout": "red"}


def tail(
    *,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, help="How many of the newest entries to begin with.")
    ] = 10,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with those that come, until interrupted.")
    ] = False,
    interval: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks, with -f.")] = 1.0,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Show the newest entries, one a line, the newest last."""
    every = terminal.wants_json(as_json)
    with connect(data, url, token_file) as client:
        size = int(client.log()["size"])
        _show(client, max(0, size - lines), size, every)
        while follow:
            time.sleep(interval)
            seen, size = size, int(client.log()["size"])
            _show(client, seen, size, every)


def _show(client: LedgerClient, start: int, end: int, every: bool) -> None:
    for seq in range(start, end):
        stored = client.entry(seq)
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
