"""What is asked of a ledger, and what comes back."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple
from urllib.parse import quote

QUERY_ID: Final = "Ledger-Query-Id"
NEXT: Final = "Ledger-Next"


class Question(NamedTuple):
    """What to ask: one SELECT, or a named query.

    Attributes:
        sql: the SELECT; without meaning where there is a name.
        name: the named query, or None.
        parameters: their values by name: JSON values, dates, times with their zone, or lists of one kind of these.
        limit: how many rows at most; the server's own limit when None.
        as_of: the log's size to answer at; now when None.
        cursor: where a truncated answer to this question goes on.
    """

    sql: str
    name: str | None
    parameters: Mapping[str, Any]
    limit: int | None = None
    as_of: int | None = None
    cursor: str | None = None


class Page(NamedTuple):
    """Rows of an answer.

    Attributes:
        body: in the media type that was asked for.
        row_count: rows in it.
        size: of the log that was asked.
        root: its Merkle root, hex.
        next: the cursor of the rows that follow, None where there are none.
        behind: entries that the log had more, and that came too fast to be within the answer.
    """

    body: bytes
    row_count: int
    size: int
    root: str
    next: str | None
    behind: int = 0


def asking(question: Question) -> tuple[str, dict[str, Any]]:
    """The path and the body that ask it.

    Raises:
        ValueError: a time has no zone.
    """
    body: dict[str, Any] = {
        "parameters": {name: parameter(value) for name, value in question.parameters.items()}
    }
    for name in ("limit", "as_of", "cursor"):
        if (value := getattr(question, name)) is not None:
            body[name] = value
    if question.name is not None:
        return f"/v1/queries/{quote(question.name, safe='')}", body
    return "/v1/query", body | {"sql": question.sql}


def parameter(value: Any) -> Any:
    """A Python value as the ledger takes it: dates and times say their type, and so does a list of them.

    Raises:
        ValueError: a time has no zone.
    """
    first = next((item for item in value if item is not None), None) if isinstance(value, list) else value
    kind = "timestamp" if isinstance(first, datetime) else "date" if isinstance(first, date) else None
    if kind is None:
        return value
    if isinstance(value, list):
        return {"type": f"{kind}[]", "value": [None if item is None else _text(item) for item in value]}
    return {"type": kind, "value": _text(value)}


def _text(value: date) -> str:
    if not isinstance(value, datetime):
        return value.isoformat()
    if value.tzinfo is None:
        raise ValueError(f"{value} has no zone: the ledger would guess; say datetime(…, tzinfo=UTC)")
    return value.astimezone(UTC).isoformat()
