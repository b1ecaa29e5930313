"""What others say, made into what a record takes: the values of facts, counts, persons and contents.

Whatever a value is, this never raises: what does not fit is left out, what looks like a secret is masked, what is too large is said to
be. The dialects and the SDK share it: no action goes unrecorded because one of its values is odd.
"""

import base64
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ledger.records.limits import MAX_CONTENT_BYTES, MAX_COUNT, MAX_PERSON_CHARACTERS
from ledger.records.secrets import mask

FACT_CHARACTERS: Final = 1_000  # a longer name or id is somebody's text: forty of these fit an entry
CONTENT_DEPTH: Final = 64
_NS: Final = 1_000_000_000
_LAST_SECOND: Final = 253_402_300_799  # the year 9999
_CONTROLS: Final = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029], " ")
_encode = msgspec.json.Encoder().encode


def time_text(unix_ns: int) -> str:
    """RFC 3339 in UTC, to the nanosecond. A time outside the years 1970 to 9999 becomes the nearest one within."""
    seconds, rest = divmod(max(unix_ns, 0), _NS)
    if seconds > _LAST_SECOND:
        seconds, rest = _LAST_SECOND, _NS - 1
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def fact(value: object, limit: int = FACT_CHARACTERS) -> str | None:
    """A value as the text of a fact: one line, secrets masked, cut to `limit` characters. None where it has none."""
    if type(value) is not str:
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif not isinstance(value, int):
            return None
        value = str(value)
    text = _unicode(value.translate(_CONTROLS).strip() if not value.isprintable() else value.strip())
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    masked = mask(text)
    return (masked if len(masked) <= limit else masked[: limit - 1] + "…") or None


def person(value: object) -> str | None:
    """A value as the identifier of a person: it is committed to, so it stays as it was sent. None where it cannot be one."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_PERSON_CHARACTERS:
        return None
    return _unicode(value)


def count(value: object) -> int | None:
    """A value as a whole number from 0 on: also when it is sent as text or as a fraction without one. None where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < len(str(MAX_COUNT)):
        value = int(value)
    return value if isinstance(value, int) and 0 <= value <= MAX_COUNT else None


def content(value: object) -> bytes:
    """A value as the JSON of a content. One that is too large to be kept says how large it was."""
    data = _encode(plain(value))
    if len(data) > MAX_CONTENT_BYTES:
        data = _encode({"ledger.too_large": {"bytes": len(data)}})
    return data


def plain(value: object, depth: int = CONTENT_DEPTH) -> Any:  # noqa: PLR0911 - one kind of value a line
    """A value as every reader of JSON understands it: bytes as base64, numbers that JSON cannot hold what is too deep as such."""
    if type(value) is str:
        return value if value.isascii() else _unicode(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -MAX_COUNT <= value <= MAX_COUNT else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if depth == 0:
        return {"ledger.too_deep": True}
    if isinstance(value, Mapping):
        return {_unicode(str(key)): plain(member, depth - 1) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth - 1) for item in value]
    return _unicode(str(value))


def _unicode(text: str) -> str:
    """Text with lone surrogates replaced: nobody could write them as UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
