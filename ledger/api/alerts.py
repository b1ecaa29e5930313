"""`GET /v1/alerts`: how far rules and targets are. What they are is the server's own configuration, and no request changes it."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from ledger.alerts.settings import Settings, StandingQuery, read_settings
from ledger.alerts.standing import Answer, Ask
from ledger.api.documented import PROBLEMS
from ledger.api.service import Service, allow
from ledger.core.errors import Code, LedgerError
from ledger.forensics.catalog import NamedQuery
from ledger.forensics.journal import Journal, Run, noted
from ledger.forensics.service import QueryResult
from ledger.trust.roles import Operation

ASK_S: Final = 120.0  # a standing query may wait for those of people
_NONE: Final[dict[str, Any]] = {"rules": [], "targets": [], "failed": None, "alerts": []}

router = APIRouter(tags=["alerts"])


@router.get("/v1/alerts", responses=PROBLEMS)
async def get_alerts(request: Request) -> Response:
    """The rules with how far they have read, the targets with what waits for them, the newest alerts. Neither contents nor addresses."""
    serving, _ = allow(request, Operation.READ)
    if serving.alerts is None:
        return JSONResponse(_NONE)
    return JSONResponse(await asyncio.to_thread(serving.alerts.status))


def read_checked(path: Path, catalog: Mapping[str, NamedQuery]) -> Settings:
    """The file of rules and targets, its standing queries held against those that there are.

    Raises:
        LedgerError: `alerts-file`.
    """
    settings = read_settings(path)
    for rule in settings.rule:
        if not isinstance(rule, StandingQuery):
            continue
        query = catalog.get(rule.query)
        if query is None:
            raise LedgerError(
                Code.ALERTS_FILE, f"{path}: the rule {rule.name}: there is no query {rule.query!a}"
            )
        try:
            query.bind(rule.parameters)
        except LedgerError as error:
            raise LedgerError(Code.ALERTS_FILE, f"{path}: the rule {rule.name}: {error.detail}") from None
        if unknown := set(rule.columns) - {column.name for column in query.columns}:
            raise LedgerError(
                Code.ALERTS_FILE, f"{path}: the rule {rule.name}: {rule.query} has no column {min(unknown)!a}"
            )
    return settings


def asking(service: Service, journal: Journal, loop: asyncio.AbstractEventLoop) -> Ask:
    """Asks named queries from a thread, as an analyst does, on the loop of the server.

    A rule asks for as long as the server runs: recorded is its first run after a start, with the SQL, and each that ends otherwise than the one before.
    """
    ended: dict[str, str] = {}

    async def run(rule: StandingQuery) -> QueryResult:
        query = service.catalog[rule.query]
        parameters = query.bind(rule.parameters)
        asked = Run(f"alert:{rule.name}", rule.query, query.sql, parameters, rule.contents)

        async def note(run: Run) -> None:
            if ended.get(rule.name) != run.outcome:
                ended[rule.name] = run.outcome
                await journal.note(run)

        answering = service.queries.run(query.sql, parameters, contents=rule.contents, whole=True)
        return await noted(asked, answering, note)

    def ask(rule: StandingQuery) -> Answer:
        result = asyncio.run_coroutine_threadsafe(run(rule), loop).result(ASK_S)
        table = json.loads(result.body)
        return Answer(
            [column["name"] for column in table["columns"]], table["rows"], result.truncated, result.size
        )

    return ask
