"""`POST /v1/records`: where everything that is recorded comes in."""

import asyncio
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request
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
    return _Json(_answer(item, result), OK if result.existing else CREATED)


def _answer(item: Prepared, result: Result) -> bytes:
    """One record's answer. Put together by hand: this is said once for each record."""
    if isinstance(result, LedgerError):
        raise TypeError(result)
    return b'{"id":%b,"seq":%d,"leaf_hash":"%b","recorded_at":"%b","existing":%b,"size":%d%b}' % (
        _encode(result.id),
        result.seq,
        result.leaf_hash.hex().encode(),
        result.recorded_at.encode(),
        b"true" if result.existing else b"false",
        result.size,
        b',"id_generated":true' if item.generated_id else b"",
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
    results: list[Read | tuple[Prepared, Result]] = list(read)
    if strict and len(good) < len(read):
        results = [_not_written() if isinstance(item, Prepared) else item for item in read]
    elif good:
        outcomes = iter(await request.app.state.answers.submit(good, atomic=strict))
        results = [(item, next(outcomes)) if isinstance(item, Prepared) else item for item in read]
    return _report(serving, results, strict=strict)


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


def _report(serving: Service, results: list[Any], *, strict: bool) -> Response:
    shown: list[bytes] = []
    problems: list[dict[str, Any]] = []
    appended = existing = 0
    for index, result in enumerate(results):
        item, outcome = (
            result if isinstance(result, tuple) and not isinstance(result, Prepared) else (None, result)
        )
        if isinstance(outcome, LedgerError):
            serving.telemetry.refused(outcome.code)
            problems.append(problem(outcome, record=index))
            shown.append(_encode(problems[-1]))
        else:
            appended += not outcome.existing
            existing += outcome.existing
            shown.append(_answer(item, outcome))
    if strict and problems:
        return _all_refused(problems)
    stopped = [p for p in problems if p["status"] >= 500]  # noqa: PLR2004 - the server's fault, so the client sends it all again
    if stopped and not appended and not existing:
        return problem_response({**stopped[0], "results": problems})
    body = b'{"size":%d,"appended":%d,"existing":%d,"refused":%d,"results":[%b]}' % (
        serving.log.head().size,
        appended,
        existing,
        len(problems),
        b",".join(shown),
    )
    status = MULTI_STATUS if problems else CREATED if appended else OK
    return Response(body, status, media_type=JSON)


def _all_refused(problems: list[dict[str, Any]]) -> Response:
    """All or nothing, and something was refused: the first refusal that is a record's own speaks for all."""
    own = [p for p in problems if not p["type"].endswith(Code.NOT_WRITTEN)] or problems
    return problem_response({**own[0], "results": own})
