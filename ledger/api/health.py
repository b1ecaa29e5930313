"""Whether it lives (open to everybody), and its numbers (with a token)."""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from ledger.api.documented import PROBLEMS
from ledger.api.service import allow, service
from ledger.telemetry import METRICS_TYPE
from ledger.trust.roles import Operation

UNAVAILABLE = 503
LATE_S = 60.0

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> JSONResponse:
    """The process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", responses={UNAVAILABLE: {"description": "It takes no records."}})
async def readyz(request: Request) -> JSONResponse:
    """The log takes records. `degraded`: the scrub found something wrong, the witnesses are late, or the last group was not signed. Says no more than that: this path is open."""
    serving = service(request)
    status = serving.log.status()
    if status["stopped"] is not None:
        return JSONResponse({"status": "stopped"}, UNAVAILABLE)
    found = serving.scrub is not None and serving.scrub.state().findings > 0
    late = serving.witnesses is not None and serving.witnesses.lag_s() > LATE_S
    return JSONResponse({"status": "degraded" if found or late or status["unsigned"] else "ready"})


@router.get("/metrics", responses=PROBLEMS)
async def metrics(request: Request) -> Response:
    """Numbers for Prometheus."""
    serving, _ = allow(request, Operation.LOG_PROOFS)
    return Response(serving.telemetry.metrics_text(), media_type=METRICS_TYPE)
