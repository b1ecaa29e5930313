"""An MCP server made with the MCP SDK (mcp 2): a server middleware.

    server = MCPServer("files", middleware=[…])
    record(server, ledger)

Call it last, when the server has its other middleware: ours stands outside all of it (but for the SDK's own two, which stand first), and a
second one inside, which tells whether a request got past the others.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

from mcp.server._otel import OpenTelemetryMiddleware
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.request_state import RequestStateBoundary
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR
from pydantic import BaseModel

from ledger.client.action import Action
from ledger.client.adapters.mcp_call import POLICY, RECORDED, action, meta_of
from ledger.client.context import extract
from ledger.client.ledger import Ledger

_reached: Final[ContextVar[list[bool]]] = ContextVar("agent_ledger_mcp_reached")


def record(server: Any, ledger: Ledger) -> None:
    """Record what clients ask of a server: each tool call, resource read and prompt, before it is done.

    Args:
        server: an `MCPServer`, or a low-level `Server`.
        ledger: where it is recorded. Where it cannot be, the request is refused.
    """
    own = sum(
        isinstance(middleware, OpenTelemetryMiddleware | RequestStateBoundary)
        for middleware in server.middleware
    )
    server.middleware.insert(own, _Outside(ledger, server.name))
    server.middleware.append(_inside)


class _Outside:
    def __init__(self, ledger: Ledger, server: str) -> None:
        self._ledger, self._server = ledger, server

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.method not in RECORDED or ctx.request_id is None:
            return await call_next(ctx)
        with extract(meta_of(ctx.params or {})):
            return await self._recorded(ctx, call_next)

    async def _recorded(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        client = getattr(ctx.session.client_params, "client_info", None)
        act = action(
            self._ledger,
            self._server,
            ctx.method,
            ctx.params or {},
            token=get_access_token(),
            client=client.model_dump() if client else {},
        )
        try:
            await act.astart()
        except Exception as error:
            raise MCPError(INTERNAL_ERROR, f"not done: it could not be recorded: {error}") from error
        async with act:
            return await _called(act, ctx, call_next)


async def _called(act: Action, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    reached = [False]
    token = _reached.set(reached)
    try:
        result = await call_next(ctx)
    except MCPError as error:
        if not reached[0]:
            act.deny(f"mcp_error_{error.error.code}", policy=POLICY)
        raise
    finally:
        _reached.reset(token)
    answer = result.model_dump(by_alias=True, exclude_none=True) if isinstance(result, BaseModel) else result
    failed = isinstance(answer, Mapping) and answer.get("isError") is True
    if not reached[0]:
        act.deny("answered_by_middleware", policy=POLICY)
    elif failed:
        act.end("failure", answer, error_type="tool_error")
    else:
        act.succeed(answer)
    return result


async def _inside(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    if ctx.method in RECORDED and (reached := _reached.get(None)) is not None:
        reached[0] = True
    return await call_next(ctx)
