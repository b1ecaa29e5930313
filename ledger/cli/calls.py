"""`agent-ledger calls`: what peers recorded of calls between their agents and ours (docs/federation.md)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError, Exit
from ledger.cli.get import fetch
from ledger.cli.posting import was_refused
from ledger.cli.receipt import verifier_key
from ledger.cli.target import Data, Json, TokenFile, Url, WitnessFolder, connect, witness_folder
from ledger.client.crossed import KEPT, receipt_in
from ledger.client.exchange import NDJSON
from ledger.client.given import Judged, given_statements, judged
from ledger.client.http import LedgerClient
from ledger.client.questions import Question
from ledger.core.crossing import verify_kept
from ledger.core.errors import LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.witness.followed import Followed
from ledger.witness.peers import Peers

PAGE_ROWS: Final = 1_000
POSTED_AT_ONCE: Final = 100
MAX_SHOWN: Final = 20
_KEPT: Final = """
SELECT seq, type, ext, source_original
FROM records
WHERE type IN ('call.received', 'call.confirmed') AND ext->>'$."call.receipt"' = 'verified' AND seq >= $start
ORDER BY seq
"""

PeerKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--peer",
        help="The verifier key of another organisation's log, its text or a file (default: all `witness peers`).",
    ),
]

calls = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@calls.callback()
def _about() -> None:
    """Calls between this organisation's agents and others', as the others recorded them.

    `agent-ledger query one-sided-calls` lists those that only one side recorded.
    """


@calls.command()
def take(
    file: Annotated[Path, typer.Argument(help="The evidence file that a peer made of its log.")],
    *,
    peer: PeerKeys = None,
    folder: WitnessFolder = None,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Record what a peer's log says of calls, from its evidence: those of ours that were not confirmed yet, and those that we know nothing of.

    Exit status 1: something in it is not what we recorded of the same call; that is recorded too.
    """
    report, statements = given_statements(file, _keys(peer, folder))
    if report.findings:
        raise CommandError(f"{file} does not hold: {report.findings[0].detail}", Exit.FINDINGS)
    with connect(data, url, token_file) as client:
        found = list(judged(client, statements, str(client.log()["origin"])))
        new = [each for each in found if not each.known]
        _post(client, [each for each in new if each.ours or not each.wrong])
    wrong = [each for each in new if each.wrong]
    shown = {
        "peer": report.manifest.origin if report.manifest else None,
        "entries": len(found),
        "known": len(found) - len(new),
        "confirmed": sum(each.ours is not None and not each.wrong for each in new),
        "only_theirs": sum(each.ours is None and not each.wrong for each in new),
        "refused": len(wrong),
    }
    terminal.print_facts("of calls", shown, as_json=as_json)
    for each in wrong[:MAX_SHOWN]:
        said = each.statement.said
        terminal.say(f"entry {said.entry.seq} of {said.log}, call {said.call}: {each.wrong}", style="red")
    if wrong:
        raise typer.Exit(Exit.FINDINGS)


def _post(client: LedgerClient, new: list[Judged]) -> None:
    for start in range(0, len(new), POSTED_AT_ONCE):
        lines = [msgspec.json.encode(each.record()) for each in new[start : start + POSTED_AT_ONCE]]
        answer = client.post_records(b"\n".join(lines), NDJSON)
        refused = [each for each in answer["results"] if was_refused(each)] if "results" in answer else []
        if refused:
            raise CommandError(
                f"{len(refused)} of {len(lines)} records were refused: {refused[0].get('detail')}"
            )


@calls.command()
def check(
    *,
    peer: PeerKeys = None,
    folder: WitnessFolder = None,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Verify each receipt of a peer that this log keeps, under the peer's key: whether what recorders called verified is.

    Exit status 1: some record says more than its receipt proves. Needs a token that may see contents.
    """
    keys = _keys(peer, folder)
    names = {each.origin for each in keys}
    told = {"held": 0, "no_receipt": 0, "no_key": 0}
    problems: list[dict[str, Any]] = []
    with connect(data, url, token_file) as client:
        origin = str(client.log()["origin"])
        for seq, record, receipt in _kept(client):
            if record["ext"].get("call.peer") not in names:
                told["no_key"] += 1
            elif receipt is None:
                told["no_receipt"] += 1
            else:
                try:
                    verify_kept(record, receipt, origin, keys)
                except LedgerError as error:
                    problems.append({"seq": seq, "detail": error.detail, "code": error.code})
                else:
                    told["held"] += 1
    terminal.print_facts("receipts of peers", {**told, "findings": problems}, as_json=as_json)
    for each in problems[:MAX_SHOWN]:
        terminal.say(f"entry {each['seq']}: {each['detail']}", style="red")
    if problems:
        raise typer.Exit(Exit.FINDINGS)


@calls.command()
def receipt(
    which: Annotated[
        str, typer.Argument(metavar="ID|SEQ", help="A record of a call: its id, or its place in the log.")
    ],
    output: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    *,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Write the peer's receipt that a record keeps, as it came: `agent-ledger receipt check` checks it."""
    with connect(data, url, token_file) as client:
        stored = fetch(client, which, by_id=False)
    kept = next((each["value"] for each in stored["contents"] if each["member"] == KEPT), None)
    found = receipt_in(kept.encode() if isinstance(kept, str) else None)
    if found is None:
        raise CommandError(f"entry {stored['seq']} keeps no receipt of a peer, or this token may not see it")
    output.write_bytes(found)
    terminal.say(f"the receipt that entry {stored['seq']} keeps is in {output}")


def _kept(client: LedgerClient) -> Iterator[tuple[int, dict[str, Any], bytes | None]]:
    """Place, members and kept receipt of each record that says that a receipt held."""
    start = 0
    while True:
        rows = client.table(Question(_KEPT, None, {"start": start}, PAGE_ROWS))["rows"]
        for seq, kind, ext, original in rows:
            members = json.loads(ext) if isinstance(ext, str) else ext
            text = original if isinstance(original, str) or original is None else json.dumps(original)
            yield int(seq), {"type": kind, "ext": members}, receipt_in(text.encode() if text else None)
        if len(rows) < PAGE_ROWS:
            return
        start = int(rows[-1][0]) + 1


def _keys(given: list[str] | None, folder: Path | None) -> list[KeyHistory]:
    """The keys of the logs that were given by one of theirs, or of those of all peers; with what was followed from them."""
    if given:
        followed = Followed(witness_folder(folder))
        return [followed.keys(verifier_key(each, "--peer")) for each in given]
    keys = [*Peers(witness_folder(folder)).histories()]
    if not keys:
        raise CommandError("there is no peer: agree with one (`agent-ledger witness accept`), or give --peer")
    return keys
