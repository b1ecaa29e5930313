"""OTLP/HTTP at its standard paths: any OpenTelemetry exporter sends here by two settings.

    OTEL_EXPORTER_OTLP_ENDPOINT=https://ledger.example.com
    OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20<token>

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp. Every refusal is a `google.rpc.Status` in the encoding of the request. Exporters send
again after 429 and 503 alone, and sending again changes nothing.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Iterator
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Request
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.rpc.code_pb2 import Code as RpcCode
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.responses import Response

from ledger.api.dialects import RETRYABLE, Intake, Taken, work
from ledger.api.otlp_documented import POST_OTLP, POST_OTLP_METRICS
from ledger.api.problems import RETRY_AFTER, STATUS
from ledger.api.service import allow, count_refusal, header
from ledger.core.errors import Code, LedgerError
from ledger.ingest.otlp.decode import JSON, PROTOBUF, Signal, Slice, decode
from ledger.ingest.otlp.mapping import records_of
from ledger.ingest.reading import Reading
from ledger.trust.roles import Operation, Principal

SHOWN_REASONS: Final = 5
RETRY_AFTER_S: Final = 5  # where the ledger cannot write, and knows no better
NO_METRICS: Final = (
    "this is a ledger of agents' actions: metrics are not taken here. Set OTEL_METRICS_EXPORTER=none, or send them "
    "elsewhere by OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
)

_RPC: Final = {
    400: RpcCode.INVALID_ARGUMENT,
    401: RpcCode.UNAUTHENTICATED,
    403: RpcCode.PERMISSION_DENIED,
    404: RpcCode.UNIMPLEMENTED,
    413: RpcCode.OUT_OF_RANGE,
    415: RpcCode.INVALID_ARGUMENT,
    429: RpcCode.RESOURCE_EXHAUSTED,
    500: RpcCode.INTERNAL,
    503: RpcCode.UNAVAILABLE,
}
_BAD: Final = 400

router = APIRouter(tags=["opentelemetry"])
logger = logging.getLogger(__name__)


@router.post("/v1/traces", **POST_OTLP)
async def post_traces(request: Request) -> Response:
    """Take spans, as every OpenTelemetry exporter sends them."""
    return await _answered(request, _export(request, Signal.TRACES))


@router.post("/v1/logs", **POST_OTLP)
async def post_logs(request: Request) -> Response:
    """Take log records, as every OpenTelemetry exporter sends them."""
    return await _answered(request, _export(request, Signal.LOGS))


@router.post("/v1/metrics", **POST_OTLP_METRICS)
async def post_metrics(request: Request) -> Response:
    """Say that metrics are not taken."""
    return await _answered(request, _refuse_metrics(request))


async def _refuse_metrics(request: Request) -> Message:
    allow(request, Operation.POST)
    raise LedgerError(Code.NOT_FOUND, NO_METRICS)


async def _export(request: Request, signal: Signal) -> Message:
    """Take a request's spans, slice by slice.

    Raises:
        LedgerError: nothing of it can be read; or it is to be sent again, when what is in the log already is found there.
    """
    _, principal = allow(request, Operation.POST)
    intake = Intake(request, principal)
    async with request.app.state.bodies.read(request, principal.name) as body:
        items = await _send_on_their_way(request, principal, body, signal, intake)
    taken = await intake.taken()
    if taken.refused and not (taken.appended or taken.existing or taken.dropped):
        raise _all_refused(taken)
    return _response(signal, taken, items)


async def _send_on_their_way(
    request: Request, principal: Principal, body: bytes, signal: Signal, intake: Intake
) -> int:
    """Read and submit a body's records; how many spans it has. Others are read while these are written."""
    async with work(request, principal, len(body)) as working:
        sent = await working.do(decode, body, _media_type(request), signal)
        while (reading := await working.do(_next_reading, sent.slices, intake.submitter)) is not None:
            await intake.add(reading)
        return sent.items


def _next_reading(slices: Iterator[Slice], submitter: str) -> Reading | None:
    piece = next(slices, None)
    if piece is None:
        return None
    reading = _read(piece, submitter)
    return Reading(reading.records, reading.dropped, [*piece.refused, *reading.refused])


def _read(piece: Slice, submitter: str) -> Reading:
    """The records of a slice. A span in which the mapping meets an error of its own costs none of the others their record."""
    try:
        return records_of(piece.spans, piece.logs, submitter)
    except Exception:
        logger.exception("OTLP spans met an error of ours: each is now read alone")
    reading = Reading()
    for spans, logs in [*(([span], []) for span in piece.spans), *(([], [log]) for log in piece.logs)]:
        try:
            one = records_of(spans, logs, submitter)
        except Exception as error:  # noqa: BLE001 - said above, with its traceback
            reading.refused.append(_our_error(error))
        else:
            reading.records.extend(one.records)
            reading.dropped.update(one.dropped)
            reading.refused.extend(one.refused)
    return reading


def _our_error(error: Exception) -> LedgerError:
    what = f"the ledger met an error of its own ({type(error).__name__}); its log says more"
    return LedgerError(Code.INTERNAL, what)


def _all_refused(taken: Taken) -> LedgerError:
    first = taken.refused[0]
    return LedgerError(first.code, _explained(taken), path=first.path)


def _response(signal: Signal, taken: Taken, items: int) -> Message:
    """What an exporter hears: nothing, when all is in the log."""
    rejected = min(len(taken.refused), items)
    message = _explained(taken)
    if signal is Signal.TRACES:
        traces = ExportTraceServiceResponse()
        if message:
            traces.partial_success.rejected_spans = rejected
            traces.partial_success.error_message = message
        return traces
    logs = ExportLogsServiceResponse()
    if message:
        logs.partial_success.rejected_log_records = rejected
        logs.partial_success.error_message = message
    return logs


def _explained(taken: Taken) -> str:
    """Why something is not in the log, most frequent reasons first; "" when everything is."""
    refused = Counter(error.detail for error in taken.refused)
    shown = [f"{number} refused: {why}" for why, number in refused.most_common(SHOWN_REASONS)]
    if len(refused) > len(shown):
        shown.append(f"{len(taken.refused)} refused in all, for {len(refused)} reasons")
    shown += [f"{number} not recorded: {why}" for why, number in taken.dropped.most_common(SHOWN_REASONS)]
    return "; ".join(shown)


async def _answered(request: Request, exported: Awaitable[Message]) -> Response:
    try:
        return _encoded(request, await exported, HTTPStatus.OK)
    except LedgerError as error:
        return _refused(request, error.without_frames())
    except Exception as error:
        logger.exception("an OTLP request met an error of ours")
        return _refused(request, _our_error(error))


def _refused(request: Request, error: LedgerError) -> Response:
    """A refusal as OTLP wants it. What HTTP has finer words for is a bad request there."""
    count_refusal(request, error.code)
    status = STATUS[error.code]
    if status not in _RPC:
        status = _BAD
    said = Status(code=_RPC[status], message=f"{error.detail} ({error.code})")
    if status == _BAD:
        violation = BadRequest.FieldViolation(field=error.path or "", description=error.detail)
        said.details.add().Pack(BadRequest(field_violations=[violation]))
    response = _encoded(request, said, status)
    if status in RETRYABLE:
        response.headers["Retry-After"] = str(error.members.get(RETRY_AFTER, RETRY_AFTER_S))
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _encoded(request: Request, message: Message, status: int) -> Response:
    """In the encoding of the request; JSON where that is neither."""
    if _media_type(request) == PROTOBUF:
        return Response(message.SerializeToString(), status, media_type=PROTOBUF)
    return Response(MessageToJson(message, indent=None), status, media_type=JSON)


def _media_type(request: Request) -> str:
    return header(request, b"content-type").partition(";")[0].strip().lower()
