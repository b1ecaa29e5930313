"""`agent-ledger migrate`, and what `serve` does of it by itself."""

from pathlib import Path
from typing import Annotated

import typer

from ledger.cli import terminal
from ledger.cli.target import Data, HeadAnchor, Json, data_folder
from ledger.storage.layout import VERSION
from ledger.upkeep.migrate import Migrated, migrate, needs_migration


def migrate_(
    *,
    data: Data = None,
    head_anchor: HeadAnchor = None,
    keep_findings: Annotated[
        bool,
        typer.Option(
            "--keep-findings",
            help="Go on where something was altered, as long as the entries give the signed root: it stays as evidence.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring the folder of an earlier release to this one's storage version. Everything is verified first; `serve` does it by itself."""
    folder = data_folder(data)
    done = _run(folder, head_anchor, keep_findings=keep_findings)
    facts: dict[str, object] = {"data": str(folder), "version": VERSION, "migrated": done is not None}
    if done is not None:
        facts |= {
            "origin": done.origin,
            "size": done.size,
            "root": done.root.hex(),
            "findings": list(done.findings),
        }
    terminal.print_facts("of the storage", facts, as_json=as_json)


def migrate_first(folder: Path, head_anchor: Path | None) -> None:
    """Before a folder is served: bring it to this release's version where it is of an earlier one.

    Raises:
        LedgerError, OSError: as `ledger.upkeep.migrate.migrate`.
    """
    if needs_migration(folder) and (done := _run(folder, head_anchor)) is not None:
        terminal.say(f"{folder} was verified and brought to storage version {VERSION}, at size {done.size}")


def _run(folder: Path, head_anchor: Path | None, *, keep_findings: bool = False) -> Migrated | None:
    with terminal.progress("entries") as bar:
        task = bar.add_task("verifying", total=None)
        return migrate(
            folder,
            anchor=head_anchor,
            keep_findings=keep_findings,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
