"""What an HTTP request must be before its message is looked at: from here, for here, and no other message than its headers say."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from ledger.gateway.message import INVALID_REQUEST, NAMED_BY, Message
from ledger.gateway.upstream import Headers, values

FORBIDDEN: Final = 403
BAD_REQUEST: Final = 400
UNSUPPORTED_MEDIA_TYPE: Final = 415
HEADER_MISMATCH: Final = -32020  # MCP 2026-07-28
METHOD_HEADER: Final = b"mcp-method"
NAME_HEADER: Final = b"mcp-name"
SESSION_HEADER: Final = b"mcp-session-id"
ONCE: Final = (
    METHOD_HEADER,
    NAME_HEADER,
    SESSION_HEADER,
    b"mcp-protocol-version",
    b"content-type",
    b"content-encoding",
)
BASE64_VALUE: Final = re.compile(r"=\?base64\?(.*)\?=")
LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")


class Turned(Exception):  # noqa: N818 - what the gateway decided
    """A request that is turned away: its HTTP status, a JSON-RPC code and a sentence."""

    def __init__(self, status: int, detail: str, code: int = INVALID_REQUEST) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


class Hosts:
    """Under which names the gateway is called: a browser that a stranger's page sends here calls it by another (DNS rebinding)."""

    def __init__(self, host: str, port: int, allowed: Iterable[str] = ()) -> None:
        """Names that are allowed besides those of this machine; without a port they are with any."""
        own = LOOPBACK_NAMES if _loopback(host) else (_bracketed(host),)
        self._names = {f"{name}:{port}".lower() for name in own} | {name.lower() for name in allowed}
        if port in {80, 443}:
            self._names |= {name.lower() for name in own}

    def check(self, headers: Headers) -> None:
        """Refuse what was not meant for this gateway.

        Raises:
            Turned: 403.
        """
        host = values(headers, b"host")
        if len(host) != 1 or not self._known(host[0]):
            raise Turned(FORBIDDEN, "the Host is not this gateway's; --allow-host names another")
        for origin in values(headers, b"origin"):
            scheme, _, netloc = origin.partition("://")
            if scheme not in {"http", "https"} or not self._known(netloc):
                raise Turned(FORBIDDEN, "the Origin is not this gateway's; --allow-host names another")

    def _known(self, host: str) -> bool:
        host = host.lower()
        return host in self._names or host.rpartition(":")[0] in self._names


def check_body(headers: Headers) -> None:
    """Refuse a body that the server would read otherwise than it stands there, or by another header than was looked at.

    Raises:
        Turned: 400 or 415.
    """
    for name in ONCE:
        if len(values(headers, name)) > 1:
            raise Turned(BAD_REQUEST, f"the header {name.decode()} is there twice", HEADER_MISMATCH)
    if [value for value in values(headers, b"content-encoding") if value.strip().lower() != "identity"]:
        raise Turned(UNSUPPORTED_MEDIA_TYPE, "the body is compressed: the gateway reads it as it stands")
    given, *parameters = (
        part.strip().lower() for part in "".join(values(headers, b"content-type")).split(";")
    )
    if given != "application/json" or any(
        part not in {"", "charset=utf-8", 'charset="utf-8"'} for part in parameters
    ):
        raise Turned(UNSUPPORTED_MEDIA_TYPE, "Content-Type: application/json, in UTF-8")


def check_routing(headers: Headers, messages: tuple[Message, ...]) -> None:
    """Refuse headers that name another method or tool than the body (2026-07-28): who goes by them would not do what is recorded.

    Raises:
        Turned: 400, HEADER_MISMATCH.
    """
    for header, wanted in ((METHOD_HEADER, _methods(messages)), (NAME_HEADER, _names(messages))):
        for value in values(headers, header):
            if _decoded(value) not in wanted:
                raise Turned(
                    BAD_REQUEST,
                    f"the header {header.decode()} says something else than the body",
                    HEADER_MISMATCH,
                )


def _methods(messages: tuple[Message, ...]) -> set[object]:
    return {message.method for message in messages} if len(messages) == 1 else set()


def _names(messages: tuple[Message, ...]) -> set[object]:
    if len(messages) != 1:
        return set()
    named = NAMED_BY.get(messages[0].method or "")
    # Of other methods nobody knows what the name is: a header is compared with what could be meant.
    params = messages[0].params
    return {params.get(named)} if named else {params.get(member) for member in ("name", "uri", "taskId")}


def _decoded(value: str) -> str | None:
    """A header's value, of which anything but plain ASCII comes as base64 of UTF-8 (MCP 2026-07-28)."""
    match = BASE64_VALUE.fullmatch(value.strip())
    if match is None:
        return value.strip()
    try:
        return base64.b64decode(match[1], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
