"""`agent-ledger get`."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from ledger.cli import terminal
from ledger.cli.target import Data, Json, TokenFile, Url, connect
from ledger.client.http import LedgerClient


def get(
    which: Annotated[
        str, typer.Argument(metavar="ID|SEQ", help="A record's id, or an entry's place in the log.")
    ],
    *,
    by_id: Annotated[bool, typer.Option("--id", help="It is an id even though it is a number.")] = False,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Show one record: its facts, and its contents where the ledger has them."""
    with connect(data, url, token_file) as client:
        stored = fetch(client, which, by_id=by_id)
    if terminal.wants_json(as_json):
        terminal.print_json(stored)
    else:
        terminal.print_table(["member", "value", ""], rows(stored))


def fetch(client: LedgerClient, which: str, *, by_id: bool = False) -> dict[str, Any]:
    """The stored entry that a command's argument names: all digits are a place, anything else an id."""
    place = which.isascii() and which.isdecimal() and not by_id
    return client.entry(int(which)) if place else client.record(which)


def rows(stored: dict[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """What is stored as rows for people: member, value, and what kind of value it is.

    A content stands where the entry has its commitment, when the ledger disclosed it.
    """
    entry = stored["entry"]
    for name in ("seq", "recorded_at", "submitter"):
        yield name, entry[name], "by the log"
    yield "leaf hash", stored["leaf_hash"], "by the log"
    contents = {content["member"]: _read(content["value"]) for content in stored["contents"]}
    persons = {person["commitment"]: _read(person["value"]) for person in stored["persons"]}
    gone = dict.fromkeys(stored["withheld"], "withheld") | dict.fromkeys(stored["erased"], "erased")
    gone |= dict.fromkeys(stored.get("hidden", ()), "not for this token: it needs the role content-reader")
    for path, value in _flat(entry["record"], ""):
        if path in gone:
            yield path, value, gone[path]
        elif path in contents:
            yield path, contents[path], "content"
        elif isinstance(value, str) and value in persons:
            yield path, persons[value], "person"
        else:
            yield path, value, ""


def _flat(value: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", inner


def _read(value: str) -> Any:
    """A text as itself, any other JSON as the JSON text it is."""
    try:
        parsed = json.loads(value)
    except ValueError:
        return value
    return parsed if isinstance(parsed, str) else value
