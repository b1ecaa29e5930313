"""Which media type to answer in: Accept as RFC 9110, 12.5.1 says, with its weights."""

from collections.abc import Sequence
from typing import NamedTuple

from ledger.core.errors import Code, LedgerError


class _Range(NamedTuple):
    """One of Accept's ranges: `text/csv; formulas=raw; q=0.5`."""

    type: str
    subtype: str
    parameters: frozenset[str]
    weight: float
    place: int

    def covers(self, other: "_Range") -> bool:
        return (
            self.type in {"*", other.type}
            and self.subtype in {"*", other.subtype}
            and self.parameters <= other.parameters
        )

    @property
    def exactness(self) -> tuple[bool, bool, int]:
        return self.type != "*", self.subtype != "*", len(self.parameters)


def chosen(accept: str, offered: Sequence[str]) -> str:
    """The media type of `offered` that Accept weighs most; of equals the one it names first, then the one that is offered first.

    Args:
        accept: the header; "" is anything. A range that does not parse counts for nothing.
        offered: media types, the preferred one first.

    Raises:
        LedgerError: `not-acceptable`.
    """
    ranges = [found for found in map(_parsed, enumerate(accept.split(","))) if found is not None]
    if not accept.strip():
        return offered[0]
    weighed = []
    for rank, media in enumerate(offered):
        made = _parsed((0, media))
        fitting = [each for each in ranges if made is not None and each.covers(made)]
        if fitting:
            best = max(fitting, key=lambda each: (each.exactness, -each.place))
            weighed.append((-best.weight, best.place, rank))
    weight, _, rank = min(weighed, default=(0.0, 0, 0))
    if weight == 0:
        raise LedgerError(Code.NOT_ACCEPTABLE, f"an answer comes as one of {', '.join(offered)}")
    return offered[rank]


def _parsed(numbered: tuple[int, str]) -> _Range | None:
    place, text = numbered
    media, *parameters = (part.strip().lower() for part in text.split(";"))
    kind, slash, subtype = media.partition("/")
    if not slash or (kind == "*" and subtype != "*"):
        return None
    weights = [part[2:] for part in parameters if part.startswith("q=")]
    try:
        weight = float(weights[0]) if weights else 1.0
    except ValueError:
        return None
    # Answers are UTF-8 whatever a charset says (RFC 8259, 8.1).
    said = frozenset(part for part in parameters if part and not part.startswith(("q=", "charset=")))
    return _Range(kind, subtype, said, weight, place) if 0 <= weight <= 1 else None
