"""The way in. Records go straight to their function: the framework's own way there costs as much as reading a record.

Everything else, and the document of everything, is FastAPI's.
"""

import logging
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ledger.api.app import create_app
from ledger.api.problems import refused, refused_unexpectedly
from ledger.api.records import PATH, post_records
from ledger.api.service import Service
from ledger.core.errors import LedgerError

_POST: Final = "POST"
_CACHE: Final = (b"cache-control", b"no-store")
logger = logging.getLogger(__name__)


class Front:
    """The ASGI application that is served."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._route: BaseRoute = next(route for route in app.routes if getattr(route, "path", "") == PATH)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] == "http":
            send = uncached(send)
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != _POST:
            await self._app(scope, receive, send)
            return
        scope["app"], scope["route"] = self._app, self._route
        request = Request(scope, receive)
        try:
            response = await post_records(request)
        except LedgerError as error:
            response = refused(request, error)
        except Exception as error:
            logger.exception("a record met an error of ours")
            response = refused_unexpectedly(request, error)
        await response(scope, receive, send)


def uncached(send: Send) -> Send:
    """Have no answer kept by whoever passes it on, unless its route says otherwise: all of them are for who asked."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = message["headers"]
            if not any(name == _CACHE[0] for name, _ in headers):
                message["headers"] = [*headers, _CACHE]
        await send(message)

    return sent


def application(service: Service) -> ASGIApp:
    """Everything that is served, with a span around each request where traces are sent."""
    app = Front(create_app(service))
    if service.telemetry.exporter is None:
        return app
    from ledger.telemetry.requests import TracedRequests  # noqa: PLC0415 - it loads OpenTelemetry

    return TracedRequests(app, service.telemetry.exporter.tracer)
