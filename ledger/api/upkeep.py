"""`/v1/segments`: what is sealed; `POST /v1/seal`: seal now what is written so far."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from ledger.api.documented import PROBLEMS
from ledger.api.service import allow
from ledger.storage.segment import Segment
from ledger.trust.roles import Operation

router = APIRouter(tags=["upkeep"])


@router.get("/v1/segments", responses=PROBLEMS)
async def get_segments(request: Request) -> Response:
    """The sealed segments, in order, and how sealing goes."""
    serving, _ = allow(request, Operation.LOG_PROOFS)
    status = serving.log.sealing()
    shown = [_shown(segment) for segment in serving.log.segments()]
    return JSONResponse(
        {"segments": shown, "sealed": status.sealed, "waiting": status.waiting, "failed": status.failed}
    )


@router.post("/v1/seal", responses=PROBLEMS)
async def post_seal(request: Request) -> Response:
    """Seal everything that is written so far; answers when that is done."""
    serving, _ = allow(request, Operation.UPKEEP)
    sealed = await asyncio.to_thread(serving.log.seal)
    return JSONResponse({"sealed": sealed})


def _shown(segment: Segment) -> dict[str, Any]:
    manifest = segment.manifest
    return {
        "start": manifest.start,
        "end": manifest.end,
        "generation": manifest.generation,
        "root": manifest.root.hex(),
        "bytes": sum(file.bytes for file in manifest.files.values()),
        "retired": manifest.retired,
    }
