"""Whether it lives (open to everybody), and its numbers (with a token)."""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from ledger.api.documented import PROBLEMS
from ledger.api.service import allow, service
from ledger.telemetry import METRICS_TYPE
from ledger.trust.tokens import Operation

UNAVAILABLE = 503

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> JSONResponse:
    """The process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", responses={UNAVAILABLE: {"description": "It takes no records."}})
async def readyz(request: Request) -> JSONResponse:
    """The log takes records. Says no more than that: this path is open."""
    stopped = service(request).log.status()["stopped"] is not None
    return JSONResponse({"status": "stopped" if stopped else "ready"}, UNAVAILABLE if stopped else 200)


@router.get("/metrics", responses=PROBLEMS)
async def metrics(request: Request) -> Response:
    """Numbers for Prometheus."""
    serving, _ = allow(request, Operation.LOG_PROOFS)
    return Response(serving.telemetry.metrics_text(), media_type=METRICS_TYPE)
