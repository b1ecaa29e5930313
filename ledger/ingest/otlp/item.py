"""The values of attributes, and what is odd about them: shared by both encodings of OTLP.

Source: opentelemetry-proto, `common.proto`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ledger.core.errors import Code, LedgerError

MAX_VALUES: Final = 16_384  # attributes, list items and members of one span: a long conversation spelt out in attributes has 2,000
MAX_RESOURCE_BYTES: Final = 8 * 1024  # the record of each span below it repeats it, 10,000 times a body
DUPLICATES: Final = "ledger.duplicates"

Pairs = list[tuple[str, Any]]


class Item:
    """Counts the values of one span or log record as they are read, and notes what was odd about it.

    Attributes:
        values: how many were read.
        flags: what was odd.
    """

    __slots__ = ("flags", "values")

    def __init__(self, flags: Iterable[str] = ()) -> None:
        self.values = 0
        self.flags = set(flags)

    def count(self) -> None:
        """One value more.

        Raises:
            LedgerError: `record-too-large`.
        """
        self.values += 1
        if self.values > MAX_VALUES:
            raise LedgerError(
                Code.RECORD_TOO_LARGE,
                f"a span or log record of more than {MAX_VALUES} attributes, list items and members is not taken",
                limit=MAX_VALUES,
            )

    def mapping(self, pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        """What the pairs should have been: the first of a key is its value, the others stand in `ledger.duplicates`."""
        found: dict[str, Any] = {}
        duplicates: list[dict[str, Any]] = []
        for key, value in pairs:
            if key in found or key == DUPLICATES:
                duplicates.append({"key": key, "value": value})
            else:
                found[key] = value
        if duplicates:
            self.flags.add("duplicate-keys")
            found[DUPLICATES] = duplicates
        return found


def cut(item: Item, pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A resource's or scope's attributes, as many as fit: all spans below it repeat them."""
    kept: Pairs = []
    size_bytes = 0
    for key, value in pairs:
        size_bytes += size_of(key) + size_of(value)
        if size_bytes > MAX_RESOURCE_BYTES:
            item.flags.add("resource-cut")
            break
        kept.append((key, value))
    return item.mapping(kept)


def size_of(value: object) -> int:
    """About how many characters a value takes as JSON."""
    total, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        total += 4
        if isinstance(one, str | bytes):
            total += len(one)
        elif isinstance(one, Mapping):
            total += sum(map(len, one))
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return total
