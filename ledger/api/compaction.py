"""`/v1/compact`: take off the disk what is gone; `/v1/objects`: segments in the object store. Administrators only."""

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from ledger.api.documented import PROBLEMS
from ledger.api.queries import read_body
from ledger.api.service import allow
from ledger.core.errors import Code, LedgerError
from ledger.trust.roles import Operation
from ledger.upkeep.compact import Compacted
from ledger.upkeep.offload import Offload
from ledger.upkeep.routine import Routine, Status

ACCEPTED = 202

router = APIRouter(tags=["retention"])


class MoveBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/objects/move`: of how many newest segments the large files stay here."""

    keep: int


@router.post("/v1/compact", status_code=ACCEPTED, responses=PROBLEMS)
async def post_compact(request: Request) -> Response:
    """Begin to take off the disk what the log says is gone; `GET /v1/compact` tells how it goes."""
    allow(request, Operation.UPKEEP)
    return JSONResponse(shown(_routine(request).ask_compact()), ACCEPTED, {"Location": "/v1/compact"})


@router.get("/v1/compact", responses=PROBLEMS)
async def get_compact(request: Request) -> Response:
    """How the newest compaction goes, or went."""
    allow(request, Operation.UPKEEP)
    return JSONResponse(shown(_routine(request).status()))


@router.get("/v1/objects", responses=PROBLEMS)
async def get_objects(request: Request) -> Response:
    """Where each segment is: here, in the object store, or both."""
    serving, _ = allow(request, Operation.UPKEEP)
    offload = _offload(request)
    places = await asyncio.to_thread(offload.places, serving.log.segments())
    settings = offload.store.settings
    return JSONResponse(
        {
            "bucket": settings.bucket,
            "prefix": settings.prefix,
            "lock": f"{settings.lock_mode}:{settings.lock_days}" if settings.lock_mode else None,
            "cache_bytes": offload.cache.size_bytes(),
            "segments": [place._asdict() for place in places],
        }
    )


@router.post("/v1/objects/send", responses=PROBLEMS)
async def post_send(request: Request) -> Response:
    """Put into the object store what is not there yet."""
    serving, _ = allow(request, Operation.UPKEEP)
    sent = await asyncio.to_thread(_offload(request).send, serving.log.segments())
    return JSONResponse({"sent": sent})


@router.post("/v1/objects/move", responses=PROBLEMS)
async def post_move(request: Request) -> Response:
    """Delete here the large files of all but the newest segments, once they are found in the object store."""
    serving, _ = allow(request, Operation.UPKEEP)
    body = await read_body(request, MoveBody)
    if body.keep < 1:
        raise LedgerError(Code.INVALID_PARAMETER, f"keep is {body.keep}: it is 1 or more", path="keep")
    moved = await asyncio.to_thread(_offload(request).move, serving.log.segments(), body.keep)
    return JSONResponse({"moved": moved})


def shown(status: Status) -> dict[str, Any]:
    """How a compaction goes, as the API answers."""
    result = told(status.result) if status.result is not None else None
    return {"running": status.running, "failed": status.failed, "result": result}


def told(result: Compacted) -> dict[str, Any]:
    """What a compaction did."""
    return {
        "sealed": result.sealed,
        "persons": result.persons,
        "freed_bytes": result.freed_bytes,
        "segments": [
            {
                "start": each.start,
                "end": each.end,
                "generation": each.generation,
                "retired": each.retired._asdict(),
            }
            for each in result.renewed
        ],
        "kept_under_lock": [kept._asdict() for kept in result.kept],
        "objects": result.objects,
    }


def _routine(request: Request) -> Routine:
    routine: Routine = request.app.state.routine
    return routine


def _offload(request: Request) -> Offload:
    offload = _routine(request).offload
    if offload is None:
        raise LedgerError(
            Code.NOT_FOUND,
            "this server has no object store: `agent-ledger serve --objects s3://…` gives it one",
        )
    return offload
