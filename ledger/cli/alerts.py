"""`agent-ledger alerts`: the file of rules and targets, tried before a server is started with it."""

from pathlib import Path
from typing import Annotated

import typer

from ledger.cli import terminal
from ledger.cli.exits import CommandError, Exit
from ledger.cli.target import Json

alerts = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="The TOML file, as `serve --alerts` takes it.")]


@alerts.callback()
def _about() -> None:
    """Check the file of alert rules, and send each target a test."""


@alerts.command()
def check(
    file: File,
    *,
    queries: Annotated[
        Path | None,
        typer.Option("--queries", help="The folder with named questions of your own, as for `serve`."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read the file as a server does, with its lists, secrets and authorities. Nothing is sent."""
    from ledger.alerts.indicators import read_indicators  # noqa: PLC0415 - the help needs none of it
    from ledger.alerts.senders import sender_of  # noqa: PLC0415
    from ledger.alerts.settings import Indicators  # noqa: PLC0415
    from ledger.api.alerts import read_checked  # noqa: PLC0415
    from ledger.forensics.catalog import load_queries  # noqa: PLC0415

    settings = read_checked(file, load_queries(queries))
    for rule in settings.rule:
        if isinstance(rule, Indicators):
            read_indicators(Path(rule.file))
    for target in settings.target:
        sender_of(target, "check").close()
    if terminal.wants_json(as_json):
        shown = {
            "rules": [{"name": rule.name, "kind": rule.kind} for rule in settings.rule],
            "targets": [{"name": target.name, "kind": target.kind} for target in settings.target],
        }
        terminal.print_json(shown)
    else:
        terminal.say(f"{file}: {len(settings.rule)} rules, {len(settings.target)} targets")


@alerts.command(name="test")
def send(
    file: File,
    *,
    target: Annotated[
        list[str] | None, typer.Option("--target", help="Only this one; may be given more than once.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Send each target one alert of kind `test`."""
    from ledger.alerts.service import send_test  # noqa: PLC0415 - the help needs none of it
    from ledger.alerts.settings import read_settings  # noqa: PLC0415

    settings = read_settings(file)
    unknown = set(target or ()) - {each.name for each in settings.target}
    if unknown:
        raise CommandError(f"{file} has no target {min(unknown)}")
    results = send_test(settings, target or ())
    if terminal.wants_json(as_json):
        terminal.print_json(results)
    else:
        for name, problem in results.items():
            terminal.say(f"{name}: {problem or 'taken'}")
    if any(results.values()):
        raise typer.Exit(Exit.UNREACHABLE)
