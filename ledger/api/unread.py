"""Answers that were written and are not read: the memory that a client can take by asking and not listening.

Each connection is bounded in time (`ledger.api.serving`); here all of them are bounded in bytes. Where it is too much, the token that holds the most
loses the connection that has waited longest. Nothing is lost by it: what was recorded is found by its id.
"""

from typing import Final, Protocol

UNREAD_BYTES: Final = 64 * 1024 * 1024  # beyond what the kernel holds


class Connection(Protocol):
    """One whose answer is not read."""

    def drop(self) -> None:
        """End it now, with what is not read."""


class Unread:
    """Who holds how much. Lives on one event loop."""

    def __init__(self, limit: int = UNREAD_BYTES) -> None:
        self.held_bytes = 0
        self._limit = limit
        self._of: dict[str, dict[Connection, int]] = {}

    def hold(self, who: str, connection: Connection, size: int) -> None:
        """`size` bytes of an answer to `who` are not read."""
        self._of.setdefault(who, {})[connection] = size
        self.held_bytes += size
        while self.held_bytes > self._limit:
            most = max(self._of, key=lambda each: sum(self._of[each].values()))
            longest = next(iter(self._of[most]))
            self.let_go(most, longest)
            longest.drop()

    def let_go(self, who: str, connection: Connection) -> None:
        """It was read, or its connection ended."""
        of_one = self._of.get(who, {})
        self.held_bytes -= of_one.pop(connection, 0)
        if not of_one:
            self._of.pop(who, None)
