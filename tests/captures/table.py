"""Captures, actions and facets as a table: what is there of what should be."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from tests.captures.truth import FACETS, Action


class Line(NamedTuple):
    """One capture. A facet is held where its telemetry says it, and found where the row says the same."""

    capture: str
    expected: int
    found: int
    beside: int
    held: Counter[str]
    facets: Counter[str]


def line(capture: str, truth: list[Action], rows: list[Action]) -> Line:
    """Each expected action with the row that is most like it; a row that is like none is beside the truth."""
    free = list(rows)
    held: Counter[str] = Counter()
    facets: Counter[str] = Counter()
    found = 0
    for action in truth:
        held.update(name for name in FACETS if getattr(action, name) is not None)
        alike = [row for row in free if row.tool == action.tool]
        if not alike:
            continue
        row = max(
            alike, key=lambda row: sum(mine == theirs for mine, theirs in zip(row, action, strict=True))
        )
        free.remove(row)
        found += 1
        facets.update(
            name
            for name in FACETS
            if getattr(action, name) is not None and getattr(row, name) == getattr(action, name)
        )
    return Line(capture, len(truth), found, len(free), held, facets)


def markdown(lines: list[Line]) -> str:
    """GitHub's Markdown. `3/3`: found of held; `-`: the telemetry does not say it."""
    titles = ["capture", "actions expected", "found", "beside", *FACETS]
    rows = [
        [f"`{each.capture}`", str(each.expected), str(each.found), str(each.beside), *_cells(each)]
        for each in lines
    ]
    return (
        "\n".join("| " + " | ".join(cells) + " |" for cells in [titles, ["---"] * len(titles), *rows]) + "\n"
    )


def _cells(each: Line) -> list[str]:
    return [f"{each.facets[name]}/{each.held[name]}" if each.held[name] else "-" for name in FACETS]


def lines(truth: Mapping[str, list[Action]], rows: Mapping[str, list[Action]]) -> list[Line]:
    """One line per capture."""
    return [line(name, truth[name], rows[name]) for name in sorted(truth)]
