"""Connections to targets. The configuration names them, and still it is checked where one really leads: the address that a name resolves to is looked
at, and that very address is connected to, so a name that resolves to something else a moment later (DNS rebinding) gains nothing.

Private, loopback and link-local addresses are refused unless the target may have them; those that machines on a cloud ask for their credentials
always are. No redirect is followed, no proxy is used, certificates are verified, an answer is read up to a limit, and everything has one deadline.
What goes wrong is told without addresses' paths, headers or bodies: there may be secrets in them.
"""

import contextlib
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from ledger.core.errors import Code, LedgerError

ANSWER_BYTES: Final = 64 * 1024
MAX_RETRY_AFTER_S: Final = 300
MAX_DIGITS: Final = 9
METADATA: Final = frozenset(
    map(ipaddress.ip_address, ("169.254.169.254", "fd00:ec2::254", "100.100.100.200"))
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_PORTS: Final = {"http": 80, "https": 443}
_GOOD: Final = range(200, 300)
_IPV4_BITS: Final = 32

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class DeliveryError(Exception):
    """It was not delivered. Its words name no secret.

    Attributes:
        retry_after_s: when the receiver wants it again, where it said so.
    """

    def __init__(self, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Endpoint(NamedTuple):
    """Where an HTTP target is.

    Attributes:
        scheme: http or https.
        host: its name or address.
        port: its port.
        path: path and query.
    """

    scheme: str
    host: str
    port: int
    path: str


class Rules(NamedTuple):
    """How a target may be reached.

    Attributes:
        allow_private: private and loopback addresses, and no TLS, are its owner's wish.
        tls: the context for TLS.
        timeout_s: seconds for everything.
    """

    allow_private: bool
    tls: ssl.SSLContext
    timeout_s: float


class Answer(NamedTuple):
    """What came back.

    Attributes:
        status: the HTTP status.
        body: the first `ANSWER_BYTES` of it.
        media_type: what it says it is, "" where it says nothing.
        retry_after_s: when it wants to be asked again, None where it does not say.
    """

    status: int
    body: bytes
    media_type: str = ""
    retry_after_s: float | None = None


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """A context that verifies, by the public authorities or by one's own.

    Raises:
        LedgerError: `alerts-file`: the authority's file is no good.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise LedgerError(
            Code.ALERTS_FILE, f"ca_file {ca_file}: no certificates can be read: {error}"
        ) from None


def parse_endpoint(url: str, *, allow_private: bool) -> Endpoint:
    """Read a URL.

    Raises:
        ValueError: why it is not taken. The words do not quote it: it may be a secret.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("it is no URL") from None
    if (
        parts.scheme not in _PORTS
        or not parts.hostname
        or not url.isascii()
        or not url.isprintable()
        or " " in url
    ):
        raise ValueError("it is no http or https URL in ASCII")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError(
            "a URL has neither a user nor a fragment here: a secret goes into a variable or a file of its own"
        )
    if parts.scheme == "http" and not allow_private:
        raise ValueError(
            "http:// is taken only together with allow_private = true: what is sent could be read and altered"
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Endpoint(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], path)


def parse_address(text: str) -> tuple[str, int]:
    """Read `host:port`, an IPv6 address in brackets.

    Raises:
        ValueError: it is none.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError("it is `host:port`")
    return host.strip("[]"), int(port)


def refused(address: Address, *, allow_private: bool) -> str | None:
    """Why nothing is sent to an address, None where it may be."""
    inner = _meant(address)
    if inner in METADATA or address in METADATA:
        return "it is where machines on a cloud get their credentials"
    if inner.is_link_local or inner.is_multicast or inner.is_unspecified or address.is_multicast:
        return "it is link-local, multicast or no address at all"
    if allow_private:
        return None
    public = inner.is_global and (inner.version == 4 or inner in _UNICAST)  # noqa: PLR2004 - IPv4
    return None if public else "it is a private address, and the target does not have allow_private = true"


def connect(
    host: str, port: int, rules: Rules, *, kind: socket.SocketKind = socket.SOCK_STREAM
) -> socket.socket:
    """A socket that is connected to an address of `host` that may be connected to.

    Raises:
        DeliveryError: there is none, or nothing answers.
    """
    why = "it has no address"
    for family, address in _resolved(host, port, kind):
        problem = refused(ipaddress.ip_address(address[0]), allow_private=rules.allow_private)
        if problem is not None:
            why = f"nothing is sent to {address[0]}: {problem}"
            continue
        made = socket.socket(family, kind)
        made.settimeout(rules.timeout_s)
        try:
            made.connect(address)  # the address that was checked, not the name
        except OSError as error:
            made.close()
            why = f"{error.strerror or 'no answer in time'}"
            continue
        return made
    raise DeliveryError(f"{host}: {why}")


def secured(plain: socket.socket, host: str, rules: Rules) -> ssl.SSLSocket:
    """The socket under TLS, its certificate verified for `host`.

    Raises:
        DeliveryError: it is not who it should be.
    """
    try:
        return rules.tls.wrap_socket(plain, server_hostname=host)
    except (OSError, ValueError) as error:
        plain.close()
        reason = (
            getattr(error, "verify_message", "") or getattr(error, "reason", None) or type(error).__name__
        )
        raise DeliveryError(f"{host}: TLS: {reason}") from None


def post(endpoint: Endpoint, body: bytes, headers: Mapping[str, str], rules: Rules) -> Answer:
    """POST, and the answer where it is 2xx.

    Raises:
        DeliveryError: it was not taken.
    """
    return _good(endpoint, exchange("POST", endpoint, body, headers, rules))


def get(endpoint: Endpoint, headers: Mapping[str, str], rules: Rules) -> Answer:
    """GET, and the answer where it is 2xx.

    Raises:
        DeliveryError: it was not given.
    """
    return _good(endpoint, exchange("GET", endpoint, None, headers, rules))


def _good(endpoint: Endpoint, answer: Answer) -> Answer:
    if answer.status in _GOOD:
        return answer
    redirected = "; redirects are not followed" if answer.status in range(300, 400) else ""
    raise DeliveryError(
        f"{endpoint.host}: it answered {answer.status}{redirected}",
        answer.retry_after_s,
    )


def exchange(
    method: str, endpoint: Endpoint, body: bytes | None, headers: Mapping[str, str], rules: Rules
) -> Answer:
    """Ask, and the answer whatever its status: nothing is followed, nothing is sent twice.

    Raises:
        DeliveryError: there is none.
    """
    made: socket.socket = connect(endpoint.host, endpoint.port, rules)
    with deadline(made, rules.timeout_s) as over:
        if endpoint.scheme == "https":
            made = secured(made, endpoint.host, rules)
        connection = HTTPConnection(endpoint.host, endpoint.port)
        connection.sock, connection.auto_open = made, 0
        try:
            connection.request(method, endpoint.path, body, dict(headers) | {"Connection": "close"})
            answer = connection.getresponse()
            said = answer.read(ANSWER_BYTES)
        except (OSError, HTTPException, ValueError) as error:
            what = (
                "no answer in time"
                if over.is_set() or isinstance(error, TimeoutError)
                else type(error).__name__
            )
            raise DeliveryError(f"{endpoint.host}: {what}") from None
        finally:
            connection.close()
            made.close()
    if over.is_set():  # cut off by us: what came until then may look like an answer
        raise DeliveryError(f"{endpoint.host}: no answer in time")
    return Answer(
        answer.status,
        said,
        answer.headers.get("Content-Type", ""),
        _retry_after(answer.headers.get("Retry-After")),
    )


@contextlib.contextmanager
def deadline(made: socket.socket, seconds: float) -> Iterator[threading.Event]:
    """Shut a socket down after so long: a time-out of each read alone would let a receiver answer a byte at a time for ever."""
    over = threading.Event()
    raw = socket.socket(
        fileno=os.dup(made.fileno())
    )  # TLS takes the descriptor over; the connection behind it is the same

    def shut() -> None:
        over.set()
        with contextlib.suppress(OSError):
            raw.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, shut)
    timer.daemon = True
    timer.start()
    try:
        yield over
    finally:
        timer.cancel()
        raw.close()


def read_secret(env: str | None, file: str | None, environment: Mapping[str, str]) -> str | None:
    """The text that a variable or a file holds; None where neither is named.

    Raises:
        ValueError: it is not there. The words name the place, never the text.
    """
    if env is not None:
        value = environment.get(env, "").strip()
        if not value:
            raise ValueError(f"the variable {env} is not set")
        return value
    if file is None:
        return None
    try:
        value = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"the file {file} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}"
        ) from None
    if not value:
        raise ValueError(f"the file {file} is empty")
    return value


def _resolved(host: str, port: int, kind: socket.SocketKind) -> list[tuple[int, tuple[str, int]]]:
    try:
        found = socket.getaddrinfo(host, port, type=kind)
    except (OSError, UnicodeError):
        raise DeliveryError(f"{host}: the name does not resolve") from None
    return [(family, address) for family, _, _, _, address in found if isinstance(address[0], str)]  # type: ignore[misc]


def _meant(address: Address) -> Address:
    """The IPv4 address within an IPv6 one, where it is only wrapped."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & ((1 << _IPV4_BITS) - 1))
    return address


def _retry_after(text: str | None) -> float | None:
    """Seconds; a date is as good as nothing."""
    number = text is not None and text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS
    return float(min(int(text), MAX_RETRY_AFTER_S)) if number and text else None
