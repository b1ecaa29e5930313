"""A2A (a2a-sdk 1.3): a client, and the executor of a server.

    client = record(await create_client(url), ledger)                                # the agent that asks
    handler = DefaultRequestHandler(LedgerExecutor(executor, ledger, card), …)       # the agent that is asked

What is asked of another agent is an action here, recorded before it is sent; the trace goes along in the headers, so that the other side's own
record, in its own ledger or in this one, names it. Where the other side is another organisation's, `calls` has both logs name each other's entry
(docs/federation.md): what goes along stands in the metadata of A2A messages under `EXTENSION`. (The SDK's `after` interceptors are not called when a call raises, and its spans hold nothing.)
"""

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from a2a.client.client import Client, ClientCallContext
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.types.a2a_pb2 import (
    AgentCard,
    AgentExtension,
    Message,
    SendMessageRequest,
    StreamResponse,
    TaskArtifactUpdateEvent,
    TaskState,
)
from google.protobuf.json_format import MessageToDict

from ledger.client.action import Action, Status
from ledger.client.calls import HEADER, Calls, Sent
from ledger.client.context import extract, inject, inside
from ledger.client.ledger import Ledger

CHECKED: Final = "user of the A2A server's authentication"
EXTENSION: Final = "urn:agent-ledger:a2a:calls:v1"
EXTENSIONS: Final = "A2A-Extensions"  # the header by which a client names those it uses
_ENDED: Final[Mapping[int, Status]] = {
    TaskState.TASK_STATE_COMPLETED: "success",
    TaskState.TASK_STATE_FAILED: "failure",
    TaskState.TASK_STATE_CANCELED: "cancelled",
    TaskState.TASK_STATE_REJECTED: "denied",
}


def extension(calls: Calls) -> AgentExtension:
    """What an agent's card says, so that others know the log that records what they ask."""
    said = "Both sides record a call, and show each other the receipts of their logs."
    return AgentExtension(uri=EXTENSION, description=said, params={"log": calls.log})


def record(
    client: Client,
    ledger: Ledger,
    *,
    card: AgentCard | None = None,
    calls: Calls | None = None,
    peer: str | None = None,
) -> Client:
    """Record each message that this client sends to the other agent, and send the trace along. Returns the client.

    Args:
        client: of any transport.
        ledger: where it is recorded; where it cannot be, nothing is sent.
        card: the other agent's; the client's own when None.
        calls: for an agent of another organisation: both logs name each other's entry.
        peer: the origin of its log; what the card says of it when None, and where that is no peer's, or nothing, no more than the action is recorded.
    """
    send, other = client.send_message, card or getattr(client, "_card", None)
    called = None if calls is None else peer or _log_of(other, calls)

    @functools.wraps(send)
    async def send_message(
        request: SendMessageRequest, *, context: ClientCallContext | None = None
    ) -> AsyncIterator[StreamResponse]:
        act = _asked(ledger, request, other)
        await act.astart()
        context = context.model_copy() if context is not None else ClientCallContext()
        with inside(act.id, act.span):
            context.service_parameters = dict(inject(dict(context.service_parameters or {})))
        heard = _Heard()
        try:
            if calls is not None and called is not None:
                body = body_of(request.message)
                heard.sent = await asyncio.to_thread(calls.send, called, body, action_id=act.id)
                request = _with(request, heard.sent, context.service_parameters)
            async for event in send(request, context=context):
                heard.take(event)
                yield event
        except BaseException as error:
            heard.answer()
            if isinstance(error, Exception):
                act.fail(error)
            else:
                act.end("cancelled")  # also who stops to listen
            raise
        heard.answer()
        heard.end(act)

    client.send_message = send_message
    return client


def body_of(message: Message) -> bytes:
    """What both sides see of a message, however it was carried: its id, role and parts."""
    said = MessageToDict(message)
    seen = {name: said.get(name) for name in ("messageId", "parts", "role")}
    return json.dumps(seen, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def _log_of(card: AgentCard | None, calls: Calls) -> str | None:
    """The peer's log that a card names: a claim, which only decides whose receipt is asked for."""
    for each in card.capabilities.extensions if card is not None else ():
        if each.uri == EXTENSION and "log" in each.params and each.params["log"] in calls.peers:
            return str(each.params["log"])
    return None


def _told(holder: Any) -> str:
    """What the other side put into the metadata of a message, a task or an event; "" where it put nothing."""
    metadata = getattr(holder, "metadata", None)
    if metadata is None or EXTENSION not in metadata:
        return ""
    came = metadata[EXTENSION]
    return came if isinstance(came, str) else "?"  # something else is malformed, not nothing


def _with(request: SendMessageRequest, sent: Sent, headers: dict[str, str]) -> SendMessageRequest:
    """The request with what goes along, in a copy: the caller's own stays as it is."""
    told = SendMessageRequest()
    told.CopyFrom(request)
    told.message.metadata.update({EXTENSION: sent.told[HEADER]})
    told.message.extensions.append(EXTENSION)
    headers[EXTENSIONS] = ",".join(filter(None, (headers.get(EXTENSIONS), EXTENSION)))
    return told


def _asked(ledger: Ledger, request: SendMessageRequest, card: AgentCard | None) -> Action:
    message = request.message
    url = card.supported_interfaces[0].url if card is not None and card.supported_interfaces else None
    ids = {"task_id": message.task_id or None, "context_id": message.context_id or None}
    return ledger.action(
        {"name": "send_message", "type": "agent", "operation": "SendMessage"},
        arguments=MessageToDict(message),
        effect="delegate",
        protocol="a2a",
        server=card.name if card is not None else None,
        resource={
            "type": "agent",
            "id": url or (card.name if card is not None else None),
            "destination": url,
        },
        trace=ids,
    )


class LedgerExecutor(AgentExecutor):
    """Records what other agents ask of this one, around its executor."""

    def __init__(
        self, executor: AgentExecutor, ledger: Ledger, card: AgentCard, calls: Calls | None = None
    ) -> None:
        """An executor that records.

        Args:
            executor: the agent's own.
            ledger: where it is recorded; where it cannot be, the executor does not run and the task fails.
            card: the agent's own; `extension(calls)` among its capabilities tells others.
            calls: for callers of other organisations: both logs name each other's entry.
        """
        self._executor, self._ledger, self._card, self._calls = executor, ledger, card, calls

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Record what is asked, run, record what came of it."""
        heard, told = _Heard(), dict[str, str]()
        put = event_queue.enqueue_event

        async def enqueue_event(event: Any) -> Any:
            heard.take(event)
            if told and not isinstance(event, TaskArtifactUpdateEvent):
                event.metadata.update(told)
            return await put(event)

        event_queue.enqueue_event = enqueue_event
        with extract(context.call_context.state.get("headers") or {}):
            act = self._begun("execute", context)
            async with act:
                told.update(await self._received(context, act))
                await self._executor.execute(context, event_queue)
                heard.end(act)

    async def _received(self, context: RequestContext, act: Action) -> dict[str, str]:
        """Record the call as one of another organisation's; what goes back with the answer."""
        if self._calls is None or context.message is None:
            return {}
        came, body = {HEADER: _told(context.message)}, body_of(context.message)
        received = await asyncio.to_thread(self._calls.receive, came, body, action_id=act.id)
        return {EXTENSION: received.told[HEADER]}

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Record that somebody stops a task."""
        with extract(context.call_context.state.get("headers") or {}):
            async with self._begun("cancel", context):
                await self._executor.cancel(context, event_queue)

    def _begun(self, operation: str, context: RequestContext) -> Action:
        user = context.call_context.user
        named = {"principal": user.user_name, "principal_source": CHECKED} if user.is_authenticated else {}
        text = context.get_user_input() if context.message is not None else None
        return self._ledger.action(
            {"name": operation, "type": "agent", "operation": operation},
            arguments=MessageToDict(context.message) if context.message is not None else None,
            protocol="a2a",
            server=self._card.name,
            request={
                "text": text or None,
                "user": named.get("principal"),
                "conversation_id": context.context_id,
                "origin": "agent",
                "channel": "a2a",
            },
            identity={"agent_name": self._card.name, "agent_version": self._card.version or None, **named},
            resource={"type": "agent", "id": self._card.name, "tenant": context.tenant or None},
            trace={"task_id": context.task_id, "context_id": context.context_id},
            absent={"decision": "made by the agent that asks"},
        )


class _Heard:
    """What an agent answered: its last words and the state of its task."""

    def __init__(self) -> None:
        self.sent: Sent | None = None
        self._told = ""
        self._state: int | None = None
        self._events: list[Any] = []

    def take(self, event: Any) -> None:
        """One event: a `StreamResponse`, or what a server puts into its queue."""
        kind = event.WhichOneof("payload") if isinstance(event, StreamResponse) else None
        said = getattr(event, kind) if kind else event
        if hasattr(said, "status"):
            self._state = said.status.state
        elif hasattr(said, "parts"):
            self._state = TaskState.TASK_STATE_COMPLETED
        if self.sent is not None:
            self._told = _told(said) or self._told
        self._events.append(said)

    def answer(self) -> None:
        """Check what the other side told of its entry, and record it."""
        if self.sent is not None:
            self.sent.answered({HEADER: self._told})
            self.sent = None

    def end(self, act: Action) -> None:
        """End the action as the task did; a task that goes on, or waits for somebody, is `unknown` so far."""
        answer = [MessageToDict(event) for event in self._events]
        act.end(_ENDED.get(self._state or 0, "unknown"), answer or None)
