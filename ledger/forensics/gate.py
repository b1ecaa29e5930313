"""Which text is run at all: one SELECT, over the log's views alone.

Two who know nothing of each other have to agree: the tree that DuckDB's parser makes of it (`ledger.forensics.tree`), and, should a tree ever not be
whole, the names that stand in the text.
"""

import re
from typing import Final, NamedTuple

import duckdb

from ledger.core.errors import Code, LedgerError
from ledger.forensics.position import HEAD, TAIL
from ledger.forensics.tree import folded, is_telling, tables_read

# What views are made of: they give to each reader what that reader may see.
_SCHEMAS: Final = frozenset({"live", "made", "sealed", "stored"})
_NAME: Final = re.compile(r'"((?:[^"]|"")*)"|\w+')


class Gated(NamedTuple):
    """A SELECT that may be run: its text, as a subquery within its limits, and the tables and views that it names."""

    sql: str
    tables: frozenset[str]


def gated(db: duckdb.DuckDBPyConnection, sql: str, limit: int, offset: int) -> Gated:
    """Judge an analyst's text.

    As a subquery a data-modifying WITH is an error, and LIMIT binds it. It has to be one SELECT alone, and one SELECT wrapped: text that
    breaks out of the brackets is not one of both.

    Raises:
        LedgerError: `query-refused`: it is no SELECT, or names what is not of the log; `query-failed`: a table that there is not.
    """
    select = _select(db, sql).strip().rstrip(";")
    wrapped = f"{HEAD}{select}{TAIL}{limit:d} OFFSET {offset:d}"
    run = _select(db, wrapped)  # as DuckDB takes it: with plain blanks in the place of all others
    tables = tables_read(db, run)
    _refuse_names(run)
    return Gated(run, tables)


def _select(db: duckdb.DuckDBPyConnection, sql: str) -> str:
    try:
        statements = [(statement.type, statement.query) for statement in db.extract_statements(sql)]
    except (
        ValueError
    ) as error:  # CONNECT and UPDATE EXTENSIONS have types that the Python package does not know
        first = str(error).split("\n", 1)[0].strip()[:500]
        raise LedgerError(Code.QUERY_REFUSED, f"a query is exactly one SELECT statement: {first}") from error
    if len(statements) != 1 or statements[0][0] != duckdb.StatementType.SELECT:
        kinds = ", ".join(kind.name for kind, _ in statements) or "nothing"
        raise LedgerError(Code.QUERY_REFUSED, f"a query is exactly one SELECT statement; this is {kinds}")
    return str(statements[0][1])


def _refuse_names(sql: str) -> None:
    data = sql.encode()
    tokens = [(start, kind) for start, kind in duckdb.tokenize(sql) if kind != duckdb.token_type.comment]
    ends = [start for start, _ in tokens[1:]] + [len(data)]
    for (start, kind), end in zip(tokens, ends, strict=True):
        if kind not in (duckdb.token_type.identifier, duckdb.token_type.keyword):
            continue
        name = _NAME.search(data[start:end].decode(errors="replace"))
        if name is None:
            continue
        text = folded((name[1] or name[0]).replace('""', '"'))
        called, qualifies = data[end : end + 1] == b"(", data[end : end + 1] == b"."
        if qualifies and text in _SCHEMAS:
            raise LedgerError(
                Code.QUERY_REFUSED,
                f"{text}. is not for queries: name the views as they are (an alias of that name: choose another)",
            )
        if called and is_telling(text):
            raise LedgerError(
                Code.QUERY_REFUSED,
                f"{text} tells of the ledger's process, not of the log: it cannot be asked",
            )
