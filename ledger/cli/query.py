"""`agent-ledger query` and `agent-ledger sql`."""

import enum
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError
from ledger.cli.reading import parse_assignment
from ledger.cli.target import Data, TokenFile, Url, connect
from ledger.client.http import LedgerClient, Question


class Format(enum.StrEnum):
    """How an answer is written."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    ARROW = "arrow"


MEDIA_TYPES = {Format.CSV: "text/csv", Format.ARROW: "application/vnd.apache.arrow.stream"}

Parameters = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", help="A parameter: name=text, or name:=json.", metavar="NAME=VALUE"),
]
Limit = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="How many rows at most.")]
As = Annotated[
    Format | None,
    typer.Option("--format", "-o", help="How to print it (default: table on a terminal, json otherwise)."),
]


def query(
    name: Annotated[
        str | None, typer.Argument(help="The question; without it, the list.", show_default=False)
    ] = None,
    *,
    param: Parameters = None,
    limit: Limit = None,
    as_: As = None,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Run a named question, or list the questions there are."""
    with connect(data, url, token_file) as client:
        questions = client.queries()
        if name is None:
            _print_questions(questions, _format(as_))
            return
        question = Question("", name, _typed(_named(questions, name), param or []), limit)
        _answer(client, question, _format(as_))


def sql(
    statement: Annotated[
        str | None, typer.Argument(metavar="SELECT", help="The statement; - is stdin.", show_default=False)
    ] = None,
    *,
    file: Annotated[Path | None, typer.Option("--file", "-F", help="A file with the statement.")] = None,
    param: Parameters = None,
    limit: Limit = None,
    as_: As = None,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Run one SELECT over the views `actions` (one row per action) and `records` (one row per entry)."""
    question = Question(_statement(statement, file), None, _parameters(param or []), limit)
    with connect(data, url, token_file) as client:
        _answer(client, question, _format(as_))


def _format(chosen: Format | None) -> Format:
    return chosen or (Format.JSON if terminal.wants_json(False) else Format.TABLE)


def _statement(statement: str | None, file: Path | None) -> str:
    if (statement is None) == (file is None):
        raise CommandError("give one SELECT: as an argument, as - for stdin, or with --file")
    if file is not None:
        return file.read_text(encoding="utf-8")
    return sys.stdin.read() if statement == "-" else str(statement)


def _parameters(texts: list[str]) -> dict[str, Any]:
    return dict(parse_assignment(text, "--param") for text in texts)


def _named(questions: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for question in questions:
        if question["name"] == name:
            return question
    known = ", ".join(question["name"] for question in questions)
    raise CommandError(f"there is no question {name}; there are: {known}")


def _typed(question: dict[str, Any], texts: list[str]) -> dict[str, Any]:
    """The parameters with the types that the question declares; the ledger checks them again."""
    types = {parameter["name"]: parameter["type"] for parameter in question["parameters"]}
    return {
        name: _as_type(name, value, types.get(name, "text")) for name, value in _parameters(texts).items()
    }


def _as_type(name: str, value: Any, declared: str) -> Any:
    if not isinstance(value, str) or declared not in {"integer", "boolean"}:
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise CommandError(f"--param {name}={value}: the question takes {declared} here") from None


def _answer(client: LedgerClient, question: Question, form: Format) -> None:
    if form in MEDIA_TYPES:
        _write(client.query(question, accept=MEDIA_TYPES[form]), form)
        return
    answer = client.table(question)
    names = [column["name"] for column in answer["columns"]]
    if form is Format.JSON:
        terminal.print_json(answer)
        return
    if form is Format.NDJSON:
        for row in answer["rows"]:
            terminal.write(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n")
    else:
        terminal.print_rows(names, answer["rows"])
    count = answer["row_count"]
    more = " (there are more: raise --limit)" if answer["truncated"] else ""
    terminal.say(
        f"{count:,} {'row' if count == 1 else 'rows'}{more} of the log at size {answer['size']:,}, root {answer['root'][:16]}…, "
        f"in {answer.get('seconds', 0):.2f} s",
        style="dim",
    )


def _write(body: bytes, form: Format) -> None:
    if sys.stdout.isatty():
        if form is Format.ARROW:
            raise CommandError("Arrow is not for a terminal: send it to a file")
        sys.stdout.write(terminal.escape(body.decode(errors="replace"), lines=True))
        return
    sys.stdout.buffer.write(body)
    sys.stdout.buffer.flush()


def _print_questions(questions: list[dict[str, Any]], form: Format) -> None:
    if form is not Format.TABLE:
        terminal.print_json({"queries": questions})
        return
    rows = [
        (question["name"], question["title"], ", ".join(map(_about_parameter, question["parameters"])))
        for question in questions
    ]
    terminal.print_table(["name", "question", "parameters"], rows, whole_names=True)


def _about_parameter(parameter: dict[str, Any]) -> str:
    name, default = parameter["name"], parameter["default"]
    if parameter["required"]:
        return f"{name} ({parameter['type']})"
    return f"{name}={default if isinstance(default, str) else json.dumps(default)}"
