"""A real A2A server and client over HTTP, each recording into the same ledger; and as two organisations, each into its own."""

import asyncio
import json
import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from uuid import uuid4

import pytest
import uvicorn
from a2a.client import ClientConfig, create_client
from a2a.client.client import ClientCallContext
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types.a2a_pb2 import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    Message,
    Part,
    Role,
    SendMessageRequest,
    Task,
    TaskState,
    TaskStatus,
)
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware

from ledger.client import Ledger
from ledger.client.adapters.a2a import CHECKED, EXTENSION, LedgerExecutor, extension, record
from ledger.client.calls import Calls
from ledger.core.crossing import open_said
from ledger.core.note import parse_vkey
from tests.faults.server import Server

QUESTION = "Please read /data/q3"
ACTIONS = "SELECT * FROM actions ORDER BY time"


class Agent(AgentExecutor):
    """What the other agent does with a task: `how` it ends."""

    def __init__(self, how, before=lambda: None):
        self.how, self.before, self.ran = how, before, 0

    async def execute(self, context, event_queue):
        self.before()
        self.ran += 1
        if self.how == "raise":
            raise PermissionError("not yours")
        await event_queue.enqueue_event(
            Task(
                id=context.task_id,
                context_id=context.context_id,
                status=TaskStatus(state=TaskState.TASK_STATE_SUBMITTED),
            )
        )
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        message = updater.new_agent_message([Part(text="It is empty.")])
        await (updater.reject(message) if self.how == "reject" else updater.complete(message))

    async def cancel(self, context, event_queue):
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


class Bearer(AuthenticationBackend):
    async def authenticate(self, conn):
        if conn.headers.get("authorization") == "Bearer token-of-alice":
            return AuthCredentials(), SimpleUser("alice@example.com")
        return None


@contextmanager
def listening(agent, ledger, *, streams=False, calls=None, declared=None):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    card = AgentCard(
        name="FinanceAgent",
        version="1.0",
        description="reads reports",
        supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0")],
        capabilities=AgentCapabilities(
            streaming=streams, extensions=[extension(declared or calls)] if declared or calls else []
        ),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
    )
    executor = LedgerExecutor(agent, ledger, card, calls) if ledger is not None else agent
    handler = DefaultRequestHandler(agent_executor=executor, task_store=InMemoryTaskStore(), agent_card=card)
    app = Starlette(routes=[*create_agent_card_routes(card), *create_jsonrpc_routes(handler, rpc_url="/")])
    app.add_middleware(AuthenticationMiddleware, backend=Bearer())
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield url
    server.should_exit = True
    thread.join(20)


def message(text=QUESTION):
    return SendMessageRequest(
        message=Message(message_id=str(uuid4()), role=Role.ROLE_USER, parts=[Part(text=text)])
    )


def ask(url, ledger, *, streams=False, **options):
    async def run():
        client = await create_client(url, client_config=ClientConfig(streaming=streams))
        if ledger is not None:
            record(client, ledger, **options)
        signed = ClientCallContext(service_parameters={"Authorization": "Bearer token-of-alice"})
        return [event async for event in client.send_message(message(), context=signed)]

    return asyncio.run(run())


def sides(found):
    """The asking agent's row, and the asked one's."""
    (sent,) = [row for row in found if row["tool_name"] == "send_message"]
    (done,) = [row for row in found if row["tool_name"] == "execute"]
    return sent, done


@pytest.mark.parametrize("streams", [False, True])
def test_a_message_is_an_action_on_both_sides_in_one_trace(ledger, rows, streams):
    with (
        listening(Agent("complete"), ledger, streams=streams) as url,
        ledger.context(
            request={"user": "alice@example.com", "conversation_id": "conversation-1"},
            identity={"agent_name": "clerk"},
        ),
    ):
        assert ask(url, ledger, streams=streams)
    sent, done = sides(rows(ACTIONS))
    told = {
        "tool_server": "FinanceAgent",
        "tool_protocol": "a2a",
        "tool_effect": "delegate",
        "resource_id": url,
        "outcome_status": "success",
        "identity_agent_name": "clerk",
    }
    assert {name: sent[name] for name in told} == told
    assert QUESTION in sent["tool_arguments"]
    assert "It is empty." in sent["outcome_result"]
    told = {
        "identity_principal": "alice@example.com",
        "identity_principal_source": CHECKED,
        "identity_agent_name": "FinanceAgent",
        "outcome_status": "success",
        "request_origin": "agent",
    }
    assert {name: done[name] for name in told} == told
    assert json.loads(done["request_text"]) == QUESTION
    assert done["trace_trace_id"] == sent["trace_trace_id"]
    assert done["trace_parent_span_id"] == sent["trace_span_id"]
    assert done["trace_task_id"]


def test_the_intent_is_in_the_log_before_the_agent_runs(ledger, logged):
    seen = []
    with listening(Agent("complete", before=lambda: seen.extend(logged(ACTIONS))), ledger) as url:
        ask(url, ledger)
    sent, done = sides(seen)
    assert sent["outcome_status"] is done["outcome_status"] is None


def test_an_agent_that_raises_failed_on_its_side(ledger, rows):
    with listening(Agent("raise"), ledger) as url, suppress(Exception):
        ask(url, ledger)
    sent, done = sides(rows(ACTIONS))
    assert (done["outcome_status"], done["outcome_error_type"]) == ("failure", "PermissionError")
    assert sent["outcome_status"] == "failure"


def test_an_agent_that_rejects_the_task_denied_it(ledger, rows):
    with listening(Agent("reject"), ledger) as url:
        ask(url, ledger)
    sent, done = sides(rows(ACTIONS))
    assert sent["outcome_status"] == done["outcome_status"] == "denied"


def test_nothing_is_sent_or_done_while_the_ledger_is_away(ledger, server):
    agent = Agent("complete")
    with listening(agent, ledger) as url:
        server.stop()
        with pytest.raises(Exception, match="ledger"):
            ask(url, ledger)
        with suppress(Exception):
            ask(url, None)  # a client that does not record
    assert agent.ran == 0


def test_who_stops_listening_cancelled(ledger, rows):
    async def run(url):
        client = record(await create_client(url, client_config=ClientConfig(streaming=True)), ledger)
        events = client.send_message(message())
        await anext(events)
        await events.aclose()

    with listening(Agent("complete"), None, streams=True) as url:
        asyncio.run(run(url))
    (sent,) = rows(ACTIONS)
    assert sent["outcome_status"] == "cancelled"


def test_the_lines_of_the_page_record_a_message(page, ledger, logged):
    with listening(Agent("complete"), ledger) as url:
        assert asyncio.run(page("a2a")["ask"](url, message()))
    sent, _ = sides(logged(ACTIONS))
    assert (sent["tool_server"], sent["identity_principal"]) == ("FinanceAgent", "alice@example.com")


# ---- two organisations


class Organisation:
    """A ledger of its own, and what it recorded of calls."""

    def __init__(self, server, name):
        self.server, self.log = server, f"{name}.example/log"
        token = server.grant("agent", "writer")
        self.ledger = Ledger(server.url, token, source=name)
        with server.client() as client:
            self.vkey = client.get("/v1/log").json()["verifier_key"]

    def meets(self, other):
        self.calls = Calls(self.ledger, self.log, [other.vkey])

    def recorded(self):
        self.ledger.flush(20)
        sql = (
            "SELECT type, action_id, seq, leaf_hash, ext->>'$.\"call.id\"' AS call, ext->>'$.\"call.receipt\"' AS receipt, "
            "ext->>'$.\"call.problem\"' AS problem, source_original->>'receipt' AS kept, ext->>'$.\"call.entry_leaf\"' AS names "
            "FROM records WHERE type LIKE 'call.%' ORDER BY seq"
        )
        return self._rows("/v1/query", {"sql": sql})

    def one_sided(self):
        self.ledger.flush(20)
        rows = self._rows("/v1/queries/one-sided-calls", {"parameters": {"in_flight_s": 0}})
        return [(row["direction"], row["state"], row["problem"]) for row in rows]

    def _rows(self, path, body):
        with self.server.client() as client:
            answer = client.post(path, json=body).raise_for_status().json()
        names = [column["name"] for column in answer["columns"]]
        return [dict(zip(names, row, strict=True)) for row in answer["rows"]]


@pytest.fixture
def both(tmp_path):
    servers = [
        Server(tmp_path / name, origin=f"{name}.example/log", python=os.environ["AGENT_LEDGER_PYTHON"])
        for name in ("alice", "bob")
    ]
    alice, bob = (Organisation(server, name) for server, name in zip(servers, ("alice", "bob"), strict=True))
    alice.meets(bob)
    bob.meets(alice)
    yield alice, bob
    for each in (alice, bob):
        each.calls.close()
        each.ledger.close()
        each.server.stop()


def test_two_organisations_each_have_the_others_receipt_of_a_call_over_a2a(both):
    alice, bob = both
    for streams in (False, True):
        with listening(Agent("complete"), bob.ledger, streams=streams, calls=bob.calls) as url:
            assert ask(url, alice.ledger, streams=streams, calls=alice.calls)
    came, hers = bob.recorded(), alice.recorded()
    assert [row["type"] for row in hers] == ["call.sent", "call.confirmed"] * 2
    assert [(row["type"], row["receipt"]) for row in came] == [("call.received", "verified")] * 2
    for sent, back, received in zip(hers[::2], hers[1::2], came, strict=True):
        assert sent["call"] == back["call"] == received["call"]
        assert (back["receipt"], back["names"], received["names"]) == (
            "verified",
            received["leaf_hash"],
            sent["leaf_hash"],
        )
        said = open_said(back["kept"].encode(), [parse_vkey(bob.vkey)])
        assert (said.entry.seq, said.names.leaf) == (received["seq"], sent["leaf_hash"])
        assert open_said(received["kept"].encode(), [parse_vkey(alice.vkey)]).entry.seq == sent["seq"]
        assert sent["action_id"]
        assert sent["action_id"] != received["action_id"]
    assert alice.one_sided() == bob.one_sided() == []


def test_an_agent_that_does_not_record_or_answers_for_another_call_is_found(both):
    alice, bob = both

    class Liar(Agent):
        async def execute(self, context, event_queue):
            put = event_queue.enqueue_event

            async def enqueue_event(event):
                event.metadata.update({EXTENSION: kept[0] if kept else "?"})
                return await put(event)

            event_queue.enqueue_event = enqueue_event
            await super().execute(context, event_queue)

    kept = []
    with listening(Agent("complete"), None, declared=bob.calls) as url:
        ask(url, alice.ledger, calls=alice.calls)  # its card says that it records
    earlier = bob.calls.receive(alice.calls.send(bob.log, b"x").told, b"x")
    kept.extend(earlier.told.values())
    with listening(Liar("complete"), None, declared=bob.calls) as url:
        ask(url, alice.ledger, calls=alice.calls)
    with listening(Agent("complete"), bob.ledger, calls=bob.calls) as url:
        ask(url, alice.ledger)  # she does not say that she is a peer
        ask(url, None)
    assert alice.one_sided() == [
        ("sent", "missing", None),
        ("sent", "missing", None),
        ("sent", "refused", "another-call"),
    ]
    assert bob.one_sided() == [("received", "missing", None)] * 2


def test_a_message_that_was_changed_on_its_way_is_seen_where_it_arrives(both):
    alice, bob = both

    async def run(url):
        client = await create_client(url, client_config=ClientConfig(streaming=False))
        send = client.send_message

        def between(request, *, context=None):
            request.message.parts[0].text = "Please delete /data/q3"
            return send(request, context=context)

        client.send_message = between
        record(client, alice.ledger, calls=alice.calls)
        return [event async for event in client.send_message(message())]

    with listening(Agent("complete"), bob.ledger, calls=bob.calls) as url:
        asyncio.run(run(url))
    [came] = bob.recorded()
    assert (came["receipt"], came["problem"]) == ("refused", "another-message")
    assert alice.recorded()[1]["problem"] == "another-message"


def test_nothing_is_done_for_a_caller_of_whom_nothing_can_be_recorded(both):
    alice, bob = both
    agent = Agent("complete")
    with listening(agent, bob.ledger, calls=bob.calls) as url:
        bob.server.stop()
        with suppress(Exception):
            ask(url, alice.ledger, calls=alice.calls)
    assert agent.ran == 0
