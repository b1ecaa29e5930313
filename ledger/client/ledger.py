"""The SDK: what an agent says to its ledger.

ledger = Ledger("http://127.0.0.1:8731", token, source="finance-agent", identity={"agent_id": "finance-agent"})
with ledger.action("send_email", arguments={"to": to}, effect="send") as act:
act.result = send(to)
"""

import atexit
import functools
import logging
import os
import sys
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import msgspec

from ledger.client.action import Action
from ledger.client.address import tls_context
from ledger.client.context import current, merged, trace_members, within
from ledger.client.errors import LedgerAway
from ledger.client.exchange import Exchange
from ledger.client.http import LedgerClient
from ledger.client.keyfile import AgentKey
from ledger.client.members import Facet, cleaned
from ledger.client.recorded import Resource
from ledger.client.recorded import recorded as decorated
from ledger.client.seal import Disclose, Seal
from ledger.client.sender import Sender
from ledger.client.spool import Spool
from ledger.client.waiting import Done, Placed
from ledger.client.witness import Witness
from ledger.core.note import parse_vkey
from ledger.records.prepare import uuid7
from ledger.records.values import time_text

URL_VARIABLE = "AGENT_LEDGER_URL"
TOKEN_VARIABLE = "AGENT_LEDGER_TOKEN"  # noqa: S105 - the name of a variable
DEFAULT_URL = "http://127.0.0.1:8731"
Effect = Literal["read", "create", "update", "delete", "execute", "send", "pay", "delegate"]
Function = TypeVar("Function", bound=Callable[..., Any])

_LEDGERS: weakref.WeakSet["Ledger"] = weakref.WeakSet()
_PARENTS: list[Sender] = []  # kept: a connection that ends in a child ends in its parent

logger = logging.getLogger(__name__)


class Ledger:
    """A recorder of one agent. Make one per process and keep it; it is safe to use from many threads and tasks."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        source: str = "agent",
        away: Literal["block"] | Spool = "block",
        identity: Facet | None = None,
        key: AgentKey | None = None,
        disclose: Disclose = None,
        verifier_key: str | None = None,
        timeout_s: float = 10.0,
        ca_file: str | Path | None = None,
    ) -> None:
        """A recorder; nothing is sent yet.

        Args:
            url: the ledger's address; $AGENT_LEDGER_URL when None.
            token: a writer's token; $AGENT_LEDGER_TOKEN when None.
            source: who records, as `source.id` says; an instance number is added.
            away: what happens while the ledger cannot be reached. "block": no tool runs. A `Spool`: records go to the disk, and no tool
                runs whose intent is not there.
            identity: members of `identity` for every record.
            key: the agent's signing key: records are sealed with it. Needs `verifier_key`, which says for which log.
            disclose: of sealed records, which contents and persons the ledger is shown: their members, or a function of a member and the
                record's type. The others are kept beside the key.
            verifier_key: the log's verifier key as you know it; where it is None, the log is believed when it is first seen.
            timeout_s: how long a tool waits for its intent to be durable.
            ca_file: an authority of your own, which alone then vouches for the ledger's certificate; $AGENT_LEDGER_CA_FILE when None.

        Raises:
            ValueError: the url is none, a file for TLS is no good, `away` is something else, or the key lacks its log.
            FormatError: a member of `identity` is none, or of another type.
            LedgerError: the verifier key is none; or `locked`: another recorder has the spool.
            OSError: the spool cannot be had.
        """
        if key is not None and verifier_key is None:
            raise ValueError("a seal is for one log: give its verifier_key (`agent-ledger keys show`)")
        if disclose is not None and key is None:
            raise ValueError("what is not disclosed is kept beside the agent's key: give one")
        if away != "block" and not isinstance(away, Spool):
            raise ValueError(f'away is "block" or a Spool, not {away!r}')
        address = url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
        token = token or (os.environ.get(TOKEN_VARIABLE) or "").strip() or None
        cleaned({"identity": identity})  # what is misspelt is said here, not by the first action
        self.identity: Facet = dict(identity or {})
        self._name, self._address, self._token = source, address, token
        self._timeout_s, self._tls = timeout_s, None if ca_file is None else tls_context(ca_file)
        self._verifier_key = parse_vkey(verifier_key) if verifier_key is not None else None
        self._seal = None
        if key is not None and self._verifier_key is not None:
            self._seal = Seal(key, self._verifier_key.name, disclose)
        self._closed = False
        self._sender = self._connected(away if isinstance(away, Spool) else None)
        _LEDGERS.add(self)

    def _connected(self, spool: Spool | None) -> Sender:
        self.source = f"{self._name}/{uuid7()[-12:]}"
        exchange = Exchange(
            self._address, self._token, self._timeout_s, Witness(self._verifier_key), self._tls
        )
        return Sender(exchange, self._line, spool, self._timeout_s, self._begun)

    def _line(self, record: Mapping[str, Any], seq: int) -> bytes:
        complete = {**record, "source": {**record.get("source", {}), "id": self.source, "seq": seq}}
        return self._seal.line(complete) if self._seal is not None else msgspec.json.encode(complete)

    def connect(self) -> LedgerClient:
        """A connection of its own to the same ledger, in the name of the same token."""
        return LedgerClient(self._address, self._token, timeout_s=self._timeout_s)

    # ---- actions

    def action(
        self,
        tool: str | Facet,
        *,
        arguments: Any = None,
        resource: Facet | None = None,
        effect: Effect | None = None,
        call_id: str | None = None,
        server: str | None = None,
        protocol: str | None = None,
        request: Facet | None = None,
        decision: Facet | None = None,
        identity: Facet | None = None,
        policy: Facet | None = None,
        trace: Facet | None = None,
        absent: Mapping[str, str] | None = None,
        ext: Mapping[str, Any] | None = None,
    ) -> Action:
        """A tool call that is about to be made: use it with `with`, or call its `start`.

        Args:
            tool: the tool's name, or members of the `tool` facet with it.
            arguments: what it is called with: a content.
            resource: members of the facet, as those that follow.
            effect: what it does to the world, a member of `tool` as the next three.
            call_id: the call's id in the model's output.
            server: who offers the tool.
            protocol: "mcp", "http", "function", "a2a".
            request: members beside those of `context`.
            decision: members beside those of `context`, which count only for the same `response_id`.
            identity: members beside those of `context` and of the ledger.
            policy: the verdict, where it is known before the start.
            trace: ids, where they are known better than `context` and OpenTelemetry do.
            absent: why a facet does not apply.
            ext: anything else, under names like "com.example.x".

        Raises:
            FormatError: a member does not exist, or cannot have this value.
        """
        around = current()
        named: Facet = {"name": tool} if isinstance(tool, str) else tool
        of_call = {"arguments": arguments, "effect": effect, "call_id": call_id, "server": server}
        trace_facet, span = trace_members(trace)
        facets = {
            "tool": merged(named, {**of_call, "protocol": protocol}),
            "request": merged(around.request, request),
            "decision": merged(around.decision, decision, "response_id"),
            "identity": self._identity(identity),
            "resource": resource,
            "policy": policy,
            "trace": trace_facet,
            "absent": absent,
            "ext": ext,
        }
        return Action(self, cleaned(facets), span)

    def recorded(
        self,
        function: Function | None = None,
        *,
        tool: str | None = None,
        effect: Effect | None = None,
        resource: Resource | None = None,
        **members: Any,
    ) -> Any:
        """Decorator: each call of the function is an action, its parameters the arguments, what it returns the result.

        Args:
            function: what is decorated, where the decorator is used without parentheses.
            tool: the tool's name; the function's own when None.
            effect: what it does to the world.
            resource: called with the function's arguments by name, says what it is done to.
            members: further parameters of `action`.
        """
        if function is None:
            return functools.partial(self.recorded, tool=tool, effect=effect, resource=resource, **members)
        made = functools.partial(self.action, effect=effect, **members)
        return decorated(function, made, tool, resource)

    # ---- what is known around them

    def context(
        self,
        *,
        request: Facet | None = None,
        decision: Facet | None = None,
        identity: Facet | None = None,
        trace: Facet | None = None,
    ) -> AbstractContextManager[None]:
        """Give every action inside `with` these members."""
        return within(request, decision, identity, trace)

    def request(self, text: Any = None, user: str | None = None, **members: Any) -> str:
        """Record what somebody asked for. Returns the record's id."""
        return self._said("request", {"text": text, "user": user, **members})

    def decision(self, output: Any = None, prompt: Any = None, **members: Any) -> str:
        """Record what a model decided. Returns the record's id."""
        return self._said("decision", {"output": output, "prompt": prompt, **members})

    def record(self, record: Mapping[str, Any], *, wait: bool = False) -> str:
        """Record anything: `type` and the record's members; `id` and `time` are made where they lack. Returns the id.

        Args:
            record: its members.
            wait: return when it is durable, and raise what `Action.start` raises.

        Raises:
            FormatError: a member does not exist, or cannot have this value.
        """
        made = self._timed(cleaned(record))
        if wait:
            self.wait(self.begin(made))
        else:
            self.queue(made)
        return str(made["id"])

    def _said(self, facet: str, members: dict[str, Any]) -> str:
        around = current()
        same = "response_id" if facet == "decision" else None
        facets: dict[str, Any] = {
            "request": around.request,
            facet: merged(getattr(around, facet), members, same),
        }
        trace, _ = trace_members(None)
        return self.record({"type": facet, **facets, "identity": self._identity(None), "trace": trace})

    def _identity(self, own: Facet | None) -> dict[str, Any]:
        return merged(merged(self.identity, current().identity), own)

    # ---- sending

    def begin(self, record: Mapping[str, Any]) -> Done:
        """Take a record whose members were cleaned, for `wait`.

        Raises:
            LedgerAway: it was not taken.
            LedgerError: no line can be made of it.
            ForkError: nothing is sent to this log any more.
        """
        return self._sender.submit(self._timed(record), waited_for=True)

    def wait(self, done: Done) -> Placed | None:
        """Return when that record is durable: where it was written, None where it is in the spool.

        Raises:
            LedgerAway: it is not, in time.
            ProblemError: it was refused.
            ForkError: nothing is sent to this log any more.
        """
        try:
            try:
                return done.result(self._timeout_s / 2)
            except TimeoutError:
                self._sender.spill()
                return done.result(self._timeout_s / 2)
        except TimeoutError:
            raise LedgerAway(self._sender.why()) from None

    async def await_(self, done: Done) -> None:
        """The same, without holding up the event loop."""
        import asyncio  # noqa: PLC0415 - it takes as long to import as the SDK, and whoever calls this has it

        waited = asyncio.wrap_future(done)
        try:
            finished, _ = await asyncio.wait([waited], timeout=self._timeout_s / 2)
            if not finished:
                self._sender.spill()
            await asyncio.wait_for(waited, self._timeout_s / 2)
        except TimeoutError:
            raise LedgerAway(self._sender.why()) from None
        finally:
            waited.cancel()  # nobody asks how it went any more

    def queue(self, record: Mapping[str, Any], *, told: bool = False) -> None:
        """Send a record whose members were cleaned, in the background. One that cannot be taken is lost, which is said, unless the
        caller was told before that it may not arrive.
        """
        timed = self._timed(record)
        try:
            self._sender.submit(timed, waited_for=False, told=told)
        except Exception as error:  # noqa: BLE001 - whatever it is, the tool has run, and its caller goes on
            if not told:
                self._sender.lose(str(timed["id"]), str(error))

    def _timed(self, record: Mapping[str, Any]) -> dict[str, Any]:
        return {"id": uuid7(), "time": time_text(time.time_ns()), **record}

    @property
    def lost(self) -> int:
        """How many records could not be recorded although nobody was told: each is also an error in the log of the process."""
        return self._sender.lost

    def flush(self, timeout_s: float | None = None) -> None:
        """Return when the ledger has everything.

        Raises:
            LedgerAway: it has not, in time. What waits is sent later.
            ForkError: nothing is sent to this log any more.
        """
        self._sender.flush(self._timeout_s if timeout_s is None else timeout_s)

    async def aflush(self, timeout_s: float | None = None) -> None:
        """The same, without holding up the event loop."""
        import asyncio  # noqa: PLC0415 - as above

        await asyncio.to_thread(self.flush, timeout_s)

    def close(self) -> None:
        """Send what waits, and end: done at exit too. What a spool holds is sent at the next start.

        Raises:
            RecordsLost: records were lost, now or before.
            ForkError: the log contradicts what was seen of it.
        """
        if not self._closed:
            self._closed = True
            atexit.unregister(self.close)
            self._sender.close(self._timeout_s)

    def _begun(self) -> None:
        """From now on there is something to flush at exit, which for a child of multiprocessing is not Python's own."""
        atexit.register(self.close)
        util = sys.modules.get("multiprocessing.util")
        process = sys.modules.get("multiprocessing.process")
        if util is not None and process is not None and process.parent_process() is not None:
            util.Finalize(self, self.close, exitpriority=1)

    def _in_child(self) -> None:
        """This process is a fork. Its parent's thread, connection, numbers and spool are its parent's."""
        _PARENTS.append(self._sender)
        self._sender.abandon()
        if self._closed:
            return
        if self._sender.spools:
            logger.warning(
                "%s is a fork without the spool: while the ledger is away, no tool of it runs", os.getpid()
            )
        self._sender = self._connected(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import asyncio  # noqa: PLC0415 - as above

        await asyncio.to_thread(self.close)


def _after_fork() -> None:
    for ledger in list(_LEDGERS):
        ledger._in_child()  # noqa: SLF001 - the same module


os.register_at_fork(after_in_child=_after_fork)
