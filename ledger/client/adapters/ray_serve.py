"""Ray Serve (ray 2.60): a decorator for the methods of a deployment that serve requests.

    @serve.deployment
    class Files:
        @recorded(user_header="x-user")
        async def __call__(self, request: Request) -> str: ...

Each request is an action of the deployment: recorded before the method runs, joined to the caller's trace, and around everything that the
method records itself. Serve's own spans tell none of that (no arguments, no user): the ledger drops them. What other libraries in a replica
tell as spans gets there by RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH=ledger.client.adapters.ray_serve:span_processors, with
RAY_SERVE_TRACING_SAMPLING_RATIO=1.0.
"""

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from ray import serve
from ray.serve.context import _get_serve_request_context
from starlette.requests import Request

from ledger.client.action import Action
from ledger.client.context import extract
from ledger.client.ledger import Ledger

BODY_BYTES: Final = 256 * 1024
_ledgers: dict[tuple[int, str], Ledger] = {}


def span_processors() -> list[Any]:
    """What Serve asks for in each replica: the processor that sends spans to $AGENT_LEDGER_URL."""
    from ledger.client.adapters.otel import LedgerSpanProcessor  # noqa: PLC0415 - OpenTelemetry is needed for this alone

    return [LedgerSpanProcessor()]


def recorded(
    *, user_header: str | None = None, ledger: Callable[[], Ledger] | None = None, effect: str | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Record each call of a method of a deployment.

    Args:
        user_header: the HTTP header in which whoever stands before Serve tells the user that it authenticated.
        ledger: makes the recorder; called once in each replica. Ledger() when None.
        effect: what the method does to the world, a value of `tool.effect`.
    """

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        if not inspect.iscoroutinefunction(method):
            raise TypeError(
                f"{method.__qualname__}: Serve runs plain methods in its event loop; make it `async def`"
            )

        @functools.wraps(method)
        async def run(self: Any, *args: Any, **kwargs: Any) -> Any:
            request = next((value for value in (*args, *kwargs.values()) if isinstance(value, Request)), None)
            headers: Mapping[str, str] = request.headers if request is not None else {}
            with extract(headers):
                arguments = await _arguments(method, request, self, args, kwargs)
                user = headers.get(user_header) if user_header else None
                given = {"user": user, "header": user_header, "effect": effect}
                act = _action(_recorder(ledger), method, arguments, request, given)
                async with act:
                    act.result = answer = await method(self, *args, **kwargs)
                    if not isinstance(answer, str | int | float | bool | dict | list | None):
                        act.result = {
                            "type": type(answer).__qualname__
                        }  # a response that is still to be streamed
            return answer

        return run

    return decorate


def _action(
    ledger: Ledger,
    method: Callable[..., Any],
    arguments: Any,
    request: Request | None,
    given: Mapping[str, Any],
) -> Action:
    """`given`: the user and where they are from, and the effect."""
    replica, here = serve.get_replica_context(), _get_serve_request_context()
    return ledger.action(
        {
            "name": f"{replica.deployment}.{method.__name__}",
            "operation": request.method if request is not None else "call",
        },
        arguments=arguments,
        effect=given["effect"],
        server=replica.app_name,
        protocol="http" if request is not None else "ray",
        resource={"type": "route", "id": here.route}
        if here.route
        else {"type": "deployment", "id": replica.deployment},
        request={"user": given["user"], "turn_id": here.request_id or None},
        identity={
            "agent_name": replica.deployment,
            "agent_instance_id": replica.replica_id.unique_id,
            "principal": given["user"],
            "principal_source": f"header {given['header']}" if given["user"] else None,
        },
        absent={"decision": "Ray Serve runs no model of its own"},
    )


async def _arguments(
    method: Callable[..., Any], request: Request | None, deployment: Any, args: Any, kwargs: Any
) -> Any:
    """What it was called with: the parameters; of an HTTP request its query and its body, where that is not too long."""
    if request is None:
        bound = inspect.signature(method).bind(deployment, *args, **kwargs).arguments
        return dict(list(bound.items())[1:])
    body = await request.body()  # starlette keeps it for the method
    shown = body.decode("utf-8", "replace") if len(body) <= BODY_BYTES else {"bytes": len(body)}
    return {
        "path": request.url.path,
        "query": dict(request.query_params),
        **({"body": shown} if body else {}),
    }


def _recorder(make: Callable[[], Ledger] | None) -> Ledger:
    """One in each process: a recorder has a thread and a connection, which do not travel with a deployment."""
    name = (os.getpid(), getattr(make, "__qualname__", ""))
    if name not in _ledgers:
        _ledgers[name] = make() if make is not None else Ledger(source="ray-serve")
    return _ledgers[name]
