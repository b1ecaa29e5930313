"""Values of a query's `$name` parameters: from a request's JSON to what SQL gets, and through the pipe to the worker.

A value is JSON as it is (text, a number, true, false, null, a list of one kind of these), or says its type:

    {"since": {"type": "timestamp", "value": "2026-11-21T09:30:00Z"}, "tools": {"type": "text[]", "value": ["pay", "send"]}}
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from ledger.core.errors import Code, LedgerError

Scalar: TypeAlias = str | int | float | bool | datetime | date | None
Value: TypeAlias = Scalar | list[Scalar]

MAX_PARAMETERS: Final = 100
MAX_ITEMS: Final = 10_000
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)
_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_INT64: Final = 2**63
_LIST: Final = "[]"


def parse_parameters(given: Mapping[str, Any]) -> dict[str, Value]:
    """The values as SQL gets them.

    Args:
        given: JSON values, each as it is or with its type.

    Raises:
        LedgerError: `invalid-parameter`, with `parameters.<name>` as path.
    """
    if len(given) > MAX_PARAMETERS:
        raise LedgerError(
            Code.INVALID_PARAMETER, f"a query has at most {MAX_PARAMETERS} parameters", path="parameters"
        )
    return {name: _parsed(name, value) for name, value in given.items()}


def to_wire(value: Value) -> Any:
    """A value as JSON that `from_wire` reads back: what JSON has no kind for is tagged."""
    if isinstance(value, list):
        return [to_wire(item) for item in value]
    if isinstance(value, datetime):
        return {"timestamp": value.isoformat()}
    if isinstance(value, date):
        return {"date": value.isoformat()}
    return value


def from_wire(value: Any) -> Value:
    """The value that `to_wire` was given."""
    if isinstance(value, list):
        return [from_wire(item) for item in value]  # type: ignore[misc]  # lists are flat
    if not isinstance(value, dict):
        return value  # type: ignore[no-any-return]  # a scalar of JSON
    if "timestamp" in value:
        return datetime.fromisoformat(value["timestamp"])
    return date.fromisoformat(value["date"])


def _parsed(name: str, given: Any) -> Value:
    if not _NAME.fullmatch(name):
        raise _invalid(
            name[:80],
            f"a parameter's name is letters, digits and _ and begins with no digit, not {name!a:.80}",
        )
    if isinstance(given, dict):
        return _typed(name, given)
    if isinstance(given, list):
        return _plain_list(name, given)
    if isinstance(given, float) and not math.isfinite(given):
        raise _invalid(name, f"the parameter {name} is not a finite number")
    if type(given) is int and not -_INT64 <= given < _INT64:
        raise _invalid(name, f"the parameter {name} is beyond 64 bits: give it as text, and cast it")
    if given is None or isinstance(given, str | int | float):
        return given
    raise _invalid(
        name,
        f"the parameter {name} is {type(given).__name__}: give text, a number, a boolean, null, or a list",
    )


def _plain_list(name: str, given: list[Any]) -> Value:
    _refuse_long(name, given)
    kinds = {type(item) for item in given if item is not None}
    if kinds == {int, float}:
        return [None if item is None else float(item) for item in given]
    if len(kinds) > 1 or not kinds <= {str, int, float, bool}:
        raise _invalid(
            name,
            f"the list {name} mixes kinds, or nests: its items are all text, all numbers or all booleans",
        )
    return given


def _typed(name: str, given: dict[str, Any]) -> Value:
    if set(given) != {"type", "value"} or not isinstance(given["type"], str):
        raise _invalid(
            name, f'the parameter {name} is an object: write it {{"type": "timestamp", "value": …}}'
        )
    kind, value = given["type"], given["value"]
    read = READERS.get(kind.removesuffix(_LIST))
    if read is None or kind.endswith(_LIST * 2):
        known = ", ".join(READERS)
        raise _invalid(
            name, f"the parameter {name} has the type {kind!a:.40}: there are {known}, and lists like text[]"
        )
    try:
        if not kind.endswith(_LIST) or value is None:
            return None if value is None else read(value)
        items = value if isinstance(value, list) else _refuse()
        _refuse_long(name, items)
        return [None if item is None else read(item) for item in items]
    except (ValueError, TypeError, OverflowError):
        raise _invalid(name, f"the parameter {name} is not {_words(kind)}: {value!r:.80}") from None


def _refuse_long(name: str, items: list[Any]) -> None:
    if len(items) > MAX_ITEMS:
        raise _invalid(name, f"the list {name} has {len(items)} items: at most {MAX_ITEMS}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _refuse()


def _integer(value: Any) -> int:
    """64 bits; as text where JSON's numbers do not reach."""
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    return value if type(value) is int and -_INT64 <= value < _INT64 else _refuse()


def _double(value: Any) -> float:
    return float(value) if type(value) in {int, float} and math.isfinite(value) else _refuse()


def _boolean(value: Any) -> bool:
    return value if isinstance(value, bool) else _refuse()


def _timestamp(value: Any) -> datetime:
    """With its zone, or a day, which begins at midnight UTC."""
    if _DATE.fullmatch(_text(value)):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return datetime.fromisoformat(value).astimezone(UTC) if _TIME.fullmatch(value) else _refuse()


def _date(value: Any) -> date:
    return date.fromisoformat(value) if _DATE.fullmatch(_text(value)) else _refuse()


def _refuse() -> Any:
    raise ValueError


READERS: Final[Mapping[str, Callable[[Any], Scalar]]] = MappingProxyType(
    {
        "text": _text,
        "integer": _integer,
        "double": _double,
        "boolean": _boolean,
        "timestamp": _timestamp,
        "date": _date,
    }
)
_EXAMPLES: Final = {
    "text": "text",
    "integer": "an integer of 64 bits",
    "double": "a finite number",
    "boolean": "true or false",
    "timestamp": "a time like 2026-11-21T09:30:00Z, or a day",
    "date": "a day like 2026-11-21",
}


def _words(kind: str) -> str:
    one = _EXAMPLES[kind.removesuffix(_LIST)]
    return f"a list, each {one}" if kind.endswith(_LIST) else one


def _invalid(name: str, detail: str) -> LedgerError:
    return LedgerError(Code.INVALID_PARAMETER, detail, path=f"parameters.{name}")
