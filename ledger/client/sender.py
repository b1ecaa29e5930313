"""Brings records to the ledger, in order."""

import threading
from collections.abc import Mapping
from typing import Any

import msgspec

from ledger.client.http import JSON, LedgerClient, ProblemError, UnreachableError


class LedgerAway(Exception):  # noqa: N818 - says what is the case, as the caller tests for it
    """The ledger cannot be reached, or takes nothing now: nothing durable is known of this record, and its tool must not run."""


class Sender:
    """Posts one record at a time and numbers them."""

    def __init__(self, client: LedgerClient, source: str) -> None:
        self._client, self._source = client, source
        self._lock = threading.Lock()
        self._seq = 0

    def post(self, record: Mapping[str, Any]) -> None:
        """Have a record made durable.

        Raises:
            LedgerAway: no ledger answered in time.
            ProblemError: the ledger refused the record.
        """
        with self._lock:
            complete = {**record, "source": {"id": self._source, "seq": self._seq}}
            try:
                self._client.post_records(msgspec.json.encode(complete), JSON)
            except UnreachableError as error:
                raise LedgerAway(str(error)) from None
            except ProblemError as problem:
                if problem.status in {429, 503}:
                    raise LedgerAway(problem.detail) from None
                raise
            self._seq += 1

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
