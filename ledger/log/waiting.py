"""Records of the log's own, submitted and waited for."""

import threading
from collections.abc import Sequence
from typing import Protocol

from ledger.core.errors import Code, LedgerError
from ledger.log.plan import Appended, Check
from ledger.log.queue import Answer
from ledger.records.prepared import Prepared


class Submits(Protocol):
    """What is needed of `ledger.log.log.Log`, or of its sequencer."""

    def submit(
        self, items: Sequence[Prepared], *, atomic: bool, done: Answer, check: Check | None = None
    ) -> None:
        """See `ledger.log.log.Log.submit`."""


def append_all(log: Submits, items: Sequence[Prepared], check: Check | None = None) -> list[Appended]:
    """Append records, all of them or none, and wait until they are durable.

    Args:
        log: where.
        items: the records, one at least.
        check: see `ledger.log.plan.Plan.add`.

    Raises:
        LedgerError: why they are not.
    """
    settled = threading.Event()
    outcomes: list[Appended | LedgerError] = []

    def done(results: list[Appended | LedgerError]) -> None:
        outcomes.extend(results)
        settled.set()

    log.submit(items, atomic=True, done=done, check=check)
    settled.wait()
    refused = [each for each in outcomes if isinstance(each, LedgerError)]
    if refused:  # the reason before what follows of it
        raise min(refused, key=lambda each: each.code is Code.NOT_WRITTEN)
    return [each for each in outcomes if isinstance(each, Appended)]
