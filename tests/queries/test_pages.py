"""The pages that are made from headers are what the headers say."""

import re

import pytest

from ledger.forensics.catalog import GROUPS, load_queries
from ledger.forensics.generate import OUTPUTS, main
from tests.project.tree import ROOT


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_page_made_from_headers_is_what_they_say(name):
    assert (ROOT / name).read_text(encoding="utf-8") == OUTPUTS[name]()
    assert main(["--check"]) == 0


def test_the_page_lists_every_named_question_in_its_group():
    page = (ROOT / "docs" / "questions.md").read_text(encoding="utf-8")
    for part in page.split("\n## ")[1:]:
        [group] = [name for name, about in GROUPS.items() if part.startswith(about)]
        listed = re.findall(r"^\| \[`([a-z0-9-]+)`\]", part, re.MULTILINE)
        assert sorted(listed) == sorted(
            name for name, query in load_queries().items() if query.group == group
        )
    assert all(query.group in GROUPS and query.standard for query in load_queries().values())
    assert len(load_queries()) >= 40
