"""`agent-ledger evidence`, and `agent-ledger verify` of what it made."""

import base64
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError, Exit
from ledger.cli.policy import Asking
from ledger.cli.query import Parameters
from ledger.cli.reading import parse_assignment, places_and_ids
from ledger.cli.target import Data, Json, TokenFile, Url, connect
from ledger.client.evidence import EvidenceReport, report_dict, verify_evidence
from ledger.client.http import LedgerClient
from ledger.client.pins import read_pin
from ledger.core.errors import LedgerError
from ledger.core.evidence import CHECKPOINT
from ledger.core.note import VerifierKey
from ledger.core.quorum import Witnessed
from ledger.records.bounded import read_bounded
from ledger.records.resources import verifying_page

PATH: Final = "/v1/evidence"
_PAGE: Final = b"<!doctype html>"
_PLACE: Final = b'<script type="application/zip" id="embedded">'
MAX_PAGE_BYTES: Final = 448 * 1024 * 1024  # the longest evidence file in base64, and the page
MAKING_S: Final = 900.0  # ten thousand entries on a busy machine


def evidence(
    output: Annotated[
        Path,
        typer.Argument(
            help="The zip to write; as .html, the page that verifies it with the zip in it.", metavar="FILE"
        ),
    ],
    which: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID|SEQ]...", help="Records' ids, or entries' places in the log.", show_default=False
        ),
    ] = None,
    *,
    sql: Annotated[
        str | None, typer.Option("--sql", help="A SELECT: its column seq, or seqs, names entries.")
    ] = None,
    query: Annotated[str | None, typer.Option("--query", help="A named question, likewise.")] = None,
    param: Parameters = None,
    column: Annotated[
        list[str] | None, typer.Option("--column", help="Another column of the answer that names entries.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="How many rows at most.")] = None,
    disclose: Annotated[
        list[str] | None,
        typer.Option(
            "--disclose",
            help="A content or person to disclose, tool.arguments or so (default: all you may see).",
        ),
    ] = None,
    no_contents: Annotated[
        bool, typer.Option("--no-contents", help="Disclose neither contents nor persons.")
    ] = False,
    about: Annotated[str, typer.Option("--about", help="What it is for: a case number, a question.")] = "",
    by_id: Annotated[bool, typer.Option("--id", help="They are ids even where they are numbers.")] = False,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Write entries, their receipts, and the contents you may see, into a zip that anyone can verify. The log records that it was made."""
    if no_contents and disclose:
        raise CommandError("--no-contents and --disclose do not go together")
    body: dict[str, Any] = {"about": about, **places_and_ids(which or [], by_id=by_id)}
    options: dict[str, Any] = {"sql": sql, "query": query, "limit": limit, "columns": column}
    options["parameters"] = dict(parse_assignment(text, "--param") for text in param) if param else None
    options["disclose"] = [] if no_contents else disclose or None
    body |= {name: value for name, value in options.items() if value is not None}
    with connect(data, url, token_file) as client:
        made, _ = saved(client, body, output)
    terminal.print_facts("evidence", made, as_json=as_json)
    page = "open it in a browser, or " if output.suffix == ".html" else ""
    terminal.say(f"to verify it: {page}agent-ledger verify {output}")


def saved(
    client: LedgerClient, body: Mapping[str, Any], output: Path
) -> tuple[dict[str, Any], Mapping[str, str]]:
    """Have an evidence file made and write it; what is to be said of it, and the headers it came with."""
    headers = _download(client, body, output)
    if output.suffix == ".html":
        output.write_bytes(embedded(output.read_bytes()))
    made = {
        "file": str(output),
        "bytes": output.stat().st_size,
        "size": int(headers["Ledger-Size"]),
        "manifest_sha256": headers["Ledger-Evidence"],
        "recorded_as": int(headers["Ledger-Evidence-Entry"]),
    }
    return made, headers


def embedded(data: bytes) -> bytes:
    """The verifying page with an evidence file in it."""
    return verifying_page().replace(_PLACE, _PLACE + base64.b64encode(data), 1)


@contextmanager
def _unwrapped(path: Path) -> Iterator[tuple[Path, bool]]:
    """The zip that is in such a page, in a file of its own, and whether it was in one; anything else as it is."""
    with path.open("rb") as opened:
        is_page = opened.read(len(_PAGE)) == _PAGE  # the page is in every zip too
    _, found, rest = read_bounded(path, MAX_PAGE_BYTES).partition(_PLACE) if is_page else (b"", b"", b"")
    if not found:
        yield path, False
        return
    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        try:
            file.write(base64.b64decode(rest.partition(b"<")[0], validate=True))
        except ValueError as error:
            raise CommandError(f"{path}: what is embedded in this page is damaged: {error}") from None
        file.flush()
        yield Path(file.name), True


def _download(client: LedgerClient, body: Mapping[str, Any], output: Path) -> Mapping[str, str]:
    """Into a file beside it first: what is there under the name is whole."""
    beside = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            headers = client.save(PATH, body, file, timeout_s=MAKING_S)
        beside.replace(output)
    finally:
        beside.unlink(missing_ok=True)
    return headers


def is_evidence(target: str | None) -> bool:
    """Whether what is to be verified is an evidence file: a file, where everything else is a folder or an address."""
    return target is not None and Path(target).is_file()


def check_evidence(
    path: Path,
    key: VerifierKey | None,
    *,
    remember: bool,
    as_json: bool,
    asking: Asking | None = None,
    peers: Iterable[VerifierKey] = (),
) -> None:
    """Verify an evidence file, or the one in a page, and say what was found.

    Raises:
        typer.Exit: status 1 where something does not hold.
    """
    with _unwrapped(path) as (file, in_page):
        report = verify_evidence(file, key, peers)
        seen = _seen(report) if remember and report.own_key else None
        if seen is not None:
            report = verify_evidence(file, seen, peers)
    witnessed = _witnessed(report, asking)
    told = report_dict(report, str(path))
    if in_page:
        told["words"].append(
            "This is about the evidence in the page. What the page itself shows and says was not looked at."
        )
    if witnessed is not None:
        told["witnessed_by"] = list(witnessed.by)
        told["words"].append(f"Its checkpoint: {witnessed.what}.")
    if seen is not None:
        told["key_from"] = "what this user saw of the log before"
    if terminal.wants_json(as_json):
        terminal.print_json(told)
    else:
        _show(told)
    style = {"holds": "green", "consistent with itself": "yellow"}.get(report.verdict, "bold red")
    terminal.say(f"{path}: {report.verdict}", style=style)
    for sentence in told["words"]:
        terminal.say(f"  {sentence}")
    if report.findings:
        raise typer.Exit(Exit.FINDINGS)


def _witnessed(report: EvidenceReport, asking: Asking | None) -> Witnessed | None:
    """Who cosigned the checkpoint that its receipts lead to; a finding where that is not who had to."""
    if asking is None or report.keys is None or report.checkpoint_note is None:
        return None
    try:
        return asking.verify(report.checkpoint_note, report.keys)
    except LedgerError as error:
        report.add("checkpoint", CHECKPOINT, error.detail)
        return None


def _seen(report: EvidenceReport) -> VerifierKey | None:
    """The key under which this user verified that log before."""
    pin = read_pin(report.keys.origin) if report.keys else None
    return pin.known_in(report.keys) if pin and report.keys else None


def _show(told: dict[str, Any]) -> None:
    facts = [(name, told[name]) for name in told if name not in {"findings", "words"}]
    terminal.print_table(["", "evidence"], [(name, "" if value is None else value) for name, value in facts])
    if told["findings"]:
        rows = [(each["file"], each["kind"], each["detail"]) for each in told["findings"]]
        terminal.print_table(["file", "is", "what"], rows)
