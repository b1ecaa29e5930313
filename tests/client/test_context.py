"""What is known around a call reaches threads, tasks, processes and other machines; what comes from them is bounded."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from ledger.client.context import carry, current, extract, for_child, inject, inside, trace_members, within
from ledger.client.headers import Span, parse_baggage, parse_traceparent
from tests.faults.server import ROOT

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


def test_threads_know_what_was_carried_to_them_and_forget_it_after():
    with ThreadPoolExecutor(1) as executor:
        with within(request={"user": "ann"}), inside("act-1", Span(TRACE, SPAN)):
            told = executor.submit(carry(current)).result()
        assert (told.request, told.action_id) == ({"user": "ann"}, "act-1")
        assert executor.submit(current).result().action_id is None


def test_one_carried_context_serves_many_threads_at_once():
    barrier = threading.Barrier(8)

    def work() -> str | None:
        with carried:
            barrier.wait(10)
            with inside(f"inner-{threading.get_ident()}", Span(TRACE, SPAN)):
                barrier.wait(10)
            return current().action_id

    with inside("outer", Span(TRACE, SPAN)):
        carried = carry()
    with ThreadPoolExecutor(8) as executor:
        assert {task.result() for task in [executor.submit(work) for _ in range(8)]} == {"outer"}


def test_tasks_inherit_it_and_do_not_see_each_others():
    async def one(name: str) -> str | None:
        with inside(name, Span(TRACE, SPAN)):
            await asyncio.sleep(0.01)
            return current().action_id

    async def main() -> list[str | None]:
        with within(request={"turn_id": "t"}):
            return await asyncio.gather(one("a"), one("b"), carry(read_later)())

    async def read_later() -> str | None:
        await asyncio.sleep(0.01)
        return current().request.get("turn_id")

    assert asyncio.run(main()) == ["a", "b", "t"]


def test_an_async_generator_that_is_closed_in_another_task_does_no_harm():
    async def steps():
        with inside("step", Span(TRACE, SPAN)):
            yield current().action_id

    async def main() -> None:
        made = steps()
        assert await asyncio.ensure_future(made.__anext__()) == "step"
        await asyncio.ensure_future(made.aclose())
        assert current().action_id is None

    asyncio.run(main())


def test_headers_tell_another_process_the_trace_the_action_and_what_may_be_told():
    with (
        within(
            request={"user": "ann", "text": "secret words", "conversation_id": "c 1,é;="},
            decision={"provider": "p", "output": ["secret"]},
            identity={"agent_id": "a", "principal": "ann"},
        ),
        inside("act-1", Span(TRACE, SPAN)),
    ):
        headers = inject({"Baggage": "theirs=1", "X": "y"})
    assert headers["traceparent"] == TRACEPARENT
    assert headers["baggage"].startswith("theirs=1,")
    assert "secret" not in str(headers)
    assert "ann" not in str(headers)
    with extract(headers):
        told = current()
        made, span = trace_members(None)
    assert told.request == {"conversation_id": "c 1,é;="}
    assert told.decision == {"provider": "p"}
    assert told.identity == {}
    assert made == {
        "trace_id": TRACE,
        "span_id": span.span_id,
        "parent_span_id": SPAN,
        "parent_action_id": "act-1",
    }


def test_persons_are_told_and_believed_only_where_both_say_so_and_then_it_is_said():
    with within(request={"user": "ann"}, identity={"principal": "bob", "principal_source": "token"}):
        headers = inject(persons=True)
    with extract(headers):
        assert (current().request, current().identity) == ({}, {})
    with extract(headers, persons=True):
        assert current().request == {"user": "ann"}
        assert current().identity == {"principal": "bob", "principal_source": "baggage"}
        with within(identity={"principal": "eve"}):  # whose source is not that of another
            assert current().identity == {"principal": "eve"}


def test_a_child_process_knows_what_its_parent_told_it():
    script = (
        "import json\n"
        "from ledger.client.context import current, trace_members\n"
        "made, span = trace_members(None)\n"
        "print(json.dumps([made, dict(current().request), dict(current().identity)]))\n"
    )
    with (
        within(request={"user": "ann", "text": "never"}, identity={"principal": "ann"}),
        inside("act-1", Span(TRACE, SPAN)),
    ):
        environment = for_child({**os.environ, "PYTHONPATH": str(ROOT), "BAGGAGE": "theirs=1"})
    assert environment["BAGGAGE"].startswith("theirs=1,")
    ran = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, check=True, timeout=60
    )
    made, request, identity = json.loads(ran.stdout)
    assert (made["trace_id"], made["parent_span_id"], made["parent_action_id"]) == (TRACE, SPAN, "act-1")
    assert request == {"user": "ann"}
    assert identity == {"principal": "ann", "principal_source": "baggage"}


def test_opentelemetrys_current_span_is_the_parent_where_it_is_nearer():
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("outer") as outer:
        context = outer.get_span_context()
        made, span = trace_members(None)
        assert made["trace_id"] == f"{context.trace_id:032x}"
        assert made["parent_span_id"] == f"{context.span_id:016x}"
        with inside("act-1", span):
            nested, _ = trace_members(None)
            assert (nested["parent_span_id"], nested["trace_id"]) == (span.span_id, made["trace_id"])
            with tracer.start_as_current_span("inner") as inner:
                nearest, _ = trace_members(None)
                assert nearest["parent_span_id"] == f"{inner.get_span_context().span_id:016x}"
                assert nearest["parent_action_id"] == "act-1"
    assert not trace.get_current_span().get_span_context().is_valid


def test_without_any_trace_an_action_begins_one_of_its_own():
    made, span = trace_members(None)
    assert made == {"trace_id": span.trace_id, "span_id": span.span_id}
    assert made["trace_id"] != trace_members(None)[0]["trace_id"]


def test_a_given_trace_is_taken_whole_and_not_mixed_with_another():
    with within(trace={"trace_id": TRACE, "parent_span_id": SPAN, "task_id": "t"}):
        made, span = trace_members(None)
        assert made == {"trace_id": TRACE, "parent_span_id": SPAN, "task_id": "t", "span_id": span.span_id}
        other, span = trace_members({"trace_id": "f" * 32})
        assert other == {"trace_id": "f" * 32, "span_id": span.span_id}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        TRACEPARENT + "-x",
        TRACEPARENT.replace("00-", "ff-"),
        TRACEPARENT.upper(),
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"{TRACEPARENT},{TRACEPARENT}",
        TRACEPARENT + "\n",
        "01-" + "a" * 100_000,
        f"01-{TRACE}-{SPAN}-01-{'x' * 10_000}",
    ],
)
def test_what_is_no_traceparent_is_left_out(text):
    assert parse_traceparent(text) is None
    with extract({"traceparent": text}):
        assert current().span is None


def test_a_later_version_is_read_as_far_as_this_one_goes():
    assert parse_traceparent(f"42-{TRACE}-{SPAN}-01-more") == Span(TRACE, SPAN)


def test_two_traceparents_are_none():
    with extract([(b"Traceparent", TRACEPARENT.encode()), (b"traceparent", TRACEPARENT.encode())]):
        assert current().span is None


@given(st.text(max_size=300), st.lists(st.tuples(st.text(max_size=20), st.text(max_size=60)), max_size=10))
def test_any_headers_are_read_and_what_is_taken_is_bounded_facts(traceparent, members):
    baggage = ",".join(f"agent_ledger.{name}={quote(value, errors='replace')}" for name, value in members)
    with extract({"traceparent": traceparent, "baggage": baggage}, persons=True):
        for value in parse_baggage(baggage).values():
            assert 0 < len(value) <= 256
            assert not {unicodedata.category(character) for character in value} & {"Cc", "Cs", "Zl", "Zp"}
        trace_members(None)
    assert current().action_id is None


def test_a_flood_of_baggage_costs_nothing_and_tells_nothing():
    flood = ",".join(f"agent_ledger.request.turn_id={n}" for n in range(200_000))
    assert parse_baggage(flood) == {}
    assert parse_baggage("agent_ledger.=x") == {}
    with within(request={"turn_id": "é" * 4000}), inside("act-1", Span(TRACE, SPAN)):
        made = inject({"baggage": "x=" + "y" * 8000})["baggage"]
    assert len(made.encode()) <= 8192
