"""A log in which every content, every person and every resource is one that must not come out."""

import json
import threading
from typing import Any

from ledger.log.log import Log
from ledger.records.prepare import prepare
from tests.forensics.conftest import ORIGIN
from tests.forensics.hostile import CANARY

SECRET = f"{CANARY}-content"
PERSON = f"{CANARY}@example.com"


def story() -> list[dict[str, Any]]:
    """Contents, persons, and resources that are known from arguments alone, in every view; one flow that a record declares."""
    made = [
        {
            "id": f"ledger:{n}",  # as a dialect makes it: what it acted on is read out of its arguments
            "type": "action",
            "action_id": f"a{n}",
            "time": f"2026-11-21T09:00:{n:02d}Z",
            "request": {"user": PERSON, "text": f"{SECRET} please", "conversation_id": "c"},
            "identity": {"principal": PERSON, "agent_id": "clerk"},
            "tool": {"name": "send", "effect": "send", "arguments": {"path": f"{SECRET}/{n}", "note": f"{SECRET} {n and 4711}"}},
            "outcome": {"status": "success", "result": f"see {SECRET} 4711"},
            "ext": {"otel.kind": "tool"},
        }
        for n in range(4)
    ]  # fmt: skip
    made[2] |= {"policy": {"effect": "deny"}, "outcome": {"status": "denied", "result": SECRET}}
    made[3] |= {"trace": {"derived_from": ["a0"]}}
    return made


def post(log: Log, records: list[dict[str, Any]]) -> None:
    """Append them, as a dialect's."""
    settled = threading.Event()
    items = [
        prepare(
            json.dumps(record).encode(),
            submitter="token:test",
            persons=log.persons,
            origin=ORIGIN,
            agent_key=log.agent_key,
            reserved_ids=True,
        )
        for record in records
    ]
    log.submit(items, atomic=True, done=lambda _: settled.set())
    if not settled.wait(30):
        raise TimeoutError
