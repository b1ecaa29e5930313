"""`POST /v1/ingest/<dialect>`: what others already write, as they write it. docs/dialects.md says how each is pointed here.

CloudEvents come in at `POST /v1/records` too, by their content types or their `ce-` headers: a sender of CloudEvents is given one URL.
"""

import time
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ledger.api.dialects import Taken, take, worked_on
from ledger.api.ingest_documented import POST_INGEST
from ledger.api.problems import problem, problem_response
from ledger.api.service import allow, header, service
from ledger.core.errors import Code, LedgerError
from ledger.ingest import agt, cloudevents, hermes, kubernetes, ogp, openclaw
from ledger.ingest.native import JSON, MEDIA_TYPES, NDJSON
from ledger.ingest.reading import Reading
from ledger.trust.roles import Operation

CREATED, OK, MULTI_STATUS = 201, 200, 207
SHOWN_PROBLEMS: Final = 100
CLOUDEVENTS: Final = (cloudevents.STRUCTURED, cloudevents.BATCHED)

_CE: Final = cloudevents.HEADER.encode()
_encode = msgspec.json.Encoder().encode

router = APIRouter(tags=["dialects"])


class Dialect(StrEnum):
    """The formats that are read at `/v1/ingest/`."""

    AGT = "agt"
    CLOUDEVENTS = "cloudevents"
    HERMES = "hermes"
    KUBERNETES = "kubernetes"
    OGP = "ogp"
    OPENCLAW = "openclaw"


class Sent(NamedTuple):
    """What is known of a request beside its body."""

    media_type: str
    submitter: str
    received_ns: int
    status: int | None


@router.post("/v1/ingest/{dialect}", **POST_INGEST)
async def post_ingest(
    request: Request, dialect: Dialect, status: Annotated[int | None, Query(ge=100, le=599)] = None
) -> Response:
    """Append what a body in another format says. Answers when it is durable and under a signed checkpoint."""
    if dialect is Dialect.CLOUDEVENTS:
        return await post_cloudevents(request)
    _, principal = allow(request, Operation.POST)
    sent = Sent(_media_type(request), principal.submitter, time.time_ns(), status)
    async with request.app.state.bodies.read(request, principal.name) as body:
        reading = await worked_on(request, principal, len(body), _read, dialect, body, sent)
        taken = await take(request, reading, principal)
    return _answer(request, taken)


async def post_cloudevents(request: Request) -> Response:
    """Append CloudEvents, in whichever of the three modes they come."""
    _, principal = allow(request, Operation.POST)
    media_type = _stated(request)
    headers = {} if media_type in CLOUDEVENTS else _ce_headers(request)  # the content type decides the mode
    if not headers and media_type not in (*CLOUDEVENTS, JSON, ""):
        raise LedgerError(
            Code.UNSUPPORTED_MEDIA_TYPE,
            f"CloudEvents come as {cloudevents.STRUCTURED}, {cloudevents.BATCHED}, or with ce- headers beside any data, not as {media_type!a}",
        )
    read = partial(
        cloudevents.read,
        media_type=media_type,
        headers=headers,
        submitter=principal.submitter,
        received_ns=time.time_ns(),
    )
    async with request.app.state.bodies.read(request, principal.name) as body:
        events = await worked_on(request, principal, len(body), read, body)
        taken = await take(request, events.foreign, principal)
        if events.own.records:
            own = await take(request, events.own, principal, reserved_ids=False)
            taken = taken.plus(own)
    return _answer(request, taken)


def is_cloudevent(request: Request, media_type: str) -> bool:
    """Whether a request that could carry records carries CloudEvents."""
    return media_type in CLOUDEVENTS or bool(header(request, _CE + b"specversion"))


def _read(dialect: Dialect, body: bytes, sent: Sent) -> Reading:
    if dialect is Dialect.KUBERNETES:
        return kubernetes.read(body, media_type=sent.media_type, submitter=sent.submitter)
    if dialect is Dialect.AGT:
        return agt.read(body, media_type=sent.media_type, submitter=sent.submitter)
    if dialect is Dialect.OGP:
        return ogp.read(body, submitter=sent.submitter, received_ns=sent.received_ns, status=sent.status)
    hooks = hermes.read if dialect is Dialect.HERMES else openclaw.read
    return hooks(body, media_type=sent.media_type, submitter=sent.submitter, received_ns=sent.received_ns)


def _stated(request: Request) -> str:
    return header(request, b"content-type").partition(";")[0].strip().lower()


def _media_type(request: Request) -> str:
    """JSON or NDJSON, by any of its names."""
    stated = _stated(request) or JSON
    if stated not in MEDIA_TYPES:
        raise LedgerError(
            Code.UNSUPPORTED_MEDIA_TYPE,
            f"this is sent as {JSON}, or, one object a line, as {NDJSON}, not as {stated!a}",
        )
    return JSON if stated == JSON else NDJSON


def _ce_headers(request: Request) -> dict[str, str]:
    """The attributes of binary mode.

    Raises:
        LedgerError: `invalid-parameter`: one comes twice, and who reads the other one sees another event.
    """
    found: dict[str, str] = {}
    for name, value in request.scope["headers"]:
        if name.startswith(_CE):
            attribute = name[len(_CE) :].decode("latin-1")
            if attribute in found:
                raise LedgerError(
                    Code.INVALID_PARAMETER, f"the header ce-{attribute} is there twice", path=attribute
                )
            found[attribute] = value.decode("latin-1")
    return found if "specversion" in found else {}


def _answer(request: Request, taken: Taken) -> Response:
    """What became of the body. Where nothing of it was taken, the first refusal speaks for all."""
    problems = [problem(error) for error in taken.refused[:SHOWN_PROBLEMS]]
    if taken.refused and not (taken.appended or taken.existing or taken.dropped):
        return problem_response({**problems[0], "refused": len(taken.refused), "results": problems})
    members: dict[str, Any] = {
        "size": service(request).log.head().size,
        "appended": taken.appended,
        "existing": taken.existing,
        "refused": len(taken.refused),
        "dropped": dict(taken.dropped),
        "problems": problems,
    }
    status = MULTI_STATUS if taken.refused else CREATED if taken.appended else OK
    return Response(_encode(members), status, media_type=JSON)
