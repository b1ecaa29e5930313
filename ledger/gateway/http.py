"""The HTTP transports: streamable HTTP (MCP 2025-03-26 and later), and HTTP with server-sent events (2024-11-05).

An ASGI application with one path, the upstream's. Requests and answers pass byte for byte, headers included, but for those between two
hops. What a server streams is passed as it comes, and read beside.
"""

import asyncio
import logging
from collections import OrderedDict
from typing import Any, Final

import httpx

from ledger.gateway import identity
from ledger.gateway.asgi import Event, Gone, Incoming, Receive, Send, Withdrawn, lifespan
from ledger.gateway.exchange import Exchange, announced, unfit
from ledger.gateway.front import SESSION_HEADER, Hosts, Turned, check_body, check_routing
from ledger.gateway.gate import Caller, Gate
from ledger.gateway.message import Message, Refused, parse_client
from ledger.gateway.replies import CANCELLED, UPSTREAM, Reply, error, refusals
from ledger.gateway.session import Session
from ledger.gateway.upstream import NOT_RETURNED, Headers, Upstream, first, passed_on

MAX_BUFFERED_BYTES: Final = 256 * 1024 * 1024  # of all requests without an answer yet
MAX_SESSIONS: Final = 10_000
NOT_FOUND: Final = 404
METHOD_NOT_ALLOWED: Final = 405
BAD_GATEWAY: Final = 502
UNAVAILABLE: Final = 503

log = logging.getLogger(__name__)


class Endpoint:
    """The gateway of one server, as an ASGI application."""

    def __init__(
        self, gate: Gate, upstream: Upstream, hosts: Hosts, known: dict[str, Any] | None = None
    ) -> None:
        """An endpoint at the upstream's path.

        Args:
            gate: judges and records.
            upstream: the server.
            hosts: by which names the gateway may be called.
            known: members of `identity` of every caller.
        """
        self._gate, self._upstream, self._hosts = gate, upstream, hosts
        self._known = known or {}
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._targets: dict[str, Session] = {}  # of 2024-11-05: where the client of an open stream posts
        self._buffered = 0

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        request = Incoming(scope["method"], list(scope["headers"]), "", receive, send)
        try:
            self._hosts.check(request.headers)
            request.target = self._target(scope)
            await self._serve(request)
        except Turned as turned:
            await request.answer(turned.status, [error(None, turned.code, turned.detail)])
        except Gone:
            pass

    def _target(self, scope: Event) -> str:
        """The path and query that is asked for, if there is something there."""
        query = scope["query_string"].decode("latin-1")
        path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
        target = f"{path}?{query}" if query else path
        if target in self._targets and scope["method"] == "POST":
            return target
        if path != self._upstream.path or query:
            raise Turned(NOT_FOUND, f"the gateway serves {self._upstream.path}, without a query")
        return ""

    async def _serve(self, request: Incoming) -> None:
        if request.method == "POST":
            check_body(request.headers)
            body = await request.body()
            if self._buffered + len(body) > MAX_BUFFERED_BYTES:
                raise Turned(UNAVAILABLE, "too much at once")
            self._buffered += len(body)
            try:
                await self._post(request, body)
            finally:
                self._buffered -= len(body)
        elif request.method in {"GET", "DELETE", "OPTIONS"}:
            await self._other(request)
        else:
            raise Turned(METHOD_NOT_ALLOWED, "POST, GET, DELETE or OPTIONS")

    # ---- messages of the client

    async def _post(self, request: Incoming, body: bytes) -> None:
        try:
            messages = parse_client(body, line=False)
            check_routing(request.headers, messages)
            session = self._session(request)
            passing = self._gate.note(messages, session)
            session.claim(messages)
        except Refused as refused:
            await request.answer(400, refusals(refused))
            return
        if not passing:
            await request.answer(202, [])
            return
        try:
            replies = await request.unless_gone(self._admit(messages, session, request.headers))
        except Withdrawn:
            replies = [
                error(identifier, CANCELLED, "the client cancelled it") for identifier in _ids(messages)
            ]
        if replies:
            await request.answer(200, replies)
            return
        exchange = Exchange(
            self._gate, session, messages, resumable=bool(session.thumbprint or request.target)
        )
        await self._pass(exchange, request, body)

    async def _admit(self, messages: tuple[Message, ...], session: Session, headers: Headers) -> list[Reply]:
        told = identity.of_credential(first(headers, b"authorization"))
        caller = Caller("http", {**self._known, **told}, first(headers, b"traceparent"))
        return await self._gate.admit(messages, session, caller)

    def _session(self, request: Incoming) -> Session:
        """The session that a request belongs to; without one the request stands for itself."""
        if request.target:
            return self._targets[request.target]
        named = first(request.headers, SESSION_HEADER)
        version = first(request.headers, b"mcp-protocol-version") or ""
        if named is None:
            return Session(version=version)
        if named not in self._sessions:  # made before this gateway started, or made up: the server knows
            return Session(version=version, thumbprint=identity.thumbprint(named))
        self._sessions.move_to_end(named)
        return self._sessions[named]

    def _remember(self, named: str, session: Session) -> None:
        session.thumbprint = identity.thumbprint(named)
        self._sessions[named] = session
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)[1].abandon("mcp.session_ended")

    async def _other(self, request: Incoming) -> None:
        """GET: what the server says by itself. DELETE: the end of a session."""
        await request.body()  # where none belongs: it goes nowhere
        session = self._session(request)
        status = await self._pass(Exchange(self._gate, session, (), resumable=True), request, b"")
        named = first(request.headers, SESSION_HEADER)
        if request.method == "DELETE" and named is not None and httpx.codes.is_success(status):
            self._sessions.pop(named, session).abandon("mcp.session_ended")

    # ---- the server's answer

    async def _pass(self, exchange: Exchange, request: Incoming, body: bytes) -> int:
        """Send a request on, and its answer back. Returns the status."""
        try:
            response = await request.unless_gone(
                self._upstream.send(request.method, request.headers, body, request.target or None)
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as failed:
            exchange.ended("failure", "mcp.upstream_unreachable")
            return await self._failed(exchange, request, f"the server cannot be reached: {failed}")
        except httpx.HTTPError as failed:
            exchange.ended("unknown", "mcp.upstream_broke_off")
            return await self._failed(exchange, request, f"the server broke off: {failed}")
        except (Gone, asyncio.CancelledError):
            exchange.client_left()
            raise
        try:
            return await self._return(exchange, request, response)
        finally:
            await response.aclose()
            if exchange.target is not None:
                self._targets.pop(exchange.target, None)
                exchange.session.abandon("mcp.stream_ended")

    async def _return(self, exchange: Exchange, request: Incoming, response: httpx.Response) -> int:
        if why := unfit(self._upstream, response):
            exchange.ended("unknown", "mcp.unfit_answer")
            return await self._failed(exchange, request, why)
        named = response.headers.get(SESSION_HEADER.decode()) or first(request.headers, SESSION_HEADER)
        if named and response.is_success and named not in self._sessions:
            self._remember(named, exchange.session)
        try:
            await request.unless_gone(self._stream(exchange, response, request.send))
        except (Gone, asyncio.CancelledError):
            exchange.client_left()
            raise
        except httpx.HTTPError as failed:
            log.warning("the server broke off: %s", failed)
            exchange.broke_off()
            raise  # uvicorn cuts the connection: the client must not take a part for the whole
        return response.status_code

    async def _stream(self, exchange: Exchange, response: httpx.Response, send: Send) -> None:
        headers = passed_on(response.headers.raw, NOT_RETURNED)
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        exchange.begin(response)
        async for chunk in response.aiter_raw():
            for event in exchange.feed(chunk):
                self._announce(exchange, event.data)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        exchange.complete()
        await send({"type": "http.response.body", "body": b""})

    def _announce(self, exchange: Exchange, data: bytes) -> None:
        """The server says where this stream's client posts (2024-11-05)."""
        target = announced(self._upstream, data)
        if target is None or exchange.target is not None or target in self._targets:
            log.warning("the server sends its client elsewhere than to a place of its own: the stream ends")
            raise Gone
        exchange.target = target
        self._targets[target] = exchange.session

    async def _failed(self, exchange: Exchange, request: Incoming, why: str) -> int:
        log.warning("%s", why)
        replies = [error(identifier, UPSTREAM, why) for identifier in _ids(exchange.messages)]
        return await request.answer(BAD_GATEWAY, replies or [error(None, UPSTREAM, why)])

    async def close(self) -> None:
        """Nothing further comes: what came of the open calls is not known."""
        for session in [*self._sessions.values(), *self._targets.values()]:
            session.abandon("mcp.gateway_ended")
        await self._gate.close()
        await self._upstream.close()


def _ids(messages: tuple[Message, ...]) -> list[Any]:
    return [message.id for message in messages if message.method is not None and message.id is not None]
