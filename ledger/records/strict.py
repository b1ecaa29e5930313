"""JSON from outside, before anything believes it: no duplicate keys, no lone surrogates, valid UTF-8, bounded depth.

jiter decides, in about 2 µs; only when it refuses does a slower reading look for the path of what is wrong.
"""

import gc
import json
import re
from typing import Any

import jiter
import msgspec

from ledger.core.errors import Code, FormatError
from ledger.records.members import nearest

# msgspec's messages: "Object contains unknown field `args` - at `$.tool`". The path holds no backtick, a field may.
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`(?: - at `\$\.?([^`]*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*?)`(?: - at `\$\.?([^`]*)`)?", re.DOTALL)
_PLACE = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")
SHOWN_CHARACTERS = 80
SAID_CHARACTERS = 200
LONG_BYTES = 64 * 1024


def strict(data: bytes) -> Any:
    """The value of JSON that every parser reads the same way. Numbers are not judged here.

    Raises:
        FormatError: `malformed-json`, `duplicate-key`, `invalid-text` or `too-deep`, with the path where there is one.
    """
    try:
        return _parse(data) if len(data) < LONG_BYTES else _parse_long(data)
    except ValueError as error:
        raise _explained(data, str(error)) from None


def is_strict(data: bytes) -> bool:
    """Whether `strict` would read this, without looking for what is wrong."""
    try:
        _parse(data) if len(data) < LONG_BYTES else _parse_long(data)
    except ValueError:
        return False
    return True


def _parse(data: bytes) -> Any:
    return jiter.from_json(data, catch_duplicate_keys=True, allow_inf_nan=False, cache_mode="none")


def _parse_long(data: bytes) -> Any:
    """Without collecting garbage, of which there is none: among millions of new lists it would be searched for again and again,
    and eight times as long as reading them takes.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _parse(data)
    finally:
        if collecting:
            gc.enable()


def refusal(error: msgspec.ValidationError) -> FormatError:
    """What msgspec found wrong, in the ledger's words, with the path."""
    text = str(error)
    if match := _UNKNOWN.fullmatch(text):
        path = _joined(match[2], match[1])
        near = nearest(path)
        hint = f"; did you mean {near}?" if near else ""
        return FormatError(Code.UNKNOWN_MEMBER, f"{_shown(path)} is not a member{hint}", path=_shown(path))
    if match := _MISSING.fullmatch(text):
        path = _joined(match[2], match[1])
        return FormatError(Code.MISSING_MEMBER, f"{path} is required", path=path)
    match = _PLACE.search(text)
    path = match[1] if match else ""
    said = _PLACE.sub("", text).replace("`", "")
    said = (
        said if len(said) <= SAID_CHARACTERS else f"{said[:SAID_CHARACTERS]}…"
    )  # it may quote what was sent
    return FormatError(Code.INVALID_MEMBER, f"{path or 'the record'}: {_lower(said)}", path=path or None)


def _joined(prefix: str | None, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _shown(text: str) -> str:
    shown = ascii(text)[1:-1]
    return shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[:SHOWN_CHARACTERS]}…"


class _Found(Exception):  # noqa: N818 - not an error: the way out of a walk
    def __init__(self, code: Code, path: str, what: str) -> None:
        self.code, self.path, self.what = code, path, what


def _explained(data: bytes, said: str) -> FormatError:
    if said.startswith("recursion limit"):
        return FormatError(Code.TOO_DEEP, f"nested too deeply ({said})")
    try:
        _look(json.loads(data, object_pairs_hook=_Pairs, parse_int=str, parse_float=str), "")
    except _Found as found:
        where = _shown(found.path) or "the record"
        return FormatError(found.code, f"{where} {found.what}", path=_shown(found.path) or None)
    except UnicodeDecodeError as error:
        return FormatError(Code.INVALID_TEXT, f"byte {error.start} is not UTF-8 ({error.reason})")
    except (ValueError, RecursionError):
        pass
    return FormatError(Code.MALFORMED_JSON, f"not JSON: {said}")


class _Pairs(list[tuple[str, object]]):
    """An object's members as read, duplicates and all."""


def _look(value: object, path: str) -> None:
    if isinstance(value, str):
        _look_at_text(value, path)
    elif isinstance(value, _Pairs):
        seen: set[str] = set()
        for key, member in value:
            below = f"{path}.{key}" if path else key
            _look_at_text(key, path)
            if key in seen:
                raise _Found(Code.DUPLICATE_KEY, below, "is there twice")
            seen.add(key)
            _look(member, below)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _look(item, f"{path}[{index}]")


def _look_at_text(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Found(Code.INVALID_TEXT, path, "holds a lone surrogate: strings are valid Unicode") from None
