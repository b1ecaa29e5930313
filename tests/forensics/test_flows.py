"""Which result went into which later arguments: pairs that must be found, and pairs that must not."""

import json
import time
from typing import Any

import pytest

from ledger.forensics import service
from tests.forensics.joining import Joined, prepared

IBAN = "DE89370400440532013000"
MANY = 50_000
MANY_S = 90  # 6 s of processor time; a machine that does much else may need many times that


class Talk:
    """What one agent did, step by step; a step's number is its record's id."""

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes]] = []

    def step(
        self,
        arguments: Any = None,
        result: Any = None,
        *,
        request: Any = None,
        submitter: str = "token:test",
        conversation: str | None = "c",
        **members: Any,
    ) -> "Talk":
        number = len(self.records)
        asked = request if isinstance(request, dict) else {"conversation_id": conversation, "text": request}
        record = {
            "id": str(number),
            "type": "action",
            "time": f"2026-11-21T{9 + number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z",
            "request": {name: value for name, value in asked.items() if value is not None} or None,
            "tool": {"name": f"tool{number}"} | ({} if arguments is None else {"arguments": arguments}),
            "outcome": {"status": "success"} | ({} if result is None else {"result": result}),
            **members,
        }
        told = {name: value for name, value in record.items() if value is not None}
        self.records.append((submitter, json.dumps(told).encode()))
        return self

    def flows(self, columns: str = "source_seq, sink_seq, carried") -> list[list[Any]]:
        return Joined(self.records).ask(f"SELECT {columns} FROM flows ORDER BY source_seq, sink_seq")


def carried(result: Any, arguments: Any) -> list[str]:
    """What one result brought into the next call's arguments."""
    rows = Talk().step(result=result).step(arguments).flows("carried")
    assert len(rows) <= 1
    return rows[0][0] if rows else []


@pytest.mark.parametrize(
    ("result", "value", "expected"),
    [
        ("pay to " + IBAN, IBAN, IBAN),
        ("DE89 3704 0044 0532 0130 00 is the account", IBAN, IBAN),
        (f"pay to {IBAN}", "DE89 3704 0044 0532 0130 00", IBAN),
        ("card 4111-1111-1111-1111.", "4111111111111111", "4111111111111111"),
        ("Mail to Mark.Black-2134@Gmail.com!", "mark.black-2134@gmail.com", "mark.black-2134@gmail.com"),
        ('{"next":"line\\nMallory\\tSmith"}', "Mallory Smith", "Mallory Smith"),
        ({"total": 1250.50, "who": ["x", {"name": "Zoë Müller"}]}, "Zoë Müller", "Zoë Müller"),
        ("in all $30,000.00, please", 30000, "30000"),
        ("amount: 1000", "1,000.00", "1000"),
        ("file with ID '13'", "13", "13"),
        ("see evil.example for more", "https://evil.example/?q=1", "evil.example"),
        ("The code is 463 820-K, the owner Ada", "http://x.test/?code%3D463%20820-K", "463 820-K"),
        ("Riverside View Hotel has rooms", "Riverside View Hotel", "Riverside View Hotel"),
        ("パスワードは秘密です", "秘密です", "秘密です"),
        ("my token is zq7-x9f2b", "I was told: zq7-x9f2b, thanks", "zq7-x9f2b"),
        ("x. Meet me at the old harbour at nine. y", "Dear Bob, meet me at the OLD harbour at ten", "meet me at the OLD harbour at"),
    ],
)  # fmt: skip
def test_text_is_found_however_it_is_written(result: Any, value: Any, expected: str):
    assert carried(result, {"to": value}) == [expected]


@pytest.mark.parametrize(
    ("result", "value"),
    [
        ("lily@gmail.example wrote", "bob@gmail.example"),
        ("this is what you asked for", "is it done? what is this for"),
        ("true, null and x", True),
        ("true, null and x", None),
        ("true, null and x", "x"),
        ("nothing of it", {"deep": [[], {}]}),
        (None, IBAN),
        ("12345", "1234"),
    ],
)
def test_text_that_is_not_the_same_is_not_found(result: Any, value: Any):
    assert carried(result, {"to": value}) == []


def test_each_piece_stands_beside_the_argument_that_carried_it():
    talk = Talk().step(result=f"To: mark@evil.example, account {IBAN}")
    talk.step({"mail": {"to": ["bob@home.example", "mark@evil.example"]}, "iban": IBAN, "note": "hi"})
    assert talk.flows("carried, paths, link, named_by_user") == [
        [[IBAN, "mark@evil.example"], ["$.iban", "$.mail.to[1]"], "verbatim", False]
    ]


def test_the_source_is_the_first_result_that_held_it():
    talk = Talk().step(result="nothing").step(result=IBAN).step(result=f"again {IBAN}").step({"to": IBAN})
    assert talk.flows() == [[1, 3, [IBAN]]]


def test_what_the_agent_had_used_before_did_not_come_from_a_result():
    talk = Talk().step({"query": "dentist"}, "3 results for dentist").step({"title": "dentist"})
    assert talk.flows() == []


def test_a_result_that_came_later_or_elsewhere_is_no_source():
    assert Talk().step({"to": IBAN}, IBAN).flows() == []
    assert Talk().step({"to": IBAN}).step(result=IBAN).flows() == []
    assert Talk().step(result=IBAN).step({"to": IBAN}, conversation="d").flows() == []
    assert Talk().step(result=IBAN).step({"to": IBAN}, submitter="token:other").flows() == []
    assert Talk().step(result=IBAN, conversation=None).step({"to": IBAN}, conversation=None).flows() == []


def test_the_result_of_a_call_counts_from_when_it_was_known():
    called = {"type": "action.intent", "action_id": "a", "outcome": None}
    ended = {"type": "action.outcome", "action_id": "a", "tool": None}
    before = Talk().step(**called).step({"to": IBAN}).step(result=IBAN, **ended)
    assert before.flows() == []
    after = Talk().step(**called).step(result=IBAN, **ended).step({"to": IBAN})
    assert after.flows() == [[0, 2, [IBAN]]]


def test_a_trace_tells_what_crosses_conversations_and_nothing_twice():
    talk = Talk()
    for arguments, result, conversation in (
        (None, IBAN, "c"),
        ({"to": IBAN}, None, "c"),
        ({"to": IBAN}, None, "sub"),
        ({"to": IBAN}, None, None),
    ):
        talk.step(arguments, result, conversation=conversation, trace={"trace_id": "1" * 32})
    assert talk.flows() == [[0, 1, [IBAN]], [0, 2, [IBAN]], [0, 3, [IBAN]]]


def test_what_the_user_named_is_left_out_and_a_flow_of_nothing_else_says_so():
    request = f"Pay my rent to {IBAN}"
    talk = Talk().step(result=f"{IBAN}, ref ZX-81-4711", request=request)
    talk.step({"to": IBAN}, request=request).step({"to": IBAN, "ref": "ZX-81-4711"}, request=request)
    assert talk.flows("source_seq, sink_seq, carried, named_by_user") == [
        [0, 1, [IBAN], True],
        [0, 2, ["ZX-81-4711"], False],
    ]


@pytest.mark.parametrize(
    ("later", "named"),
    [
        ({"request": {"conversation_id": "c", "text": f"yes, {IBAN}"}}, True),
        ({"request": {"conversation_id": "c", "text": f"yes, {IBAN}", "origin": "agent"}}, False),
        ({"request": {"conversation_id": "c", "text": f"yes, {IBAN}", "origin": "event"}}, False),
        ({"request": {"conversation_id": "d", "text": f"yes, {IBAN}"}}, False),
    ],
)
def test_only_a_users_words_of_this_conversation_name_something(later: dict[str, Any], named: bool):
    talk = Talk().step(result=IBAN).step(type="request", tool=None, outcome=None, **later).step({"to": IBAN})
    assert talk.flows("carried, named_by_user") == [[[IBAN], named]]


def test_words_of_a_later_request_do_not_excuse_what_was_done_before():
    talk = (
        Talk()
        .step(result=IBAN)
        .step({"to": IBAN})
        .step(type="request", request=f"why {IBAN}?", tool=None, outcome=None)
    )
    assert talk.flows("carried, named_by_user") == [[[IBAN], False]]


def test_what_a_record_says_itself_needs_no_text_and_may_cross_conversations():
    talk = (
        Talk()
        .step(result="abc")
        .step({"summary": "of it"}, conversation="d", trace={"derived_from": ["0", "no such"]})
    )
    talk.step(result=IBAN).step({"to": IBAN}, trace={"derived_from": ["2"]})
    talk.step(submitter="token:other", trace={"derived_from": ["0"]})
    assert talk.flows("source_seq, sink_seq, link, carried") == [
        [0, 1, "derived_from", []],
        [2, 3, "derived_from", [IBAN]],
    ]


def test_a_flow_tells_who_brought_it_how_far_that_is_believed_and_what_was_done():
    talk = Talk().step(result=IBAN, resource={"id": "mail-7", "trust": "external_content"})
    talk.step(
        tool={"name": "pay", "effect": "pay", "arguments": {"to": IBAN}},
        resource={"id": IBAN, "destination": "bank"},
    )
    columns = "source_tool, source_resource_id, source_trust, sink_tool, sink_effect, sink_resource_id, sink_destination, sink_status, conversation_id"
    assert talk.flows(columns) == [
        ["tool0", "mail-7", "external_content", "pay", "pay", IBAN, "bank", "success", "c"]
    ]


def test_flows_grow_with_the_log():
    talk = Talk().step(result=IBAN).step({"to": IBAN})
    joined = Joined(talk.records[:1])
    assert joined.ask("SELECT count(*) FROM flows") == [[0]]
    joined.take([prepared(record, submitter) for submitter, record in talk.records])
    assert joined.ask("SELECT count(*) FROM flows") == [[1]]


def test_fifty_thousand_actions_in_one_conversation_take_seconds_and_a_workers_memory():
    common = "amount recipient subject of the monthly transaction report, invoice 2026-11 " * 3
    talk = Talk()
    for number in range(MANY):
        talk.step({"text": f"{common} {number - 1:08d} done"}, {"page": common, "next": f"{number:08d}"})
    joined = Joined(talk.records, service.MEMORY_BYTES)
    started = time.monotonic()
    rows = joined.ask("SELECT count(*), min(sink_seq - source_seq), max(sink_seq - source_seq) FROM flows")
    assert time.monotonic() - started < MANY_S
    assert rows == [[MANY - 1, 1, 1]]
