"""What the demo prints: a heading per step, a line per thing done, tables."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from demo.model import Reply
from demo.policy import Verdict
from ledger.cli.terminal import cell, escape

WIDTH_OF_A_FILE = 110
console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)
MAX_CHARS = 90
_STYLES = {"denied": "bold red", "failure": "red", "success": "green"}
_TARGETS = ("iban", "to", "name")


def step(number: int, title: str) -> None:
    """Begin a step."""
    console.print()
    console.print(Text(f"{number}  {title}", style="bold"), soft_wrap=True)


def say(text: str, style: str = "") -> None:
    """One thing that was done or is so."""
    console.print(Text(f"   {escape(text)}", style=style), soft_wrap=True)


def call(reply: Reply, verdict: Verdict, status: str, result: str) -> None:
    """One call of the agent, when it is over."""
    target = next((reply.arguments[name] for name in _TARGETS if name in reply.arguments), "")
    amount = f"EUR {reply.arguments['amount_eur']} to " if "amount_eur" in reply.arguments else ""
    line = Text("   ")
    line.append(f"{reply.tool or '':<15}")
    line.append(f"{escape(amount + target):<47}")
    line.append(status, style=_STYLES.get(status, ""))
    if status == "denied":
        line.append(f" by policy: {verdict.reason}")
    elif verdict.reason:
        line.append(f", though policy noted: {verdict.reason}", style="yellow")
    elif status == "failure":
        line.append(f": {escape(result)[:MAX_CHARS]}")
    console.print(line, soft_wrap=True)


def answer(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """The answer to a question."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        last = column == columns[-1]
        table.add_column(Text(escape(column)), no_wrap=not last, overflow="fold" if last else "ellipsis")
    for row in rows:
        table.add_row(*map(cell, row))
    console.print(Padding(table, (0, 0, 1, 3)))


def pairs(members: Mapping[str, str]) -> None:
    """Names and values, the names aligned."""
    width = max(map(len, members)) + 2
    for name, value in members.items():
        line = Text("   ").append(f"{name:<{width}}", style="dim").append(escape(value))
        console.print(line, soft_wrap=True)
