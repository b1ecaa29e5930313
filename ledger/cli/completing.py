"""What can follow in SQL: views, columns, keywords, parameters, and the shell's own commands."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

KEYWORDS: Final = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "BY",
    "ALL",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "HAVING",
    "QUALIFY",
    "JOIN",
    "LEFT",
    "INNER",
    "USING",
    "ON",
    "AS",
    "WITH",
    "UNION",
    "DISTINCT",
    "AND",
    "OR",
    "NOT",
    "IN",
    "IS",
    "NULL",
    "LIKE",
    "ILIKE",
    "BETWEEN",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "ASC",
    "DESC",
    "NULLS",
    "LAST",
    "FILTER",
    "OVER",
    "PARTITION",
    "EXISTS",
    "INTERVAL",
    "TIMESTAMPTZ",
    "UNNEST",
    "CAST",
    "count(*)",
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "list",
    "string_agg",
    "any_value",
    "arg_min",
    "arg_max",
    "coalesce",
    "date_trunc",
    "contains",
    "starts_with",
    "regexp_matches",
]
_WORD: Final = re.compile(r"[\\$]?[A-Za-z0-9_]*$")
_TABLE_NEXT: Final = re.compile(r"\b(from|join)\s+[a-z0-9_]*$", re.IGNORECASE)
_DESCRIBED: Final = re.compile(r"\\d\s+[a-z0-9_]*$")


class Words(Completer):
    """Completes from the ledger's own schema."""

    def __init__(
        self, tables: list[dict[str, Any]], parameters: Mapping[str, Any], commands: Mapping[str, str]
    ) -> None:
        """What there is: tables as `GET /v1/schema` tells them, the parameters that are set, the shell's commands with what they do."""
        self._tables = {str(table["name"]): table for table in tables}
        self._parameters, self._commands = parameters, commands

    def get_completions(
        self,
        document: Document,
        complete_event: CompleteEvent,  # noqa: ARG002 - the interface
    ) -> Iterable[Completion]:
        """What begins with the word before the cursor."""
        before = document.text_before_cursor
        found = _WORD.search(before)
        word = found[0] if found else ""
        for text, about in self._fitting(document.text, before, word):
            if text.lower().startswith(word.lower()) and text != word:
                yield Completion(text, start_position=-len(word), display_meta=about[:60])

    def _fitting(self, whole: str, before: str, word: str) -> Iterable[tuple[str, str]]:
        if word.startswith("\\"):
            return self._commands.items() if before == word else ()
        if word.startswith("$"):
            return [(f"${name}", repr(value)) for name, value in self._parameters.items()]
        tables = [(name, str(table["answers"])) for name, table in self._tables.items()]
        if _TABLE_NEXT.search(before) or _DESCRIBED.search(before):
            return tables
        if not word:
            return ()
        return [*self._columns(whole), *tables, *((keyword, "") for keyword in KEYWORDS)]

    def _columns(self, whole: str) -> Iterable[tuple[str, str]]:
        """Those of the tables that the statement names; of all where it names none yet."""
        named = [table for name, table in self._tables.items() if re.search(rf"\b{re.escape(name)}\b", whole)]
        columns = {
            str(column["name"]): str(column["about"])
            for table in named or self._tables.values()
            for column in table["columns"]
        }
        return sorted(columns.items())
