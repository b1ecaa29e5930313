"""`agent-ledger query` and `agent-ledger sql`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.cli import terminal
from ledger.cli.answering import Format, answered, parameters
from ledger.cli.exits import CommandError
from ledger.cli.target import Data, TokenFile, Url, connect
from ledger.client.questions import Question
from ledger.forensics.catalog import GROUPS, NamedQuery, load_queries

Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        "-p",
        help="A parameter: name=text, name:type=value (since:timestamp=2026-11-21), or name:=json.",
        metavar="NAME=VALUE",
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="How many rows at most.")]
As = Annotated[
    Format | None,
    typer.Option("--format", "-o", help="How to print it (default: table on a terminal, json otherwise)."),
]


AsOf = Annotated[
    int | None, typer.Option("--as-of", min=1, help="Answer as when the log had this many entries.")
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-O", help="A file; its ending says the format: json, ndjson, csv, arrow, parquet."
    ),
]
OwnQueries = Annotated[
    Path | None,
    typer.Option("--queries", help="A folder with questions of your own, which the ledger need not know."),
]


def query(
    name: Annotated[
        str | None, typer.Argument(help="The question; without it, the list.", show_default=False)
    ] = None,
    *,
    queries: OwnQueries = None,
    param: Parameters = None,
    limit: Limit = None,
    as_of: AsOf = None,
    as_: As = None,
    output: Output = None,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Run a named question, or list the questions there are."""
    own = _own(queries)
    with connect(data, url, token_file) as client:
        questions = client.queries() + [question.describe() for question in own.values()]
        if name is None:
            _print_questions(questions, _format(as_))
            return
        given = _typed(_named(questions, name), param or [])
        question = (
            Question(own[name].sql, None, own[name].bind(given), limit, as_of)
            if name in own
            else Question("", name, given, limit, as_of)
        )
        answered(client, question, _format(as_), output)


def _own(folder: Path | None) -> dict[str, NamedQuery]:
    """The questions of a folder on this side: the ledger gets their SQL, and need not know their names."""
    if folder is None:
        return {}
    shipped = load_queries()
    return {name: question for name, question in load_queries(folder).items() if name not in shipped}


def sql(
    statement: Annotated[
        str | None,
        typer.Argument(
            metavar="SELECT",
            help="The statement; - is stdin. Without it, on a terminal: a shell.",
            show_default=False,
        ),
    ] = None,
    *,
    file: Annotated[Path | None, typer.Option("--file", "-F", help="A file with the statement.")] = None,
    param: Parameters = None,
    limit: Limit = None,
    as_of: AsOf = None,
    as_: As = None,
    output: Output = None,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Run one SELECT over the views (`agent-ledger schema` lists them), or without one ask again and again in a shell."""
    with connect(data, url, token_file) as client:
        if statement is None and file is None and sys.stdin.isatty() and sys.stdout.isatty():
            from ledger.cli.shell import shell  # noqa: PLC0415 - who gives a statement needs none of it

            shell(client, parameters(param or []))
            return
        question = Question(_statement(statement, file), None, parameters(param or []), limit, as_of)
        answered(client, question, _format(as_), output)


def _format(chosen: Format | None) -> Format:
    return chosen or (Format.JSON if terminal.wants_json(False) else Format.TABLE)


def _statement(statement: str | None, file: Path | None) -> str:
    if (statement is None) == (file is None):
        raise CommandError("give one SELECT: as an argument, as - for stdin, or with --file")
    if file is not None:
        return file.read_text(encoding="utf-8")
    return sys.stdin.read() if statement == "-" else str(statement)


def _named(questions: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for question in questions:
        if question["name"] == name:
            return question
    known = ", ".join(question["name"] for question in questions)
    raise CommandError(f"there is no question {name}; there are: {known}")


def _typed(question: dict[str, Any], texts: list[str]) -> dict[str, Any]:
    """The parameters with the types that the question declares; the ledger checks them again."""
    types = {parameter["name"]: parameter["type"] for parameter in question["parameters"]}
    return {name: _as_type(name, value, types.get(name, "text")) for name, value in parameters(texts).items()}


def _as_type(name: str, value: Any, declared: str) -> Any:
    if not isinstance(value, str) or declared not in {"integer", "boolean"}:
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise CommandError(f"--param {name}={value}: the question takes {declared} here") from None


def _print_questions(questions: list[dict[str, Any]], form: Format) -> None:
    if form is not Format.TABLE:
        terminal.print_json({"queries": questions})
        return
    for group, about in (*GROUPS.items(), ("", "Others")):
        rows = [
            (question["name"], question["title"], ", ".join(map(_about_parameter, question["parameters"])))
            for question in questions
            if question.get("group") == group or (not group and question.get("group") not in GROUPS)
        ]
        if rows:
            terminal.print_table([about.lower(), "question", "parameters"], rows, whole_names=True)


def _about_parameter(parameter: dict[str, Any]) -> str:
    name, default = parameter["name"], parameter["default"]
    if parameter["required"]:
        return f"{name} ({parameter['type']})"
    return f"{name}={default if isinstance(default, str) else json.dumps(default)}"
