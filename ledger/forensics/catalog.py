"""The named questions of `queries/`, and of a folder of one's own: a file each, its interface in comment lines at the top (queries/README.md)."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from ledger.core.canonical import MAX_INTEGER
from ledger.core.errors import Code, LedgerError
from ledger.records.resources import query_files

Value: TypeAlias = str | int | bool | None

TYPES: Final = ("text", "integer", "boolean", "timestamp")
GROUPS: Final = {
    "who": "Who, what, when",
    "reach": "Blast radius",
    "injection": "Injection path",
    "policy": "Policy",
    "exfiltration": "Exfiltration",
    "anomaly": "Anomaly",
    "approval": "Delegation and approval",
    "integrity": "Integrity and completeness",
    "report": "Reports",
}
OWN: Final = "own"  # the group of questions of one's own that name none
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_LINE = re.compile(r"-- (title|answers|group|standard|columns|param [a-z][a-z0-9_]*): (\S.*)")
_PARAMETER = re.compile(rf"({'|'.join(TYPES)}), (required|default (\S+))\. (\S.*)")
_COLUMN = re.compile(r"([a-z][a-z0-9_]*)(?: \(([^()]+)\))?")
_COLUMNS = re.compile(r", (?![^()]*\))")
_USED = re.compile(r"\$([a-z][a-z0-9_]*)")
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,15})", re.ASCII)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d))?", re.ASCII)
_EXAMPLES: Final = {
    "text": "text",
    "integer": "an integer",
    "boolean": "true or false",
    "timestamp": "a time like 2026-11-21T09:30:00Z, or a date",
}


class Parameter(NamedTuple):
    """One parameter of a question: `default` is its value when it is not given, None where it must be."""

    name: str
    type: str
    required: bool
    default: Value
    about: str


class Column(NamedTuple):
    """One column of the answer, and what it is where its name does not say so."""

    name: str
    about: str


class NamedQuery(NamedTuple):
    """A question that has a name.

    Attributes:
        name: the file's, without `.sql`.
        title: the question.
        answers: what a row of the answer is.
        group: one of GROUPS, or OWN.
        standard: the article or control it helps to meet, or "".
        parameters: what it takes.
        columns: what it gives, in order.
        sql: one SELECT.
    """

    name: str
    title: str
    answers: str
    group: str
    standard: str
    parameters: tuple[Parameter, ...]
    columns: tuple[Column, ...]
    sql: str

    def bind(self, given: Mapping[str, Any]) -> dict[str, Value]:
        """A value for each parameter: given, or its default.

        Raises:
            LedgerError: `invalid-parameter`, with the parameter as path: unknown, missing, or not of its type.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given:
            if name not in known:
                names = ", ".join(known) or "none"
                raise _invalid(name, f"{self.name} has no parameter {name}; it has: {names}")
        return {name: self._value(parameter, given.get(name)) for name, parameter in known.items()}

    def _value(self, parameter: Parameter, given: Any) -> Value:
        if given is None:
            if parameter.required:
                raise _invalid(
                    parameter.name,
                    f"{self.name} needs the parameter {parameter.name} ({parameter.type}): {parameter.about}",
                )
            return parameter.default
        try:
            return _typed(parameter.type, given)
        except ValueError:
            raise _invalid(
                parameter.name,
                f"the parameter {parameter.name} is {_EXAMPLES[parameter.type]}, not {given!r:.80}",
            ) from None

    def describe(self) -> dict[str, Any]:
        """The question as `GET /v1/queries` shows it."""
        return {
            "name": self.name,
            "title": self.title,
            "answers": self.answers,
            "group": self.group,
            "standard": self.standard,
            "parameters": [parameter._asdict() for parameter in self.parameters],
            "columns": [column._asdict() for column in self.columns],
            "sql": self.sql,
        }


def load_queries(own: Path | None = None) -> dict[str, NamedQuery]:
    """Every named question, by name: those that come with the ledger, then those of a folder of one's own.

    Raises:
        LedgerError: `invalid-query-file`: a file that does not follow queries/README.md, or has the name of one that comes with the ledger:
            what is asked under a name means the same everywhere.
    """
    shipped = {path.stem: parse_query(path.stem, _text(path)) for path in query_files()}
    return shipped | (_own_queries(own, shipped) if own is not None else {})


def _own_queries(folder: Path, shipped: Mapping[str, NamedQuery]) -> dict[str, NamedQuery]:
    if not folder.is_dir():
        raise LedgerError(Code.INVALID_QUERY_FILE, f"{folder}: there is no such folder of queries")
    found = {}
    for path in sorted(folder.glob("*.sql")):
        if not _NAME.fullmatch(path.stem):
            raise _malformed(str(path), "its name is not lower-case letters, digits and hyphens")
        if path.stem in shipped:
            raise _malformed(
                str(path), "a question that comes with the ledger has this name: give yours another one"
            )
        found[path.stem] = parse_query(path.stem, _text(path), str(path))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise _malformed(str(path), "it is not UTF-8 text") from None


def parse_query(name: str, text: str, where: str = "") -> NamedQuery:
    """Read one question of the file `where`, which is in `queries/` where nothing else is said.

    Raises:
        LedgerError: `invalid-query-file`, with the line that is wrong.
    """
    where = where or f"queries/{name}.sql"
    lines = text.split("\n")
    length = next((number for number, line in enumerate(lines) if not line.startswith("--")), len(lines))
    members: dict[str, str] = {}
    for line in lines[:length]:
        parsed = _LINE.fullmatch(line)
        if parsed is None or parsed[1] in members:
            raise _malformed(where, f"not a line of the header, or twice: {line}")
        members[parsed[1]] = parsed[2]
    sql = "\n".join(lines[length:]).strip().rstrip(";").rstrip()
    for required in ("title", "answers", "columns"):
        if required not in members:
            raise _malformed(where, f"it has no line -- {required}:")
    parameters = tuple(
        _parameter(where, key[6:], value) for key, value in members.items() if key.startswith("param ")
    )
    columns = tuple(_column(where, part) for part in _COLUMNS.split(members["columns"]))
    used, declared = set(_USED.findall(sql)), {parameter.name for parameter in parameters}
    if not sql or used != declared:
        raise _malformed(where, f"it declares {sorted(declared)} and uses {sorted(used)}")
    group = members.get("group", OWN)
    if group not in {*GROUPS, OWN}:
        raise _malformed(where, f"-- group: is one of {', '.join(GROUPS)}, not {group}")
    return NamedQuery(
        name,
        members["title"],
        members["answers"],
        group,
        members.get("standard", ""),
        parameters,
        columns,
        sql,
    )


def _parameter(where: str, name: str, text: str) -> Parameter:
    parsed = _PARAMETER.fullmatch(text)
    if parsed is None:
        raise _malformed(
            where, f"-- param {name}: is not '<type>, required. …' or '<type>, default <value>. …'"
        )
    kind, need, default, about = parsed.groups()
    if need == "required":
        return Parameter(name, kind, True, None, about)
    try:
        value = None if default == "none" else _from_text(kind, default)
    except ValueError:
        raise _malformed(where, f"the default of {name}, {default}, is not {_EXAMPLES[kind]}") from None
    return Parameter(name, kind, False, value, about)


def _column(where: str, text: str) -> Column:
    parsed = _COLUMN.fullmatch(text)
    if parsed is None:
        raise _malformed(where, f"not a column: {text}")
    return Column(parsed[1], parsed[2] or "")


def _from_text(kind: str, text: str) -> Value:
    if kind == "boolean":
        return {"true": True, "false": False}[text] if text in {"true", "false"} else _refuse()
    return _typed(kind, int(text) if kind == "integer" and _INTEGER.fullmatch(text) else text)


def _typed(kind: str, value: Any) -> Value:
    """The value as SQL gets it; a timestamp as RFC 3339 text in UTC, which the question casts."""
    if kind == "boolean" and type(value) is bool:
        return value
    if kind == "integer" and type(value) is int and abs(value) <= MAX_INTEGER:
        return value
    if kind == "text" and type(value) is str:
        return value
    if kind == "timestamp" and type(value) is str and _TIMESTAMP.fullmatch(value):
        time = datetime.fromisoformat(value)
        return (time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)).isoformat()
    return _refuse()


def _refuse() -> Value:
    raise ValueError


def _invalid(name: str, detail: str) -> LedgerError:
    return LedgerError(Code.INVALID_PARAMETER, detail, path=f"parameters.{name}")


def _malformed(where: str, detail: str) -> LedgerError:
    return LedgerError(Code.INVALID_QUERY_FILE, f"{where}: {detail}")
