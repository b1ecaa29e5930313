"""A query on somebody's behalf: it sees what they may see, ends when they leave or say so, and is recorded however it ends."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from starlette.requests import Request

from ledger.api.service import header, service
from ledger.core.errors import Code, LedgerError
from ledger.forensics.journal import Journal, Run, noted
from ledger.forensics.parameters import Value
from ledger.forensics.render import JSON
from ledger.forensics.service import QueryResult
from ledger.records.prepare import uuid7
from ledger.trust.roles import Operation, Principal

ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_GIVEN: Final = "agent_ledger.query_id"


class Statement(NamedTuple):
    """What is asked, and by whom: `name` is a named question's, whose `sql` it is."""

    by: Principal
    sql: str
    parameters: Mapping[str, Value]
    name: str | None = None


class Page(NamedTuple):
    """Which rows of the answer, in which form: `as_of` a size of the log, or now."""

    limit: int | None = None
    media: str = JSON
    as_of: int | None = None
    offset: int = 0


def query_id(request: Request) -> str:
    """The request's Ledger-Query-Id: chosen by the client, else made here.

    Raises:
        LedgerError: `invalid-parameter`.
    """
    known: str | None = request.scope.get(_GIVEN)
    if known is None:
        known = header(request, b"ledger-query-id") or uuid7()
        if not ID.fullmatch(known):
            raise LedgerError(
                Code.INVALID_PARAMETER,
                "a Ledger-Query-Id is 1 to 64 letters, digits, dots, dashes and _",
                path="Ledger-Query-Id",
            )
        request.scope[_GIVEN] = known
    return known


async def ask(request: Request, statement: Statement, page: Page) -> QueryResult:
    """Run it.

    Raises:
        LedgerError: those of `QueryService.run`.
    """
    journal: Journal = request.app.state.journal
    asked = Run(
        by=statement.by.submitter,
        query=statement.name,
        sql=None if statement.name else statement.sql,
        parameters=statement.parameters,
        contents=statement.by.may(Operation.CONTENTS),
    )
    return await noted(asked, _unless_left(request, statement, page), journal.note)


async def _unless_left(request: Request, statement: Statement, page: Page) -> QueryResult:
    """The answer; whoever closes the connection before it comes has cancelled the query."""
    queries = service(request).queries
    asking = asyncio.ensure_future(
        queries.run(
            statement.sql,
            statement.parameters,
            limit=page.limit,
            media=page.media,
            as_of=page.as_of,
            offset=page.offset,
            contents=statement.by.may(Operation.CONTENTS),
            id=_place_of(statement.by, query_id(request)),
        )
    )
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({asking, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            queries.cancel(_place_of(statement.by, query_id(request)))
        return await asking
    finally:
        leaving.cancel()
        asking.cancel()  # this request itself may have been cancelled


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def running(request: Request, principal: Principal) -> list[dict[str, Any]]:
    """The queries that wait or run, as far as they concern this principal."""
    shown = []
    for each in service(request).queries.running():
        by, _, name = each.id.partition("/")
        if name and (by == principal.name or principal.may(Operation.UPKEEP)):
            fraction = None if each.fraction is None else round(each.fraction, 3)
            about = {"seconds": round(each.seconds, 3), "waiting": each.waiting, "fraction": fraction}
            shown.append({"id": name, "by": by, **about})
    return shown


def cancel(request: Request, principal: Principal, query: str) -> None:
    """End a query.

    Raises:
        LedgerError: `not-found`: this principal has none of that id, and may not end another's.
    """
    queries = service(request).queries
    for each in running(request, principal):
        if each["id"] == query and queries.cancel(f"{each['by']}/{query}"):
            return
    raise LedgerError(Code.NOT_FOUND, f"no query of yours with the id {query!a:.80} waits or runs")


def _place_of(principal: Principal, name: str) -> str:
    """The query's id among those of all: nobody takes another's."""
    return f"{principal.name}/{name}"
