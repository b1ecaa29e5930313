"""What is gone because the log says so: entries whose bytes were retired by policy, and contents.

    {"type": "log.entries_retired", "ext": {"log.retired": [[from, to], …], "log.policy": "p90d"}}

Ranges are half open and of entries before the one that says it. The hash of a retired entry stays, so every other entry and every
receipt still verifies; an entry that is gone without such a record was deleted by somebody. Entry 0 says what the log is: it is never
retired.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from ledger.core.canonical import JsonValue
from ledger.core.places import Places
from ledger.core.report import MAX_FINDINGS, Findings, Kind, Retired
from ledger.core.stretch import Own

ENTRIES_RETIRED = ("log.entries_retired", "log.retired")
CONTENTS_RETIRED = ("log.contents_retired", "log.contents_retired")
POLICY = "log.policy"


def claimed_ranges(own: Own, record_type: str, key: str) -> list[tuple[int, int]]:
    """The ranges that one of the log's own records speaks of, each within [0, its own seq); what is no such range is left out."""
    pairs: JsonValue = own.ext.get(key) if own.type == record_type else None
    ranges = []
    for pair in pairs if isinstance(pairs, list) else ():
        match pair:
            case [int(low), int(high)] if 0 <= low < high <= own.seq and type(low) is type(high) is int:
                ranges.append((low, high))
            case _:
                continue
    return ranges


class Retirement:
    """Settles, in the log's order, which entries are gone with what the log says of them."""

    def __init__(self) -> None:
        self.entries = self.contents = self.waiting = 0
        self.told: list[Retired] = []
        self.unlisted = 0
        self.base = 0  # what lies before was not read this time
        self._gone, self._unexplained, self._own = Places(), Places(), Places()

    def gone(self, seq: int) -> bool:
        """Whether an entry's bytes are not stored, while its hash is."""
        return (seq, "") in self._gone

    def take(self, ranges: Iterable[tuple[int, int]], own: Iterable[Own]) -> None:
        """Take in a stretch: which of its entries are gone, and what the log says in it."""
        for low, high in ranges:
            self._gone.add_range(low, high)
            self._unexplained.add_range(low, high)
        for record in own:
            self._own.add(record.seq)
            for low, high in claimed_ranges(record, *ENTRIES_RETIRED):
                self._explain(record, max(low, 1), high)

    def _explain(self, record: Own, low: int, high: int) -> None:
        removed = self._unexplained.cut(low, high)
        self.entries += removed
        self.tell(record, "entries", (low, high), removed)
        read = max(low, self.base)
        if read < high:
            self.waiting += high - read - self._gone.count(read, high) - self._own.count(read, high)

    def tell(self, record: Own, what: str, within: tuple[int, int], count: int) -> None:
        """Note that `count` of what lies in a range is gone, and that a record of the log explains it."""
        if not count:
            return
        policy = record.ext.get(POLICY)
        retired = Retired(what, *within, count, policy if isinstance(policy, str) else "", record.seq)
        last = self.told[-1] if self.told else None
        if last is not None and (last.what, last.policy, last.told_by, last.end) == (
            retired.what,
            retired.policy,
            retired.told_by,
            retired.start,
        ):
            self.told[-1] = last._replace(end=retired.end, gone=last.gone + count)
        elif len(self.told) < MAX_FINDINGS:
            self.told.append(retired)
        else:
            self.unlisted += 1

    def finish(self, findings: Findings) -> None:
        """Report the entries that are gone and that nothing explains."""
        for low, high, _ in self._unexplained.runs():
            where = f"entry {low}" if high == low + 1 else f"entries {low} to {high - 1}"
            detail = "only the hash is stored, and the log does not say that the bytes were retired"
            findings.add(Kind.MISSING, where, detail, low)

    # ---- as JSON

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "counts": [self.entries, self.contents, self.waiting, self.unlisted],
            "told": [list(retired) for retired in self.told],
            "places": [places.to_json() for places in (self._gone, self._unexplained, self._own)],
        }

    @classmethod
    def from_json(cls, value: Any) -> "Retirement":
        """What `to_json` wrote.

        Raises:
            FormatError, TypeError, ValueError, KeyError: it did not.
        """
        made = cls()
        made.entries, made.contents, made.waiting, made.unlisted = map(int, value["counts"])
        made.told = [_retired(row) for row in value["told"]]
        made._gone, made._unexplained, made._own = map(Places.from_json, value["places"])
        return made


def _retired(row: Sequence[Any]) -> Retired:
    what, start, end, count, policy, told_by = row
    return Retired(str(what), int(start), int(end), int(count), str(policy), int(told_by))
