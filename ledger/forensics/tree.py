"""What a SELECT reads and calls, by the tree that DuckDB's own parser makes of it. Every node is looked at, and what is not known here is refused.

Text can be written so that who checks it takes it for something else than who runs it: blanks beyond ASCII, quotes in comments, texts that stand for
names. The tree has names alone. It must be complete: DuckDB leaves out of it what the storage version in use did not have, which is why
`storage_compatibility_version` is the newest wherever this is called.
"""

import json
import re
from typing import Any, Final, NoReturn, TypeAlias

import duckdb

from ledger.core.errors import Code, LedgerError
from ledger.forensics.description import tables

Node: TypeAlias = dict[str, Any]
Scope: TypeAlias = frozenset[str]

PERSONS: Final = "persons"  # not described: `records` and `actions` have them in their columns
_QUERIES: Final = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_SOURCES: Final = {"JOIN", "SUBQUERY", "EXPRESSION_LIST", "EMPTY", "PIVOT"}
_LISTINGS: Final = {"tables", "columns", "schemata"}  # of information_schema
_TABLE_FUNCTIONS: Final = {
    "generate_series",
    "json_each",
    "json_tree",
    "range",
    "repeat",
    "repeat_row",
    "unnest",
}
_OWN: Final = {(), ("main",), ("memory",), ("memory", "main")}
_BUILT_IN: Final = {*_OWN, ("pg_catalog",), ("system",), ("system", "main"), ("system", "pg_catalog")}
_LISTED_IN: Final = {
    ("information_schema",),
    ("memory", "information_schema"),
    ("system", "information_schema"),
}
# All functions and views of these families tell settings, paths, memory or other people's queries.
_FAMILIES: Final = re.compile(r"(duckdb|pragma|sqlite|pg(?!_typeof$))_")
# These put a name or a statement together when they run, read settings and variables, tell what stands in a column whoever may see it, wait, or outlast their query.
_TELLING: Final = {
    "current_connection_id",
    "current_query_id",
    "current_setting",
    "current_transaction_id",
    "currval",
    "enable_logging",
    "get_block_size",
    "getenv",
    "getvariable",
    "json_execute_serialized_sql",
    "json_serialize_plan",
    "nextval",
    "parse_duckdb_log",
    "query",
    "query_table",
    "setseed",
    "setval",
    "sleep_ms",
    "stats",
    "vector_type",
    "which_secret",
    "write_log",
}


def folded(name: str) -> str:
    """A name as DuckDB compares it: only ASCII has capitals. `str.lower` would take the Kelvin sign for a k."""
    return name.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def is_telling(name: str) -> bool:
    """Whether a function or view of this folded name tells of the ledger's process rather than of the log."""
    return name in _TELLING or _FAMILIES.match(name) is not None


def tables_read(db: duckdb.DuckDBPyConnection, wrapped: str) -> frozenset[str]:
    """The tables and views that a wrapped SELECT names, folded.

    Raises:
        LedgerError: `query-refused`: it names what is not of the log; `query-failed`: a table that there is not.
    """
    try:
        [(text,)] = db.execute("SELECT json_serialize_sql($1)", [wrapped]).fetchall()
        parsed = json.loads(text)
    except RecursionError:
        raise LedgerError(Code.QUERY_REFUSED, "the query is nested too deeply") from None
    if parsed["error"]:
        _refuse(f"the query cannot be read: {parsed['error_message'][:300]}")
    [statement] = parsed["statements"]
    root = statement["node"]
    if root["type"] != "SELECT_NODE" or root["from_table"]["type"] != "SUBQUERY":
        _refuse("a query is exactly one SELECT statement")
    return _Walk().tables(root)


class _Walk:
    """One walk over a tree, without recursion: how deep it is, is for who asks to choose."""

    def __init__(self) -> None:
        self._tables: set[str] = set()
        self._todo: list[tuple[Any, Scope]] = []

    def tables(self, root: Node) -> frozenset[str]:
        """The tables it names."""
        self._todo.append((root, frozenset()))
        while self._todo:
            node, scope = self._todo.pop()
            if isinstance(node, list):
                self._todo += [(each, scope) for each in node]
            elif isinstance(node, dict):
                self._visit(node, scope)
        return frozenset(self._tables)

    def _visit(self, node: Node, scope: Scope) -> None:
        if "cte_map" in node:
            self._query(node, scope)
            return
        if "class" in node:
            if "function_name" in node:
                _check_function(node)
        elif "alias" in node and "sample" in node:
            self._source(node, scope)
        self._todo += [(each, scope) for each in node.values()]

    def _query(self, node: Node, scope: Scope) -> None:
        """A query sees its own WITH; each of these those before it, and itself where it is recursive, on the right."""
        if node["type"] not in _QUERIES:
            _refuse(f"a query only reads: {node['type']} does not")
        for entry in node["cte_map"]["map"]:
            self._todo.append((entry["value"], scope))
            scope |= {folded(entry["key"])}
        inner = scope | {folded(node["cte_name"])} if "cte_name" in node else scope
        sees_itself = {"right"} if node["type"] == "RECURSIVE_CTE_NODE" else {"child"}
        for name, each in node.items():
            if name != "cte_map":
                self._todo.append((each, inner if name in sees_itself else scope))

    def _source(self, node: Node, scope: Scope) -> None:
        match node["type"]:
            case "BASE_TABLE":
                self._table(node, scope)
            case "TABLE_FUNCTION":
                _check_table_function(node["function"])
            case "SHOW_REF":
                self._shown(node, scope)
            case kind if kind not in _SOURCES:
                _refuse(f"{kind} is not for queries")

    def _table(self, node: Node, scope: Scope) -> None:
        *within, name = _path(node)
        if not within and name in scope:
            return
        if tuple(within) in _LISTED_IN and name in _LISTINGS:
            return
        if tuple(within) not in _OWN:
            _refuse(f"{within[0]}. is not for queries: name the views as they are")
        if is_telling(name):
            _refuse(f"{name} tells of the ledger's process, not of the log: it cannot be asked")
        self._named(name)

    def _named(self, name: str) -> None:
        if name != PERSONS and name not in tables():
            known = ", ".join(sorted(tables()))
            raise LedgerError(Code.QUERY_FAILED, f"there is no table {name!a:.80}; there are: {known}")
        self._tables.add(name)

    def _shown(self, node: Node, scope: Scope) -> None:
        """DESCRIBE and SUMMARIZE of a query or a view; not of settings, databases, or whatever a text names."""
        name = folded(node["table_name"])
        if node.get("query") is not None:
            return
        if node["catalog_name"] or node["schema_name"] or not (name == '"tables"' or name in tables()):
            _refuse("what may be described or shown is a view or a SELECT: agent-ledger schema lists them")
        if name in tables() and name not in scope:
            self._tables.add(name)


def _path(node: Node) -> list[str]:
    """All parts of the name of a table or function, folded."""
    return [folded(part) for part in node["qualified_name"]["path"]]


def _check_function(node: Node) -> None:
    *within, name = _path(node)
    if tuple(within) not in _BUILT_IN:
        _refuse(f"{name} of {'.'.join(within)} is not for queries")
    if is_telling(name):
        _refuse(f"{name} tells of the ledger's process, not of the log: it cannot be asked")


def _check_table_function(node: Node) -> None:
    name = _path(node)[-1]
    if name not in _TABLE_FUNCTIONS:
        allowed = ", ".join(sorted(_TABLE_FUNCTIONS))
        _refuse(
            f"{name} is not for queries: they read the log alone (of functions in FROM there are {allowed})"
        )


def _refuse(why: str) -> NoReturn:
    raise LedgerError(Code.QUERY_REFUSED, why)
