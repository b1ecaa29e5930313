"""How an alert reaches each kind of target. A sender is used by one thread; what it cannot deliver, it says by `DeliveryError`."""

import base64
import binascii
import hmac
import os
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from ledger import __version__
from ledger.alerts.alert import TYPE
from ledger.alerts.ocsf import event
from ledger.alerts.otlp import OtlpSender
from ledger.alerts.outbound import (
    DeliveryError,
    Rules,
    parse_endpoint,
    post,
    read_secret,
    tls_context,
)
from ledger.alerts.settings import JsonLines, Otlp, Reached, Syslog, Target, Webhook
from ledger.alerts.syslog import SyslogSender
from ledger.core.errors import Code, LedgerError
from ledger.storage.files import sync_folder

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what a secret begins with
SECRET_BYTES: Final = range(24, 65)
USER_AGENT: Final = f"agent-ledger/{__version__}"
_FILE_MODE: Final = 0o600

Body = Mapping[str, Any]
Shape = Callable[[Body], Mapping[str, Any]]


class Sender(Protocol):
    """Delivers alerts to one target."""

    def send(self, body: Body) -> None:
        """Deliver one; returns when the target has taken it, as far as its protocol says so.

        Raises:
            DeliveryError: it has not.
        """

    def close(self) -> None:
        """Let connections go."""


class WebhookSender:
    """Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature` over the three of id, time and body (HMAC-SHA256).

    Several secrets give several signatures, so that a receiver can be moved from one to the next.
    """

    def __init__(
        self, url: str, secrets: list[bytes], authorization: str | None, shape: Shape, rules: Rules
    ) -> None:
        """Raises ValueError: the URL is not taken."""
        self._endpoint = parse_endpoint(url, allow_private=rules.allow_private)
        self._secrets, self._shape, self._rules = secrets, shape, rules
        self._authorization = {"Authorization": authorization} if authorization else {}

    def send(self, body: Body) -> None:
        """POST it, signed."""
        data = msgspec.json.encode(self._shape(body))
        now = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "webhook-id": body["id"],
            "webhook-timestamp": now,
            "webhook-signature": signatures(self._secrets, body["id"], now, data),
        }
        post(self._endpoint, data, headers | self._authorization, self._rules)

    def close(self) -> None:
        """Nothing is kept open."""


class FileSender:
    """Appends a line, and syncs it. A line that a crash cut short is ended first: the alert comes again, whole."""

    def __init__(self, path: str, shape: Shape) -> None:
        self._path, self._shape = Path(path), shape

    def send(self, body: Body) -> None:
        """Append it."""
        line = msgspec.json.encode(self._shape(body)) + b"\n"
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            made = not self._path.exists()
            fd = os.open(self._path, flags, _FILE_MODE)
            try:
                size = os.fstat(fd).st_size
                if size and os.pread(fd, 1, size - 1) != b"\n":
                    line = b"\n" + line
                view = memoryview(line)
                while view:
                    view = view[os.write(fd, view) :]
                os.fsync(fd)
            finally:
                os.close(fd)
            if made:
                sync_folder(self._path.parent)
        except OSError as error:
            raise DeliveryError(f"{self._path.name}: {error.strerror}") from None

    def close(self) -> None:
        """Nothing is kept open."""


def signatures(secrets: list[bytes], message_id: str, timestamp: str, body: bytes) -> str:
    """The value of `webhook-signature`: `v1,<base64>` for each secret, separated by spaces (Standard Webhooks, "Signature scheme")."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    each = (hmac.digest(secret, signed, sha256) for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in each)


def parse_secrets(text: str) -> list[bytes]:
    """The keys of `whsec_<base64>`, one or several separated by white space.

    Raises:
        ValueError: one is none. The words do not quote it.
    """
    keys = []
    for part in text.split():
        try:
            key = base64.b64decode(part.removeprefix(SECRET_PREFIX), validate=True)
        except binascii.Error:
            key = b""
        if not part.startswith(SECRET_PREFIX) or len(key) not in SECRET_BYTES:
            raise ValueError(
                f"a signing secret is {SECRET_PREFIX} and the base64 of {SECRET_BYTES.start} to {SECRET_BYTES.stop - 1} random bytes"
            )
        keys.append(key)
    return keys


def sender_of(target: Target, origin: str, environment: Mapping[str, str] = os.environ) -> Sender:
    """What delivers to a target, with its secrets read.

    Raises:
        LedgerError: `alerts-file`: an address, a secret or an authority is no good.
    """
    try:
        return _made(target, origin, environment)
    except ValueError as error:
        raise LedgerError(Code.ALERTS_FILE, f"the target {target.name}: {error}") from None


def _made(target: Target, origin: str, environment: Mapping[str, str]) -> Sender:
    if isinstance(target, JsonLines):
        return FileSender(target.path, _shape(target.format))
    rules = _rules(target)
    if isinstance(target, Syslog):
        return SyslogSender(target.address, target.transport, target.facility, _shape(target.format), rules)
    authorization = read_secret(target.authorization_env, target.authorization_file, environment)
    if authorization is not None and not (authorization.isascii() and authorization.isprintable()):
        raise ValueError("the value for the Authorization header is not one line of ASCII")
    if isinstance(target, Otlp):
        return OtlpSender(target.url, origin, authorization, rules)
    return _webhook(target, authorization, rules, environment)


def _webhook(
    target: Webhook, authorization: str | None, rules: Rules, environment: Mapping[str, str]
) -> WebhookSender:
    url = target.url or read_secret(target.url_env, target.url_file, environment) or ""
    secrets = parse_secrets(read_secret(target.secret_env, target.secret_file, environment) or "")
    return WebhookSender(url, secrets, authorization, _shape(target.format), rules)


def _rules(target: Reached) -> Rules:
    return Rules(target.allow_private, tls_context(target.ca_file), target.timeout_s)


def _shape(name: str) -> Shape:
    return event if name == "ocsf" else _plain


def _plain(body: Body) -> Mapping[str, Any]:
    """The payload that Standard Webhooks recommends: type, timestamp, data."""
    return {"type": TYPE, "timestamp": body["raised_at"], "data": body}
