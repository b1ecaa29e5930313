"""What the adapters share, against a real ledger; the adapters themselves are tested in their frameworks' environments."""

from dataclasses import dataclass
from typing import Any

import pytest

from ledger.client import Ledger
from ledger.client.adapters import run as module
from ledger.client.adapters.run import Decisions, Recorder, Run, parsed
from tests.client.conftest import entries, token
from tests.faults.server import Server

REQUEST = {"text": "send it to bob", "conversation_id": "c-1"}


@dataclass
class Deps:
    user_id: str


@pytest.fixture
def ledger(server: Server):
    with Ledger(server.url, token(server), source="adapter") as ledger:
        yield ledger


@pytest.fixture
def told(server: Server, ledger: Ledger):
    """The records of a test, in the log's order."""
    with server.client() as client:
        begun = client.get("/v1/log").json()["size"]

    def read() -> list[dict[str, Any]]:
        ledger.flush(10)
        return entries(server, begun)

    return read


def test_the_user_is_the_first_that_a_place_names_and_its_source_says_where(ledger):
    recorder = Recorder(ledger)
    assert recorder.user_of(context={"user": "bob"}, state={"user_id": "carol"}) == {
        "principal": "bob",
        "principal_source": "context.user",
    }
    assert recorder.user_of(deps=Deps("alice"))["principal_source"] == "deps.user_id"
    assert recorder.user_of(context=None, metadata={"enduser.id": 7})["principal"] == "7"
    assert Recorder(ledger, ["email"]).user_of(context={"user_id": "x", "email": "a@b"})["principal"] == "a@b"


@pytest.mark.parametrize(
    "odd", [None, "alice", {}, {"user_id": ""}, {"user_id": ["a"]}, {"user_id": "x" * 10_000}, object()]
)
def test_what_names_nobody_gives_no_user(ledger, odd):
    assert Recorder(ledger).user_of(context=odd) == {}


def test_a_call_is_recorded_with_the_decision_that_made_it_and_no_other(ledger, told):
    recorder = Recorder(ledger)
    run = Run(recorder, request=REQUEST, identity={"agent_name": "clerk", "principal": "alice"})
    other = Run(recorder, request=REQUEST, identity={"agent_name": "clerk"})
    run.decided(
        {"response_id": "r-1", "input_tokens": "not a number"}, ["call_0"], output=[{"role": "assistant"}]
    )
    with run.action("send", {"to": "bob"}, "call_0"):
        pass
    with other.action("send", {"to": "bob"}, "call_0"):  # some providers count their calls from 0
        pass
    decision, intent, _, stranger, _ = told()
    assert (decision["type"], decision["decision"]["response_id"]) == ("decision", "r-1")
    assert "input_tokens" not in decision["decision"]
    assert intent["decision"] == {"response_id": "r-1"}
    assert intent["request"] == {**REQUEST, "user": "alice"}
    assert intent["trace"]["trace_id"] == decision["trace"]["trace_id"] != stranger["trace"]["trace_id"]
    assert "decision" not in stranger


def test_a_decision_is_remembered_for_its_conversation_across_runs(ledger):
    recorder = Recorder(ledger)
    Run(recorder, request=REQUEST, identity={}, scope="c-1").decided({"response_id": "r-1"}, ["call_0"])
    assert recorder.decisions.of("c-1", "call_0") == {"response_id": "r-1"}
    assert recorder.decisions.of("c-2", "call_0") is None


def test_only_the_newest_calls_are_remembered(monkeypatch):
    monkeypatch.setattr(module, "REMEMBERED_CALLS", 3)
    decisions = Decisions()
    decisions.remember("c", [str(number) for number in range(5)], {"response_id": "r"})
    assert [decisions.of("c", str(number)) is not None for number in range(5)] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_a_run_inside_an_action_has_it_for_a_parent_and_an_agent_for_its_origin(ledger, told):
    recorder = Recorder(ledger)
    with Run(recorder, request=REQUEST, identity={}).action("delegate", {}) as outer:
        inner = Run(recorder, request={"text": "do it"}, identity={})
    with inner.action("send", {}):  # also where the framework has lost the context by then
        pass
    intent = next(record for record in told() if record.get("tool", {}).get("name") == "send")
    assert intent["request"]["origin"] == "agent"
    assert intent["trace"]["trace_id"] == outer.span.trace_id
    assert intent["trace"]["parent_span_id"] == outer.span.span_id
    assert intent["trace"]["parent_action_id"] == outer.id


def test_after_a_handoff_another_agent_acts_in_the_same_run(ledger, told):
    run = Run(Recorder(ledger), request=REQUEST, identity={"agent_name": "triage", "principal": "alice"})
    for acting in (run, run.by({"agent_name": "sender"})):
        with acting.action("send", {}):
            pass
    first, _, second, _ = told()
    assert [first["identity"]["agent_name"], second["identity"]["agent_name"]] == ["triage", "sender"]
    assert first["identity"]["principal"] == second["identity"]["principal"]
    assert first["trace"]["trace_id"] == second["trace"]["trace_id"]


def test_what_the_app_says_of_a_tool_is_recorded_and_what_it_cannot_say_hinders_no_call(ledger, told, caplog):
    def describe(tool: str, arguments: Any) -> dict[str, Any]:
        return {"effect": "send", "resource": {"type": "mailbox", "id": arguments["to"]}}

    run = Run(Recorder(ledger, describe=describe), request=REQUEST, identity={})
    for arguments in ({"to": "bob"}, {"whom": "bob"}):
        with run.action("send", arguments, effect="read"):
            pass
    first, _, second, _ = told()
    assert (first["tool"]["effect"], first["resource"]) == ("send", {"type": "mailbox", "id": "bob"})
    assert (second["tool"]["effect"], "resource" in second) == ("read", False)
    assert "what the app says of send is not recorded" in caplog.text


@pytest.mark.parametrize(
    ("said", "meant"),
    [('{"a": 1}', {"a": 1}), ("{not json", "{not json"), ({"a": 1}, {"a": 1}), (None, None)],
)
def test_arguments_are_the_values_they_are(said, meant):
    assert parsed(said) == meant
