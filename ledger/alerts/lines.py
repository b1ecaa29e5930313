"""On which line of a TOML file something stands: its parser tells that of what is no TOML, and of nothing else."""

import re
from typing import Final

_TABLES: Final = re.compile(r"\s*\[\[\s*([a-z_]+)\s*\]\]")
_BELOW: Final = re.compile(r"\s*\[\s*([a-z_]+)\s*\.\s*([A-Za-z0-9_-]+)")
_KEY: Final = re.compile(r"\s*([A-Za-z0-9_-]+)\s*[.=]")
_PLACE: Final = re.compile(r"\$(?:\.([a-z_]+)(?:\[(\d+)\])?(?:\.([A-Za-z0-9_-]+))?)?")
_LONG: Final = ('"""', "'''")


def line_of(text: str, path: str) -> int:
    """The line of `$.rule[2].member`, or where that is not written, of its table; 1 where there is no such thing.

    It looks for headers `[[rule]]` and lines `key =`; what stands in an inline table has the line of the table's key.
    """
    parsed = _PLACE.match(path)
    table, index, key = parsed.groups() if parsed else (None, None, None)
    wanted = int(index or 0)
    seen, header, here, inside = -1, 1, False, ""
    for number, line in enumerate(text.split("\n"), 1):
        if inside:  # of a text of several lines
            inside = "" if inside in line else inside
            continue
        inside = next((quote for quote in _LONG if line.count(quote) == 1), "")
        if found := _TABLES.match(line):
            seen += found[1] == table
            here = found[1] == table and seen == wanted
            header = number if here else header
        elif here and key is not None:
            below, own = _BELOW.match(line), _KEY.match(line)
            if key in {below[2] if below else None, own[1] if own else None}:
                return number
    return header
