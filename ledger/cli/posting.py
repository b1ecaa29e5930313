"""Records in batches to a ledger: what `post` and `import` share."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from ledger.cli import terminal
from ledger.cli.exits import CommandError, Exit
from ledger.client.http import JSON, LedgerClient, ProblemError, UnreachableError

NDJSON = "application/x-ndjson"
BATCH_RECORDS = 500
BATCH_BYTES = 4_000_000
LATER = frozenset({"queue-full", "quota-exceeded"})  # nothing was taken: wait, and send it again
MAX_WAITS = 60
MAX_WAIT_S = 60.0
MAX_SAID = 20


class Posted:
    """What became of the records so far.

    Attributes:
        appended, existing, refused: how many were new, were there already, were refused.
        size: the size of the log whose checkpoint covers them.
    """

    def __init__(self) -> None:
        self.appended = self.existing = self.refused = self.size = 0

    @property
    def total(self) -> int:
        """How many records were sent."""
        return self.appended + self.existing + self.refused

    def count(self, result: dict[str, Any]) -> None:
        """Count one record's result."""
        if was_refused(result):
            self.refused += 1
        elif result.get("existing"):
            self.existing += 1
        else:
            self.appended += 1

    def summary(self) -> dict[str, int]:
        """The counts, as data."""
        return {
            "appended": self.appended,
            "existing": self.existing,
            "refused": self.refused,
            "size": self.size,
        }

    def sentence(self) -> str:
        """The counts, for people."""
        there = f", {self.existing:,} were there already" if self.existing else ""
        refused = f", {self.refused:,} refused" if self.refused else ""
        return f"{self.appended:,} appended{there}{refused}; the log has {self.size:,} entries"


def was_refused(result: dict[str, Any]) -> bool:
    """Whether a record's result is a problem. A problem may name a `seq` too: of the entry that has the record's id."""
    return "leaf_hash" not in result


class Refusals:
    """Says the first refusals, one line each, and once that there are more."""

    def __init__(self) -> None:
        self._count = 0

    def say(self, problem: dict[str, Any]) -> None:
        """Say one, or nothing where enough was said."""
        self._count += 1
        if self._count <= MAX_SAID:
            code = str(problem.get("type", "")).rpartition(":")[2]
            terminal.complain(f"record {problem.get('record')}: {problem.get('detail')} [{code}]")
        elif self._count == MAX_SAID + 1:
            terminal.complain("and more")


def batches(
    records: Iterable[bytes], limit: int = BATCH_RECORDS, limit_bytes: int = BATCH_BYTES
) -> Iterator[list[bytes]]:
    """Records in the order they come, at most so many and so many bytes together; never an empty batch."""
    batch: list[bytes] = []
    size = 0
    for record in records:
        if batch and (len(batch) >= limit or size + len(record) > limit_bytes):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += len(record)
    if batch:
        yield batch


def post_batch(
    client: LedgerClient, batch: list[bytes], posted: Posted, *, atomic: bool = False
) -> list[dict[str, Any]]:
    """Post one batch, waiting while the ledger's queue is full. Returns a result or a problem for each record.

    Raises:
        ProblemError: the batch as a whole was refused.
        CommandError: the ledger could not be reached, or its queue stayed full; it says what is durable so far.
    """
    try:
        answer = _send(client, batch, atomic)
    except UnreachableError as error:
        raise CommandError(
            f"{error}. {posted.total:,} records were answered before; of the next {len(batch):,} some may be stored: "
            "those with an id can be posted again safely",
            Exit.UNREACHABLE,
        ) from None
    posted.size = max(posted.size, answer["size"])
    first = posted.total
    results: list[dict[str, Any]] = answer["results"]
    for index, result in enumerate(results):
        posted.count(result)
        if "record" in result:  # its place in the batch, which nobody else knows of
            result["record"] = first + index
            result["detail"] = str(result.get("detail")).removeprefix(f"record {index}: ")
    return results


def _send(client: LedgerClient, batch: list[bytes], atomic: bool) -> dict[str, Any]:
    body, media_type = _body(batch)
    waits = 0
    while True:
        try:
            answer = client.post_records(body, media_type, atomic=atomic)
        except ProblemError as problem:
            waits += 1
            if problem.code not in LATER or waits > MAX_WAITS:
                raise
            time.sleep(min(problem.retry_after_s or 1.0, MAX_WAIT_S))
        else:
            results = answer.get("results")
            if isinstance(results, list) and [type(result) for result in results] == [dict] * len(batch):
                return answer
            raise UnreachableError(f"{client.url} does not answer for each of the {len(batch)} records")


def _body(batch: list[bytes]) -> tuple[bytes, str]:
    """A body that holds the records byte for byte: their contents' exact bytes are what is committed to.

    It is a list even of one, so that a refusal is always about a record and never about the batch.
    """
    if any(b"\n" in record for record in batch):
        return b"[" + b",".join(batch) + b"]", JSON
    return b"\n".join(batch), NDJSON
