"""The server behind the gateway, over HTTP. Its address is configuration: nothing that a client or a server sends can change it."""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

import httpx

CONNECT_TIMEOUT_S: Final = 10.0
# What is between two hops alone (RFC 9110, 7.6.1), and what the next hop's request gets anew.
HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# `accept-encoding`: the answer must be readable here. `expect`: the body is complete when it is passed on.
NOT_SENT: Final = HOP_BY_HOP | {b"host", b"content-length", b"accept-encoding", b"expect"}
# `alt-svc` would lead the client past the gateway.
NOT_RETURNED: Final = HOP_BY_HOP | {b"alt-svc"}

Headers = list[tuple[bytes, bytes]]


class Upstream:
    """Sends requests on."""

    def __init__(self, url: str) -> None:
        """A server at `url`; nothing is sent yet.

        Raises:
            ValueError: the url is no http(s) URL, or holds a user.
        """
        parts = urlsplit(url)
        if "@" in parts.netloc:
            raise ValueError("the server's URL has a user or a password in it, which others could read")
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment:
            raise ValueError(f"{url!r}: http:// or https://, a host, and no fragment")
        self.url = httpx.URL(url)
        self.path = self.url.path or "/"
        self.name = parts.hostname
        # The transport alone: a client would add cookies of one caller to another's requests, and follow redirects.
        self._transport = httpx.AsyncHTTPTransport(
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64), trust_env=False
        )

    async def send(
        self, method: str, headers: Headers, body: bytes, target: str | None = None
    ) -> httpx.Response:
        """Send a request; returns when the answer's headers are there.

        Args:
            method: of the request.
            headers: as the client sent them.
            body: to send.
            target: another path and query at the same server; the configured one when None.

        Raises:
            httpx.ConnectError, httpx.ConnectTimeout: nothing was sent.
            httpx.HTTPError: something was, and what came of it is not known.
        """
        url = self.url if target is None else self.url.join(target)
        request = httpx.Request(
            method,
            url,
            headers=[*passed_on(headers, NOT_SENT), (b"accept-encoding", b"identity")],
            content=body or None,
            extensions={"timeout": {"connect": CONNECT_TIMEOUT_S, "read": None, "write": None, "pool": None}},
        )
        return await self._transport.handle_async_request(request)

    def same_server(self, location: str) -> str | None:
        """The path and query of a location at this server, None for one elsewhere."""
        try:
            joined = self.url.join(location)
        except (httpx.InvalidURL, ValueError):
            return None
        own = (self.url.scheme, self.url.host, self.url.port)
        return joined.raw_path.decode() if (joined.scheme, joined.host, joined.port) == own else None

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


def passed_on(headers: Iterable[tuple[bytes, bytes]], dropped: frozenset[bytes]) -> Headers:
    """Headers without those for one hop, nor those that `Connection` names so."""
    found = [(name.lower(), value) for name, value in headers]
    named = {
        token.strip().lower() for name, value in found if name == b"connection" for token in value.split(b",")
    }
    return [(name, value) for name, value in found if name not in dropped and name not in named]


def values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    """All values of a header."""
    return [value.decode("latin-1") for key, value in headers if key.lower() == name]


def first(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """The first value of a header."""
    return next(iter(values(headers, name)), None)


def media_type(headers: Mapping[str, str]) -> str:
    """The answer's media type without parameters, in small letters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()
