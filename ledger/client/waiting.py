"""What waits in memory to be sent."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

GROUP_RECORDS: Final = 500
GROUP_BYTES: Final = 4_000_000


class Placed(NamedTuple):
    """Where the ledger wrote a record: the entry's place, and its leaf hash in hex."""

    seq: int
    leaf: str


Done = Future[Placed | None]  # None: it is durable in the spool, and has no place yet


@dataclass(slots=True)
class Waiting:
    """A record on its way.

    Attributes:
        line: as it is sent.
        id: its id.
        done: for who waits for it, or None.
        told: whether the caller knows already that it may not arrive: then it is no loss.
    """

    line: bytes
    id: str
    done: Done | None
    told: bool


class Queue:
    """Records in their order, and how many bytes they are. The caller sees that one thread is in it at a time."""

    def __init__(self) -> None:
        self.bytes = 0
        self._waiting: deque[Waiting] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._waiting)

    @property
    def first(self) -> Waiting | None:
        """The first record, None where there is none."""
        return self._waiting[0] if self._waiting else None

    def add(self, waiting: Waiting) -> None:
        """Put a record at the end."""
        self._waiting.append(waiting)
        self.bytes += len(waiting.line)

    def take(self) -> Waiting:
        """Remove the first record."""
        waiting = self._waiting.popleft()
        self.bytes -= len(waiting.line)
        return waiting

    def group(self) -> list[Waiting]:
        """The first records, as many as go at once. They stay."""
        group: list[Waiting] = []
        size = 0
        for waiting in self._waiting:
            size += len(waiting.line)
            if group and (len(group) >= GROUP_RECORDS or size > GROUP_BYTES):
                break
            group.append(waiting)
        return group


def settle(done: Done, error: BaseException | None, placed: Placed | None = None) -> None:
    """Say how it went, if anybody still listens."""
    with suppress(InvalidStateError):
        if error is None:
            done.set_result(placed)
        else:
            done.set_exception(error)
