"""A real log, a real worker process, and what was asked of it."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.core.errors import LedgerError
from ledger.forensics.service import QueryResult, QueryService
from ledger.log.log import Log
from ledger.log.plan import Appended
from ledger.records.prepare import prepare

ORIGIN = "ledger.example/test"
Row = list[Any]


class Desk:
    """An investigator's desk: post records, ask questions, synchronously."""

    def __init__(self, log: Log, **limits: Any) -> None:
        self.log = log
        self.loop = asyncio.new_event_loop()
        self.service = QueryService(log, **limits)

    def post(self, *records: dict[str, Any], submitter: str = "token:test") -> list[Appended | LedgerError]:
        settled = threading.Event()
        results: list[Appended | LedgerError] = []
        items = [
            prepare(
                json.dumps(record).encode(),
                submitter=submitter,
                persons=self.log.persons,
                origin=self.log.origin,
                agent_key=self.log.agent_key,
            )
            for record in records
        ]
        self.log.submit(items, atomic=True, done=lambda outcome: (results.extend(outcome), settled.set()))
        if not settled.wait(30):
            raise TimeoutError
        refused = [result for result in results if isinstance(result, LedgerError)]
        if refused:
            raise refused[0]
        return results

    def run(self, sql: str, parameters: dict[str, Any] | None = None, **options: Any) -> QueryResult:
        return self.loop.run_until_complete(self.service.run(sql, parameters, **options))

    def ask(self, sql: str, parameters: dict[str, Any] | None = None, **options: Any) -> list[Row]:
        return json.loads(self.run(sql, parameters, **options).body)["rows"]

    def close(self) -> None:
        self.loop.run_until_complete(self.service.close())
        self.loop.close()


def action(number: int, **members: Any) -> dict[str, Any]:
    return {
        "id": f"rec-{number:05d}",
        "type": "action",
        "time": f"2026-11-21T09:{number // 60 % 60:02d}:{number % 60:02d}Z",
        **members,
    }


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    folder = tmp_path_factory.mktemp("forensics") / "data"
    Log.create(folder, ORIGIN)
    opened = Log.open(folder)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def desk(log: Log) -> Iterator[Desk]:
    opened = Desk(log, deadline_s=10)
    yield opened
    opened.close()


@pytest.fixture
def new_log(tmp_path: Path) -> Callable[[], Path]:
    def make() -> Path:
        folder = tmp_path / "data"
        Log.create(folder, ORIGIN)
        return folder

    return make
