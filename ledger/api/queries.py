"""Analysts' SQL, and the named questions. Nothing runs in this process: see `ledger.forensics`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from ledger.api.accepting import chosen
from ledger.api.asking import Page, Statement, ask, cancel, query_id, running
from ledger.api.documented import PROBLEMS
from ledger.api.proven import with_proofs
from ledger.api.query_documented import POST_NAMED_QUERY, POST_QUERY
from ledger.api.service import allow, service
from ledger.core.canonical import MAX_INTEGER
from ledger.core.errors import Code, LedgerError
from ledger.forensics.catalog import GROUPS, OWN, NamedQuery
from ledger.forensics.cursors import Place, format_cursor, parse_cursor
from ledger.forensics.description import tables
from ledger.forensics.parameters import Value, parse_parameters
from ledger.forensics.render import MEDIA_TYPES, with_next
from ledger.records.strict import refusal, strict
from ledger.trust.roles import Operation

BODY_BYTES: Final = 1024 * 1024
Limit = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Size = Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)]
T = TypeVar("T")
Parameters = dict[str, Any]  # see `ledger.forensics.parameters`

router = APIRouter(tags=["queries"])


class Sql(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/query`."""

    sql: str
    parameters: Parameters = {}
    limit: Limit | None = None
    as_of: Size | None = None
    cursor: str | None = None


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/queries/{name}`."""

    parameters: Parameters = {}
    limit: Limit | None = None
    as_of: Size | None = None
    cursor: str | None = None


@router.post("/v1/query", **POST_QUERY)
async def post_query(request: Request) -> Response:
    """One SELECT over the views `records` and `actions`. Sees every record acknowledged before it was asked."""
    _, principal = allow(request, Operation.QUERY)
    body = await read_body(request, Sql)
    return await _answer(request, Statement(principal, body.sql, parse_parameters(body.parameters)), body)


@router.get("/v1/query/running", responses=PROBLEMS)
async def get_running(request: Request) -> Response:
    """One's own queries that wait or run, oldest first; an admin's view is of everybody's."""
    _, principal = allow(request, Operation.QUERY)
    return JSONResponse({"queries": running(request, principal)})


@router.delete("/v1/query/running/{query}", responses=PROBLEMS, status_code=204)
async def delete_running(request: Request, query: str) -> Response:
    """Cancel a query of one's own, or as an admin anybody's, by its Ledger-Query-Id."""
    _, principal = allow(request, Operation.QUERY)
    cancel(request, principal, query)
    return Response(status_code=204)


@router.get("/v1/schema", responses=PROBLEMS)
async def get_schema(request: Request) -> Response:
    """What a query sees: its tables and views, their columns, what each means and whose term it follows."""
    allow(request, Operation.QUERY)
    return JSONResponse({"tables": [table.describe() for table in tables().values()]})


@router.get("/v1/queries", responses=PROBLEMS)
async def get_queries(request: Request) -> Response:
    """The named questions, with their parameters, columns and SQL, and the groups that they are in."""
    serving, _ = allow(request, Operation.QUERY)
    described = [query.describe() for query in serving.catalog.values()]
    return JSONResponse({"groups": {**GROUPS, OWN: "Your own"}, "queries": described})


@router.post("/v1/queries/{name}", **POST_NAMED_QUERY)
async def post_named_query(request: Request, name: str) -> Response:
    """Ask a named question."""
    serving, principal = allow(request, Operation.QUERY)
    query = serving.catalog.get(name)
    if query is None:
        raise LedgerError(Code.NOT_FOUND, f"there is no query {name!a}; GET /v1/queries lists them")
    body = await read_body(request, Asked)
    return await _answer(request, Statement(principal, query.sql, bound(query, body.parameters), name), body)


async def read_body(request: Request, kind: type[T]) -> T:
    """A small JSON body; an empty one is an empty object.

    Raises:
        LedgerError: it does not fit.
    """
    async with request.app.state.bodies.read(request, limit=BODY_BYTES) as body:
        data = body or b"{}"
    strict(data)
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        found = refusal(error)
        raise LedgerError(Code.INVALID_PARAMETER, found.detail, path=found.path) from None


async def _answer(request: Request, statement: Statement, asked: Asked | Sql) -> Response:
    """Ask for one page of the answer."""
    media = chosen(request.headers.get("accept", ""), MEDIA_TYPES)
    seen = statement.by.may(Operation.CONTENTS)
    place = _place(statement, asked, service(request).log.head().size)
    page = Page(asked.limit, media, place.size if place else None, place.offset if place else 0)
    result = await ask(request, statement, page)
    headers = {
        "Ledger-Query-Id": query_id(request),
        "Ledger-Size": str(result.size),
        "Ledger-Root": result.root.hex(),
        "Ledger-Row-Count": str(result.row_count),
        "Ledger-Truncated": str(result.truncated).lower(),
        "Vary": "Accept",
    }
    if result.behind:
        headers["Ledger-Behind"] = str(result.behind)
    body = await with_proofs(request, result)
    if result.truncated:
        after = Place(result.size, page.offset + result.row_count)
        headers["Ledger-Next"] = format_cursor(after, statement.sql, statement.parameters, contents=seen)
        body = with_next(body, media, headers["Ledger-Next"])
    return Response(body, media_type=result.media_type, headers=headers)


def _place(statement: Statement, asked: Asked | Sql, size: int) -> Place | None:
    """At which size and row to begin; None is now, at the first."""
    if asked.cursor is None:
        place = None if asked.as_of is None else Place(asked.as_of, 0)
    elif asked.as_of is not None:
        raise LedgerError(
            Code.INVALID_PARAMETER, "a cursor has a size of its own: leave as_of out", path="as_of"
        )
    else:
        seen = statement.by.may(Operation.CONTENTS)
        place = parse_cursor(asked.cursor, statement.sql, statement.parameters, contents=seen)
    if place is not None and not 0 < place.size <= size:
        path = "as_of" if asked.cursor is None else "cursor"
        raise LedgerError(
            Code.INVALID_PARAMETER,
            f"the log has {size} entries: it was never at size {place.size}",
            path=path,
        )
    return place


def bound(query: NamedQuery, given: Mapping[str, Any]) -> dict[str, Value]:
    """The parameters of a named question, which takes its times as text."""
    parsed = parse_parameters(given)
    return dict(
        query.bind(
            {name: each.isoformat() if isinstance(each, datetime) else each for name, each in parsed.items()}
        )
    )
