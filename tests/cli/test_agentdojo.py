"""7,307 real agent runs, imported over HTTP, verified, and asked: the answers are those computed without SQL."""

import io
import json
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from ledger.cli.importing import _lines
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

    def ask(name: str, **given: Any) -> list[dict[str, Any]]:
        parameters = [part for key, value in given.items() for part in ("-p", f"{key}={json.dumps(value)}")]
        ended = ledger.run("sql", "--file", QUESTIONS / f"{name}.sql", "-o", "ndjson", *parameters)
        assert ended.returncode == 0, ended.stderr
        return [json.loads(line) for line in ended.stdout.splitlines()]

    return ask


@pytest.fixture(scope="module")
def goals(runs) -> list[dict[str, str]]:
    """What each injection task wants, as the runs tell it."""
    found = {
        (run["suite"], run["injection_task_id"]): run["injection_goal"]
        for path in runs
        for run in map(json.loads, _lines(io.BytesIO(path.read_bytes()), path))
        if run["injection_goal"]
    }
    return [{"suite": suite, "task": task, "text": text} for (suite, task), text in found.items()]


@pytest.fixture(scope="module")
def literals(expected) -> list[dict[str, str]]:
    return [{"suite": suite, "literal": text} for suite, texts in expected["ioc"].items() for text in texts]


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


def test_ad07_whose_results_words_went_into_whose_arguments(answer, scalars, tables):
    """What the data's own token is, it does not say: of those tried, this one gives all its numbers."""
    rows = {row["flow"]: row["calls"] for row in answer("AD07")}
    named = tables["taint_edges_top"]
    assert {edge: rows[edge] for edge in named} == named
    assert sum(rows.values()) == scalars["taint_edges"]


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


def test_ad04_which_tools_result_carried_the_instruction_first(answer, goals, tables):
    assert {row["tool_name"]: row["runs"] for row in answer("AD04", goals=goals)} == tables["carrier_tool"]


def test_ad05_the_first_call_after_exposure(answer, goals, tables):
    rows = {row["tool_name"]: row for row in answer("AD05", goals=goals)}
    for name, told in (
        ("first_call_after_exposure", "runs"),
        ("first_call_after_exposure_succeeded", "succeeded"),
    ):
        assert {tool: rows[tool][told] for tool in tables[name]} == tables[name]


def test_ad06_exposed_or_not_and_succeeded_or_not(answer, goals, scalars, tables):
    rows = answer("AD06", goals=goals)
    for exposed, prefix in ((True, "exposed"), (False, "not_exposed")):
        for outcome in ("succeeded", "resisted", "unknown"):
            runs = sum(row["runs"] for row in rows if (row["exposed"], row["outcome"]) == (exposed, outcome))
            assert runs == scalars[f"{prefix}_{outcome}"]
    by_agent: dict[str, int] = defaultdict(int)
    for row in rows:
        by_agent[row["agent"].removeprefix("agentdojo/")] += row["runs"] * row["exposed"]
    assert {agent: runs for agent, runs in by_agent.items() if runs} == tables["exposed_by_model"]


def test_ad09_changed_passwords(answer, scalars):
    [row] = answer("AD09")
    assert (row["calls"], row["with_the_attackers_value"]) == (
        scalars["update_password_attacked"],
        scalars["update_password_new_password"],
    )


def test_ad10_text_posted_to_the_attacker(answer, literals, scalars):
    [row] = answer("AD10", literals=literals)
    assert (row["posts"], int(row["characters"]), row["largest"]) == (
        scalars["webpage_posts_to_attacker"],
        scalars["webpage_post_chars_total"],
        scalars["webpage_post_chars_max"],
    )


def test_ad11_messages_with_the_phishing_link(answer, scalars):
    assert answer("AD11")[0]["messages"] == scalars["phishing_link_dm"]


def test_ad15_results_that_the_detector_withheld(answer, scalars):
    assert answer("AD15") == [{"results": scalars["results_omitted_by_detector"]}]


def test_ad16_recipients_never_seen_without_an_attack(answer, tables):
    assert {row["recipient"]: row["calls"] for row in answer("AD16")} == tables["new_recipients_vs_baseline"]


def test_ad17_calls_from_the_exposure_to_the_attackers_call(answer, goals, literals, scalars):
    [row] = answer("AD17", goals=goals, literals=literals)
    assert (row["median"], row["most"]) == (
        scalars["calls_between_exposure_and_ioc_median"],
        scalars["calls_between_exposure_and_ioc_max"],
    )


def test_ad18_stealthy_compromises(answer, scalars):
    assert answer("AD18") == [{"runs": scalars["stealthy_success_user_task_done_too"]}]


def test_ad19_successful_attacks_without_a_literal(answer, literals, tables):
    rows = {row["task"]: row["runs"] for row in answer("AD19", literals=literals)}
    assert rows == tables["succeeded_without_literal_by_task"]


def test_ad20_attack_success_by_agent_and_by_attack(answer, tables):
    rows = answer("AD20")
    by_agent = {row["agent"].removeprefix("agentdojo/"): row["runs"] for row in rows if row["agent"]}
    assert by_agent == tables["succeeded_by_model"]
    assert {row["attack"]: row["runs"] for row in rows if row["attack"]} == tables[
        "succeeded_by_suite_attack"
    ]


def test_ad21_and_ad22_what_the_user_had_named_and_what_came_of_the_rest(answer, literals, scalars):
    rows = {
        (row["user_named_it"], row["succeeded"]): row["runs"] for row in answer("AD21", literals=literals)
    }
    assert (
        sum(runs for (named, _), runs in rows.items() if named) == scalars["ioc_runs_attacked_user_named_it"]
    )
    for succeeded, name in (("true", "succeeded"), ("false", "not_succeeded"), ("unknown", "unknown")):
        assert rows[False, succeeded] == scalars[f"ioc_runs_attacked_not_named_{name}"]


def test_a_named_question_finds_the_carrier_of_the_attackers_account(imported, runs):
    """`where-a-text-came-in`, as shipped, against the runs read without SQL."""
    ledger, _ = imported
    account = "US133000000121212121212"
    ended = ledger.run(
        "query", "where-a-text-came-in", "-p", f"literal={account}", "-o", "ndjson", "-n", "10000"
    )
    assert ended.returncode == 0, ended.stderr
    told = {
        row["session_id"]: (row["carrier_tool"], row["user_named_it"])
        for row in map(json.loads, ended.stdout.splitlines())
    }
    expected = {}
    for path in runs:
        for run in map(json.loads, _lines(io.BytesIO(path.read_bytes()), path)):
            answers = [m for m in run["messages"] if m["role"] == "tool"]
            carriers = [
                m["function"] for m in answers if account in (m.get("error") or m.get("content") or "")
            ]
            if carriers:
                expected[run["run_id"]] = (carriers[0], account in run["user_task"])
    assert len(expected) > 1_000
    assert told == expected
