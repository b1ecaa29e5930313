"""A real A2A server and client over HTTP, each recording into the same ledger."""

import asyncio
import json
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

from ledger.client.adapters.a2a import CHECKED, LedgerExecutor, record

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
def listening(agent, ledger, *, streams=False):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    card = AgentCard(
        name="FinanceAgent",
        version="1.0",
        description="reads reports",
        supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0")],
        capabilities=AgentCapabilities(streaming=streams),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
    )
    executor = LedgerExecutor(agent, ledger, card) if ledger is not None else agent
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


def ask(url, ledger, *, streams=False):
    async def run():
        client = await create_client(url, client_config=ClientConfig(streaming=streams))
        if ledger is not None:
            record(client, ledger)
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
