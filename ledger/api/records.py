"""`POST /v1/records`: where everything that is recorded comes in."""

import asyncio
from collections.abc import Iterator, Sequence
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
from ledger.log.plan import Appended, not_written
from ledger.records.prepare import prepare
from ledger.records.prepared import Prepared
from ledger.trust.roles import Operation, Principal

CREATED, OK, ACCEPTED, MULTI_STATUS = 201, 200, 202, 207
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
    wanted = request.app.state.witnessing.wanted(request)
    media_type = header(request, b"content-type").partition(";")[0].strip().lower() or JSON
    if is_cloudevent(request, media_type):
        if wanted:
            raise LedgerError(
                Code.INVALID_PARAMETER, "witnessed: of records only, not of CloudEvents", path="witnessed"
            )
        return await post_cloudevents(request)
    async with request.app.state.bodies.read(request, principal.name) as body:
        if media_type == ARROW:
            return await _batch(request, await _columns(request, body, principal), principal)
        if len(body) > _INLINE_BYTES:
            return await _large(request, body, media_type, principal)
        records, batch = read_records(body, media_type)
        if batch:
            return await _batch(request, await _rows(request, records, principal), principal)
        item = _prepared(records[0], serving, principal.submitter)
        [result] = await request.app.state.answers.submit((item,), principal, atomic=True)
        return _single(item, result, await _witnessed(request, [result]))


async def _witnessed(request: Request, results: Sequence[Result]) -> bool | UnsetType:
    """Whether the quorum of witnesses has cosigned what was appended, where the request waits for it."""
    witnessing = request.app.state.witnessing
    return (await witnessing.covers(results)) if witnessing.wanted(request) else UNSET


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


def _single(item: Prepared, result: Result, witnessed: bool | UnsetType) -> Response:
    if isinstance(result, LedgerError):
        raise result
    answer = _answer(item, result)
    answer.witnessed = witnessed
    status = ACCEPTED if witnessed is False else OK if result.existing else CREATED
    return _Json(_encode(answer), status)


class _Answer(Struct, gc=False):
    """What is said of one record. Encoded at once for all of a batch: it is said once for each."""

    id: str
    seq: int
    leaf_hash: str
    recorded_at: str
    existing: bool
    size: int
    id_generated: bool | UnsetType = UNSET
    witnessed: bool | UnsetType = UNSET


class _Batch(Struct):
    size: int
    appended: int
    existing: int
    refused: int
    results: list[_Answer | dict[str, Any]]
    witnessed: bool | UnsetType = UNSET


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


async def _columns(request: Request, body: bytes, sender: Principal) -> list[Read]:
    """Of an Arrow stream. However short it is, it may have thousands of rows; one at a time, because columns are many times its bytes."""
    serving: Service = request.app.state.service
    async with request.app.state.large.of(sender.name, len(body)):
        return await asyncio.to_thread(
            prepare_stream,
            body,
            submitter=sender.submitter,
            persons=serving.log.persons,
            origin=serving.log.origin,
            agent_key=serving.log.agent_key,
            require_facets=serving.require_facets,
        )


async def _large(request: Request, body: bytes, media_type: str, sender: Principal) -> Response:
    """Of a body that is split and prepared off the event loop: what it becomes is in memory beside it, so few do it at once."""
    serving: Service = request.app.state.service

    def split_and_prepare() -> tuple[list[Read], bool]:
        records, batch = read_records(body, media_type)
        return _prepare_all(records, serving, sender.submitter), batch

    async with request.app.state.preparing.of(sender.name, len(body)):
        read, batch = await asyncio.to_thread(split_and_prepare)
    if batch:
        return await _batch(request, read, sender)
    [item] = read
    if isinstance(item, LedgerError):
        raise item
    [result] = await request.app.state.answers.submit((item,), sender, atomic=True)
    return _single(item, result, await _witnessed(request, [result]))


async def _rows(request: Request, records: list[bytes], sender: Principal) -> list[Read]:
    serving: Service = request.app.state.service
    if len(records) <= _INLINE_RECORDS:
        return _prepare_all(records, serving, sender.submitter)
    async with request.app.state.preparing.of(sender.name, sum(map(len, records))):
        return await asyncio.to_thread(_prepare_all, records, serving, sender.submitter)


async def _batch(request: Request, read: list[Read], principal: Principal) -> Response:
    """Each record has its own fate, unless the client prefers all or nothing."""
    serving: Service = request.app.state.service
    strict = STRICT in header(request, b"prefer").replace(" ", "").lower()
    good = [item for item in read if isinstance(item, Prepared)]
    if strict and len(good) < len(read):
        return _report(serving, read, iter([not_written()] * len(good)), strict=True)
    outcomes = await request.app.state.answers.submit(good, principal, atomic=strict) if good else []
    witnessed = await _witnessed(request, outcomes)
    return _report(serving, read, iter(outcomes), strict=strict, witnessed=witnessed)


def _prepare_all(records: list[bytes], serving: Service, submitter: str) -> list[Read]:
    read: list[Read] = []
    for record in records:
        try:
            read.append(_prepared(record, serving, submitter))
        except LedgerError as error:
            read.append(error.without_frames())
    return read


def _report(
    serving: Service,
    read: list[Read],
    outcomes: Iterator[Result],
    *,
    strict: bool,
    witnessed: bool | UnsetType = UNSET,
) -> Response:
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
    body = _encode(_Batch(serving.log.head().size, appended, existing, len(problems), shown, witnessed))
    status = MULTI_STATUS if problems else ACCEPTED if witnessed is False else CREATED if appended else OK
    return Response(body, status, media_type=JSON)


def _all_refused(problems: list[dict[str, Any]]) -> Response:
    """All or nothing, and something was refused: the first refusal that is a record's own speaks for all."""
    own = [p for p in problems if not p["type"].endswith(Code.NOT_WRITTEN)] or problems
    return problem_response({**own[0], "results": own})
