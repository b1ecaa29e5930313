"""AutoGen 0.7.5: tools, handoffs and code that agents run, put inside recorders. See `autogen.py`."""

import copy
from collections.abc import AsyncGenerator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Protocol

from autogen_core.tools import StaticWorkbench, TextResultContent, ToolResult, Workbench

from ledger.client.action import Action
from ledger.client.adapters.run import Run

_POLICY: Final = {"engine": "autogen.approval_func"}


class Working(Protocol):
    """An agent that is recorded."""

    @property
    def run(self) -> Run:
        """What it works at now."""


@dataclass
class _Call:
    """What became of a call."""

    act: Action
    error: Exception | None = None
    approved: bool | None = None


_call: ContextVar[_Call | None] = ContextVar("agent_ledger_call", default=None)


class _Around(Workbench):
    """Stands around a workbench that is not AutoGen's own: that one is started and stopped as it was."""

    def __init__(self, inner: Workbench) -> None:
        self._inner = inner

    async def list_tools(self) -> Any:
        return await self._inner.list_tools()

    async def call_tool(self, *args: Any, **options: Any) -> ToolResult:
        return await self._inner.call_tool(*args, **options)

    async def start(self) -> None:
        await self._inner.start()

    async def stop(self) -> None:
        await self._inner.stop()

    async def reset(self) -> None:
        await self._inner.reset()

    async def save_state(self) -> Any:
        return await self._inner.save_state()

    async def load_state(self, state: Any) -> None:
        await self._inner.load_state(state)

    def dump_component(self) -> Any:
        return self._inner.dump_component()


class _RecordedBench(Workbench):
    """What a recorded workbench does in place of its class's own."""

    agent: Working

    async def call_tool(
        self, name: str, arguments: Any = None, cancellation_token: Any = None, call_id: str | None = None
    ) -> ToolResult:
        act = self.agent.run.action(name, dict(arguments or {}), call_id)
        refusal = await _refusal(act, name)
        if refusal is not None:
            return refusal
        call = _Call(act)
        token = _call.set(call)
        try:
            async with act:
                result = await super().call_tool(name, arguments, cancellation_token, call_id)
                _ended(call, result)
        finally:
            _call.reset(token)
        return result

    async def call_tool_stream(
        self, name: str, arguments: Any = None, cancellation_token: Any = None, call_id: str | None = None
    ) -> AsyncGenerator[Any, None]:
        act = self.agent.run.action(name, dict(arguments or {}), call_id)
        refusal = await _refusal(act, name)
        if refusal is not None:
            yield refusal
            return
        call = _Call(act)
        _call.set(call)  # seen by nobody else: AutoGen makes a task of each call
        async with act:
            async for piece in super().call_tool_stream(name, arguments, cancellation_token, call_id):
                if isinstance(piece, ToolResult):
                    _ended(call, piece)
                yield piece


def recorded(bench: Any, agent: Working) -> Any:
    """A workbench, or a copy of it, whose calls are recorded."""
    if isinstance(bench, StaticWorkbench):
        made: Any = copy.copy(bench)
        made._tools = [_heard_tool(tool) for tool in bench._tools]
    else:
        made = _Around(bench)
    kind = type(made)
    made.__class__ = type(kind.__name__, (_RecordedBench, kind), {"__module__": kind.__module__})
    made.agent = agent
    return made


async def _refusal(act: Action, name: str) -> ToolResult | None:
    """Begin a call, or say why not: any exception here would leave the agent waiting for ever."""
    try:
        await act.astart()
    except Exception as error:  # noqa: BLE001 - as above
        words = f"{name} did not run: its intent is not in the ledger: {error}"
        return ToolResult(name=name, result=[TextResultContent(content=words)], is_error=True)
    return None


def _ended(call: _Call, result: ToolResult) -> None:
    act = call.act
    if call.error is not None:
        act.fail(call.error)
    elif result.is_error:
        act.fail(result.to_text())
    else:
        act.result = result.to_text()


def _heard_tool(tool: Any) -> Any:
    """The tool; what it raises is heard, before the workbench makes words of it."""
    heard, run_json = copy.copy(tool), tool.run_json
    stream: Any = getattr(tool, "run_json_stream", None)

    async def run(*args: Any, **options: Any) -> Any:
        try:
            return await run_json(*args, **options)
        except Exception as error:
            _raised(error)
            raise

    async def run_stream(*args: Any, **options: Any) -> AsyncGenerator[Any, None]:
        try:
            async for piece in stream(*args, **options):
                yield piece
        except Exception as error:
            _raised(error)
            raise

    heard.run_json = run
    if stream is not None:
        heard.run_json_stream = run_stream
    return heard


def _raised(error: Exception) -> None:
    call = _call.get()
    if call is not None:
        call.error = error


def handing_over(tool: Any, agent: Working) -> Any:
    """A handoff, which AutoGen calls without a workbench."""
    recorded, run_json = copy.copy(tool), tool.run_json

    async def run(args: Any, cancellation_token: Any, call_id: str | None = None) -> Any:
        act = agent.run.action(tool.name, dict(args), call_id, effect="delegate")
        refusal = await _refusal(act, tool.name)
        if refusal is not None:
            return refusal.to_text()
        async with act:
            act.result = await run_json(args, cancellation_token, call_id=call_id)
        return act.result

    recorded.run_json = run
    return recorded


def record_code(target: Any, agent: Working) -> None:
    """Code that an agent runs, and what its approval says."""
    approve: Any
    execute, approve = target.execute_code_block, target._approval_func

    async def executed(code_blocks: Any, cancellation_token: Any) -> Any:
        act = agent.run.action("execute_code_block", {"code_blocks": code_blocks}, effect="execute")
        call = _Call(act)
        token = _call.set(call)
        try:
            async with act:
                result = await execute(code_blocks, cancellation_token)
                if call.approved is False:
                    act.deny("approval_rejected", policy=_POLICY)
                elif result.exit_code != 0:
                    act.end("failure", result.output, error_type=f"exit_code_{result.exit_code}")
                else:
                    act.result = result.output
        finally:
            _call.reset(token)
        return result

    async def approved(request: Any) -> Any:
        answer = await approve(request) if waits else approve(request)
        call = _call.get()
        if call is not None:
            call.approved = bool(answer.approved)
            call.act.approve("approved" if answer.approved else "rejected")
        return answer

    waits = target._approval_func_is_async
    target.execute_code_block = executed
    if approve is not None:
        target._approval_func, target._approval_func_is_async = approved, True
