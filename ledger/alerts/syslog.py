"""Alerts as syslog messages: RFC 5424, over UDP (RFC 5426), TCP with octet counting (RFC 6587) or TLS (RFC 5425).

Syslog acknowledges nothing: that a message was taken means that this machine's network took it, and over TCP that the connection was open. A receiver that dies with
messages in its buffers has lost them; who needs to know takes a webhook.
"""

import re
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from ledger.alerts.outbound import DeliveryError, Rules, connect, deadline, parse_address, secured

APP: Final = "agent-ledger"
# RFC 5612's number for documentation: the project has none of its own at IANA.
SD_ID: Final = "alert@32473"
UDP_BYTES: Final = 8_192  # RFC 5426: receivers should take 2,048, and many take this
SEVERITIES: Final = {"critical": 2, "high": 3, "medium": 4, "low": 5, "informational": 6}
_NOT_NAME: Final = re.compile(r"[^!-~]")
_BOM: Final = b"\xef\xbb\xbf"

Shape = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class SyslogSender:
    """Sends to one receiver; a stream is kept open, and made anew when it broke."""

    def __init__(self, address: str, transport: str, facility: int, shape: Shape, rules: Rules) -> None:
        """Raises ValueError: the address is none, or the messages would go unencrypted to where they may not."""
        self._host, self._port = parse_address(address)
        if transport != "tls" and not rules.allow_private:
            raise ValueError(
                f"{transport} is taken only together with allow_private = true: what is sent could be read and altered"
            )
        self._transport, self._facility, self._shape, self._rules = transport, facility, shape, rules
        self._open: socket.socket | None = None

    def send(self, body: Mapping[str, Any]) -> None:
        """Send one message."""
        message = format_message(body, self._facility, self._shape(body))
        try:
            if self._transport == "udp":
                self._send_datagram(body, message)
            else:
                self._send_stream(b"%d %b" % (len(message), message))
        except OSError as error:
            self.close()
            raise DeliveryError(f"{self._host}: {error.strerror or type(error).__name__}") from None

    def close(self) -> None:
        """End the connection."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _send_datagram(self, body: Mapping[str, Any], message: bytes) -> None:
        if len(message) > UDP_BYTES:
            bare = {
                name: body[name]
                for name in ("id", "rule", "kind", "severity", "seq", "leaf_hash", "raised_at")
            }
            message = format_message(bare, self._facility, bare | {"truncated": True})
        with connect(self._host, self._port, self._rules, kind=socket.SOCK_DGRAM) as made:
            made.send(message)

    def _send_stream(self, frame: bytes) -> None:
        if self._open is not None and not _alive(self._open):
            self.close()
        if self._open is None:
            made = connect(self._host, self._port, self._rules)
            with deadline(made, self._rules.timeout_s):
                self._open = secured(made, self._host, self._rules) if self._transport == "tls" else made
        with deadline(self._open, self._rules.timeout_s):
            self._open.settimeout(self._rules.timeout_s)
            self._open.sendall(frame)


def format_message(body: Mapping[str, Any], facility: int, shown: Mapping[str, Any]) -> bytes:
    """One message (RFC 5424, section 6): its structured data are the alert's id, rule and place, its text is JSON."""
    host = _NOT_NAME.sub("-", socket.gethostname())[:255] or "-"
    told = {"id": body["id"], "rule": body["rule"], "seq": str(body["seq"]), "leafHash": body["leaf_hash"]}
    data = " ".join(f'{name}="{_escaped(value)}"' for name, value in told.items())
    priority = facility * 8 + SEVERITIES[body["severity"]]
    head = f"<{priority}>1 {body['raised_at']} {host} {APP} - {body['kind'][:32]} [{SD_ID} {data}] "
    return head.encode("ascii", "backslashreplace") + _BOM + msgspec.json.encode(shown)


def _escaped(value: str) -> str:
    return re.sub(r'(["\\\]])', r"\\\1", value)


def _alive(made: socket.socket) -> bool:
    """Whether the other side has not closed. A syslog receiver says nothing: what can be read is an end."""
    made.settimeout(0)
    try:
        return bool(made.recv(1))
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        return False
