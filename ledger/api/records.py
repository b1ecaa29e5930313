"""`POST /v1/records`: where everything that is recorded comes in."""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request
from msgspec import UNSET, Struct, UnsetType
from starlette.responses import Response

from ledger.api.answers import Result
from ledger.api.documented import POST_RECORDS
from ledger.api.ingest import is_cloudevent, post_cloudevents
from ledger.api.problems import problem, problem_response
from ledger.api.service import Service, allow, header
from ledger.core.errors import Code, LedgerError
from ledger.ingest.arrow.prepare import MEDIA_TYPE as ARROW
from ledger.ingest.arrow.prepare import prepare_stream
from ledger.ingest.native import JSON, read_records
from ledger.log.plan import Appended
from ledger.records.prepare import prepare
from ledger.records.prepared import Prepared
from ledger.trust.tokens import Operation

CREATED, OK, MULTI_STATUS = 201, 200, 207
PATH: Final = "/v1/records"
Read = Prepared | LedgerError
STRICT: Final = "handling=strict"
_INLINE_BYTES: Final = 128 * 1024  # reading a larger batch would keep the other requests waiting
_INLINE_RECORDS: Final = 250


class _Json(Response):
    """A response whose two headers are known beforehand."""

    def __init__(
        self, body: bytes, status: int
    ) -> None:  # deliberately not super().__init__: that is what costs
        self.body, self.status_code, self.background = body, status, None
        self.raw_headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]


router = APIRouter(tags=["records"])
_encode = msgspec.json.Encoder().encode


@router.post(PATH, status_code=CREATED, **POST_RECORDS)
async def post_records(request: Request) -> Response:
    """Append one record, an array, NDJSON, or an Arrow stream. Answers when they are durable and under a signed checkpoint."""
    serving, principal = allow(request, Operation.POST)
    media_type = header(request, b"content-type").partition(";")[0].strip().lower() or JSON
    if is_cloudevent(request, media_type):
        return await post_cloudevents(request)
    async with request.app.state.bodies.read(request) as body:
        if media_type == ARROW:
            return await _batch(request, await _columns(request, body, principal.submitter))
        records, batch = read_records(body, media_type)
        if batch:
            return await _batch(request, await _rows(records, serving, principal.submitter))
        item = _prepared(records[0], serving, principal.submitter)
        [result] = await request.app.state.answers.submit((item,), atomic=True)
        return _single(item, result)


def _prepared(record: bytes, serving: Service, submitter: str) -> Prepared:
    log = serving.log
    return prepare(
        record,
        submitter=submitter,
        persons=log.persons,
        origin=log.origin,
        agent_key=log.agent_key,
        require_facets=serving.require_facets,
    )


def _single(item: Prepared, result: Result) -> Response:
    if isinstance(result, LedgerError):
        raise result
    return _Json(_encode(_answer(item, result)), OK if result.existing else CREATED)


class _Answer(Struct, gc=False):
    """What is said of one record. Encoded at once for all of a batch: it is said once for each."""

    id: str
    seq: int
    leaf_hash: str
    recorded_at: str
    existing: bool
    size: int
    id_generated: bool | UnsetType = UNSET


class _Batch(Struct):
    size: int
    appended: int
    existing: int
    refused: int
    results: list[_Answer | dict[str, Any]]


def _answer(item: Prepared, result: Appended) -> _Answer:
    return _Answer(
        result.id,
        result.seq,
        result.leaf_hash.hex(),
        result.recorded_at,
        result.existing,
        result.size,
        True if item.generated_id else UNSET,
    )


async def _columns(request: Request, body: bytes, submitter: str) -> list[Read]:
    """Of an Arrow stream. However short it is, it may have thousands of rows; one at a time, because columns are many times its bytes."""
    serving: Service = request.app.state.service
    async with request.app.state.large:
        return await asyncio.to_thread(
            prepare_stream,
            body,
            submitter=submitter,
            persons=serving.log.persons,
            origin=serving.log.origin,
            agent_key=serving.log.agent_key,
            require_facets=serving.require_facets,
        )


async def _rows(records: list[bytes], serving: Service, submitter: str) -> list[Read]:
    if len(records) > _INLINE_RECORDS or sum(map(len, records)) > _INLINE_BYTES:
        return await asyncio.to_thread(_prepare_all, records, serving, submitter)
    return _prepare_all(records, serving, submitter)


async def _batch(request: Request, read: list[Read]) -> Response:
    """Each record has its own fate, unless the client prefers all or nothing."""
    serving: Service = request.app.state.service
    strict = STRICT in header(request, b"prefer").replace(" ", "").lower()
    good = [item for item in read if isinstance(item, Prepared)]
    if strict and len(good) < len(read):
        return _report(serving, read, iter([_not_written()] * len(good)), strict=True)
    outcomes = await request.app.state.answers.submit(good, atomic=strict) if good else []
    return _report(serving, read, iter(outcomes), strict=strict)


def _prepare_all(records: list[bytes], serving: Service, submitter: str) -> list[Read]:
    read: list[Read] = []
    for record in records:
        try:
            read.append(_prepared(record, serving, submitter))
        except LedgerError as error:
            read.append(error.without_frames())
    return read


def _not_written() -> LedgerError:
    return LedgerError(
        Code.NOT_WRITTEN, "not written: another record of this all-or-nothing submission was refused"
    )


def _report(serving: Service, read: list[Read], outcomes: Iterator[Result], *, strict: bool) -> Response:
    """What became of each record: of one that could be read, the next of `outcomes`."""
    shown: list[_Answer | dict[str, Any]] = []
    problems: list[dict[str, Any]] = []
    appended = 0
    for index, item in enumerate(read):
        outcome = next(outcomes) if isinstance(item, Prepared) else item
        if isinstance(item, Prepared) and not isinstance(outcome, LedgerError):
            appended += not outcome.existing
            shown.append(_answer(item, outcome))
        elif isinstance(outcome, LedgerError):
            serving.telemetry.refused(outcome.code)
            problems.append(problem(outcome, record=index))
            shown.append(problems[-1])
    existing = len(read) - len(problems) - appended
    if strict and problems:
        return _all_refused(problems)
    stopped = [p for p in problems if p["status"] >= 500]  # noqa: PLR2004 - the server's fault, so the client sends it all again
    if stopped and not appended and not existing:
        return problem_response({**stopped[0], "results": problems})
    body = _encode(_Batch(serving.log.head().size, appended, existing, len(problems), shown))
    status = MULTI_STATUS if problems else CREATED if appended else OK
    return Response(body, status, media_type=JSON)


def _all_refused(problems: list[dict[str, Any]]) -> Response:
    """All or nothing, and something was refused: the first refusal that is a record's own speaks for all."""
    own = [p for p in problems if not p["type"].endswith(Code.NOT_WRITTEN)] or problems
    return problem_response({**own[0], "results": own})
