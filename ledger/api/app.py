"""The HTTP service, put together. Thin: no decision lives here."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from ledger import __version__
from ledger.api import (
    access,
    alerts,
    compaction,
    console,
    entries,
    erasure,
    evidence,
    health,
    ingest,
    keys,
    otlp,
    queries,
    records,
    retention,
    signing_in,
    stream,
    tiles,
    upkeep,
    verification,
    witnessed,
)
from ledger.api.answers import Answers
from ledger.api.bodies import Bodies
from ledger.api.documented import with_submission_schema
from ledger.api.problems import refused, refused_unexpectedly
from ledger.api.retention import selecting
from ledger.api.service import Service, allow
from ledger.api.turns import Turns
from ledger.api.verification import Jobs
from ledger.api.witnessed import Witnessing
from ledger.core.errors import Code, LedgerError
from ledger.forensics.journal import Journal
from ledger.trust.roles import Operation
from ledger.upkeep.routine import Routine

_BY_STATUS: Final = {
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    406: Code.NOT_ACCEPTABLE,
    413: Code.BODY_TOO_LARGE,
}

_ROOMS: Final = (
    records,
    otlp,
    ingest,
    stream,  # before the records by their ids
    entries,
    tiles,
    verification,
    queries,
    evidence,
    upkeep,
    retention,
    compaction,
    erasure,
    access,
    keys,
    alerts,
    witnessed,
    signing_in,  # before the console's files by their names
    console,
    health,
)
PREPARING: Final = 2  # batches at once: more would take the interpreter from each other, and memory
logger = logging.getLogger(__name__)


def create_app(service: Service) -> FastAPI:
    """The ASGI application over an open log. It owns nothing: whoever opened the log closes it."""
    app = FastAPI(
        title="Agent Ledger",
        version=__version__,
        description="An append-only, signed audit ledger for the actions of AI agents.",
        openapi_url=None,  # served below, behind a token like everything else
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.service = service
    for room in _ROOMS:
        app.router.routes.extend(
            room.router.routes
        )  # flat: `include_router` keeps a tree that each request walks
    _add_openapi(app)
    app.add_exception_handler(LedgerError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _broken)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    app.state.bodies = Bodies()
    app.state.witnessing = Witnessing(service.witnesses, asyncio.get_running_loop())
    app.state.answers = Answers(service, asyncio.get_running_loop(), app.state.witnessing)
    app.state.jobs = Jobs()
    app.state.journal = Journal(service.log)
    app.state.large = Turns()  # large bodies in another format: `ledger.api.dialects`
    app.state.evidence = Turns()  # files of evidence that are being made
    app.state.preparing = Turns(PREPARING)  # batches, and pieces of such bodies
    app.state.routine = Routine(
        service.log,
        selecting(service.queries),
        offload=service.offload,
        keep=service.objects_keep,
        forget=service.queries.forget_removed,
        confirmed=service.four_eyes,
    )
    app.state.routine.start()
    if service.alerts is not None:
        service.alerts.start(alerts.asking(service, app.state.journal, asyncio.get_running_loop()))
    if service.witnesses is not None:
        service.witnesses.start(app.state.witnessing.published)
    # The first question need not wait for the worker to take the log in.
    warming = asyncio.create_task(_warm(service))
    yield
    warming.cancel()
    if service.witnesses is not None:
        await asyncio.to_thread(service.witnesses.close)
    if service.alerts is not None:
        await asyncio.to_thread(service.alerts.close)  # likewise
    await asyncio.to_thread(app.state.routine.close)  # it may wait for a query, which needs this loop
    await app.state.jobs.close()
    await service.streams.close()
    await service.queries.close()
    await app.state.journal.close()  # with those that were ended just now


async def _warm(service: Service) -> None:
    try:
        await service.queries.warm()
    except LedgerError as error:
        logger.warning("queries cannot be answered: %s", error.code)


def _add_openapi(app: FastAPI) -> None:
    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> Response:
        allow(request, Operation.LOG_PROOFS)
        return JSONResponse(openapi_document(app))


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once."""
    if app.openapi_schema is None:
        app.openapi_schema = with_submission_schema(FastAPI.openapi(app))
    return app.openapi_schema


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, LedgerError):
        raise error
    return refused(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    """A path or query parameter that FastAPI refused."""
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    name, said = str(first["loc"][-1]), first["msg"].removeprefix("Value error, ")
    return refused(request, LedgerError(Code.INVALID_PARAMETER, f"{name}: {said}", path=name))


async def _http(request: Request, error: Exception) -> Response:
    """Starlette's own refusals: no such path, no such method."""
    if not isinstance(error, HTTPException):
        raise error
    code = _BY_STATUS.get(error.status_code, Code.INTERNAL)
    detail = f"{request.method} {ascii(request.url.path)[1:-1]}: {error.detail}"
    response = refused(request, LedgerError(code, detail))
    response.headers.update(error.headers or {})
    return response


async def _broken(request: Request, error: Exception) -> Response:
    """A bug of ours: the traceback goes to the log, by the server that called us."""
    return refused_unexpectedly(request, error)
