"""Where in an analyst's text an error is. DuckDB says it as a line, an excerpt of it and a caret below."""

import re
import unicodedata
from typing import Final

HEAD: Final = "SELECT * FROM (\n"  # what `ledger.forensics.gate` puts before a statement,
TAIL: Final = "\n) LIMIT "  # and after it
_PLACE: Final = re.compile(r"\n\n(LINE ([1-9][0-9]{0,6}): )([^\n]*)\n( *)\^+\s*\Z")
_CUT: Final = "..."


def position(said: str, run: str, sql: str) -> int | None:
    """The place of an error.

    Args:
        said: all that DuckDB said.
        run: the text that was run: the analyst's own, or that within HEAD and TAIL.
        sql: the analyst's own.

    Returns:
        Characters of `sql` before it; None where that is not told, or told of another text (a view's).
    """
    found = _PLACE.search(said)
    if found is None:
        return None
    lead, number, excerpt, blanks = found.groups()
    lines = run.split("\n")
    before = lines[: int(number) - 1]
    line = lines[len(before)] if len(before) < len(lines) else ""
    column = _column(line, excerpt, len(blanks) - len(lead))
    return None if column is None else _own(run, sql, sum(len(each) + 1 for each in before) + column)


def _column(line: str, excerpt: str, column: int) -> int | None:
    """From the place in the excerpt, which is cut where the line is long, to the one in the line."""
    column = _characters(excerpt, column)
    start, shown = 0, excerpt
    if not line.startswith(excerpt.removesuffix(_CUT)):
        shown = excerpt.removeprefix(_CUT).removesuffix(_CUT)
        start = line.find(shown) - len(_CUT)
    return start + column if shown and shown.removesuffix(_CUT) in line else None


def _characters(text: str, columns: int) -> int:
    """How many characters of the text take so many columns of a terminal: the caret is placed by these."""
    for number, character in enumerate(text):
        if columns <= 0:
            return number
        wide = unicodedata.east_asian_width(character) in {"W", "F"}
        columns -= 0 if unicodedata.combining(character) else 1 + wide
    return len(text)


def _own(run: str, sql: str, at: int) -> int | None:
    if run != sql:
        select = run.removeprefix(HEAD).rpartition(TAIL)[0]
        start = sql.find(select)
        if start < 0 or not 0 <= at - len(HEAD) <= len(select):
            return None
        at += start - len(HEAD)
    return at if 0 <= at <= len(sql) else None
