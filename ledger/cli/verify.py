"""`agent-ledger verify`: a running ledger, a stopped data folder, an exported folder, or an evidence file."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.cli import terminal, verdict
from ledger.cli.checking import (
    Checked,
    Kept,
    check_export,
    check_running,
    check_server,
)
from ledger.cli.evidence import check_evidence, is_evidence
from ledger.cli.exits import CommandError, Exit
from ledger.cli.fork import check_fork, is_fork
from ledger.cli.objects import CACHE_MIB, MovedTo, ObjectsCacheMib, ObjectsEndpoint, fetching
from ledger.cli.policy import Asking, MaxAge, PolicyFile
from ledger.cli.receipt import VerifierKeyOption, verifier_key
from ledger.cli.recording import Recording
from ledger.cli.stopped import Reading, check_folder
from ledger.cli.target import Data, Json, TokenFile, Url, connect, data_folder, serving_url
from ledger.core.report import Level
from ledger.records.resources import verifying_page
from ledger.storage.layout import holds_log

CHECKPOINT = "checkpoint"

Target = Annotated[
    str | None,
    typer.Argument(
        metavar="URL|FOLDER|FILE",
        help="A running ledger, a data folder, an export, an evidence file or a proof of a fork (default: this machine's ledger, running or stopped).",
        show_default=False,
    ),
]
Checkpoints = Annotated[
    list[Path] | None,
    typer.Option("--checkpoint", "-c", help="A checkpoint you kept elsewhere; more than one may be given."),
]
Receipts = Annotated[
    list[Path] | None,
    typer.Option("--receipt", "-r", help="A receipt you kept elsewhere; more than one may be given."),
]
HeadAnchorKept = Annotated[
    Path | None,
    typer.Option(
        "--head-anchor",
        help="A stopped log's head anchor, kept where whoever runs the log cannot write: it vouches for the log.",
    ),
]
RecordFile = Annotated[
    Path | None,
    typer.Option(
        "--record",
        help="Write a signed record of what was verified. It is written as it goes: after an interruption the same command goes on.",
    ),
]
Since = Annotated[
    Path | None,
    typer.Option(
        "--since",
        help="Begin from such a record: only what is new is read, and the verdict says what it rests on.",
    ),
]
RecordKey = Annotated[
    str | None,
    typer.Option(
        "--verifier-key",
        help="Whose record --since is: a verifier's key, its text or a file (default: your own). Of an evidence file: the log's key, as --vkey.",
    ),
]
HowMuch = Annotated[
    Level,
    typer.Option(
        "--level",
        help="How much of a data folder is checked: whole-file digests, hashes, the form of entries too, or everything that is stored.",
    ),
]
SealedOnly = Annotated[
    bool,
    typer.Option(
        "--sealed",
        help="Verify the sealed part of a data folder alone: its server may run meanwhile. The newest entries are not read.",
    ),
]
Processes = Annotated[
    int, typer.Option("--processes", min=1, max=64, help="How many processes read a data folder.")
]


def verify(
    target: Target = None,
    *,
    checkpoint: Checkpoints = None,
    receipt: Receipts = None,
    vkey: VerifierKeyOption = None,
    policy: PolicyFile = None,
    max_age: MaxAge = None,
    head_anchor: HeadAnchorKept = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            "--peer",
            help="Of an evidence file: the verifier key of another organisation's log, for its receipts in it; its text or a file.",
        ),
    ] = None,
    level: HowMuch = Level.EVERYTHING,
    sealed: SealedOnly = False,
    processes: Processes = 1,
    record: RecordFile = None,
    since: Since = None,
    record_key: RecordKey = None,
    no_stored: Annotated[
        bool,
        typer.Option(
            "--no-stored", help="Do not have a running ledger also check what it stores beside the entries."
        ),
    ] = False,
    no_remember: Annotated[
        bool,
        typer.Option(
            "--no-remember", help="Neither compare with nor remember the newest checkpoint seen here."
        ),
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option("--page", help="Only write the page that verifies evidence files to this file."),
    ] = None,
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    objects: MovedTo = None,
    objects_endpoint: ObjectsEndpoint = None,
    objects_cache_mib: ObjectsCacheMib = CACHE_MIB,
    as_json: Json = False,
) -> None:
    """Verify a log, and say up to where something kept outside vouches for it.

    Exit status 0: nothing was found. 1: something was altered, is missing, was rolled back or forked. The newest checkpoint that
    a server or an export showed of each log is remembered for this user, and the next verification compares with it.
    """
    if page is not None:
        page.write_bytes(verifying_page())
        return
    asking = Asking.read(policy, max_age)
    if is_fork(target):
        check_fork(Path(str(target)), verifier_key(vkey) if vkey else None, as_json=as_json)
        return
    if is_evidence(target):
        given = vkey or record_key
        check_evidence(
            Path(str(target)),
            verifier_key(given) if given else None,
            remember=not no_remember,
            as_json=as_json,
            asking=asking,
            peers=[verifier_key(each, "--peer") for each in peer or []],
        )
        return
    kept = Kept.read(
        checkpoint or [],
        receipt or [],
        verifier_key(vkey) if vkey else None,
        remember=not no_remember,
        asking=asking,
    )
    place = _locate(target, data, url)
    recording = Recording(record, since, verifier_key(record_key) if record_key else None)
    with terminal.progress("entries") as bar:

        def progress(name: str) -> Callable[[int, int], None]:
            task = bar.add_task(name, total=None)
            return lambda done, total: bar.update(task, completed=done, total=total)

        checked: dict[str, Checked | None] = {}
        if isinstance(place, str):
            with connect(data, place, token_file) as client:
                checked["client"] = check_running(client, kept, recording, progress("its tiles, here"))
                if not no_stored:
                    checked["stored"] = check_server(client, kept, progress("what it stores, there"))
        elif holds_log(place):
            with fetching(place, objects, objects_endpoint, objects_cache_mib) as fetch:
                reading = Reading(level, processes, head_anchor, sealed_only=sealed, fetch=fetch)
                checked["stored"] = check_folder(place, kept, recording, reading, progress(str(place)))
        else:
            checked["client"] = check_export(place, kept, recording, progress(str(place)))
    done = {name: each for name, each in checked.items() if each is not None}
    proofs = [str(each.fork_proof) for each in done.values() if each.fork_proof is not None]
    _conclude(str(place), {name: each.report for name, each in done.items()}, proofs, as_json)
    for each in done.values():
        each.keep()


def _locate(target: str | None, data: Data, url: Url) -> str | Path:
    """An address or a folder.

    Raises:
        CommandError: the folder is neither a log's nor an export.
    """
    if target is None:
        folder = data_folder(data)
        if url is not None:
            return url
        if running := serving_url(folder):
            return running
        if not holds_log(folder):
            raise CommandError(f"there is no log in {folder}: name an address or a folder")
        return folder
    if target.startswith(("http://", "https://")):
        return target
    path = Path(target)
    if not holds_log(path) and not (path / CHECKPOINT).exists():
        raise CommandError(f"{path} is neither a data folder nor an export ({CHECKPOINT})")
    return path


CHECKED = {"client": "entries and hashes, by this command", "stored": "all that is stored beside them"}


def _conclude(place: str, reports: dict[str, dict[str, Any]], proofs: list[str], as_json: bool) -> None:
    if terminal.wants_json(as_json):
        proved = {"fork_proof": proofs[0]} if proofs else {}
        terminal.print_json({"target": place, **reports, **proved})
    said: set[str] = set()
    for name, report in reports.items():
        if not terminal.wants_json(as_json):
            verdict.show(f"{place}: {CHECKED[name]}", report)
        verdict.say(CHECKED[name], report, said)
    if verdict.has_findings(reports):
        raise typer.Exit(Exit.FINDINGS)
