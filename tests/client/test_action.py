"""An action: its intent is in the log before the tool runs, and what came of it after, however it ends."""

import asyncio
import re

import pytest

from ledger.client import Ledger, LedgerAway, RecordsLost
from ledger.client.context import inject
from ledger.core.errors import FormatError
from tests.client.conftest import entries, stages, token


@pytest.fixture
def ledger(server):
    with Ledger(server.url, token(server), source="tests", identity={"agent_id": "agent-1"}) as made:
        yield made


def test_the_intent_is_in_the_log_when_the_tool_runs_and_the_result_after(ledger, server):
    with ledger.action("send_email", arguments={"to": "ann"}, effect="send", call_id="c1") as act:
        assert stages(server, act.id).keys() == {"action.intent"}
        act.result = {"sent": True}
    ledger.flush()
    told = stages(server, act.id)
    assert told["action.intent"]["tool"] == {
        "name": "send_email",
        "arguments": {"to": "ann"},
        "effect": "send",
        "call_id": "c1",
    }
    assert told["action.intent"]["identity"] == {"agent_id": "agent-1"}
    outcome = told["action.outcome"]["outcome"]
    assert (outcome["status"], outcome["result"]) == ("success", {"sent": True})
    assert outcome["duration_ns"] > 0


def test_an_error_of_the_tool_is_recorded_and_raised(ledger, server):
    with pytest.raises(ZeroDivisionError), ledger.action("divide") as act:
        1 / 0  # noqa: B018
    ledger.flush()
    outcome = stages(server, act.id)["action.outcome"]["outcome"]
    assert (outcome["status"], outcome["error_type"]) == ("failure", "ZeroDivisionError")
    assert outcome["result"] == {"error": "division by zero"}


def test_a_cancelled_task_is_recorded_as_cancelled(ledger, server):
    async def run(begun: asyncio.Future[str]) -> None:
        async with ledger.action("wait") as act:
            begun.set_result(act.id)
            await asyncio.sleep(60)

    async def main() -> str:
        begun = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(run(begun))
        action_id = await begun
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return action_id

    action_id = asyncio.run(main())
    ledger.flush()
    assert stages(server, action_id)["action.outcome"]["outcome"]["status"] == "cancelled"


def test_a_denial_before_the_start_records_intent_verdict_and_that_it_did_not_run(ledger, server):
    act = ledger.action("pay", effect="pay")
    act.deny("over-limit", policy={"engine": "opa", "rule": "limit"})
    ledger.flush()
    told = stages(server, act.id)
    assert told.keys() == {"action.intent", "action.decision", "action.outcome"}
    assert told["action.decision"]["policy"] == {
        "effect": "deny",
        "reason": "over-limit",
        "engine": "opa",
        "rule": "limit",
    }
    assert told["action.outcome"]["outcome"] == {"status": "denied"}


def test_an_approval_names_who_decided(ledger, server):
    act = ledger.action("pay").start()
    act.approve(approver="bob", id="a1", shown={"amount": 3})
    act.succeed("paid")
    ledger.flush()
    approval = stages(server, act.id)["action.approval"]["approval"]
    assert approval == {"outcome": "approved", "approver": "bob", "id": "a1", "shown": {"amount": 3}}


def test_only_the_first_ending_counts(ledger, server):
    with ledger.action("pay") as act:
        act.fail("declined")
    ledger.flush()
    assert stages(server, act.id)["action.outcome"]["outcome"]["status"] == "failure"


def test_decorated_functions_are_actions_with_their_arguments(ledger, server):
    @ledger.recorded(effect="read", resource=lambda path, **_: {"type": "file", "id": path})
    def read(path: str, limit: int = 5) -> str:
        return path * 2

    @ledger.recorded(tool="renamed")
    async def fetch(url: str) -> int:
        return len(url)

    before = len(entries(server))
    assert read("ab") == "abab"
    assert asyncio.run(fetch("xyz")) == 3
    ledger.flush()
    first, _, second, last = entries(server)[before:]
    assert first["tool"] == {"name": "read", "effect": "read", "arguments": {"path": "ab", "limit": 5}}
    assert first["resource"] == {"type": "file", "id": "ab"}
    assert second["tool"]["name"] == "renamed"
    assert last["outcome"]["result"] == 3


def test_the_context_reaches_every_action_inside_and_nested_actions_name_their_parent(ledger, server):
    before = len(entries(server))
    with (
        ledger.context(
            request={"user": "ann", "text": "pay it"}, decision={"provider": "p", "response_id": "r1"}
        ),
        ledger.action("outer") as outer,
        ledger.action("inner", decision={"response_id": "r2"}) as inner,
    ):
        pass
    ledger.flush()
    first, second = entries(server)[before : before + 2]
    assert first["request"] == second["request"] == {"user": "ann", "text": "pay it"}
    assert first["decision"] == {"provider": "p", "response_id": "r1"}
    assert second["decision"] == {"response_id": "r2"}
    assert second["trace"]["parent_action_id"] == outer.id
    assert second["trace"]["parent_span_id"] == first["trace"]["span_id"] == outer.span.span_id
    assert second["trace"]["trace_id"] == first["trace"]["trace_id"]
    assert inner.span != outer.span


def test_a_secret_in_a_fact_is_masked_and_one_in_an_argument_kept(ledger, server):
    secret = "sk-" + "a" * 30
    with ledger.action("login", arguments={"key": secret}, resource={"name": f"with {secret}"}) as act:
        pass
    told = stages(server, act.id)["action.intent"]
    assert told["resource"]["name"] == "with [masked: an API key]"
    assert told["tool"]["arguments"] == {"key": secret}


def test_a_member_that_does_not_exist_is_an_error_where_it_was_written(ledger):
    with pytest.raises(FormatError, match=r"resource\.kind is not a member"):
        ledger.action("x", resource={"kind": "file"})
    with pytest.raises(FormatError, match=r"tool\.effect: one of"):
        ledger.action("x", effect="sned")


def test_an_identity_with_a_member_that_does_not_exist_is_an_error_where_the_ledger_is_made():
    with pytest.raises(FormatError, match=r"did you mean identity\.agent_id"):
        Ledger(identity={"agent_ids": "finance-agent"})


def test_without_a_ledger_the_tool_does_not_run():
    ran = []
    with (
        pytest.raises(LedgerAway),
        Ledger("http://127.0.0.1:9", "t", timeout_s=0.3) as away,
        away.action("x"),
    ):
        ran.append(1)
    assert ran == []


def test_requests_and_decisions_are_records_of_their_own(ledger, server):
    before = len(entries(server))
    with ledger.context(request={"conversation_id": "c-9"}):
        ledger.request(text="hello", user="ann", origin="human")
        ledger.decision(provider="p", response_id="r", output=[{"role": "assistant"}])
    ledger.flush()
    request, decision = entries(server)[before:]
    assert request["request"] == {"conversation_id": "c-9", "text": "hello", "user": "ann", "origin": "human"}
    assert decision["request"] == {"conversation_id": "c-9"}
    assert decision["decision"]["output"] == [{"role": "assistant"}]
    assert (request["source"]["id"], request["source"]["seq"] + 1) == (
        decision["source"]["id"],
        decision["source"]["seq"],
    )


def test_what_has_ended_does_not_start(ledger):
    denied = ledger.action("pay")
    denied.deny()
    with pytest.raises(RuntimeError, match="has ended"):
        denied.start()
    with pytest.raises(RuntimeError, match="has ended"), denied:
        pytest.fail("it ran")


def test_after_an_approval_the_start_still_waits_for_the_intent(ledger, server):
    act = ledger.action("pay", arguments={"n": 1})
    act.approve(approver="bob")
    act.start()
    assert "action.intent" in stages(server, act.id)
    act.succeed()
    ledger.flush()
    types = [r["type"] for r in entries(server) if r.get("action_id") == act.id]
    assert types == ["action.intent", "action.approval", "action.outcome"]


def test_an_approval_without_a_ledger_lets_nothing_run_and_its_loss_is_said():
    away = Ledger("http://127.0.0.1:9", "t", timeout_s=0.3)
    act = away.action("pay")
    act.approve(approver="bob")
    with pytest.raises(LedgerAway):
        act.start()
    with pytest.raises(RuntimeError):
        act.start()
    with pytest.raises(RecordsLost):
        away.close()


def test_a_mistake_in_an_outcome_is_an_error_and_the_ending_is_recorded_all_the_same(ledger, server):
    with pytest.raises(FormatError, match="result_count"), ledger.action("list") as act:
        act.outcome["result_count"] = -1
    ledger.flush()
    assert stages(server, act.id)["action.outcome"]["outcome"]["status"] == "success"


def test_nobody_who_learns_an_actions_id_takes_the_ids_of_its_records(ledger, server):
    with ledger.action("pay") as act:
        told = extract_id(inject({}))
        for part in ("intent", "approval-1", "decision", "outcome"):
            taken = {"type": "note", "id": f"{told}:{part}", "time": "2026-11-21T09:30:00Z"}
            assert server.post(taken).status_code == 201
        act.approve("approved", approver="bob")
    ledger.flush()
    assert ledger.lost == 0
    assert stages(server, told).keys() == {"action.intent", "action.approval", "action.outcome"}


def extract_id(headers: dict[str, str]) -> str:
    return re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", headers["baggage"])[0]
