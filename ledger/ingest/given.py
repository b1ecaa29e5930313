"""What the JSON dialects share: reading what others wrote as forgivingly as can be done without guessing, and losing none of it.

A sender that is odd in one place (a lone surrogate, a duplicate key, NaN) is read all the same, and its record says so: or an agent could
keep an action out of the ledger by putting such a thing among its arguments.
"""

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ledger.core.errors import Code, FormatError, LedgerError
from ledger.ingest.draft import Draft, count, fact, person, plain
from ledger.ingest.native import JSON, NDJSON, read_records
from ledger.ingest.reading import Reading
from ledger.records.limits import BODY_RECORDS, MAX_CONTENT_BYTES
from ledger.records.strict import strict

MAX_ITEM_BYTES: Final = 4 * 1024 * 1024  # one object of somebody else's; its contents may have 1 MiB each
ODD: Final = "json.odd"  # the extension that says what was odd about an item's JSON

# RFC 3339, and what is written in its place: a space for the T, no offset (taken as UTC), and an offset followed by Z (AGT 5.0).
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-]\d\d:\d\d)[Zz]?)?", re.ASCII
)
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?", re.ASCII)
_HEX: Final = {length: re.compile(rf"(?!0+\Z)[0-9a-f]{{{length}}}", re.ASCII) for length in (16, 32)}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NS: Final = 1_000_000_000
_encode: Final = msgspec.json.Encoder().encode


def items_of(body: bytes, media_type: str = JSON) -> list[bytes]:
    """The objects of a body: one, an array of them, or one a line, each as the bytes it was sent as.

    Raises:
        LedgerError: `malformed-json`, `too-many-records`.
    """
    try:
        return read_records(body, NDJSON if media_type != JSON else JSON)[0]
    except FormatError as error:
        return _split(body, error)


def _split(body: bytes, error: FormatError) -> list[bytes]:
    """The items of an array with something odd in one of them, which its item will be read with in its turn."""
    value = _forgiven(body, error) if len(body) <= MAX_ITEM_BYTES else None
    if not isinstance(value, list):
        raise error
    if len(value) > BODY_RECORDS:
        raise LedgerError(
            Code.TOO_MANY_RECORDS, f"more than {BODY_RECORDS} in one request: send them in several"
        )
    return [json.dumps(item).encode() for item in value]


def parsed(item: bytes) -> tuple[dict[str, Any], str | None]:
    """One object, and the code of what was odd about its JSON, None where nothing was. Of duplicate keys the last one counts.

    Raises:
        LedgerError: `record-too-large`, or what makes it no JSON object, whoever reads it.
    """
    check_size(item)
    odd = None
    try:
        value = strict(item)
    except FormatError as error:
        value, odd = _forgiven(item, error), str(error.code)
    if type(value) is not dict:
        raise FormatError(Code.INVALID_MEMBER, "it is not a JSON object")
    return value, odd


def check_size(item: bytes) -> None:
    """Refuse what would take long to read, and leave nothing but its size: a content is smaller.

    Raises:
        LedgerError: `record-too-large`.
    """
    if len(item) > MAX_ITEM_BYTES:
        raise LedgerError(
            Code.RECORD_TOO_LARGE,
            f"it is {len(item)} bytes; at most {MAX_ITEM_BYTES} are taken",
            size=len(item),
            limit=MAX_ITEM_BYTES,
        )


def _forgiven(item: bytes, error: FormatError) -> Any:
    try:
        return json.loads(item.decode("utf-8"))
    except (ValueError, RecursionError):
        raise error from None


Make = Callable[[dict[str, Any]], Iterable[Draft]]


def read_each(items: list[bytes], make: Make, where: str = "") -> Reading:
    """The records of all items. What is wrong with one of them is refused with its path, and the others are read.

    Args:
        items: JSON of one object each.
        make: one object → its records; it raises a LedgerError with the path within it.
        where: the path of an item, with `{}` for its index; "" where the body is the one item.

    Raises:
        LedgerError: what is wrong with the one item.
    """
    reading = Reading()
    for index, item in enumerate(items):
        try:
            value, odd = parsed(item)
            reading.records.extend([draft.ext(ODD, odd).bytes() for draft in make(value)])
        except LedgerError as error:
            if not where:
                raise
            reading.refused.append(placed(error, where.format(index)))
    return reading


def placed(error: LedgerError, place: str) -> LedgerError:
    """A refusal of something within something else, with the whole path."""
    path = place if error.path is None else f"{place}.{error.path}"
    return LedgerError(error.code, f"{place}: {error.detail}", path=path, **error.members)


def missing(path: str, what: str) -> FormatError:
    """A refusal: a member without which nothing can be said."""
    return FormatError(Code.MISSING_MEMBER, f"{path} is required: {what}", path=path)


def invalid(path: str, what: str) -> FormatError:
    """A refusal: a member that is not what it has to be."""
    return FormatError(Code.INVALID_MEMBER, f"{path}: {what}", path=path)


def unix_ns(value: object) -> int | None:
    """A time as nanoseconds since 1970: RFC 3339 text, or milliseconds since 1970 as JavaScript has them. None where it is none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value * 1_000_000) if 0 <= value < 1e14 else None  # noqa: PLR2004 - the year 5138
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    try:
        moment = datetime.fromisoformat(f"{match[1]}T{match[2]}{match[4] or '+00:00'}")
        seconds = int((moment - _EPOCH).total_seconds())
    except (ValueError, OverflowError):
        return None
    return seconds * _NS + int((match[3] or "0").ljust(9, "0"))


def traceparent(value: object) -> tuple[str, str] | None:
    """Trace id and span id of a W3C traceparent."""
    match = _TRACEPARENT.fullmatch(value) if isinstance(value, str) else None
    return (match[1], match[2]) if match else None


class Given:
    """An object somebody sent. What is taken out of it as a member of the record is no longer in its `rest`; the remainder is kept as
    the content `source.original`, so that nothing that was sent is lost.
    """

    def __init__(self, value: object) -> None:
        self._left: dict[str, Any] = dict(value) if isinstance(value, dict) else {}
        self._inner: dict[str, Given] = {}

    def get(self, name: str) -> Any:
        """A member's value, which stays in the rest. None where it is not there."""
        return self._left.get(name)

    def text(self, name: str) -> str | None:
        """A member's value where it is a text that is not empty."""
        value = self._left.get(name)
        return value if isinstance(value, str) and value else None

    def pop(self, name: str) -> Any:
        """A member's value, taken out."""
        return self._left.pop(name, None)

    def inner(self, name: str) -> "Given":
        """The object that a member is; an empty one where it is none."""
        if name not in self._inner:
            self._inner[name] = Given(self._left.get(name))
        return self._inner[name]

    def put(self, draft: Draft, path: str, name: str) -> None:
        """Take a member out as a text fact. Where the fact does not hold all of it, it stays in the rest too."""
        value = self._left.get(name)
        text = fact(value)
        if text is not None and not draft.has(path):
            draft.set(path, text)
            if text == value:
                del self._left[name]

    def ext(self, draft: Draft, ext: str, name: str) -> None:
        """Take a member out as a further fact."""
        value = self._left.get(name)
        text = fact(value)
        if text is not None:
            draft.ext(ext, text)
            if text == value:
                del self._left[name]

    def count(self, draft: Draft, path: str, name: str, times: int = 1) -> None:
        """Take a member out as a whole number, `times` as large (1,000,000 where it is in milliseconds and wanted in nanoseconds)."""
        value = self._left.get(name)
        number = count(value)
        if number is None and isinstance(value, float) and 0 <= value < 2**53 / times:
            number = int(value * times)
        elif number is not None:
            number = count(number * times)
        if number is not None:
            draft.set(path, number)
            del self._left[name]

    def person(self, draft: Draft, path: str, name: str) -> bool:
        """Take a member out as the identifier of a person. Whether it is one."""
        text = person(self._left.get(name))
        if text is not None:
            draft.set(path, text)
            del self._left[name]
        return text is not None

    def content(self, draft: Draft, path: str, name: str) -> None:
        """Take a member out as a content."""
        draft.content(path, self._left.pop(name, None))

    def span(self, draft: Draft, path: str, name: str) -> None:
        """Take a trace id (`trace.trace_id`) or a span id out, where it is one; upper case is made lower case."""
        value = self._left.get(name)
        text = value.lower() if isinstance(value, str) else ""
        if _HEX[32 if path == "trace.trace_id" else 16].fullmatch(text):
            draft.set(path, text)
            del self._left[name]

    def rest(self) -> dict[str, Any] | None:
        """What was not taken out, None where nothing is left that says anything."""
        for name, given in self._inner.items():
            if isinstance(self._left.get(name), dict):
                self._left[name] = given.rest()
        return {name: value for name, value in self._left.items() if value is not None} or None

    def original(self, draft: Draft) -> Draft:
        """Keep the rest as `source.original`. Where it is too large for a content, only its largest members say how large they were: a
        long history does not take what stands beside it along.
        """
        rest = plain(self.rest())
        if rest is None or len(_encode(rest)) <= MAX_CONTENT_BYTES:
            return draft.content("source.original", rest)
        _shrink(rest, MAX_CONTENT_BYTES // 2)
        return draft.content("source.original", rest)


def _shrink(members: dict[str, Any], room: int, depth: int = 3) -> int:
    """Put in place of an object's largest members how large they were, until the others fit. The room that is left, in bytes."""
    sizes = {name: len(_encode(value)) for name, value in members.items()}
    room -= sum(len(name) for name in members)
    for name, size in sorted(sizes.items(), key=lambda pair: pair[1]):
        if size <= room:
            room -= size
        elif isinstance(members[name], dict) and depth:
            room = _shrink(members[name], room, depth - 1)
        else:
            members[name] = {"ledger.too_large": {"bytes": size}}
    return room
