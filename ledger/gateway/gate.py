"""What happens to each message of a client, told once for both transports.

    1  understood   message.py read it already; what is ambiguous never comes here
    2  claimed      its id is free, and now taken
    3  judged       by the policy
    4  recorded     the intent is in the ledger, durable; a gateway that dies from here on leaves an intent without an outcome
    5  approved     where the policy wants a person's word
    6  passed on    by the transport, byte for byte as it came
    7  answered     the outcome is recorded as the answer passes by

What fails before 6 is not passed on, and the client is told.
"""

import asyncio
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from ledger.client import Ledger
from ledger.gateway import identity, raw
from ledger.gateway.approval import Approver
from ledger.gateway.call import Call, arguments_of, judged, judged_name, resource_of, tool_of
from ledger.gateway.definitions import Definitions
from ledger.gateway.hearing import UNRECORDED, Hearing
from ledger.gateway.message import Message
from ledger.gateway.policy import ALLOWED, Asked, Policy, Verdict
from ledger.gateway.replies import Replier, denied, not_recorded
from ledger.gateway.session import Session

# What official clients give as the reason when they have waited long enough.
TIMED_OUT: Final = re.compile(r"\btime(?:d\s*|-?)out\b", re.IGNORECASE)
CANCELLED: Final = "notifications/cancelled"
VERSION_META: Final = "io.modelcontextprotocol/protocolVersion"
Reply: TypeAlias = dict[str, Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """What the transport knows of who calls.

    Attributes:
        transport: stdio or http.
        identity: members of the record's `identity`.
        traceparent: the HTTP header, or None.
    """

    transport: str
    identity: Mapping[str, Any] = field(default_factory=dict)
    traceparent: str | None = None


class Gate:
    """Judges and records the messages of all clients of one server."""

    def __init__(
        self,
        ledger: Ledger,
        definitions: Definitions,
        policy: Policy | None = None,
        approver: Approver | None = None,
        *,
        server: str | None = None,
        sealed: bool = False,
    ) -> None:
        """A gate that records in `ledger`.

        Args:
            ledger: the SDK's recorder.
            definitions: what the server's tools were said to be.
            policy: what may not pass; everything may when None.
            approver: whom to ask where the policy wants approval; without one such calls are denied.
            server: what the server is called in records; what it calls itself when None.
            sealed: whether the recorder seals: then it names the arguments' own commitment in an approval.
        """
        self._ledger = ledger
        self._hearing = Hearing(ledger, definitions, server)
        self._policy = policy
        self._approver = approver
        self._sealed = sealed

    # ---- from the client

    async def admit(self, messages: tuple[Message, ...], session: Session, caller: Caller) -> list[Reply]:
        """Judge and record what acts among messages whose ids are claimed. Empty: pass them on. Else: answer with these.

        One message of a batch that may not pass keeps back the whole batch: the server gets it as it was sent, or not at all.
        """
        begun: list[Call] = []
        self._hold(messages, session, asyncio.current_task())
        try:
            for message in messages:
                if message.acts:
                    begun.append(await self._begin(message, session, caller))  # noqa: PERF401 - those before a failure count
            refused = next((call for call in begun if call.verdict.effect == "deny"), None)
            if refused is None:
                refused = await self._unapproved(begun)
        except asyncio.CancelledError:
            self._stop(messages, session, begun, not_recorded("cancelled"))
            raise
        except UNRECORDED as error:
            log.warning("not passed on, because it could not be recorded: %s", error)
            return self._stop(messages, session, begun, not_recorded(str(error)))
        if refused is not None:
            refused.action.deny(refused.verdict.rule, policy=refused.verdict.facet("deny"))
            return self._stop(messages, session, begun, denied(refused.verdict.rule, refused.verdict.reason))
        self._hold(messages, session, None)
        for call in begun:
            if call.message.id is None:
                call.end("unknown", "mcp.no_answer_due")
        return []

    def _hold(self, messages: tuple[Message, ...], session: Session, task: asyncio.Task[Any] | None) -> None:
        """Say which task holds these messages back: whoever cancels one of them cancels it."""
        for message in messages:
            waiting = session.waiting(message.id) if message.method is not None else None
            if waiting is not None:
                waiting.held = task

    async def _begin(self, message: Message, session: Session, caller: Caller) -> Call:
        verdict = self._judge(message)
        agent = {**agent_of(message, session), **caller.identity}
        action = self._ledger.action(
            {**tool_of(message), **self._digest(message)},
            arguments=raw.kept(arguments_of(message)),
            resource=resource_of(message),
            server=self._hearing.name(),
            identity=agent,
            policy=verdict.facet(verdict.effect) if self._policy is not None else None,
            trace=identity.of_trace(message.meta, caller.traceparent) or None,
            ext=_circumstances(message, session, caller),
        )
        call = Call(action, message, verdict, agent)
        waiting = session.waiting(message.id)
        if waiting is not None:
            waiting.call = call
        await action.astart()
        return call

    async def _unapproved(self, calls: list[Call]) -> Call | None:
        """Ask for the approvals that these calls need, one after the other. Returns the first that is not approved."""
        for call in calls:
            if call.verdict.effect == "require_approval" and not await self._approved(call):
                return call
        return None

    async def _approved(self, call: Call) -> bool:
        if self._approver is None:
            return False
        ruling = await self._approver.ask(call.action.id, arguments_of(call.message), self._question(call))
        approval = {
            "outcome": ruling.outcome,
            "approver": ruling.approver,
            "id": ruling.id,
            "arguments_commitment": None if self._sealed else ruling.commitment,
            "shown": raw.kept(ruling.shown),
        }
        # Durable before the call passes, like the intent: an approval that nobody can show is none.
        record = {"type": "action.approval", "action_id": call.action.id, "approval": approval}
        await asyncio.to_thread(self._ledger.record, record, wait=True)
        if ruling.why:
            call.verdict = replace(call.verdict, reason=ruling.why)
        return ruling.outcome == "approved"

    def _question(self, call: Call) -> dict[str, Any]:
        message, verdict = call.message, call.verdict
        tool = {"tool": tool_of(message)["name"], "method": message.method, "server": self._hearing.name()}
        return {
            **tool,
            "rule": verdict.rule,
            "policy": verdict.id,
            "reason": verdict.reason,
            "agent": call.agent,
        }

    def _judge(self, message: Message) -> Verdict:
        if self._policy is None:
            return ALLOWED
        asked = Asked(message.method or "", judged_name(message), self._hearing.name() or "", judged(message))
        return self._policy.judge(asked)

    def _digest(self, message: Message) -> dict[str, str]:
        digest = (
            self._hearing.digest(str(message.params.get("name"))) if message.method == "tools/call" else None
        )
        return {"definition_digest": digest} if digest else {}

    def _stop(
        self, messages: tuple[Message, ...], session: Session, begun: list[Call], reply: Replier
    ) -> list[Reply]:
        """Nothing of this reaches the server."""
        for call in begun:
            call.end("cancelled", "mcp.not_passed_on")
        session.release(messages)
        return [
            reply(message) for message in messages if message.method is not None and message.id is not None
        ]

    def note(self, messages: tuple[Message, ...], session: Session) -> bool:
        """Take in what a client says that concerns its other messages. False: do not pass this on.

        A cancellation of a request that is still held back ends it here: the server has never seen it.
        """
        passing = True
        for message in messages:
            if message.method == "initialize":
                session.agent = identity.of_client(message.params.get("clientInfo"))
            elif message.method == CANCELLED:
                identifier = message.params.get("requestId")
                waiting = session.waiting(identifier)
                if waiting is not None and waiting.held is not None:
                    waiting.held.cancel()
                    passing = len(messages) > 1
                elif waiting is not None and isinstance(identifier, str | int):
                    session.withdraw(identifier)
                    if waiting.call is not None:
                        late = TIMED_OUT.search(str(message.params.get("reason", "")))
                        waiting.call.end("timeout" if late else "cancelled", "mcp.cancelled")
        return passing

    # ---- from the server

    def observe(self, data: bytes, session: Session) -> None:
        """Take in what a server sent, as it is passed to the client."""
        self._hearing.observe(data, session)

    async def close(self) -> None:
        """Wait for what is being recorded."""
        await self._hearing.close()


def agent_of(message: Message, session: Session) -> Mapping[str, Any]:
    """The agent as the message says, else as the session began."""
    return identity.of_client(message.meta.get(identity.CLIENT_INFO)) or session.agent


def _circumstances(message: Message, session: Session, caller: Caller) -> dict[str, Any]:
    version = message.meta.get(VERSION_META) or session.version
    known = {
        "mcp.transport": caller.transport,
        "mcp.request_id": message.id if message.id is not None else None,
        "mcp.protocol_version": version if isinstance(version, str) else None,
        "mcp.session": session.thumbprint,
    }
    return {name: value for name, value in known.items() if value not in {None, ""}}
