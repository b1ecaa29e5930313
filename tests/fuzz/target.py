"""What a fuzz target is: a parser, inputs to begin with, and what must hold of whatever comes out of it."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from ledger.api.problems import problem
from ledger.core.errors import LedgerError

MAX_TOLD_BYTES = 8 * 1024  # of a refusal, as a client gets it
SHOWN = 300


class Broken(Exception):  # noqa: N818 - says what happened
    """What must hold of an input does not."""


class Target(NamedTuple):
    """One parser.

    Attributes:
        name: how it is called on the command line, and its corpus file.
        run: reads an input, checks what must hold, and says whether it was accepted. A LedgerError is a refusal; whatever else it raises is a finding.
        seeds: inputs to begin with; some are accepted.
        max_bytes: inputs are no longer.
        pieces: texts that a mutation may put in: what a blind one would hardly find.
    """

    name: str
    run: Callable[[bytes], bool]
    seeds: Callable[[], Iterable[bytes]]
    max_bytes: int = 4_096
    pieces: tuple[bytes, ...] = ()


def holds(condition: bool, what: str, *seen: Any) -> None:
    """See that something holds.

    Raises:
        Broken: it does not.
    """
    if not condition:
        raise Broken(f"{what}: {', '.join(ascii(each)[:SHOWN] for each in seen)}")


def judge(target: Target, data: bytes) -> bool:
    """Whether a target accepts an input. What it refuses, it can say: in a problem that is JSON, and short.

    Raises:
        Exception: a finding.
    """
    try:
        return target.run(data)
    except LedgerError as error:
        told = msgspec.json.encode(problem(error))
        holds(len(told) <= MAX_TOLD_BYTES, "a refusal is short", len(told), told[:200])
        return False


def refused(read: Callable[[], object]) -> bool:
    """Whether something is refused."""
    try:
        read()
    except LedgerError:
        return True
    return False
