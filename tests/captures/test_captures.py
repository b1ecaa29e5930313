"""Every capture through a real ledger: each action with what its telemetry holds of it, and nothing else."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.captures.ledger import Ledger, ledger_of
from tests.captures.table import lines, markdown
from tests.captures.truth import ARGUMENTS, REQUESTS, TRUTH, Action

WORDLESS = {"agt", "mcp-server"}  # their scenario says why there is no request
PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "telemetry.md"


@pytest.fixture(scope="module")
def ledger(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    captures = sorted(path for path in (shared / "otlp").iterdir() if path.is_dir())
    with ledger_of(tmp_path_factory.mktemp("captures"), captures) as posted:
        yield posted


def written(actions: list[Action]) -> Counter[str]:
    """Actions that can be compared whatever their order."""
    return Counter(json.dumps(action, sort_keys=True) for action in actions)


@pytest.mark.parametrize("name", sorted(TRUTH))
def test_each_action_is_one_row_with_what_the_telemetry_holds_and_nothing_else(ledger: Ledger, name: str):
    assert written(ledger.actions(name)) == written(TRUTH[name])


def test_every_capture_and_every_call_of_its_scenarios_is_in_the_truth(shared: Path):
    folders = {path.name: path for path in (shared / "otlp").iterdir() if path.is_dir()}
    assert set(TRUTH) == set(folders)
    for name, folder in folders.items():
        scenario = json.loads((folder / "meta.json").read_bytes())["scenario"]
        told = [each for each in scenario if "tool" in each] if isinstance(scenario, list) else []
        tools = Counter(each["tool"].removeprefix("Files-") for each in told)
        assert not tools - Counter(action.tool for action in TRUTH[name]), name
        for each in told:
            tool = each["tool"].removeprefix("Files-")
            assert each.get("args", ARGUMENTS.get(tool)) == ARGUMENTS.get(tool)
            assert each.get("request") == REQUESTS.get(tool) or "request" not in each or name in WORDLESS


def test_a_call_that_two_senders_saw_is_one_row_with_both(ledger: Ledger):
    assert ledger.ask(
        "SELECT tool_name, submitters, joined_by.outcome, outcome_status FROM actions WHERE list_contains(submitters, 'token:mcp-client') ORDER BY 1"
    ) == [
        [tool, ["token:mcp-client", "token:mcp-server"], "both_sides", status]
        for tool, status in [
            ("no_such_tool", "failure"),
            ("read_file", "success"),
            ("transfer_funds", "failure"),
        ]
    ]


def test_the_agent_and_its_mcp_server_are_one_row_with_five_facets(ledger: Ledger):
    rows = ledger.ask(
        "SELECT tool_name, facets_missing, identity_agent_id, identity_principal, tool_server, len(stages), conflicts FROM actions "
        "WHERE submitter = 'token:e2e-maf-fastmcp' ORDER BY 1"
    )
    assert rows == [
        [tool, [], "agent-7f3", "alice@example.com", "files-server", 6, []]
        for tool in ("read_file", "transfer_funds")
    ]


def test_no_denial_is_made_up(ledger: Ledger):
    """Many calls were denied in these runs; AGT alone says so in a field, the others in text or not at all."""
    denied = ledger.ask(
        "SELECT submitter, tool_name FROM actions WHERE policy_effect = 'deny' OR outcome_status = 'denied'"
    )
    assert denied == [["token:agt", "transfer_funds"]]


def test_the_page_shows_the_table_that_the_command_prints(ledger: Ledger):
    assert markdown(lines(TRUTH, {name: ledger.actions(name) for name in TRUTH})) in PAGE.read_text(
        encoding="utf-8"
    )
