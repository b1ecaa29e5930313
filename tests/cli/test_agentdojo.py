"""7,307 real agent runs, imported over HTTP, verified, and asked: the answers are those computed without SQL."""

import json
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import ROOT, new_ledger, serving

QUESTIONS = ROOT / "docs" / "agentdojo"
SUITES = ("banking", "slack", "workspace")
IMPORT_S = 240


@pytest.fixture(scope="module")
def runs(shared: Path) -> list[Path]:
    return [shared / "data" / "agentdojo" / f"dev-{suite}.jsonl.zst" for suite in SUITES]


@pytest.fixture(scope="module")
def expected(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "data" / "agentdojo" / "expected.json").read_bytes())


@pytest.fixture(scope="module")
def imported(runs, tmp_path_factory):
    """A ledger with all runs, and what the import said."""
    with serving(new_ledger(tmp_path_factory.mktemp("agentdojo"))) as ledger:
        ended = ledger.run("import", "agentdojo", *runs, timeout_s=IMPORT_S)
        assert ended.returncode == 0, ended.stderr
        yield ledger, json.loads(ended.stdout)


@pytest.fixture
def answer(imported):
    """Asks one of docs/agentdojo by SQL over HTTP: a list of rows by column name."""
    ledger, _ = imported

    def ask(name: str) -> list[dict[str, Any]]:
        ended = ledger.run("sql", "--file", QUESTIONS / f"{name}.sql", "-o", "ndjson")
        assert ended.returncode == 0, ended.stderr
        return [json.loads(line) for line in ended.stdout.splitlines()]

    return ask


@pytest.fixture(scope="module")
def scalars(expected):
    return expected["answers"]["scalars"]


@pytest.fixture(scope="module")
def tables(expected):
    return expected["answers"]["tables"]


def by_session(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["session"]: row for row in rows}


def test_each_run_and_each_executed_call_is_one_record(imported, scalars):
    _, posted = imported
    assert posted["refused"] == posted["existing"] == 0
    assert posted["appended"] == scalars["runs"] + scalars["executed_tool_calls"]
    assert posted["size"] == posted["appended"] + 1, "and the log's own first entry"


def test_importing_again_adds_nothing(imported, runs):
    ledger, _ = imported
    again = ledger.run("import", "agentdojo", runs[0], timeout_s=IMPORT_S)
    assert again.returncode == 0, again.stderr
    summary = json.loads(again.stdout)
    assert (summary["appended"], summary["refused"]) == (0, 0)
    assert summary["existing"] > 0


def test_every_call_has_its_five_facets_but_for_tools_that_models_made_up(imported):
    ledger, _ = imported
    ended = ledger.run(
        "sql",
        "SELECT to_json(facets_missing)::VARCHAR AS missing, tool_effect IS NULL AS made_up, count(*) AS n FROM actions "
        "GROUP BY ALL ORDER BY n DESC",
        "-o",
        "ndjson",
    )
    assert ended.returncode == 0, ended.stderr
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    assert {(row["missing"], row["made_up"]) for row in rows} <= {("[]", False), ('["resource"]', True)}
    assert rows[0]["n"] > 23_000


def test_the_imported_log_verifies(imported, scalars):
    ledger, posted = imported
    ended = ledger.run("verify", timeout_s=IMPORT_S)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["client"]["entries_checked"] >= posted["size"]


def test_ad01_attacker_literals_by_session(answer, scalars):
    rows = by_session(answer("AD01"))
    assert set(rows) == {"attacked", "plain", "control"}
    for session, row in rows.items():
        assert row["runs"] == scalars[f"ioc_runs_{session}"]
        assert row["calls"] == scalars[f"ioc_calls_{session}"]
        assert row["calls_ok"] == scalars[f"ioc_calls_ok_{session}"]


def test_ad02_calls_to_the_attackers_account_and_money_sent(answer, scalars, tables):
    rows = answer("AD02")
    assert {row["tool_name"]: row["calls"] for row in rows} == tables["attacker_iban_calls_by_tool"]
    money = {row["tool_name"]: Decimal(str(row["money"])) for row in rows if row["money"] is not None}
    assert money["send_money"].quantize(Decimal("0.01"), ROUND_HALF_UP) == Decimal(
        str(scalars["attacker_money_sent"])
    )


def test_ad03_mails_to_the_attacker(answer, expected, scalars):
    (row,) = answer("AD03")
    assert row["emails"] == scalars["emails_to_attacker"]
    assert row["emails_ok"] == scalars["emails_to_attacker_ok"]
    assert row["runs"] == expected["answers"]["email_runs_distinct"]


def test_ad08_destructive_calls_by_session(answer, tables):
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for row in answer("AD08"):
        found[row["session"]][row["tool_name"]] = row["calls"]
    assert found == {
        session: tables[f"destructive_calls_{session}"] for session in ("attacked", "plain", "control")
    }


def test_ad12_errors_by_class(answer, scalars, tables):
    rows = {row["error_class"]: row["calls"] for row in answer("AD12")}
    assert rows == tables["errors_by_class"]
    assert sum(rows.values()) == scalars["tool_errors"]


def test_ad13_runs_in_a_loop(answer, scalars):
    assert answer("AD13") == [{"runs": scalars["runs_with_identical_call_3plus"]}]


def test_ad14_what_the_user_asked_for_is_no_injection(answer, scalars):
    (row,) = answer("AD14")
    assert row == {
        "runs": scalars["ioc_runs_control"],
        "runs_user_named_it": scalars["ioc_runs_control_user_named_it"],
        "calls": scalars["ioc_calls_control"],
        "calls_ok": scalars["ioc_calls_ok_control"],
    }
