"""`agent-ledger verify`: a running ledger, a stopped data folder, or an exported folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.cli import terminal, verdict
from ledger.cli.checking import Checked, Kept, check_export, check_folder, check_running, check_server
from ledger.cli.exits import CommandError, Exit
from ledger.cli.receipt import VerifierKeyOption, verifier_key
from ledger.cli.target import Data, Json, TokenFile, Url, connect, data_folder, serving_url

DATABASE = "log.duckdb"
CHECKPOINT = "checkpoint"

Target = Annotated[
    str | None,
    typer.Argument(
        metavar="URL|FOLDER",
        help="A running ledger, a data folder or an export (default: this machine's ledger, running or stopped).",
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
Processes = Annotated[
    int, typer.Option("--processes", min=1, max=64, help="How many processes read a data folder.")
]


def verify(
    target: Target = None,
    *,
    checkpoint: Checkpoints = None,
    receipt: Receipts = None,
    vkey: VerifierKeyOption = None,
    head_anchor: HeadAnchorKept = None,
    processes: Processes = 1,
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
    data: Data = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Verify a log, and say up to where something kept outside vouches for it.

    Exit status 0: nothing was found. 1: something was altered, is missing, was rolled back or forked. The newest checkpoint seen of
    each log is remembered for this user, and the next verification compares with it.
    """
    kept = Kept.read(
        checkpoint or [], receipt or [], verifier_key(vkey) if vkey else None, remember=not no_remember
    )
    place = _locate(target, data, url)
    with terminal.progress("entries") as bar:

        def progress(name: str) -> Callable[[int, int], None]:
            task = bar.add_task(name, total=None)
            return lambda done, total: bar.update(task, completed=done, total=total)

        checked: dict[str, Checked | None] = {}
        if isinstance(place, str):
            with connect(data, place, token_file) as client:
                checked["client"] = check_running(client, kept, progress("its tiles, here"))
                if not no_stored:
                    checked["stored"] = check_server(client, kept, progress("what it stores, there"))
        elif (place / DATABASE).exists():
            checked["stored"] = check_folder(place, kept, head_anchor, processes, progress(str(place)))
        else:
            checked["client"] = check_export(place, kept, progress(str(place)))
    done = {name: each for name, each in checked.items() if each is not None}
    _conclude(str(place), {name: each.report for name, each in done.items()}, as_json)
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
        if not (folder / DATABASE).exists():
            raise CommandError(f"there is no log in {folder}: name an address or a folder")
        return folder
    if target.startswith(("http://", "https://")):
        return target
    path = Path(target)
    if not (path / DATABASE).exists() and not (path / CHECKPOINT).exists():
        raise CommandError(f"{path} is neither a data folder ({DATABASE}) nor an export ({CHECKPOINT})")
    return path


CHECKED = {"client": "entries and hashes, by this command", "stored": "all that is stored beside them"}


def _conclude(place: str, reports: dict[str, dict[str, Any]], as_json: bool) -> None:
    if terminal.wants_json(as_json):
        terminal.print_json({"target": place, **reports})
    said: set[str] = set()
    for name, report in reports.items():
        if not terminal.wants_json(as_json):
            verdict.show(f"{place}: {CHECKED[name]}", report)
        verdict.say(CHECKED[name], report, said)
    if verdict.has_findings(reports):
        raise typer.Exit(Exit.FINDINGS)
