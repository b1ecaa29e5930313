"""What a verification found, for people: the report's own words, its findings as a table."""

from collections.abc import Mapping
from typing import Any

from ledger.cli import terminal

NOT_ANCHORED = "not anchored"


def has_findings(reports: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether any of the reports found something."""
    return any(report["findings"] for report in reports.values())


def show(checked: str, report: Mapping[str, Any]) -> None:
    """Print one report as tables.

    Args:
        checked: what was checked, and by whom.
        report: as `Report.to_dict` makes it, here or on the server.
    """
    rows = [
        ("checked", checked),
        ("log", report["origin"]),
        ("entries", f"{report['entries_checked']:,} of {report['size']:,}"),
        ("root", report["root"]),
        ("verdict", report["verdict"]),
    ]
    terminal.print_table(["", "verification"], rows)
    if report["findings"]:
        terminal.print_table(
            ["where", "is", "what"],
            [(finding["where"], finding["kind"], finding["detail"]) for finding in report["findings"]],
        )


def say(checked: str, report: Mapping[str, Any], said: set[str]) -> None:
    """The verdict, what it rests on and what it does not show, on stderr; what was said before, once only."""
    if report["findings"]:
        style = "bold red"
    elif NOT_ANCHORED in report["verdict"]:
        style = "yellow"
    else:
        style = "green"
    terminal.say(f"{checked}: {report['verdict']}", style=style)
    for sentence in report["words"]:
        if sentence not in said:
            terminal.say(f"  {sentence}")
    said.update(report["words"])
