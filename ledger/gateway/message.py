"""JSON-RPC 2.0 messages as MCP uses them, read so that no server can read them as anything else.

A gateway that understands a message otherwise than the server behind it is no gateway. So what a client sends is read strictly:
no duplicate keys, no key or method that another parser could take for one of the protocol's, no method without an id that acts. What
is unknown but unambiguous passes. What a server sends is read leniently and always passes: nobody acts on it but the client.

Formats: JSON-RPC 2.0; MCP 2024-11-05, 2025-03-26 (which has batches), 2025-06-18, 2025-11-25, 2026-07-28.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ledger.core.errors import FormatError
from ledger.gateway import raw
from ledger.records.strict import strict

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
INVALID_PARAMS: Final = -32602

# What acts or reads in the user's name: always recorded, and the member of `params` that names what.
NAMED_BY: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
# Methods that only arrange the session. Every other request is recorded, known to this version or not.
ARRANGING: Final = frozenset(
    {
        "initialize",
        "ping",
        "server/discover",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "resources/subscribe",
        "resources/unsubscribe",
        "subscriptions/listen",
        "completion/complete",
        "logging/setLevel",
        "tasks/list",
    }
)
# Messages without an id that say something and do nothing. Any other is recorded, with nobody to say what came of it.
TELLING: Final = frozenset(
    {
        "notifications/initialized",
        "notifications/cancelled",
        "notifications/progress",
        "notifications/roots/list_changed",
    }
)
ENVELOPE: Final = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
PARAMETERS: Final = frozenset({"name", "arguments", "uri", "_meta"})
MAX_BATCH: Final = 100
MAX_ID_CHARACTERS: Final = 1_024
MAX_SAFE_INTEGER: Final = 2**53 - 1
MAX_SHOWN_CHARACTERS: Final = 80
NO_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

Id: TypeAlias = str | int


class Refused(Exception):  # noqa: N818 - what the gateway decided, not a fault of its own
    """A message that is not passed on.

    Attributes:
        code: the JSON-RPC error code to answer with.
        detail: a sentence for whoever wrote the client.
        ids: of the requests that wait for an answer; empty when none can be told.
    """

    def __init__(self, code: int, detail: str, ids: tuple[Id, ...] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.ids = ids


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a client.

    Attributes:
        data: the bytes it came as.
        value: the whole message, parsed.
        method: None in an answer to a request of the server.
        id: None in a notification.
    """

    data: bytes
    value: Mapping[str, Any]
    method: str | None
    id: Id | None

    @property
    def params(self) -> Mapping[str, Any]:
        """Its parameters by name; empty when there are none, or they have no names."""
        params = self.value.get("params")
        return params if isinstance(params, dict) else {}

    @property
    def meta(self) -> Mapping[str, Any]:
        """`params._meta`, empty when there is none."""
        meta = self.params.get("_meta")
        return meta if isinstance(meta, dict) else {}

    @property
    def acts(self) -> bool:
        """Whether it must be in the ledger before it may reach the server."""
        return self.method is not None and self.method not in (TELLING if self.id is None else ARRANGING)


def parse_client(data: bytes, *, line: bool) -> tuple[Message, ...]:
    """The messages in what a client sent: one, or those of a batch.

    Args:
        data: one line of stdio, or the body of a POST.
        line: whether the server cuts its input at line breaks; some servers' lines end at a carriage return too.

    Raises:
        Refused: it could mean something else to the server, or nothing at all.
    """
    if line and b"\r" in data.rstrip(b"\r\n"):
        raise Refused(PARSE_ERROR, "a carriage return inside a message: some servers would read two messages")
    try:
        value = strict(data)
    except FormatError as error:
        raise Refused(
            PARSE_ERROR, f"not JSON that every parser reads alike: {error.detail}", _ids(data)
        ) from None
    if not isinstance(value, list):
        return (_message(value, data),)
    if not 0 < len(value) <= MAX_BATCH:
        raise Refused(INVALID_REQUEST, f"a batch holds 1 to {MAX_BATCH} messages")
    messages = tuple(_message(item, part) for item, part in zip(value, raw.items(data), strict=True))
    ids = [str(message.id) for message in messages if message.method is not None and message.id is not None]
    if len(set(ids)) < len(ids):
        raise Refused(INVALID_REQUEST, "a batch uses one id for two requests")
    return messages


def _message(value: object, data: bytes) -> Message:
    if not isinstance(value, dict):
        raise Refused(INVALID_REQUEST, "a message is a JSON object")
    waiting = _waiting(value)
    _refuse_lookalikes(value, ENVELOPE, "the message", waiting)
    method, has_id = value.get("method"), "id" in value
    if has_id and not is_id(value["id"]):
        raise Refused(INVALID_REQUEST, "an id is a string or a whole number within ±(2^53-1)")
    if method is None and "method" not in value:
        if not has_id or ("result" in value) == ("error" in value):
            raise Refused(
                INVALID_REQUEST, "a message has a method, or an id and either a result or an error", waiting
            )
        return Message(data, value, None, value["id"])
    if not isinstance(method, str) or "result" in value or "error" in value:
        raise Refused(
            INVALID_REQUEST, "a message has a method that is a text, and then no result and no error", waiting
        )
    message = Message(data, value, method, value.get("id"))
    _check_request(message, waiting)
    return message


def _check_request(message: Message, waiting: tuple[Id, ...]) -> None:
    """What holds for a message with a method."""
    method = message.method or ""
    if method not in NAMED_BY:
        if plain(method) in NAMED_BY:
            raise Refused(INVALID_REQUEST, f"{shown(method)} is not a method, and looks like one", waiting)
        return
    if message.id is None:
        raise Refused(INVALID_REQUEST, f"{method} needs an id: it is a request, not a notification")
    _refuse_lookalikes(message.params, PARAMETERS, "params", waiting)
    named = message.params.get(NAMED_BY[method])
    if not isinstance(named, str) or not named:
        raise Refused(INVALID_PARAMS, f"{method} needs params.{NAMED_BY[method]}, a text", waiting)
    if not isinstance(message.params.get("arguments", {}), dict | None):
        raise Refused(INVALID_PARAMS, "params.arguments is an object", waiting)


def _refuse_lookalikes(
    value: Mapping[str, Any], names: frozenset[str], where: str, waiting: tuple[Id, ...]
) -> None:
    """Some parsers match keys without regard to case (Go's `encoding/json`), or end them at a NUL."""
    for key in value:
        if key not in names and plain(key) in names:
            raise Refused(
                INVALID_REQUEST, f"{where} has the key {shown(key)}, which is {plain(key)} to some", waiting
            )


def folded_form(text: str) -> str:
    """A text without its case and its compatibility forms."""
    return unicodedata.normalize("NFKC", text).casefold()


def plain(text: str) -> str:
    """What a lenient reader might make of a name: compatibility forms, case and what cannot be seen taken away."""
    folded = folded_form(text).split("\0")[0]
    return "".join(c for c in folded if c.isprintable() and not c.isspace())


def is_id(value: object) -> bool:
    """Whether every JSON-RPC library keeps this id as it is. A fraction, or a number beyond 2^53, becomes another in some."""
    if isinstance(value, str):
        return len(value) <= MAX_ID_CHARACTERS
    return type(value) is int and abs(value) <= MAX_SAFE_INTEGER


def shown(text: str) -> str:
    """A client's text in a sentence: printable, and not long."""
    safe = ascii(text)
    return safe if len(safe) <= MAX_SHOWN_CHARACTERS else f"{safe[:MAX_SHOWN_CHARACTERS]}…"


def _waiting(value: Mapping[str, Any]) -> tuple[Id, ...]:
    return (value["id"],) if "method" in value and is_id(value.get("id")) else ()


def _ids(data: bytes) -> tuple[Id, ...]:
    """Who waits for an answer to a message that is refused, as far as a lenient reading can tell."""
    return tuple(identifier for value in lenient(data) for identifier in _waiting(value))


# ---- what a server sends


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's answer to one request.

    Attributes:
        data: the bytes it came as, with those around it where they cannot be told apart.
        id: of the request.
        result: the result, or None.
        error: the JSON-RPC error, or None.
        plain: whether every parser reads the message alike; if not, what a client made of it is not known.
    """

    data: bytes
    id: Id
    result: Any
    error: Any
    plain: bool


def answers(data: bytes) -> Iterator[Answer]:
    """The answers in what a server sent: none, one, or those of a batch. Never raises: it is passed on whatever it is."""
    try:
        value: Any = strict(data)
        plain = not any(_looks_alike(key) for item in _objects(value) for key in item)
    except FormatError:
        plain = False
    if not plain:
        value = list(lenient(data))
    parts = raw.items(data) if plain and isinstance(value, list) else None
    for index, item in enumerate(value if isinstance(value, list) else [value]):
        if not isinstance(item, dict) or not ("result" in item or "error" in item):
            continue
        identifier = item.get("id")
        if isinstance(identifier, str | int) and is_id(identifier):
            whole = parts[index] if parts is not None else data
            unmistakable = plain and "method" not in item and ("result" in item) != ("error" in item)
            yield Answer(whole, identifier, item.get("result"), item.get("error"), unmistakable)


def lenient(data: bytes) -> Iterator[dict[str, Any]]:
    """The objects in bytes as a careless reader takes them: the last of two keys, NaN, a byte order mark, wrong case."""
    try:
        value = json.loads(
            data.removeprefix(NO_BYTE_ORDER_MARK).decode(errors="replace"), object_pairs_hook=_loosely
        )
    except (ValueError, RecursionError):
        return
    yield from _objects(value)


def _objects(value: object) -> Iterator[dict[str, Any]]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            yield item


def _looks_alike(key: str) -> bool:
    return key not in ENVELOPE and plain(key) in ENVELOPE


def _loosely(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose envelope keys are also found under what a lenient reader takes for them."""
    value = dict(pairs)
    for key, member in pairs:
        if (as_read := plain(key)) in ENVELOPE:
            value.setdefault(as_read, member)
    return value
