"""Fairness between credentials: how much each may hold of what all share, and whose turn it is. Pure: no clock, no thread, no lock.

Two rules from packet switches, where many senders share one memory and one line too:

- `Shares`: dynamic thresholds. Nobody takes so much that less is left free than they hold. (Choudhury, Hahne: Dynamic Queue Length Thresholds for
  Shared-Memory Packet Switches, IEEE/ACM Transactions on Networking 6(2), 1998.)
- `FairOrder`: start-time fair queueing. Who was served least comes next. (Goyal, Vin, Cheng: Start-time Fair Queuing, SIGCOMM 1996.)
"""

import heapq
import itertools
from typing import Final, Generic, TypeVar

SMALL_PART: Final = (
    16  # of the limit: what somebody who holds nothing has to find free twice, however much they bring
)
FORGET_AT: Final = 256  # credentials remembered that wait for nothing

_T = TypeVar("_T")


class Shares:
    """Who holds how many bytes of a limit.

    While one credential takes all it can get it holds a half, of two each holds a third, of n each one of n + 1 parts: a part is always left for
    whoever comes next. Somebody who holds nothing may bring something large in one piece, where an eighth is free; as that may be more than what is
    free, somebody who holds nothing and brings little finds as much room again beyond the limit. So `held_bytes` is at most twice the limit, as long
    as no piece is larger than it.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held_bytes = 0
        self._held: dict[str, int] = {}

    def __len__(self) -> int:
        """How many hold something."""
        return len(self._held)

    def held(self, who: str) -> int:
        """What somebody holds, in bytes."""
        return self._held.get(who, 0)

    def missing(self, who: str, size: int) -> int:
        """How many bytes have to be given back, by whomever, before `who` may take `size` more; 0: they may take it now."""
        if not self.held_bytes:
            return 0
        held, small = self._held.get(who, 0), self.limit // SMALL_PART
        if held:
            over = held + 2 * size - self._room()
        elif size > small:
            over = 2 * small - self._room()
        else:
            over = 2 * size - self._room() - self.limit
        return max(0, min(over, self.held_bytes))

    def _room(self) -> int:
        return self.limit - self.held_bytes

    def take(self, who: str, size: int) -> None:
        """`who` holds `size` more: ask `missing` before."""
        self.held_bytes += size
        self._held[who] = self._held.get(who, 0) + size

    def give(self, who: str, size: int) -> None:
        """`who` holds `size` less. Nothing is remembered of who holds nothing."""
        self.held_bytes -= size
        left = self._held.get(who, 0) - size
        if left > 0:
            self._held[who] = left
        else:
            self._held.pop(who, None)


class FairOrder(Generic[_T]):
    """Things that wait, in the order in which it is fair to serve them; those of one credential as they came.

    Each thing starts where its credential's last one ended, at the earliest now, on a clock that shows what each credential was served. So what
    comes from somebody who has nothing waiting is next, whatever others have waiting; and of two who always have something waiting neither is served
    more than the other by more than the largest thing of each.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, _T]] = []
        self._now = 0
        self._ends: dict[str, int] = {}
        self._arrivals = itertools.count()

    def __len__(self) -> int:
        """How many things wait."""
        return len(self._waiting)

    def push(self, who: str, cost: int, thing: _T) -> None:
        """Let a thing wait; `cost` is what serving it takes, in any unit."""
        start = max(self._now, self._ends.get(who, 0))
        self._ends[who] = start + cost
        heapq.heappush(self._waiting, (start, next(self._arrivals), thing))

    def first(self) -> _T:
        """What comes next, left where it is.

        Raises:
            IndexError: nothing waits.
        """
        return self._waiting[0][2]

    def pop(self) -> _T:
        """What comes next.

        Raises:
            IndexError: nothing waits.
        """
        self._now, _, thing = heapq.heappop(self._waiting)
        if not self._waiting:
            self._ends.clear()  # nobody waits: all are equal again
        elif len(self._ends) > len(self._waiting) + FORGET_AT:
            self._ends = {who: end for who, end in self._ends.items() if end > self._now}
        return thing
