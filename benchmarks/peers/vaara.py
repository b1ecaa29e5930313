"""vaara: its audit trail over its SQLite backend, one request for each record. A call that it governs writes two or three more."""

import json
from contextlib import contextmanager
from pathlib import Path

from vaara.audit.sqlite_backend import SQLiteAuditBackend
from vaara.taxonomy import actions

from benchmarks.peers.feeding import Facts, Lines, Plan, main

ACTION = actions.ActionType(
    name="send_money",
    category=actions.ActionCategory.FINANCIAL,
    reversibility=actions.Reversibility.IRREVERSIBLE,
    blast_radius=actions.BlastRadius.SHARED,
)


@contextmanager
def trail(folder: Path, plan: Plan, facts: Facts):  # noqa: ARG001
    backend = SQLiteAuditBackend(folder / "audit.db")
    kept = backend.load_trail()
    pragma = backend._conn.execute("PRAGMA synchronous").fetchone()[0]  # noqa: SLF001 - it has no other way to tell
    facts["sqlite_synchronous"] = pragma

    def write(lines: Lines) -> None:
        for record in map(json.loads, lines):
            kept.record_action_requested(
                actions.ActionRequest(
                    agent_id=record["identity"]["agent_id"],
                    tool_name=record["tool"]["name"],
                    action_type=ACTION,
                    parameters=record,
                    session_id=record["request"]["conversation_id"],
                )
            )
        if kept.persistence_failures:
            raise SystemExit(f"{kept.persistence_failures} records were not persisted")

    yield write
    backend.close()


if __name__ == "__main__":
    main({"trail": trail})
