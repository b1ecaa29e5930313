"""Canonical JSON: RFC 8785 narrowed until every encoder agrees (docs/format.md, "Canonical JSON").

Objects, arrays, strings, true, false, null, and integers from -(2^53-1) to 2^53-1. Keys are 1 to 128 characters of
`[A-Za-z0-9_.:/-]`. Depth at most 16: a bare string has depth 0, `{"a":[]}` depth 2. No floats, no duplicate keys,
no lone surrogates, no byte order mark.

`parse_canonical` is the fast way: the standard library's C scanner and encoder, with as few calls back into Python as
the narrowing needs. Only when it finds something wrong does a walk over the value say what and where.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple, NoReturn, TypeAlias

from ledger.core.errors import Code, FormatError, LedgerError

JsonValue: TypeAlias = str | int | bool | list["JsonValue"] | dict[str, "JsonValue"] | None

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 16
MAX_KEY_CHARACTERS = 128
SHOWN_CHARACTERS = 60

_KEY = re.compile(rf"[A-Za-z0-9_.:/-]{{1,{MAX_KEY_CHARACTERS}}}")
_MAX_INTEGER_CHARACTERS = len(str(-MAX_INTEGER))


def dumps(value: JsonValue) -> bytes:
    """The canonical bytes of a value made in this process.

    Raises:
        LedgerError: `invalid-member`, with the path, when the value has no canonical form.
    """
    try:
        return _encode(_plain(value, "", MAX_DEPTH))
    except FormatError as error:
        raise LedgerError(Code.INVALID_MEMBER, error.detail, path=error.path) from None


def loads(data: bytes) -> JsonValue:
    """The value of JSON text with any white space and order of keys, but nothing the narrowed form lacks.

    Raises:
        FormatError: with the path or the position of what is wrong.
    """
    try:
        value = _TRACING.decode(data.decode())
    except UnicodeDecodeError as error:
        raise FormatError(
            Code.INVALID_TEXT, f"byte {error.start} is not UTF-8 ({error.reason})", position=error.start
        ) from None
    except json.JSONDecodeError as error:
        raise FormatError(
            Code.MALFORMED_JSON, f"not JSON at character {error.pos}: {error.msg}", position=error.pos
        ) from None
    except RecursionError:
        raise _too_deep("") from None
    return _plain(value, "", MAX_DEPTH)


def parse_canonical(data: bytes) -> JsonValue:
    """The value of bytes that are already canonical.

    Raises:
        FormatError: `not-canonical`, or what `loads` says of them.
    """
    value = _scan_canonical(data)
    if value is _NOTHING:
        loads(data)
        raise FormatError(
            Code.NOT_CANONICAL,
            "the JSON is not in canonical form: keys sorted by byte, no white space, no needless escapes",
        )
    return value  # type: ignore[return-value]


# ---- the fast way

_NOTHING = object()
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)

# The keys of objects found good before, as tuples: records have few shapes, and looking one up costs a tenth of
# matching its keys. Bounded in number and width, because shapes come from outside.
_GOOD_SHAPES: set[tuple[str, ...]] = set()
_MAX_SHAPES = 1024
_MAX_SHAPE_KEYS = 32


def _encode(value: object) -> bytes:
    return _ENCODER.encode(value).encode()


def _scan_canonical(data: bytes) -> object:
    """The value, or _NOTHING when anything at all is wrong with the bytes."""
    try:
        text = data.decode()
        value, end = _scan(text, 0)
        if end == len(text):
            keys = _count_keys(value, MAX_DEPTH)
            if (keys and _is_plainly_canonical(data, keys)) or _encode(value) == data:
                return value
    except (ValueError, StopIteration, RecursionError):
        pass
    return _NOTHING


def _is_plainly_canonical(data: bytes, keys: int) -> bool:
    """Whether bytes that were scanned show without encoding them again that they are canonical. Most records do.

    The scanner and `_count_keys` have settled numbers, raw control characters and the order of keys. Left are escapes
    and white space, excluded where there is no backslash and no space at all; `-0`, which reads as 0; and duplicate keys:
    without escapes each key ends in `":`, so when that stands in the text no more often than there are keys in the value,
    none was dropped.
    """
    return (
        b"\\" not in data
        and b" " not in data
        and b"\n" not in data
        and b"\t" not in data
        and b"\r" not in data
        and b":-0" not in data
        and b"[-0" not in data
        and b",-0" not in data
        and data.count(b'":') == keys
    )


def _count_keys(value: object, depth: int) -> int:
    """How many members the objects have, all told.

    Raises:
        ValueError: a key is outside the alphabet or out of order, an integer out of range, or the nesting too deep.
    """
    children: Iterable[object]
    if type(value) is dict:
        shape = tuple(value)
        if shape not in _GOOD_SHAPES:
            _check_shape(shape)
        count = len(shape)
        children = value.values()
    elif type(value) is list:
        count = 0
        children = value
    else:
        _check_number(value)
        return 0
    if depth == 0:
        raise ValueError("too deep")
    for child in children:
        kind = type(child)
        if kind is dict or kind is list:
            count += _count_keys(child, depth - 1)
        elif kind is int:
            _check_number(child)
    return count


def _check_number(value: object) -> None:
    if isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise ValueError("integer")


def _check_shape(shape: tuple[str, ...]) -> None:
    if not all(map(_KEY.fullmatch, shape)) or list(shape) != sorted(shape):
        raise ValueError("keys")
    if len(shape) <= _MAX_SHAPE_KEYS:
        if len(_GOOD_SHAPES) >= _MAX_SHAPES:
            _GOOD_SHAPES.clear()
        _GOOD_SHAPES.add(shape)


def _narrow_int(text: str) -> int:
    # The length first: int() of a million digits takes a minute, or raises, depending on the interpreter's settings.
    if (
        len(text) > _MAX_INTEGER_CHARACTERS
        or text == "-0"
        or not -MAX_INTEGER <= (number := int(text)) <= MAX_INTEGER
    ):
        raise ValueError(text)
    return number


def _refuse(text: str) -> NoReturn:
    raise ValueError(text)


# The scanner itself, without the decoder's search for white space around the value: there must be none.
_scan: Callable[[str, int], tuple[object, int]] = json.JSONDecoder(
    parse_float=_refuse, parse_constant=_refuse
).scan_once  # type: ignore[attr-defined]


# ---- the explaining way: everything is kept as it was read, and judged where its path is known


class _Pairs(list[tuple[str, object]]):
    """An object's members in the order read, duplicates and all."""


class _Unreadable(NamedTuple):
    """A number outside the narrowed form, as it was written."""

    text: str


def _trace_int(text: str) -> int | _Unreadable:
    try:
        return _narrow_int(text)
    except ValueError:
        return _Unreadable(text)


_TRACING = json.JSONDecoder(
    object_pairs_hook=_Pairs, parse_int=_trace_int, parse_float=_Unreadable, parse_constant=_Unreadable
)


def _plain(value: object, path: str, depth: int) -> JsonValue:
    """The value with its objects as dicts, or an error that names the path of the first thing wrong."""
    if isinstance(value, str):
        return _text(value, path)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and -MAX_INTEGER <= value <= MAX_INTEGER:
        return int(value)
    if isinstance(value, dict | list):
        if depth == 0:
            raise _too_deep(path)
        if isinstance(value, _Pairs):
            return _members(value, path, depth)
        if isinstance(value, dict):
            return _members(value.items(), path, depth)
        return [_plain(item, f"{path}[{index}]", depth - 1) for index, item in enumerate(value)]
    raise _not_narrow(value, path)


def _members(pairs: Iterable[tuple[object, object]], path: str, depth: int) -> dict[str, JsonValue]:
    members: dict[str, JsonValue] = {}
    for key, value in pairs:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise FormatError(
                Code.INVALID_KEY,
                f"{_at(path)} has the key {_shown(key)}: keys are 1 to {MAX_KEY_CHARACTERS} characters of "
                "A-Z a-z 0-9 _ . : / -",
                path=path or None,
            )
        member = f"{path}.{key}" if path else key
        if key in members:
            raise FormatError(Code.DUPLICATE_KEY, f"{member} is there twice", path=member)
        members[key] = _plain(value, member, depth - 1)
    return members


def _text(value: str, path: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise FormatError(
            Code.INVALID_TEXT,
            f"{_at(path)} holds a lone surrogate: strings are valid Unicode",
            path=path or None,
        ) from None
    return value


def _not_narrow(value: object, path: str) -> FormatError:
    if isinstance(value, _Unreadable | int | float):
        text = value.text if isinstance(value, _Unreadable) else str(value)
        return FormatError(
            Code.INVALID_NUMBER,
            f"{_at(path)} is {_shown(text)}: numbers are integers within ±(2^53-1); send any other as a string",
            path=path or None,
        )
    return FormatError(
        Code.INVALID_MEMBER,
        f"{_at(path)} is a {type(value).__name__}: JSON has no such value",
        path=path or None,
    )


def _too_deep(path: str) -> FormatError:
    return FormatError(
        Code.TOO_DEEP,
        f"{_at(path)} is nested deeper than {MAX_DEPTH} objects and arrays",
        path=path or None,
        limit=MAX_DEPTH,
    )


def _at(path: str) -> str:
    return path or "the value"


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
