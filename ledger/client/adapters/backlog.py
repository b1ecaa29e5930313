"""What waits to be posted in another format than the ledger's own: bounded, in order, until the ledger has answered for it.

Told after the fact, so nothing waits for it; what is lost is counted and an ERROR in the log.
"""

import logging
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from ledger.client.http import LedgerClient, ProblemError, UnreachableError
from ledger.client.ledger import DEFAULT_URL, TOKEN_VARIABLE, URL_VARIABLE

Item = TypeVar("Item")
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0
_TRANSIENT: Final = frozenset({408, 429, 500, 502, 503, 504})


class Refused(NamedTuple):
    """How many of a batch the ledger refused for good, and why."""

    items: int
    why: str


def client_of(url: str | None, token: str | None) -> LedgerClient:
    """A client of the ledger at `url`, else at $AGENT_LEDGER_URL; the token alike.

    Raises:
        ValueError: the url is none.
    """
    return LedgerClient(
        url or os.environ.get(URL_VARIABLE) or DEFAULT_URL,
        token or (os.environ.get(TOKEN_VARIABLE) or "").strip() or None,
    )


class Backlog(Generic[Item]):
    """Items that a thread posts in batches.

    Attributes:
        lost: items that did not get into the log.
        problem: why something waits or was lost, last.
    """

    def __init__(
        self,
        post: Callable[[list[Item]], Refused],
        *,
        what: str,
        limit: int,
        batch: int,
        gather_s: float,
        log: logging.Logger,
    ) -> None:
        """An empty one; the thread starts with the first item.

        Args:
            post: posts a batch and says what was refused; raises what `LedgerClient` raises.
            what: the items' name in the log, in the plural.
            limit: how many wait at most.
            batch: how many are posted at a time.
            gather_s: how long less than a batch waits for more.
            log: where losses are told.
        """
        self._post, self._what, self._log = post, what, log
        self._limit, self._batch, self._gather_s = limit, batch, gather_s
        self.lost = 0
        self.problem = ""
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._in_flight = 0
        self._urgent = False
        self._process = -1
        self._deadline = float("inf")

    def add(self, items: Sequence[Item]) -> int:
        """Take as many as fit; how many. Never waits, never raises."""
        with self._changed:
            room = 0 if self._ended.is_set() else max(self._limit - len(self._items), 0)
            taken = items[:room]
            if len(taken) < len(items):
                why = "it was shut down" if self._ended.is_set() else "the queue is full"
                self.lose(len(items) - len(taken), why)
            if taken:
                idle = not self._items
                self._items.extend(taken)
                if self._process != os.getpid():
                    self._start()
                if idle or len(self._items) >= self._batch:
                    self._changed.notify_all()
        return len(taken)

    def flush(self, timeout_s: float) -> bool:
        """Wait until the ledger has answered for everything. False when that took too long."""
        with self._changed:
            self._urgent = True
            self._changed.notify_all()
            done = self._changed.wait_for(self._empty, timeout_s)
            self._urgent = False
        return done

    def close(self, timeout_s: float) -> None:
        """Post what waits, for at most so long, and end. What is left is lost, and told."""
        with self._changed:
            if self._ended.is_set():
                return
            self._deadline = time.monotonic() + timeout_s
            self._ended.set()
            self._changed.notify_all()
            if self._process == os.getpid():
                self._changed.wait_for(self._empty, timeout_s)
            if self._items:
                self.lose(len(self._items), "the process ends and the ledger was not reached")
                self._items.clear()

    def lose(self, items: int, why: str) -> None:
        """Count a loss, and tell it."""
        self.lost += items
        self.problem = why
        self._log.error("%d %s are not in the ledger: %s (%d so far)", items, self._what, why, self.lost)

    def _empty(self) -> bool:
        return not self._items and not self._in_flight

    def _start(self) -> None:
        """Begin posting; also in a child process, which a fork leaves without the thread."""
        self._process, self._in_flight = os.getpid(), 0
        threading.Thread(
            target=self._run, name=f"agent-ledger-{self._what.replace(' ', '-')}", daemon=True
        ).start()

    def _run(self) -> None:
        wait_s = FIRST_WAIT_S
        while (batch := self._next()) is not None:
            if not batch:
                continue
            if self._posted(batch):
                wait_s = FIRST_WAIT_S
                continue
            if time.monotonic() > self._deadline:
                return
            if self._ended.wait(wait_s * random.uniform(0.5, 1)):  # noqa: S311 - jitter
                time.sleep(FIRST_WAIT_S)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    def _next(self) -> list[Item] | None:
        """What to post now, maybe nothing; None at the end."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._ended.is_set() or self._urgent or len(self._items) >= self._batch,
                self._gather_s,
            )
            batch = [self._items[n] for n in range(min(self._batch, len(self._items)))]
            self._in_flight = len(batch)
            if not batch:
                self._changed.notify_all()
                if self._ended.is_set():
                    return None
                self._changed.wait_for(lambda: self._ended.is_set() or self._items or self._urgent)
        return batch

    def _posted(self, batch: list[Item]) -> bool:
        """Whether the batch is off the queue: acknowledged, or refused for good."""
        try:
            refused = self._post(batch)
        except UnreachableError as error:
            return self._away(str(error))
        except ProblemError as problem:
            if problem.status in _TRANSIENT:
                return self._away(problem.detail)
            refused = Refused(len(batch), problem.detail)
        except Exception as error:  # noqa: BLE001 - what cannot be encoded must not stop what is behind it
            refused = Refused(len(batch), repr(error))
        with self._changed:
            for _ in batch[: len(self._items)]:  # none is left where the process gave up meanwhile
                self._items.popleft()
            self._in_flight = 0
            if refused.items:
                self.lose(*refused)
            self._changed.notify_all()
        return True

    def _away(self, why: str) -> bool:
        if why != self.problem:
            self._log.warning("%s wait for the ledger: %s", self._what, why)
        self.problem = why
        return False
