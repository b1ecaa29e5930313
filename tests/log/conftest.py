"""A real log in a temporary folder, and records to put into it."""

import json
import threading
from pathlib import Path

import pytest

from ledger.core.errors import LedgerError
from ledger.log.log import Log
from ledger.log.plan import Appended
from ledger.records.prepare import prepare
from ledger.records.prepared import Prepared

ORIGIN = "ledger.example/test"

# Takes the arguments out of what is stored with a `record`: they are the last of its contents.
WITHOUT_ARGUMENTS = "UPDATE entries SET contents = regexp_replace(contents, ',\\[\"tool\\.arguments\".*$', ']') WHERE seq = {}"


def record(number: int, **members: object) -> dict:
    return {
        "id": f"rec-{number:05d}",
        "type": "action",
        "time": "2026-11-21T09:30:00.000001Z",
        "request": {"user": "alice@example.com", "conversation_id": "c-1", "text": f"please do {number}"},
        "tool": {
            "name": "send_money",
            "call_id": f"call-{number}",
            "arguments": {"amount": 12.5, "to": "bob"},
        },
        **members,
    }


def prepared(log: Log, value: dict, submitter: str = "token:test") -> Prepared:
    return prepare(
        json.dumps(value).encode(),
        submitter=submitter,
        persons=log.persons,
        origin=log.origin,
        agent_key=log.agent_key,
    )


def post(log: Log, *values: dict, atomic: bool = False) -> list[Appended | LedgerError]:
    return submit(log, [prepared(log, value) for value in values], atomic=atomic)


def submit(log: Log, items: list[Prepared], *, atomic: bool = False) -> list[Appended | LedgerError]:
    settled = threading.Event()
    results: list[Appended | LedgerError] = []

    def done(outcome: list[Appended | LedgerError]) -> None:
        results.extend(outcome)
        settled.set()

    log.submit(items, atomic=atomic, done=done)
    if not settled.wait(30):
        raise TimeoutError
    return results


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    Log.create(folder, ORIGIN)
    return folder


@pytest.fixture
def log(data: Path):
    opened = Log.open(data)
    yield opened
    opened.close()
