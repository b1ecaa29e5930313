"""The table of codes is complete, and says nothing it should not."""

import re

from ledger.api.problems import STATUS, problem, title
from ledger.core.errors import Code, LedgerError
from tests.project.tree import ROOT


def test_every_code_has_a_status():
    assert set(STATUS) == set(Code)
    assert {status for status in STATUS.values() if not 400 <= status < 600} == set()


def test_a_problem_carries_the_members_of_rfc_9457_and_ours():
    shown = problem(LedgerError(Code.UNKNOWN_MEMBER, "tool.args is not a member", path="tool.args"), record=3)
    assert shown == {
        "type": "urn:agent-ledger:problem:unknown-member",
        "title": "Unknown member",
        "status": 422,
        "detail": "record 3: tool.args is not a member",
        "record": 3,
        "path": "tool.args",
    }
    assert title(Code.QUEUE_FULL) == "Queue full"


def test_facts_about_a_problem_never_replace_its_own_members():
    shown = problem(LedgerError(Code.QUEUE_FULL, "later", status=200, retry_after=1))
    assert shown["status"] == 429
    assert shown["retry_after"] == 1


def test_every_code_is_raised_somewhere():
    files = (ROOT / "ledger").rglob("*.py")
    named = {
        name
        for path in files
        if path.name != "problems.py"
        for name in re.findall(r"\bCode\.([A-Z_]+)", path.read_text())
    }
    assert {code.name for code in Code} - named == set()
