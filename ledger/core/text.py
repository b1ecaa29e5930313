"""Strict readers of the small text forms that notes, checkpoints and receipts share.

Python's own are too kind: `int(" 1_2 ")` is 12, `int` takes Arabic digits, `b64decode` skips what it does not know and
ignores trailing bits, `splitlines` splits on U+2028. Each reader here accepts exactly one spelling of a value.
"""

import base64
import binascii
import re

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


def parse_decimal(text: str) -> int:
    """An ASCII decimal without sign, spaces or leading zeros, below 2^63.

    Raises:
        ValueError: it is anything else.
    """
    if not _DECIMAL.fullmatch(text) or (number := int(text)) >= 2**63:
        raise ValueError(f"{text[:40]!r} is not a decimal number below 2^63")
    return number


def parse_base64(text: str) -> bytes:
    """Standard base64 with padding and with zero trailing bits.

    Raises:
        ValueError: it is anything else.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None
    if format_base64(data) != text:
        raise ValueError("not base64 in its only spelling: check padding and trailing bits")
    return data


def format_base64(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode("ascii")
