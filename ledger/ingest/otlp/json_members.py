"""The members of OTLP's JSON by their type, and attributes' values. What OTLP would not say is refused, or kept and flagged.

Source: https://protobuf.dev/programming-guides/json/, with OTLP's deviations: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from ledger.core.errors import Code, FormatError
from ledger.ingest.otlp.item import Item, Pairs

_DECIMAL: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_HEX: Final = re.compile(r"[0-9a-f]*", re.ASCII)
_WHOLE: Final = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_INT64: Final = 1 << 63
_NO_ID: Final = "?"  # what is not hex is no id

Object = Mapping[str, Any]


def pairs(item: Item, holder: Object, name: str = "attributes") -> Pairs:
    """The keys and values of a list of attributes.

    Raises:
        LedgerError: `malformed-json`, `record-too-large`.
    """
    return [(text(pair, "key"), value(item, pair.get("value"))) for pair in members(holder, name)]


def value(item: Item, sent: Any) -> Any:
    """An attribute's value, or a log record's body.

    Raises:
        LedgerError: `malformed-json` (it says two things), `record-too-large`.
    """
    item.count()
    if sent is None:
        return None
    if type(sent) is not dict:
        return _as_sent(item, sent)
    said = [name for name in sent if name in _READERS and sent[name] is not None]
    if len(said) > 1:
        raise _wrong("value", f"one value, and not {' and '.join(said)}")
    return _READERS[said[0]](item, sent[said[0]]) if said else None


def _as_sent(item: Item, sent: Any) -> Any:
    """What JSON can say and protobuf cannot: somebody's words all the same, so they are kept, and flagged."""
    item.flags.add("invalid-values")
    if isinstance(sent, str | bool | float) or (type(sent) is int and -_INT64 <= sent < _INT64):
        return sent
    return json.dumps(sent)


def _string(item: Item, sent: Any) -> Any:
    return sent if type(sent) is str else _as_sent(item, sent)


def _bool(item: Item, sent: Any) -> Any:
    return sent if type(sent) is bool else _as_sent(item, sent)


def _int(item: Item, sent: Any) -> Any:
    number = _integer(sent)
    return number if number is not None and -_INT64 <= number < _INT64 else _as_sent(item, sent)


def _double(item: Item, sent: Any) -> Any:
    if type(sent) is str:
        if sent in _NOT_FINITE:
            return _NOT_FINITE[sent]
        return float(sent) if _DECIMAL.fullmatch(sent) else _as_sent(item, sent)
    try:
        return float(sent) if type(sent) in {int, float} else _as_sent(item, sent)
    except OverflowError:
        return _as_sent(item, sent)


def _bytes(item: Item, sent: Any) -> Any:
    try:
        if type(sent) is str:
            padded = sent.replace("-", "+").replace("_", "/") + "=" * (-len(sent) % 4)
            return base64.b64decode(padded, validate=True)
    except binascii.Error:
        pass
    return _as_sent(item, sent)


def _array(item: Item, sent: Any) -> Any:
    values = sent.get("values") or [] if type(sent) is dict else None
    return [value(item, one) for one in values] if type(values) is list else _as_sent(item, sent)


def _mapping(item: Item, sent: Any) -> Any:
    return item.mapping(pairs(item, sent, "values")) if type(sent) is dict else _as_sent(item, sent)


_READERS: Final[Mapping[str, Callable[[Item, Any], Any]]] = {
    "stringValue": _string,
    "boolValue": _bool,
    "intValue": _int,
    "doubleValue": _double,
    "bytesValue": _bytes,
    "arrayValue": _array,
    "kvlistValue": _mapping,
}


def _integer(sent: Any) -> int | None:
    """A whole number: as one, as text, or as a fraction that is none. None where it is neither."""
    if type(sent) is str and _WHOLE.fullmatch(sent):
        return int(sent)
    if type(sent) is float and sent.is_integer():
        return int(sent)
    return sent if type(sent) is int else None


def whole(holder: Object, name: str, limit: int) -> int:
    """A whole number from 0 to `limit`; 0 where it is not said. Raises `malformed-json`."""
    sent = holder.get(name)
    if sent is None:
        return 0
    number = _integer(sent)
    if number is None or not 0 <= number <= limit:
        raise _wrong(name, f"a whole number from 0 to {limit}")
    return number


def number(holder: Object, name: str, names: EnumTypeWrapper) -> int:
    """An enumeration's number. Its name, which OTLP forbids and some write, is understood: an error would be lost with it."""
    sent = holder.get(name)
    if type(sent) is str and sent in names.keys():  # noqa: SIM118 - the wrapper is no mapping
        return int(names.Value(sent))
    return _integer(sent) or 0


def hex_id(holder: Object, name: str) -> str:
    """An id in lower-case hex, of any length; "" where it is not said."""
    sent = holder.get(name)
    if sent is None:
        return ""
    digits = sent.lower() if type(sent) is str else _NO_ID
    return digits if _HEX.fullmatch(digits) else _NO_ID


def text(holder: Object, name: str) -> str:
    """A text; "" where it is not said. Raises `malformed-json`."""
    sent = holder.get(name)
    if sent is None:
        return ""
    if type(sent) is not str:
        raise _wrong(name, "text")
    return sent


def member(holder: Object, name: str) -> Object:
    """An object; an empty one where it is not said. Raises `malformed-json`."""
    sent = holder.get(name)
    if sent is None:
        return {}
    if type(sent) is not dict:
        raise _wrong(name, "an object")
    return sent


def members(holder: Object, name: str) -> list[Object]:
    """A list of objects; an empty one where it is not said. Raises `malformed-json`."""
    sent = holder.get(name)
    if sent is None:
        return []
    if type(sent) is not list or not all(type(one) is dict for one in sent):
        raise _wrong(name, "a list of objects")
    return sent


def _wrong(name: str, wanted: str) -> FormatError:
    return FormatError(Code.MALFORMED_JSON, f"{name}: OTLP's JSON has {wanted} there", path=name)
