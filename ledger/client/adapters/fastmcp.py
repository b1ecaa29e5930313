"""An MCP server made with FastMCP 4: a middleware.

    mcp = FastMCP("files", middleware=[…])
    record(mcp, ledger)

Call it last, when the server has its other middleware: ours stands outside all of it, and a second one inside, which tells whether a
request got past the others.
"""

from contextvars import ContextVar
from typing import Any, Final

from fastmcp import FastMCP
from fastmcp.exceptions import AuthorizationError, FastMCPError
from fastmcp.server.dependencies import get_access_token
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR
from pydantic import BaseModel

from ledger.client.action import Action
from ledger.client.adapters.mcp_call import POLICY, RECORDED, action, meta_of
from ledger.client.context import extract
from ledger.client.ledger import Ledger

_reached: Final[ContextVar[list[bool]]] = ContextVar("agent_ledger_fastmcp_reached")


def record(server: FastMCP, ledger: Ledger) -> None:
    """Record what clients ask of a server: each tool call, resource read and prompt, before it is done.

    Args:
        server: with its other middleware already there.
        ledger: where it is recorded. Where it cannot be, the request is refused.
    """
    server.middleware.insert(0, _Outside(ledger, server.name))
    server.middleware.append(_Inside())


class _Outside(Middleware):
    def __init__(self, ledger: Ledger, server: str) -> None:
        self._ledger, self._server = ledger, server

    async def on_request(self, context: MiddlewareContext[Any], call_next: CallNext[Any, Any]) -> Any:
        if context.method not in RECORDED:
            return await call_next(context)
        asked = context.message
        params = asked.model_dump(by_alias=True) if isinstance(asked, BaseModel) else dict(asked)
        here = context.fastmcp_context
        request = here.request_context if here else None
        params["_meta"] = dict(request.meta) if request is not None and request.meta else params.get("_meta")
        with extract(meta_of(params)):
            return await self._recorded(context, call_next, params)

    async def _recorded(
        self, context: MiddlewareContext[Any], call_next: CallNext[Any, Any], params: dict[str, Any]
    ) -> Any:
        here = context.fastmcp_context
        request = here.request_context if here else None
        info = getattr(request.session.client_params, "client_info", None) if request is not None else None
        act = action(
            self._ledger,
            self._server,
            context.method,
            params,
            token=get_access_token(),
            client=info.model_dump() if info else {},
        )
        try:
            await act.astart()
        except Exception as error:
            raise MCPError(INTERNAL_ERROR, f"not done: it could not be recorded: {error}") from error
        async with act:
            return await _called(act, context, call_next)


async def _called(act: Action, context: MiddlewareContext[Any], call_next: CallNext[Any, Any]) -> Any:
    reached = [False]
    token = _reached.set(reached)
    try:
        result = await call_next(context)
    except AuthorizationError as error:
        act.deny(type(error).__name__, policy={"engine": "fastmcp.auth"})
        raise
    except (FastMCPError, MCPError, PermissionError) as error:
        if not reached[0]:
            act.deny(type(error).__name__, policy=POLICY)
        raise
    finally:
        _reached.reset(token)
    answer = _plain(result)
    if not reached[0]:
        act.deny("answered_by_middleware", policy=POLICY)
    elif getattr(result, "is_error", False):
        act.end("failure", answer, error_type="tool_error")
    else:
        act.succeed(answer)
    return result


class _Inside(Middleware):
    async def on_request(self, context: MiddlewareContext[Any], call_next: CallNext[Any, Any]) -> Any:
        if context.method in RECORDED and (reached := _reached.get(None)) is not None:
            reached[0] = True
        return await call_next(context)


def _plain(result: Any) -> Any:
    """A result as JSON has it: FastMCP's own are models, and lists of models."""
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)
    if hasattr(result, "to_mcp_result"):
        return _plain(result.to_mcp_result())
    if isinstance(result, list | tuple):
        return [_plain(item) for item in result]
    return result
