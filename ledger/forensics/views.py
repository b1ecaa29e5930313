"""The views over `actions` and `records`, of `schemas/views/`: one file each, its columns described in comment lines at the top.

    -- view: tools
    -- answers: One row per tool and server.
    -- column agents: VARCHAR[]. Agents that called it [OTel gen_ai.agent.id]
    -- column users: VARCHAR[] person. Who asked [OTel user.id]

Below them stands one SELECT. A column of kind person or content has a twin `<name>_commitment`, which is what a reader gets who may not see it. One of kind `argument`
is a fact where a record says it; where it was read out of a call's arguments its twin holds their commitment, and it is as secret as they are. Who may
see no contents gets all rows, or with a line `-- readers: <condition>` those of which it holds, or with `-- readers: anew` what the SELECT gives of what they may see
themselves: each time, and not what was made once, where numbers over all would tell whether a guessed argument is right. A line
`-- key: <columns>` makes it a view that follows the log: ledger.forensics.keyed.
"""

import re
from functools import cache
from typing import Final, NamedTuple

from ledger.core.errors import Code, LedgerError
from ledger.records.resources import schema_text, view_names

ANEW: Final = "anew"
_LINE = re.compile(r"-- (view|answers|readers|key|column ([a-z][a-z0-9_]*)): (\S.*)")
_COLUMN = re.compile(
    r"([A-Z][A-Za-z0-9_ ,()]*?(?:\[\])?)(?: (person|content|argument))?\. (\S.*?)(?: \[([^\[\]]+)\])?"
)


class Described(NamedTuple):
    """One column of a table that queries see.

    Attributes:
        name: as SQL has it.
        type: DuckDB's name of its type.
        kind: fact, content, person, commitment, or argument.
        about: what it means.
        term: the terms of other standards that it follows, or "".
        values: the only texts it may hold; () where there is no such list.
    """

    name: str
    type: str
    kind: str
    about: str
    term: str
    values: tuple[str, ...] = ()


class View(NamedTuple):
    """A view.

    Attributes:
        name: its name.
        answers: what a row of it is.
        columns: in order.
        sql: the SELECT that gives them.
        key: the columns by which its rows are found that have to be made again (ledger.forensics.keyed); () where it is made whole each time.
        readers: the condition that a row is for who may see no contents; "" where all are; ANEW: it is made for them of what they may see.
    """

    name: str
    answers: str
    columns: tuple[Described, ...]
    sql: str
    readers: str
    key: tuple[str, ...] = ()


@cache
def load_views() -> dict[str, View]:
    """Every view, by name.

    Raises:
        LedgerError: `invalid-query-file`: a file that does not follow the rules above.
    """
    return {name: parse_view(name, schema_text(f"views/{name}.sql")) for name in view_names()}


def parse_view(name: str, text: str) -> View:
    """Read one view.

    Raises:
        LedgerError: `invalid-query-file`, with the line that is wrong.
    """
    lines = text.split("\n")
    length = next((number for number, line in enumerate(lines) if not line.startswith("--")), len(lines))
    members: dict[str, str] = {}
    columns: list[Described] = []
    for line in lines[:length]:
        parsed = _LINE.fullmatch(line)
        if parsed is None or parsed[1] in members:
            raise malformed(name, f"not a line of the header, or twice: {line}")
        members[parsed[1]] = parsed[3]
        if parsed[2]:
            columns.append(_column(name, parsed[2], parsed[3]))
    sql = "\n".join(lines[length:]).strip().rstrip(";")
    if members.get("view") != name or "answers" not in members or not columns or not sql:
        raise malformed(
            name, f"it needs -- view: {name}, -- answers:, a -- column line for each column, and a SELECT"
        )
    key = tuple(part.strip() for part in members["key"].split(",")) if "key" in members else ()
    if not {column.name for column in columns}.issuperset(key):
        raise malformed(name, f"-- key: {members['key']} names what is no column")
    return View(name, members["answers"], tuple(columns), sql, members.get("readers", ""), key)


def _column(view: str, name: str, text: str) -> Described:
    parsed = _COLUMN.fullmatch(text)
    if parsed is None:
        raise malformed(
            view, f"-- column {name}: is not '<TYPE>. <meaning>', or '<TYPE> person. <meaning> [<term>]'"
        )
    kind = parsed[2] or ("commitment" if name.endswith("_commitment") else "fact")
    return Described(name, parsed[1], kind, parsed[3], parsed[4] or "")


def malformed(name: str, detail: str) -> LedgerError:
    """What is wrong with a view's file."""
    return LedgerError(Code.INVALID_QUERY_FILE, f"schemas/views/{name}.sql: {detail}")
