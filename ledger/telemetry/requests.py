"""A span per HTTP request, as pure ASGI: put around the application only when traces are sent.

Names and attributes follow OpenTelemetry's HTTP conventions. The route's template is named, never the path or the query string:
paths carry ids, query strings carry what people type.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

_SERVER_ERROR = 500
_PROPAGATOR = TraceContextTextMapPropagator()
_CONTEXT_HEADERS = {b"traceparent", b"tracestate"}


class TracedRequests:
    """Wraps an ASGI application."""

    def __init__(self, app: Application, tracer: Tracer) -> None:
        self._app, self._tracer = app, tracer

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request under a span whose parent is the caller's, where it sent one."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = str(scope["method"])
        span = self._tracer.start_span(
            method,
            _PROPAGATOR.extract(_context(scope)),
            SpanKind.SERVER,
            {"http.request.method": method},
        )

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.set_attribute("http.response.status_code", message["status"])
                if message["status"] >= _SERVER_ERROR:
                    span.set_status(Status(StatusCode.ERROR))
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except BaseException as error:
            # The type alone: a message may quote what it choked on.
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            template = getattr(scope.get("route"), "path", None)
            if template is not None:
                span.update_name(f"{method} {template}")
                span.set_attribute("http.route", template)
            span.end()


def _context(scope: Message) -> dict[str, str]:
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in scope["headers"]
        if name in _CONTEXT_HEADERS
    }
