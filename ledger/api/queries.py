"""Analysts' SQL, and the named questions. Nothing runs in this process: see `ledger.forensics`."""

from typing import Annotated, Any, Final, TypeVar

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from ledger.api.documented import POST_NAMED_QUERY, POST_QUERY, PROBLEMS
from ledger.api.service import Service, allow
from ledger.core.errors import Code, LedgerError
from ledger.forensics.render import JSON, MEDIA_TYPES
from ledger.records.strict import refusal, strict
from ledger.trust.tokens import Operation

BODY_BYTES: Final = 1024 * 1024
Limit = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
T = TypeVar("T")
Parameters = dict[str, str | int | bool | None]

router = APIRouter(tags=["queries"])


class Sql(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/query`."""

    sql: str
    parameters: Parameters = {}
    limit: Limit | None = None


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/queries/{name}`."""

    parameters: Parameters = {}
    limit: Limit | None = None


@router.post("/v1/query", **POST_QUERY)
async def post_query(request: Request) -> Response:
    """One SELECT over the views `records` and `actions`. Sees every record acknowledged before it was asked."""
    serving, _ = allow(request, Operation.QUERY)
    body = await read_body(request, Sql)
    return await _answer(serving, request, body.sql, body.parameters, body.limit)


@router.get("/v1/queries", responses=PROBLEMS)
async def get_queries(request: Request) -> Response:
    """The named questions, with their parameters and columns."""
    serving, _ = allow(request, Operation.QUERY)
    return JSONResponse({"queries": [query.describe() for query in serving.catalog.values()]})


@router.post("/v1/queries/{name}", **POST_NAMED_QUERY)
async def post_named_query(request: Request, name: str) -> Response:
    """Ask a named question."""
    serving, _ = allow(request, Operation.QUERY)
    query = serving.catalog.get(name)
    if query is None:
        raise LedgerError(Code.NOT_FOUND, f"there is no query {name!a}; GET /v1/queries lists them")
    body = await read_body(request, Asked)
    return await _answer(serving, request, query.sql, query.bind(body.parameters), body.limit)


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


async def _answer(
    serving: Service, request: Request, sql: str, parameters: dict[str, Any], limit: int | None
) -> Response:
    media = _accepted(request.headers.get("accept", ""))
    result = await serving.queries.run(sql, parameters, limit=limit, media=media)
    headers = {
        "Ledger-Size": str(result.size),
        "Ledger-Root": result.root.hex(),
        "Ledger-Truncated": str(result.truncated).lower(),
        "Vary": "Accept",
    }
    return Response(result.body, media_type=result.media_type, headers=headers)


def _accepted(accept: str) -> str:
    """The first media type of Accept that can be made; weights are not weighed.

    Raises:
        LedgerError: `not-acceptable`.
    """
    wanted = [part.partition(";")[0].strip().lower() for part in accept.split(",") if part.strip()]
    for media in wanted or ["*/*"]:
        if media in MEDIA_TYPES:
            return media
        if media in {"*/*", "application/*"}:
            return JSON
        if media == "text/*":
            return "text/csv"
    raise LedgerError(Code.NOT_ACCEPTABLE, f"an answer comes as one of {', '.join(MEDIA_TYPES)}")
