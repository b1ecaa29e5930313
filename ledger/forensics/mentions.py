"""Where a person stands in the log: which entries name them, and where else their identifier is written."""

import json
from collections.abc import Collection
from typing import Final, NamedTuple

from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges
from ledger.forensics.journal import TYPE
from ledger.forensics.seqs import select_seqs
from ledger.forensics.service import QueryService
from ledger.records.columns import column_name
from ledger.records.members import CONTENTS, PERSONS

_TOO_MUCH: Final = (Code.QUERY_TIMEOUT, Code.QUERY_KILLED, Code.QUERY_FAILED)
_NAMED: Final = " OR ".join(
    f"{column_name(path)}_commitment IN (SELECT unnest($persons))" for path in PERSONS
)
_CONTENTS: Final = ", ".join(map(column_name, CONTENTS))
SUBJECT_SQL: Final = f"""SELECT seq FROM records
WHERE seq >= $start AND ({" OR ".join(f"{column_name(path)} = $subject" for path in PERSONS)})
ORDER BY seq"""
_BY_PERSON: Final = f"SELECT seq FROM records WHERE {_NAMED}"
_QUERIES: Final = f"""
SELECT seq FROM records WHERE type = '{TYPE}' AND (contains(request_text, $text) OR contains(request_text, $quoted))"""
_IN_CONTENTS: Final = f"SELECT seq FROM records WHERE contains(concat_ws(' ', {_CONTENTS}), $text)"
_IN_FACTS: Final = "SELECT seq FROM records r WHERE contains(to_json(r)::VARCHAR, $text)"


class Mentions(NamedTuple):
    """Where an identifier is written that is no person of the record: None where looking for it takes longer than a query may.

    Attributes:
        facts: entries whose facts have it. A fact stands in the signed bytes: it goes with its entry alone.
        contents: entries whose contents have it, and which are not among those that were chosen.
        some: the first of the latter.
    """

    facts: int | None
    contents: int | None
    some: list[int]


async def named_by(queries: QueryService, people: Collection[str], value: str | None, size: int) -> Ranges:
    """The entries that name one of these persons; with `value` also those that record queries in which that text stands.

    Args:
        queries: who is asked.
        people: their commitments, 64 hex digits each.
        value: a person's identifier.
        size: of the log when it had so many entries.

    Raises:
        LedgerError: those of `select_seqs`.
    """
    found = Ranges()
    if people:
        found = await select_seqs(queries, _BY_PERSON, {"persons": [*sorted(people)]}, as_of=size)
    if value is not None:
        texts = {"text": _spelled(value), "quoted": _spelled(value.replace("'", "''"))}
        found |= await select_seqs(queries, _QUERIES, texts, as_of=size)
    return found


async def told_in(queries: QueryService, value: str, chosen: Ranges, size: int) -> Mentions:
    """Where else an identifier is written.

    Raises:
        LedgerError: those of `select_seqs`, but for a query that takes too long.
    """
    text = {"text": _spelled(value)}
    facts = await _unless_too_much(queries, _IN_FACTS, text, size, contents=False)
    contents = await _unless_too_much(queries, _IN_CONTENTS, text, size, contents=True)
    others = Ranges() if contents is None else contents - chosen
    return Mentions(
        None if facts is None else facts.count,
        None if contents is None else others.count,
        [start for start, _ in others][:10],
    )


async def _unless_too_much(
    queries: QueryService, sql: str, texts: dict[str, str], size: int, *, contents: bool
) -> Ranges | None:
    try:
        return await select_seqs(queries, sql, texts, as_of=size, contents=contents)
    except LedgerError as error:
        if error.code not in _TOO_MUCH:
            raise
        return None


def _spelled(value: str) -> str:
    """As it stands within a JSON string."""
    return json.dumps(value, ensure_ascii=False)[1:-1]
