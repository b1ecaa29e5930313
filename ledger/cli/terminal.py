"""What people and programs see: data on stdout, words and progress on stderr.

Records are written by agents, and agents by attackers: nothing of them reaches a terminal that could move its cursor,
recolour it, or show text in another order than it is stored. Such characters are printed as their escapes. No string is
ever read as rich markup.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

# Unicode's categories Cc, Cf, Zl and Zp: controls, bidi controls, what has no width, line separators; tags whole.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
_UNSAFE_BUT_LINES = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))
CELL_CHARS = 240
MIN_COLUMN_CHARS = 10  # with its border; narrower ones cannot be read


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to who runs the command: rich would end the process with a status of its own."""
        raise BrokenPipeError


out = _Console(highlight=False, soft_wrap=False)
err = _Console(stderr=True, highlight=False)


def escape(text: str, *, lines: bool = False) -> str:
    r"""Text that is safe to print: what a terminal would obey is shown as `\x1b`, `\u202e` and so on.

    Args:
        text: what may come from anyone.
        lines: whether line feeds stay as they are.
    """
    return (_UNSAFE_BUT_LINES if lines else _UNSAFE).sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode("ascii")


def print_json(value: Any) -> None:
    """One JSON document on stdout: laid out for people on a terminal, one line otherwise."""
    indent = 2 if out.is_terminal else None
    write(json.dumps(value, ensure_ascii=False, indent=indent) + "\n")


def write(json_text: str) -> None:
    r"""JSON text on stdout, its unsafe characters as `\uXXXX`: the same value, and safe to look at."""
    sys.stdout.write(_UNSAFE_BUT_LINES.sub(_json_escaped, json_text))
    sys.stdout.flush()


def _json_escaped(match: re.Match[str]) -> str:
    utf16 = match.group().encode("utf-16-be")
    return "".join(f"\\u{utf16[at : at + 2].hex()}" for at in range(0, len(utf16), 2))


def wants_json(flag: bool) -> bool:
    """Whether data goes out as JSON: when asked for, and whenever stdout is not a terminal."""
    return flag or not out.is_terminal


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, whole_names: bool = False) -> None:
    """Rows as a table on stdout; `whole_names` never breaks the first column, whose cells are typed again."""
    out.print(_table(columns, rows, whole_names=whole_names))


def say_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Rows as a table for people, on stderr."""
    err.print(_table(columns, rows))


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, whole_names: bool = False) -> Table:
    table = Table(header_style="bold")
    for at, column in enumerate(columns):
        table.add_column(Text(escape(column)), overflow="fold", no_wrap=whole_names and at == 0)
    for row in rows:
        table.add_row(*map(cell, row))
    return table


def print_facts(about: str, facts: Mapping[str, Any], *, as_json: bool) -> None:
    """What is to be said about one thing: names and values."""
    if wants_json(as_json):
        print_json(facts)
    else:
        print_table(["", about], facts.items())


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """The rows of an answer: as one table, or where its columns do not fit each row by itself, without what is NULL."""
    if len(columns) * MIN_COLUMN_CHARS <= out.width:
        print_table(columns, rows)
        return
    for number, row in enumerate(rows, 1):
        there = [(name, value) for name, value in zip(columns, row, strict=True) if value is not None]
        print_table(["column", f"row {number}"], there, whole_names=True)


def cell(value: Any) -> Text:
    """A value in a table: nothing for null, long texts cut where the cut is shown."""
    if value is None:
        return Text("")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = escape(text)
    return Text(text if len(text) <= CELL_CHARS else f"{text[:CELL_CHARS]}… ({len(text)} characters)")


def say(text: str, style: str = "") -> None:
    """A line for people, on stderr."""
    err.print(Text(escape(text), style=style), soft_wrap=True)


def complain(text: str) -> None:
    """The one line of an error, on stderr."""
    line = Text("error: ", style="bold red")
    err.print(line.append(escape(text), style="default"), soft_wrap=True)


def progress(unit: str) -> Progress:
    """A progress bar on stderr with the time it will still take, shown on a terminal only."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )
