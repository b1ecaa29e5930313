"""docs/threats.md: every threat of the list is answered in one of four words, by tests that exist."""

import re
from functools import cache
from typing import NamedTuple

from tests.project.tree import ROOT

PAGE = ROOT / "docs/threats.md"
LISTED = set(range(1, 59))
OWN = set(range(59, 73))
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| [^|]+ \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
VERDICT = re.compile(r"prevented|detected \([^()]+\)|bounded|not")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


class Row(NamedTuple):
    """One threat."""

    who: str
    verdict: str
    answer: str
    tests: tuple[tuple[str, str], ...]


@cache
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


@cache
def rows() -> dict[int, Row]:
    return {
        int(number): Row(who, verdict, answer, tuple(NAMED.findall(shown)))
        for number, who, verdict, answer, shown in ROW.findall(page())
    }


@cache
def defined_in(file: str) -> set[str]:
    path = ROOT / file
    source = path.read_text(encoding="utf-8") if path.exists() else ""
    return set(re.findall(r"^(?:async )?def (test_\w+)\(", source, re.MULTILINE))


def test_every_threat_of_the_list_has_one_row_and_every_row_of_the_page_is_one():
    numbered = [int(number) for number in re.findall(r"^\| (\d+) ", page(), re.MULTILINE)]
    assert numbered == sorted(set(numbered)) == sorted(rows())
    assert (LISTED | OWN) - rows().keys() == set()


def test_what_comes_of_each_is_one_of_four_words():
    assert {number: row.verdict for number, row in rows().items() if not VERDICT.fullmatch(row.verdict)} == {}
    words = {row.verdict.partition(" ")[0] for row in rows().values()}
    assert words == {"prevented", "detected", "bounded", "not"}


def test_who_attacks_is_said_in_the_letters_that_the_page_explains():
    explained = set(re.findall(r"\b([A-Z]) (?:a|an|accident|somebody)\b", page().partition("\n| #")[0]))
    assert {letter for row in rows().values() for letter in row.who.split(", ")} == explained | {"X"}


def test_what_is_not_prevented_says_where_it_ends():
    silent = [number for number, row in rows().items() if row.verdict == "not" and "**no**" not in row.answer]
    assert silent == []


def test_every_row_names_a_test_and_every_test_that_the_page_names_exists():
    assert [number for number, row in rows().items() if not row.tests] == []
    named = {test for row in rows().values() for test in row.tests}
    assert {f"{file}::{name}" for file, name in named if name not in defined_in(file)} == set()
    assert named == set(NAMED.findall(page()))  # none stands outside a row
