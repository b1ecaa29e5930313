"""The tables of docs/faults.md, from the results of a run."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests.faults.cells import Result
from tests.faults.injector import Mode
from tests.faults.power import STATES
from tests.faults.scenarios import Scenario

BEGIN, END = "<!-- made by `make faults` -->", "<!-- end -->"
MODES = [mode.name.lower().replace("_", " ") for mode in Mode if mode != Mode.NONE]
COLUMNS = [*MODES, *(f"power: {state}" for state in STATES)]
MESSAGES = 40
NAMES = re.compile(r"(?:/[\w.…#-]+)*/base/|…/base/")


def write_page(page: Path, results: Sequence[Result], scenarios: Sequence[Scenario]) -> None:
    """Put the tables between the page's marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    made = "\n\n".join([_counts(results), *(_table(s, results) for s in scenarios), _messages(results)])
    page.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}", encoding="utf-8")


def reached(results: Sequence[Result]) -> list[Result]:
    """Without those whose operation did not come."""
    return [result for result in results if result.became != "not reached"]


def _counts(results: Sequence[Result]) -> str:
    there = reached(results)
    became = Counter(result.became for result in there)
    records = sum(result.acknowledged for result in there)
    lost = became["BROKEN"]
    said = sum(bool(result.told) for result in there)
    unreadable = sum(bool(result.unreadable) for result in there)
    cuts = sum(result.mode.startswith("power") for result in there)
    told = ", ".join(f"{what} {count}" for what, count in became.most_common())
    return (
        f"{len(there)} faults ({cuts} of them power cuts), {records} acknowledged records in them. Cases in which a record was lost, was there "
        f"twice or differed, a receipt did not verify or the log did not start: **{lost}**. Cases with a message: {said}; with one that "
        f"nobody can work with: **{unreadable}**. What became of them: {told}."
    )


def _table(scenario: Scenario, results: Sequence[Result]) -> str:
    here = [result for result in reached(results) if result.scenario == scenario.name]
    lines = [
        f"### {scenario.name}",
        "",
        f"{scenario.says}: {len(here)} faults.",
        "",
        f"| operation | file | {' | '.join(COLUMNS)} |",
        "|---|---|" + "---|" * len(COLUMNS),
    ]
    rows: dict[tuple[str, str], dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for result in here:
        kind = re.sub("#+", "#", result.kind).removeprefix("data/")
        rows[kind, result.call][result.mode][result.became] += 1
    for (kind, call), cells in sorted(rows.items()):
        lines.append(f"| {call} | `{kind}` | {' | '.join(_cell(cells[mode]) for mode in COLUMNS)} |")
    return "\n".join(lines)


def _cell(became: Counter[str]) -> str:
    return ", ".join(what if count == 1 else f"{count} {what}" for what, count in sorted(became.items()))


def _messages(results: Sequence[Result]) -> str:
    said = Counter(_general(words) for result in reached(results) for words in result.told)
    lines = ["### What was said", "", "| times | where | message |", "|---|---|---|"]
    for words, count in said.most_common(MESSAGES):
        where, _, message = words.partition(": ")
        lines.append(f"| {count} | {where} | {message.replace('|', chr(92) + '|')} |")
    rest = len(said) - MESSAGES
    return "\n".join([*lines, *([f"\nand {rest} more of the same kinds."] if rest > 0 else [])])


def _general(words: str) -> str:
    return re.sub(r"\d{2,}", "#", NAMES.sub("", words))
