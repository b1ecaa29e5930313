"""How much a credential may add to the log: records and bytes per second, as a bucket that fills at that rate.

Counted is what was appended. A record that was there already, or is refused, costs nothing, so that whoever sends again after a refusal gets on.
The bucket is kept as the moment at which it will be full again (the generic cell rate algorithm, ITU-T I.371): whole nanoseconds, no drift.
"""

import math
import time
from collections.abc import Callable
from typing import Final

from ledger.core.errors import Code, LedgerError
from ledger.log.access import Quota

BURST_S: Final = 10  # so many seconds' worth may come at once
FORGET_AT: Final = 256  # buckets kept before the full ones are forgotten
_SECOND_NS: Final = 1_000_000_000
_BURST_NS: Final = BURST_S * _SECOND_NS
_Levels = tuple[int, int]


class Quotas:
    """The buckets of all credentials that have a quota. Lives on one thread."""

    def __init__(self, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock_ns = clock_ns
        self._full_at: dict[str, _Levels] = {}

    def spend(self, name: str, quota: Quota, records: int, size_bytes: int) -> None:
        """Take what is to be appended out of a credential's bucket. One that is full lets anything through, and is in debt afterwards.

        Raises:
            LedgerError: `quota-exceeded`: nothing was taken; the same may come after `retry_after` seconds.
        """
        now = self._clock_ns()
        costs = _costs(quota, records, size_bytes)
        levels = self._levels(name, now)
        wait_ns = max(
            level - now + min(cost, _BURST_NS) - _BURST_NS for level, cost in zip(levels, costs, strict=True)
        )
        if wait_ns > 0:
            raise LedgerError(
                Code.QUOTA_EXCEEDED,
                f"the credential {name} may append {quota}, and has: nothing of this was taken; send it again later",
                retry_after=math.ceil(wait_ns / _SECOND_NS),
            )
        self._full_at[name] = (levels[0] + costs[0], levels[1] + costs[1])
        if len(self._full_at) > FORGET_AT:
            self._full_at = {who: each for who, each in self._full_at.items() if max(each) > now}

    def give_back(self, name: str, quota: Quota, records: int, size_bytes: int) -> None:
        """What was taken out for these was not appended."""
        costs = _costs(quota, records, size_bytes)
        levels = self._full_at.get(name)
        if levels is not None:
            self._full_at[name] = (levels[0] - costs[0], levels[1] - costs[1])

    def refuse_spent(self, name: str, quota: Quota) -> None:
        """Refuse somebody whose bucket holds nothing, before anything of theirs is read.

        Raises:
            LedgerError: `quota-exceeded`.
        """
        if name in self._full_at:
            self.spend(name, quota, 1, 1)
            self.give_back(name, quota, 1, 1)

    def _levels(self, name: str, now: int) -> _Levels:
        records, size_bytes = self._full_at.get(name, (now, now))
        return max(records, now), max(size_bytes, now)


def _costs(quota: Quota, records: int, size_bytes: int) -> _Levels:
    """How long the bucket takes to fill up again, in ns: of records, of bytes."""
    return _cost(records, quota.records_per_s), _cost(size_bytes, quota.bytes_per_s)


def _cost(amount: int, per_s: int | None) -> int:
    return 0 if per_s is None else -(-amount * _SECOND_NS // per_s)
