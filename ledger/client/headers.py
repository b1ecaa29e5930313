"""W3C Trace Context and Baggage as headers or environment variables: written for others, read from anybody.

https://www.w3.org/TR/trace-context/ (version 00; later versions are read as far as 00 goes), https://www.w3.org/TR/baggage/
Of others' baggage nothing is touched; ours has names that begin with `agent_ledger.`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from ledger.records.values import fact

TRACEPARENT: Final = "traceparent"
BAGGAGE: Final = "baggage"
PREFIX: Final = "agent_ledger."
MAX_TRACEPARENT: Final = 256
MAX_BAGGAGE: Final = 8_192  # bytes, as the page has it
MAX_MEMBERS: Final = 64
MAX_VALUE: Final = 256  # characters, of a value of ours
_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?", re.ASCII)

Headers = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]


class Span(NamedTuple):
    """A span by its ids, lower-case hex of 32 and 16 digits."""

    trace_id: str
    span_id: str


def format_traceparent(span: Span, *, sampled: bool = True) -> str:
    """The header's value."""
    return f"00-{span.trace_id}-{span.span_id}-{'01' if sampled else '00'}"


def parse_traceparent(text: str) -> Span | None:
    """The span that a header names, None where it is no such header."""
    match = _TRACEPARENT.fullmatch(text.strip(" \t")) if len(text) <= MAX_TRACEPARENT else None
    if match is None or match[1] == "ff" or (match[1] == "00" and match[4]):
        return None
    span = Span(match[2], match[3])
    return span if int(span.trace_id, 16) and int(span.span_id, 16) else None


def format_baggage(others: str, ours: Mapping[str, str]) -> str:
    """The header's value: what was in it, and ours, as far as it has room."""
    kept = [
        member for member in others.split(",") if member.strip() and not member.strip().startswith(PREFIX)
    ]
    size = len(",".join(kept).encode())
    for name, value in ours.items():
        member = f"{PREFIX}{name}={quote(value[:MAX_VALUE], safe='')}"
        size += len(member) + 1
        if len(kept) < MAX_MEMBERS and size <= MAX_BAGGAGE:
            kept.append(member)
    return ",".join(kept)


def parse_baggage(text: str) -> dict[str, str]:
    """What of a header's value is ours, by name; nothing of one that is larger than baggage may be."""
    if len(text.encode("utf-8", "replace")) > MAX_BAGGAGE or text.count(",") >= 4 * MAX_MEMBERS:
        return {}
    found: dict[str, str] = {}
    for member in text.split(",")[:MAX_MEMBERS]:
        name, _, value = member.partition(";")[0].partition("=")
        name = name.strip()
        if not name.startswith(PREFIX) or name == PREFIX:
            continue
        try:
            decoded = unquote_to_bytes(value.strip()).decode()
        except UnicodeDecodeError:
            continue
        if clean := fact(decoded, MAX_VALUE):
            found.setdefault(name.removeprefix(PREFIX), clean)
    return found


def header(headers: Headers, name: str) -> str:
    """A header's value, whatever the case of its name; several are joined by a comma, as HTTP has it. "" where there is none."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return ",".join(_text(value) for key, value in pairs if _text(key).lower() == name)


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""
