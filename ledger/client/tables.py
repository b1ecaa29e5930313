"""Ask a ledger from Python: SQL in, a pyarrow Table out.

    from ledger.client import query
    table = query("SELECT * FROM actions WHERE time > $since", {"since": datetime(2026, 11, 1, tzinfo=UTC)})
    table.to_pandas(); polars.from_arrow(table); duckdb.sql("SELECT * FROM table")

pyarrow comes with the extra `arrow`: pip install "agent-ledger[arrow]".
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ledger.client.http import LedgerClient
from ledger.client.ledger import DEFAULT_URL, TOKEN_VARIABLE, URL_VARIABLE
from ledger.client.questions import Page, Question

if TYPE_CHECKING:
    import pyarrow as pa

ARROW: Final = "application/vnd.apache.arrow.stream"
MAX_ROWS: Final = 1_000_000


def query(
    sql: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    as_of: int | None = None,
    max_rows: int = MAX_ROWS,
    url: str | None = None,
    token: str | None = None,
) -> "pa.Table":
    """Ask one question and fetch all its rows, page by page, all of the same log.

    Args:
        sql: one SELECT; None where there is a name. One whose order matters says ORDER BY.
        parameters: values of its `$name` parameters: text, numbers, booleans, dates, times with their zone, lists of one kind of these.
        name: a named query.
        as_of: the log's size to answer at; now when None.
        max_rows: stop there.
        url: the ledger's address; $AGENT_LEDGER_URL when None.
        token: a reader's token; $AGENT_LEDGER_TOKEN when None.

    Returns:
        A pyarrow Table. Its schema's metadata say what it stands on: `ledger.size`, `ledger.root`; `ledger.truncated` is "true" where
        there are more rows than `max_rows`.

    Raises:
        ValueError: both or neither of `sql` and `name` are given, or a time has no zone.
        ProblemError: the ledger refused.
        UnreachableError: no ledger answered.
        ImportError: pyarrow is not installed.
    """
    import pyarrow as pa  # noqa: PLC0415 - the SDK does without

    if (sql is None) == (name is None):
        raise ValueError("give one SELECT, or the name of a question")
    address = url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
    secret = token or (os.environ.get(TOKEN_VARIABLE) or "").strip() or None
    asked = Question(sql or "", name, parameters or {}, min(max_rows, MAX_ROWS), as_of)
    pages: list[pa.Table] = []
    left = max_rows
    with LedgerClient(address, secret) as client:
        while True:
            page = client.page(asked, accept=ARROW)
            pages.append(_table(page))
            left -= pages[-1].num_rows
            if page.next is None or left <= 0:
                break
            asked = asked._replace(cursor=page.next, as_of=None, limit=min(left, MAX_ROWS))
    metadata = {**(pages[0].schema.metadata or {}), b"ledger.truncated": b"true" if page.next else b"false"}
    whole = pa.concat_tables(pages, promote_options="none")
    return whole.replace_schema_metadata({**metadata, b"ledger.row_count": str(whole.num_rows)})


def _table(page: Page) -> "pa.Table":
    """A page without its own metadata of pages: only the first one's is kept."""
    import pyarrow as pa  # noqa: PLC0415 - as above

    return pa.ipc.open_stream(page.body).read_all()
