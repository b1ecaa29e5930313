"""How a benchmark asks a ledger: its named questions with values that fit the log, and its tables copied into a plain DuckDB file."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import duckdb
import httpx
import pyarrow as pa

from benchmarks.servers import Served
from ledger.forensics.catalog import NamedQuery
from ledger.forensics.service import MAX_ROWS, MEMORY_BYTES

JSON, ARROW = "application/json", "application/vnd.apache.arrow.stream"
# Each table, and the column by whose ranges it is read in parts.
TABLES: Final = {
    "records": "seq",
    "actions": "seq",
    "flows": "sink_seq",
    "sessions": "first_seq",
    "identities": "first_seq",
    "resources": "first_seq",
    "tools": "first_seq",
    "denials": "seq",
}
PART = 8_000
PATIENCE_S = 3_600.0
_TIME: Final = """strftime(quantile_disc("time", {}) AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"""
# What values a question may be asked with, each a SELECT of one: a busy one of its kind, and times near the end of the log.
VALUES: Final = {
    "agent": "SELECT mode(identity_agent_id) FROM actions",
    "credential": "SELECT mode(identity_credential->>'id') FROM actions",
    "server": "SELECT mode(tool_server) FROM actions",
    "tool": "SELECT mode(tool_name) FROM actions WHERE tool_effect <> 'read'",
    "person": "SELECT mode(request_user) FROM actions",
    "peer": "SELECT 'peer.example/log'",
    "resource_id": "SELECT mode(resource_id) FROM actions WHERE resource_type = 'customer'",
    "literal": """SELECT arg_max(resource_id, "time") FROM actions WHERE tool_effect = 'pay'""",
    "session_id": "SELECT arg_max(session_id, (actions, session_id)) FROM sessions",
    "at": f"SELECT {_TIME.format(0.5)} FROM actions",
    "baseline_until": f"SELECT {_TIME.format(0.9)} FROM actions",
    "since": f"SELECT {_TIME.format(0.9)} FROM actions",
}
# These list single actions, and are asked about the last tenth of the log, as somebody would who looks into what happened now; every other
# question that takes `since` is about all of it.
ABOUT_NOW: Final = frozenset(
    {
        "approved-something-else", "calls-carrying-a-literal", "denied-only-on-paper", "denied-then-done", "first-action-after-exposure", "injected-action",
        "policy-failed-open", "principal-switched", "self-approved", "sensitive-read-then-sent", "targets-the-user-did-not-name",
        "untrusted-content-before-a-consequence", "what-an-agent-did", "what-followed-a-denial", "what-was-done-for-a-person",
    }
)  # fmt: skip


class Ledger:
    """One connection to a server."""

    def __init__(self, server: Served) -> None:
        self._client = httpx.Client(
            base_url=server.url,
            headers={"Authorization": f"Bearer {server.token}"},
            trust_env=False,
            timeout=120.0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._client.close()

    def sql(self, sql: str, *, media: str = JSON) -> httpx.Response:
        """The answer to one statement, waited for while the log is being taken in."""
        return self._asked("/v1/query", {"sql": sql}, media)

    def named(self, name: str, parameters: Mapping[str, Any], *, media: str = JSON) -> httpx.Response:
        """The answer to a named question."""
        return self._asked(f"/v1/queries/{name}", {"parameters": parameters}, media)

    def post(self, lines: Sequence[str]) -> None:
        """Records that have to be taken."""
        answer = self._client.post(
            "/v1/records", content="\n".join(lines), headers={"Content-Type": "application/x-ndjson"}
        )
        if answer.status_code >= 300:
            raise SystemExit(f"records were answered with {answer.status_code}: {answer.text[:500]}")

    def value(self, sql: str) -> Any:
        """The one value of one row."""
        [[value]] = self.sql(sql).json()["rows"]
        return value

    def table(self, sql: str) -> pa.Table | None:
        """All rows, or None where they are more than one answer holds."""
        read = pa.ipc.open_stream(self.sql(sql, media=ARROW).content).read_all()
        return None if read.schema.metadata[b"ledger.truncated"] == b"true" else read

    def _asked(self, path: str, body: Mapping[str, Any], media: str) -> httpx.Response:
        until = time.monotonic() + PATIENCE_S
        while True:
            answer = self._client.post(path, json=body, headers={"Accept": media})
            if answer.status_code == 200:
                return answer
            if problem_of(answer) != "queries-busy" or time.monotonic() > until:
                raise SystemExit(f"{path} was answered with {answer.status_code}: {answer.text[:500]}")
            time.sleep(1.0)


def problem_of(answer: httpx.Response) -> str:
    """Why something was not answered: the last part of the problem's type."""
    return str(answer.json()["type"]).rpartition(":")[2]


def copied(ledger: Ledger, path: Path) -> duckdb.DuckDBPyConnection:
    """A plain DuckDB file with the tables that queries see, their rows and columns, opened with the worker's settings."""
    db = duckdb.connect(str(path), config={"threads": 1, "memory_limit": f"{MEMORY_BYTES}B"})
    db.execute("SET TimeZone = 'UTC'")
    for name, place in TABLES.items():
        types = ledger.sql(f"SELECT column_name, column_type FROM (DESCRIBE {name})").json()["rows"]
        columns = ", ".join(f'"{column}" {kind}' for column, kind in types)
        db.execute(f"CREATE TABLE {name} ({columns})")
        low, last, part = 0, ledger.value(f"SELECT coalesce(max({place}), 0) FROM {name}"), PART
        while low <= last:
            rows = ledger.table(
                f"FROM {name} WHERE {place} >= {low} AND {place} < {low + part} ORDER BY {place}"
            )
            if rows is None:
                part //= 2
                continue
            db.register("part", rows)
            db.execute(f"INSERT INTO {name} BY NAME FROM part")
            db.unregister("part")
            low, part = low + part, min(PART, part * 2)
    db.execute("CHECKPOINT")
    return db


def parameters(query: NamedQuery, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values for what the question takes: what it requires, and since when where it lists single actions."""
    taken = {parameter.name for parameter in query.parameters if parameter.required}
    if query.name in ABOUT_NOW:
        taken.add("since")
    return {name: values[name] for name in taken}


def plainly(query: NamedQuery) -> str:
    """The question's SQL with the limit that the ledger's answers have."""
    return f"SELECT * FROM (\n{query.sql}\n) LIMIT {MAX_ROWS + 1}"
