"""What is claimed of every adapter: one class of tests, driven through each framework by one method.

A framework's test file says `class TestNAME(Claims)` and how to `drive` an agent; README.md shows one.
"""

import contextlib
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from ledger.client import Ledger, RecordsLost
from tests.frameworks.conftest import Rows
from tests.frameworks.model_server import Call, ModelServer

USER = "alice@example.com"
QUESTION = "Send the summary to bob."
ANSWER = "The summary was sent to bob."
MODEL = "gpt-scripted"
AGENT = "clerk"
ACTIONS = "SELECT * FROM actions ORDER BY time, seq"


class Refused(Exception):  # noqa: N818 - says what happened
    """What a failing tool raises."""


@dataclass
class Desk:
    """The tools of the tests, plain functions, and what really ran."""

    ran: list[tuple[str, str]] = field(default_factory=list)
    before: Callable[[str], object] = field(default=lambda _: None)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def _run(self, tool: str, argument: str) -> None:
        self.before(tool)
        with self._lock:
            self.ran.append((tool, argument))

    def send_summary(self, to: str) -> str:
        """Send the summary to somebody."""
        self._run("send_summary", to)
        return f"sent to {to}"

    def read_file(self, path: str) -> str:
        """Read a file."""
        self._run("read_file", path)
        return f"{path} is empty"

    def fail_loudly(self, to: str) -> str:
        """Fail."""
        self._run("fail_loudly", to)
        raise Refused(f"{to} cannot be reached")

    @property
    def tools(self) -> list[Callable[..., str]]:
        return [self.send_summary, self.read_file, self.fail_loudly]


def described(tool: str, arguments: Any) -> dict[str, Any]:
    """What the app says of its tools: an adapter's `describe`."""
    if tool == "read_file":
        return {"effect": "read", "resource": {"type": "file", "id": arguments["path"]}}
    return {"effect": "send", "resource": {"type": "mailbox", "id": arguments["to"]}}


@dataclass(frozen=True)
class Ask:
    """One run of an agent: named AGENT, of model MODEL at `model_url`, with `desk.tools`.

    `deny` are the tools that a hook of the framework's own, inside ours, refuses. `stream`: read the answer as it
    comes. The adapter is given `described`. The agent runs for `user` in `conversation`, as an app of this framework would tell it.
    """

    ledger: Ledger
    model_url: str
    desk: Desk
    text: str = QUESTION
    user: str = USER
    conversation: str = "conversation-1"
    deny: Sequence[str] = ()
    stream: bool = False


class Claims(ABC):
    """Subclass it, implement `drive`, and say what the framework cannot tell."""

    principal_source: ClassVar[str]
    """Where the adapter takes the user from, as `identity.principal_source` says it."""

    missing: ClassVar[set[str]] = set()
    """Facets (request, decision, tool, identity, resource) that this framework cannot tell; its page says so."""

    untold: ClassVar[set[str]] = set()
    """Columns of `actions` that this framework cannot tell: decision_response_id, tool_call_id, ...; its page says so."""

    untold_when_streamed: ClassVar[set[str]] = set()
    """Columns that it cannot tell of a streamed answer besides."""

    denies: ClassVar[bool] = True
    streams: ClassVar[bool] = True

    @abstractmethod
    def drive(self, ask: Ask) -> str:
        """Run the agent, give its last answer. A failing tool may raise through it."""

    def attempt(self, ask: Ask) -> str:
        """The same where it may raise: the claim is about what was recorded."""
        try:
            return self.drive(ask)
        except Exception as error:  # noqa: BLE001 - whatever the framework makes of a failing tool
            return repr(error)

    def check_facets(
        self,
        row: dict[str, Any],
        model: ModelServer,
        tool: str,
        arguments: dict[str, Any],
        untold: AbstractSet[str] = frozenset(),
    ) -> None:
        """A row of `actions` tells who asked, what decided, what was done, for whom; nothing else than what was so."""
        call = next(call for call in model.calls if json.loads(call.arguments) == arguments)
        decided = model.deciding(call.id)
        told = {
            "tool_name": tool,
            "tool_call_id": call.id,
            "outcome_status": "success",
            "request_text": QUESTION,
            "request_conversation_id": "conversation-1",
            "decision_request_model": MODEL,
            "decision_response_model": decided.model,
            "decision_response_id": decided.response_id,
            "identity_agent_name": AGENT,
            "identity_principal": USER,
            "identity_principal_source": self.principal_source,
            "resource_id": next(iter(arguments.values())),
            "tool_effect": described(tool, arguments)["effect"],
        }
        expected = {name: value for name, value in told.items() if name not in self.untold | untold}
        assert {name: plain(row[name]) for name in expected} == expected
        assert plain(row["tool_arguments"]) == arguments
        assert set(row["facets_missing"]) == self.missing

    def test_an_action_is_one_row_with_its_five_facets(self, ledger, model, rows):
        model.script([Call("send_summary", to="bob")], ANSWER)
        desk = Desk()
        assert ANSWER in self.drive(Ask(ledger, model.url, desk))
        assert desk.ran == [("send_summary", "bob")]
        (row,) = rows(ACTIONS)
        self.check_facets(row, model, "send_summary", {"to": "bob"})
        assert "sent to bob" in str(plain(row["outcome_result"]))

    def test_a_streamed_answer_is_recorded_alike(self, ledger, model, rows):
        if not self.streams:
            pytest.skip("this framework does not stream")
        model.script([Call("send_summary", to="bob")], ANSWER)
        assert ANSWER in self.drive(Ask(ledger, model.url, Desk(), stream=True))
        (row,) = rows(ACTIONS)
        self.check_facets(row, model, "send_summary", {"to": "bob"}, self.untold_when_streamed)

    def test_the_intent_is_in_the_log_before_the_tool_runs(self, ledger, model, logged: Rows):
        model.script([Call("send_summary", to="bob")], ANSWER)
        seen: list[dict[str, Any]] = []
        desk = Desk(before=lambda _: seen.extend(logged(ACTIONS)))
        self.drive(Ask(ledger, model.url, desk))
        (row,) = seen
        assert (row["tool_name"], row["outcome_status"]) == ("send_summary", None)
        assert plain(row["tool_arguments"]) == {"to": "bob"}
        assert desk.ran == [("send_summary", "bob")]

    def test_parallel_calls_are_rows_of_their_own_with_one_decision(self, ledger, model, rows):
        files = ["a.txt", "b.txt", "c.txt"]
        model.script([Call("read_file", path=path) for path in files], ANSWER)
        desk = Desk()
        assert ANSWER in self.drive(Ask(ledger, model.url, desk))
        assert sorted(path for _, path in desk.ran) == files
        found = rows(ACTIONS)
        assert sorted(plain(row["tool_arguments"])["path"] for row in found) == files
        for row in found:
            self.check_facets(row, model, "read_file", plain(row["tool_arguments"]))
        assert len({row["tool_call_id"] for row in found}) == (1 if "tool_call_id" in self.untold else 3)

    def test_a_call_that_an_inner_hook_denies_is_recorded_as_denied(self, ledger, model, rows):
        if not self.denies:
            pytest.skip("this framework has no hook that denies")
        model.script([Call("send_summary", to="bob")], "It was not allowed.")
        desk = Desk()
        self.attempt(Ask(ledger, model.url, desk, deny=["send_summary"]))
        assert desk.ran == []
        (row,) = rows(ACTIONS)
        assert (row["tool_name"], row["outcome_status"]) == ("send_summary", "denied")

    def test_a_tool_that_raises_is_recorded_as_a_failure_with_its_error(self, ledger, model, rows):
        model.script([Call("fail_loudly", to="bob")], "It failed.")
        desk = Desk()
        self.attempt(Ask(ledger, model.url, desk))
        assert desk.ran == [("fail_loudly", "bob")]
        (row,) = rows(ACTIONS)
        assert (row["tool_name"], row["outcome_status"]) == ("fail_loudly", "failure")
        if "outcome_error_type" not in self.untold:
            assert row["outcome_error_type"].endswith("Refused")

    def test_no_tool_runs_while_the_ledger_is_away(self, model, server, token):
        model.script([Call("send_summary", to="bob")], "It could not be done.")
        desk = Desk()
        ledger = Ledger(server.url, token, timeout_s=1)
        server.stop()
        self.attempt(Ask(ledger, model.url, desk))
        assert desk.ran == []
        with contextlib.suppress(RecordsLost):  # what was asked and decided had no ledger to go to
            ledger.close()


PAIRS = {"alice@example.com": "bob", "carol@example.com": "dave"}


def script_pairs(model: ModelServer) -> None:
    """For `test_users_at_once_…`: each of PAIRS asks for a summary to the other."""
    for to in PAIRS.values():
        model.script([Call("send_summary", to=to)], ANSWER, user=f"Send the summary to {to}.")


def check_pairs(rows: Rows, model: ModelServer) -> None:
    """Everybody's call was decided by an answer to their own words, in their own conversation."""
    found = {plain(row["identity_principal"]): row for row in rows(ACTIONS)}
    assert found.keys() == PAIRS.keys()
    for user, row in found.items():
        assert plain(row["tool_arguments"]) == {"to": PAIRS[user]}
        assert plain(row["request_text"]) == f"Send the summary to {PAIRS[user]}."
        assert row["request_conversation_id"] == f"of {user}"
        (call,) = [call for call in model.calls if json.loads(call.arguments) == {"to": PAIRS[user]}]
        assert row["tool_call_id"] == call.id
        assert row["decision_response_id"] in {None, model.deciding(call.id).response_id}
        assert row["outcome_status"] == "success"


def plain(value: Any) -> Any:
    """A content's value: contents come out of a query as the JSON text that was sent."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
