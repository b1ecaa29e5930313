"""Which entries a SELECT is about, as ranges: for retention policies and legal holds. It runs as any analyst's does."""

import json
from collections.abc import Mapping
from typing import Final

from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges
from ledger.forensics.parameters import Value
from ledger.forensics.service import QueryService

MAX_RANGES: Final = 1_000_000
# Neighbours have the same difference between their seq and their place.
_ISLANDS: Final = """
SELECT min(seq)::BIGINT, max(seq)::BIGINT + 1 FROM (
    SELECT seq, seq - row_number() OVER (ORDER BY seq) AS island
    FROM (SELECT DISTINCT seq::HUGEINT AS seq FROM (
{sql}
    ) WHERE seq IS NOT NULL AND seq::HUGEINT >= {low})
) GROUP BY island ORDER BY 1
"""


async def select_seqs(
    queries: QueryService,
    sql: str,
    parameters: Mapping[str, Value] | None = None,
    *,
    as_of: int | None = None,
    contents: bool = True,
) -> Ranges:
    """The entries that the column `seq` of a SELECT names, all of them.

    Args:
        queries: who answers it.
        sql: one SELECT.
        parameters: values of its `$name` parameters.
        as_of: of the log when it had this many entries; None: now.
        contents: it sees contents and persons.

    Raises:
        LedgerError: `query-refused`, `query-failed` and others of `QueryService.run`; `invalid-parameter` where they are in too many pieces.
    """
    await queries.run(
        sql, parameters, limit=0, as_of=as_of, contents=contents, whole=True
    )  # by itself: what is refused is refused in its own words
    pairs: list[tuple[int, int]] = []
    low = 0
    while len(pairs) <= MAX_RANGES:
        islands = _ISLANDS.format(sql=sql.strip().rstrip(";"), low=low)
        answer = await queries.run(islands, parameters, as_of=as_of, contents=contents, whole=True)
        rows = json.loads(answer.body)["rows"]
        pairs += [(int(start), int(end)) for start, end in rows]
        if not answer.truncated:
            return Ranges(pairs)
        low = pairs[-1][1]
    raise LedgerError(
        Code.INVALID_PARAMETER,
        f"the SELECT gives entries in more than {MAX_RANGES} pieces: give it in parts, or choose whole stretches",
        path="select",
    )
