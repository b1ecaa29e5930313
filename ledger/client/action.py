"""One tool call, recorded: its intent before it runs, what came of it after."""

import secrets
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

from ledger.client.context import inside
from ledger.client.headers import Span
from ledger.client.members import Facet, cleaned
from ledger.client.waiting import Done
from ledger.core.errors import FormatError
from ledger.records.prepare import uuid7

Status = Literal["success", "failure", "denied", "timeout", "cancelled", "unknown"]
UNSET: Final = object()


class Recorder(Protocol):
    """What an action needs of its ledger."""

    def begin(self, record: Mapping[str, Any]) -> Done:
        """Take a record that a tool waits for."""

    def wait(self, done: Done) -> object:
        """Return when that record is durable."""

    async def await_(self, done: Done) -> None:
        """The same, without holding up the loop."""

    def queue(self, record: Mapping[str, Any], *, told: bool = False) -> None:
        """Have a record made durable in the background. `told`: the caller knows already that it may not arrive."""


class Action:
    """One tool call. Use it with `with` or `async with`, or call `start` before the tool runs and one of the endings after.

    Attributes:
        id: the action's id, which joins its records.
        span: its span, for what it calls.
        result: what the tool answered; set it before leaving `with`.
        outcome: further members of the outcome, such as `result_count`.
    """

    def __init__(self, recorder: Recorder, facets: Mapping[str, Any], span: Span) -> None:
        """An action that has not started. `facets` are the intent's members; made by `Ledger.action`."""
        self.id = uuid7()
        self.span = span
        self.result: Any = UNSET
        self.outcome: dict[str, Any] = {}
        self._recorder = recorder
        self._facets = facets
        self._intended: Done | None = None  # the intent is on its way, or durable
        self._ready = self._ended = self._told = False
        self._approvals = 0
        self._began_ns = 0
        self._inside: AbstractContextManager[None] | None = None

    # ---- before the tool runs

    def start(self) -> Self:
        """Record the intent; returns when it is durable. A second call does nothing.

        Raises:
            LedgerAway: the intent is not durable: the tool must not run.
            ProblemError, LedgerError: the record was refused: the tool must not run.
            RuntimeError: it has ended already, for example by `deny`: the tool must not run.
        """
        if not self._ready:
            try:
                self._recorder.wait(self._intend())
            except BaseException as error:
                self._not_run(error)
                raise
            self._begin()
        return self

    async def astart(self) -> Self:
        """As `start`, without holding up the event loop."""
        if not self._ready:
            try:
                await self._recorder.await_(self._intend())
            except BaseException as error:
                self._not_run(error)
                raise
            self._begin()
        return self

    def approve(
        self,
        outcome: Literal["approved", "rejected", "expired"] = "approved",
        *,
        approver: str | None = None,
        id: str | None = None,  # noqa: A002 - the member's name
        shown: Any = None,
    ) -> None:
        """Record what a person decided about it, before or after the start.

        Raises:
            LedgerAway, LedgerError: the action itself cannot be recorded: the tool must not run.
        """
        if not self._ended:
            self._intend()
        approval = {"outcome": outcome, "approver": approver, "id": id, "shown": shown}
        self._approvals += 1
        self._queue("action.approval", cleaned({"approval": approval}), f"approval-{self._approvals}")

    # ---- after

    def succeed(self, result: Any = UNSET) -> None:
        """It ran and answered."""
        self.end("success", result)

    def fail(self, error: BaseException | str) -> None:
        """It ran and raised, or answered with an error."""
        if isinstance(error, BaseException):
            self.end("failure", {"error": _words(error)}, error_type=_type_of(error))
        else:
            self.end("failure", {"error": error})

    def deny(self, reason: str | None = None, *, policy: Facet | None = None) -> None:
        """It was not allowed to run."""
        if self._ended:
            return
        self._announce()
        verdict = {"effect": "deny", "reason": reason, **(policy or {})}
        self._queue("action.decision", cleaned({"policy": verdict}), "decision")
        self.end("denied")

    def end(self, status: Status, result: Any = UNSET, *, error_type: str | None = None) -> None:
        """It ended in some other way. Only the first ending counts."""
        if self._ended:
            return
        self._announce()
        self._ended = True
        outcome: dict[str, Any] = {"status": status, "error_type": error_type}
        if self._began_ns:
            outcome["duration_ns"] = max(time.monotonic_ns() - self._began_ns, 0)
        result = self.result if result is UNSET else result
        if result is not UNSET and result is not None:
            outcome["result"] = result
        try:
            facets = cleaned({"outcome": {**outcome, **self.outcome}})
        except FormatError:  # a mistake in `outcome`: that it ended is recorded all the same
            self._queue("action.outcome", cleaned({"outcome": outcome}), "outcome")
            raise
        self._queue("action.outcome", facets, "outcome")

    # ---- with

    def __enter__(self) -> Self:
        self.start()
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    async def __aenter__(self) -> Self:
        await self.astart()
        self._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    def _enter(self) -> None:
        self._inside = inside(self.id, self.span)
        self._inside.__enter__()

    def _leave(self, error: BaseException | None) -> None:
        if self._inside is not None:
            self._inside.__exit__(None, None, None)
            self._inside = None
        if error is None:
            self.succeed()
        elif not isinstance(error, Exception):  # a task that is cancelled, an interrupt, an exit
            self.end("cancelled", error_type=_type_of(error))
        elif isinstance(error, TimeoutError):
            self.end("timeout", {"error": _words(error)}, error_type=_type_of(error))
        else:
            self.fail(error)

    # ---- records

    def _intent(self) -> dict[str, Any]:
        return {"type": "action.intent", **self._about("intent"), **self._facets}

    def _intend(self) -> Done:
        if self._ended:
            raise RuntimeError(f"the action {self.id} has ended: make a new one")
        if self._intended is None:
            self._intended = self._recorder.begin(self._intent())
        return self._intended

    def _begin(self) -> None:
        if self._ended:
            raise RuntimeError(f"the action {self.id} has ended: make a new one")
        self._ready = True
        self._began_ns = time.monotonic_ns()

    def _announce(self) -> None:
        """What is said of an action that never started needs its intent too: it says which action it is about."""
        if self._intended is None and not self._told:
            self._recorder.queue(self._intent())
            self._intended = Future()
            self._intended.set_result(None)

    def _not_run(self, error: BaseException) -> None:
        """The intent may have reached the log all the same: so does that the tool did not run."""
        self._told = True
        if self._intended is None:  # it was not even taken
            self._ended = True
        self.end("cancelled", error_type=_type_of(error))

    def _queue(self, record_type: str, facets: dict[str, Any], part: str) -> None:
        joins = {name: self._facets[name] for name in ("trace",) if name in self._facets}
        self._recorder.queue({"type": record_type, **self._about(part), **joins, **facets}, told=self._told)

    def _about(self, part: str) -> dict[str, str]:
        """Headers tell others the action's id, and an id belongs to whoever writes it first: so nobody can guess those of its records."""
        return {"id": f"{self.id}:{part}:{secrets.token_hex(8)}", "action_id": self.id}


def _type_of(error: BaseException) -> str:
    """The error's class as OpenTelemetry's error.type has it."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - whatever a stranger's error does, it is recorded
        return _type_of(error)
