"""Brings `actions` up to what was taken in: only the records that new ones may be joined with are joined again.

Each record has links (schemas/join/0-links.sql): hashes of what it may be joined by. The records that can be reached from the new ones over
equal links are joined as if there were no others, and what comes out takes the place of what there was of them. That the result is the one
that a join of everything gives is shown by tests/forensics/test_join_in_parts.py.
"""

from collections.abc import Sequence
from typing import Final

import duckdb

from ledger.records.resources import schema_text

LINKS: Final = "join/0-links.sql"
# The stages of the join (schemas/join), each over those before it.
FACTS: Final = ("join/1-facts.sql", "join/2-stages.sql")
TELEMETRY: Final = ("join/3-calls.sql", "join/4-meet.sql")
ACTIONS: Final = ("join/5-actions.sql", "join/6-fill.sql")
SCOPES: Final = "join/7-scopes.sql"
CARRIED: Final = "join/8-carried.sql"
AT_A_TIME: Final = 50_000  # actions: a row has all that its records say, and may have a mebibyte of contents
BEYOND: Final = 2**64 - 1


class Join:
    """Runs the stages over tables of a connection. Their sources are given as SQL, since they may be in two databases."""

    def __init__(self, db: duckdb.DuckDBPyConnection, *, records: str, links: str) -> None:
        """Make the stages, empty.

        Args:
            db: where the schemas `live` and `stored` are.
            records: a SELECT of all records.
            links: a SELECT of all links.
        """
        self._db, self._records, self._links = db, records, links
        self._stages = {
            stage: schema_text(stage) for stage in (*FACTS, *TELEMETRY, *ACTIONS, SCOPES, CARRIED)
        }
        self._add_links = schema_text(LINKS).strip().rstrip(";")
        db.execute("CREATE SCHEMA IF NOT EXISTS live")
        db.execute(f"CREATE TABLE live.records AS FROM ({records}) LIMIT 0")
        self._kind, self._telemetry = "TABLE", False
        self._make((*FACTS, *TELEMETRY, *ACTIONS))
        db.execute(f"CREATE TABLE live.part AS SELECT 0::UBIGINT AS low, {BEYOND}::UBIGINT AS high")
        db.execute(schema_text("views.sql"))

    def link(self, start: int, end: int) -> None:
        """Add the links of the stored records [start, end)."""
        self._db.execute(
            f"INSERT INTO stored.links {self._add_links}",
            {"start": start, "end": end},
        )

    def reach(self, new: str) -> None:
        """Make `live.touched`: the records of a SELECT of `seq`, and all that may be joined with them."""
        run = self._db.execute
        run(f"CREATE OR REPLACE TABLE live.touched AS SELECT DISTINCT seq FROM ({new})")
        run("CREATE OR REPLACE TABLE live.sought (link UBIGINT)")
        run("CREATE OR REPLACE TABLE live.last AS FROM live.touched")
        while self._count("live.last"):
            run(
                f"CREATE OR REPLACE TABLE live.fresh AS SELECT DISTINCT seeks AS link FROM ({self._links}) SEMI JOIN live.last USING (seq) "
                "WHERE seeks IS NOT NULL EXCEPT FROM live.sought"
            )
            run("INSERT INTO live.sought FROM live.fresh")
            run(
                f"CREATE OR REPLACE TABLE live.last AS SELECT DISTINCT seq FROM ({self._links}) SEMI JOIN live.fresh ON found = link "
                "EXCEPT FROM live.touched"
            )
            run("INSERT INTO live.touched FROM live.last")

    def join_touched(self, below: int | None = None) -> None:
        """Join the records of `live.touched` (with `seq` below a size) into `live.joined`."""
        self._join(
            "TABLE",
            f"SEMI JOIN live.touched USING (seq) WHERE {'TRUE' if below is None else f'seq < {below:d}'}",
        )

    def join_all(self) -> None:
        """Join everything into `live.joined`."""
        self._join("VIEW", "")

    def _join(self, kind: str, which: str) -> None:
        self._db.execute(f"DROP {self._kind} live.records")
        self._db.execute(f"CREATE {kind} live.records AS SELECT * FROM ({self._records}) {which}")
        self._kind = kind
        self._make(FACTS)
        telemetry = self._db.execute("SELECT EXISTS (FROM live.fact WHERE role <> 'sdk')").fetchall() == [
            (True,)
        ]
        if telemetry or self._telemetry:  # where there is none, its stages are as empty as they were made
            self._make(TELEMETRY)
        self._telemetry = telemetry
        self._make(ACTIONS)
        self._put_together()

    def _put_together(self) -> None:
        run = self._db.execute
        run("CREATE OR REPLACE TABLE live.joined AS FROM live.actions LIMIT 0")
        number = "row_number() OVER (ORDER BY first_seq)"
        ends = run(
            f"SELECT first_seq FROM live.action QUALIFY {number} % {AT_A_TIME} = 0 ORDER BY 1"
        ).fetchall()
        low = 0
        for high in (*(end for (end,) in ends), BEYOND):
            run(f"CREATE OR REPLACE TABLE live.part AS SELECT {low}::UBIGINT AS low, {high}::UBIGINT AS high")
            run("INSERT INTO live.joined FROM live.actions")
            low = high

    def flow(self) -> None:
        """What the view `flows` is made of, for the actions in `live.joined`: texts are compared batch by batch, so that memory stays bounded."""
        self._make((SCOPES,))
        for (batch,) in self._db.execute("SELECT DISTINCT batch FROM live.flow_scope").fetchall():
            self._db.execute("CREATE OR REPLACE TABLE live.flow_now AS SELECT $1 AS batch", [batch])
            self._make((CARRIED,))

    def _make(self, stages: Sequence[str]) -> None:
        for stage in stages:
            self._db.execute(self._stages[stage])

    def _count(self, table: str) -> int:
        [(count,)] = self._db.execute(f"SELECT count(*) FROM {table}").fetchall()
        return int(count)
