"""RFC 8785 (JSON Canonicalization Scheme) of what a server sent: its definitions hold fractions, which records do not."""

import json
import math
from typing import Any, Final

_TEXT: Final = json.JSONEncoder(ensure_ascii=False)
_FIXED_BELOW: Final = 21  # ECMAScript, Number::toString: from 10^21 on with an exponent
_FIXED_ABOVE: Final = -6  # and below 10^-6
MAX_EXACT: Final = 2**53


def canonical(value: Any) -> bytes:
    """The canonical bytes of a JSON value as a parser gave it.

    Raises:
        ValueError: a number that JSON cannot hold (NaN, infinite), a lone surrogate, or nested too deeply.
    """
    try:
        return _text(value).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _text(value: Any) -> str:
    if isinstance(value, dict):
        members = sorted(value.items(), key=lambda member: member[0].encode("utf-16-be"))
        return "{" + ",".join(f"{_TEXT.encode(key)}:{_text(member)}" for key, member in members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    if isinstance(value, float):
        return _number(value)
    if type(value) is int and abs(value) > MAX_EXACT:
        return _number(float(value)) if abs(value) < 10**308 else str(value)
    return _TEXT.encode(value)


def _number(value: float) -> str:
    """ECMAScript's shortest text of a double: Python finds the same digits and sets them otherwise."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is not JSON")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + ("" if fraction == "0" else fraction)
    point = len(whole) + int(exponent or 0)  # the decimal point stands after so many of the digits
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    digits = stripped.rstrip("0")
    return sign + _placed(digits, point)


def _placed(digits: str, point: int) -> str:
    if len(digits) <= point <= _FIXED_BELOW:
        return digits.ljust(point, "0")
    if 0 < point <= _FIXED_BELOW:
        return f"{digits[:point]}.{digits[point:]}"
    if _FIXED_ABOVE < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{'+' if point > 0 else '-'}{abs(point - 1)}"
