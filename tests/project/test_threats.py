"""docs/threats.md: every threat of this release is answered, by tests that exist."""

import re
from functools import cache

from tests.project.tree import ROOT

PAGE = ROOT / "docs/threats.md"
OF_THIS_RELEASE = {9, *range(19, 32), 34, 36, 37, 45, 46, 47, 48, 49, 52, 56, 57}
ROW = re.compile(r"^\| (\d+) \|.*\|([^|]*)\|$", re.MULTILINE)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> dict[int, list[tuple[str, str]]]:
    return {
        int(number): NAMED.findall(shown) for number, shown in ROW.findall(PAGE.read_text(encoding="utf-8"))
    }


@cache
def defined_in(file: str) -> set[str]:
    path = ROOT / file
    source = path.read_text(encoding="utf-8") if path.exists() else ""
    return set(re.findall(r"^(?:async )?def (test_\w+)\(", source, re.MULTILINE))


def test_every_threat_of_this_release_has_a_row_and_every_row_a_test():
    found = rows()
    assert OF_THIS_RELEASE - found.keys() == set()
    assert [number for number, tests in found.items() if not tests] == []


def test_every_test_that_the_page_names_exists():
    named = {test for tests in rows().values() for test in tests}
    assert {f"{file}::{name}" for file, name in named if name not in defined_in(file)} == set()
    assert len(named) == len(
        set(NAMED.findall(PAGE.read_text(encoding="utf-8")))
    )  # none stands outside a row
