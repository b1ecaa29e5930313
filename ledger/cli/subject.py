"""`agent-ledger subject`: what the ledger holds of a person, for the person (GDPR Art. 15 and 20)."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ledger.cli import terminal
from ledger.cli.evidence import saved
from ledger.cli.exits import CommandError
from ledger.cli.target import Data, Json, TokenFile, Url, connect
from ledger.client.http import LedgerClient, ProblemError
from ledger.client.zipped import read_zip
from ledger.core import evidence
from ledger.core.entry import parse_entry

ENDINGS: Final = (".zip", ".html", ".json")
TOO_LARGE: Final = "evidence-too-large"

subject = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@subject.callback()
def _about() -> None:
    """Answer a person who asks what is stored of them. `agent-ledger erase --subject` erases it."""


@subject.command()
def export(
    value: Annotated[
        str, typer.Argument(help="The person's identifier, exactly as it was recorded.", metavar="VALUE")
    ],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The file to write: .zip and .html verify offline, .json is the records alone.",
        ),
    ],
    disclose: Annotated[
        list[str] | None,
        typer.Option(
            "--disclose",
            help="A content or person to disclose, request.text or so (default: all you may see).",
        ),
    ] = None,
    limit: Annotated[
        int,
        typer.Option("--limit", "-n", min=1, max=evidence.MAX_ENTRIES, help="Entries in one file, at most."),
    ] = evidence.MAX_ENTRIES,
    about: Annotated[str, typer.Option("--about", help="What it is for: the number of the request.")] = "",
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Write every entry that names a person, with its contents and its receipt. Where one file does not hold them, more follow: FILE-2.zip …

    Look at it before it is handed over: contents of these entries may speak of other people too.
    """
    if output.suffix not in ENDINGS:
        raise CommandError(f"{output}: write a file that ends in {', '.join(ENDINGS)}")
    body: dict[str, Any] = {"subject": value, "about": about, "limit": limit}
    if disclose:
        body["disclose"] = disclose
    with connect(data, url, token_file) as client:
        made = list(_files(client, body, output))
    told = {"files": [each["file"] for each in made], "entries": sum(each["entries"] for each in made)}
    terminal.print_facts(
        "of this person", told | {"recorded_as": [each["recorded_as"] for each in made]}, as_json=as_json
    )


def _files(client: LedgerClient, body: dict[str, Any], output: Path) -> Iterator[dict[str, Any]]:
    """Write one file after the other."""
    start: str | None = "0"
    number = 1
    while start is not None:
        path = output if number == 1 else output.with_stem(f"{output.stem}-{number}")
        try:
            made, headers = saved(client, {**body, "start": int(start)}, path)
        except ProblemError as error:
            if error.code != TOO_LARGE or body["limit"] == 1:
                raise
            body["limit"] = -(-body["limit"] // 2)
            continue
        if path.suffix == ".json":
            path.write_text(
                json.dumps(_records(_read(path)), ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
            )
        yield {**made, "entries": int(headers["Ledger-Evidence-Entries"])}
        start, number = headers.get("Ledger-Evidence-Next"), number + 1


def _read(path: Path) -> dict[str, bytes]:
    return read_zip(
        path.read_bytes(), evidence.is_file, max_file=evidence.MAX_FILE_BYTES, max_all=evidence.MAX_BYTES
    )


def _records(files: Mapping[str, bytes]) -> dict[str, Any]:
    """The records of an evidence file as data, contents and persons in their places; what is not there stays a commitment, and is listed."""
    places = sorted(
        place[0] for name in files if (place := evidence.place_of(name)) and place[1] == evidence.ENTRY
    )
    return {
        "log": files[evidence.VKEY].decode().split("+", 1)[0],
        "checkpoint": files[evidence.CHECKPOINT].decode(),
        "records": [_record(files, seq) for seq in places],
    }


def _record(files: Mapping[str, bytes], seq: int) -> dict[str, Any]:
    data = files[evidence.entry_file(seq, evidence.ENTRY)]
    entry = parse_entry(data)
    record: dict[str, Any] = json.loads(data)["record"]
    told: dict[str, Any] = {
        "seq": seq,
        "recorded_at": entry.recorded_at,
        "submitter": entry.submitter,
        "record": record,
    }
    held = files.get(evidence.entry_file(seq, evidence.CONTENTS))
    if held is not None:
        contents = evidence.parse_contents(held)
        for each in contents.disclosed:
            facet, _, name = each.member.partition(".")
            record[facet][name] = json.loads(each.value)
        told |= {name: list(getattr(contents, name)) for name in ("erased", "withheld", "kept_back")}
    return told | {"receipt": files[evidence.entry_file(seq, evidence.RECEIPT)].decode()}
