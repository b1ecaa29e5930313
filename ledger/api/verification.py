"""`POST /v1/verify`: the whole log read again as an outsider would, with progress. One at a time."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from ledger.api.documented import POST_VERIFY, PROBLEMS
from ledger.api.problems import problem
from ledger.api.queries import read_body
from ledger.api.service import Service, allow
from ledger.core.errors import Code, LedgerError
from ledger.log.fsck import verify_live
from ledger.records.prepare import uuid7
from ledger.trust.tokens import Operation

ACCEPTED: Final = 202
KEPT_JOBS: Final = 16
MAX_RECEIPTS: Final = 100
RETRY_AFTER_S: Final = 5

router = APIRouter(tags=["verify"])
logger = logging.getLogger(__name__)


class Against(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/verify`: what the client kept elsewhere."""

    checkpoint: str | None = None
    receipts: list[str] = []


@dataclass
class Job:
    """One verification and how far it is, in entries."""

    id: str
    total: int
    done: int = 0
    state: str = "running"
    outcome: dict[str, Any] | None = None

    def shown(self) -> dict[str, Any]:
        """As the API answers."""
        members = {"id": self.id, "state": self.state, "done": self.done, "total": self.total}
        return members | (self.outcome or {})


class Jobs:
    """The newest verifications."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._running: asyncio.Task[None] | None = None

    def start(self, serving: Service, against: Against) -> Job:
        """Begin one.

        Raises:
            LedgerError: `queue-full` while another runs.
        """
        if self._running is not None and not self._running.done():
            raise LedgerError(
                Code.QUEUE_FULL,
                "a verification is running; ask for its progress, or again later",
                retry_after=RETRY_AFTER_S,
            )
        job = Job(uuid7(), serving.log.head().size)
        self._jobs[job.id] = job
        while len(self._jobs) > KEPT_JOBS:
            del self._jobs[next(iter(self._jobs))]
        self._running = asyncio.get_running_loop().create_task(_run(job, serving, against))
        return job

    def find(self, job_id: str) -> Job:
        """A verification by its id.

        Raises:
            LedgerError: `not-found`.
        """
        if job_id not in self._jobs:
            raise LedgerError(
                Code.NOT_FOUND, "there is no such verification; the newest are kept until a restart"
            )
        return self._jobs[job_id]

    async def close(self) -> None:
        """Forget the one that runs."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running


async def _run(job: Job, serving: Service, against: Against) -> None:
    def progress(done: int, total: int) -> None:
        job.done, job.total = done, total

    pins = [against.checkpoint.encode()] if against.checkpoint else []
    receipts = [receipt.encode() for receipt in against.receipts]
    try:
        report = await asyncio.to_thread(
            verify_live, serving.log, pins=pins, receipts=receipts, progress=progress
        )
        job.outcome, job.state = {"report": report.to_dict()}, "finished"
    except LedgerError as error:
        job.outcome, job.state = {"problem": problem(error)}, "failed"
    except Exception:
        logger.exception("verification failed")
        unexpected = LedgerError(Code.INTERNAL, "the verification broke off; the log says more")
        job.outcome, job.state = {"problem": problem(unexpected)}, "failed"


@router.post("/v1/verify", status_code=ACCEPTED, **POST_VERIFY)
async def post_verify(request: Request) -> Response:
    """Begin to verify the whole log, against what the client kept elsewhere."""
    serving, _ = allow(request, Operation.VERIFY)
    against = await read_body(request, Against)
    if len(against.receipts) > MAX_RECEIPTS:
        raise LedgerError(Code.INVALID_PARAMETER, f"at most {MAX_RECEIPTS} receipts", path="receipts")
    job = request.app.state.jobs.start(serving, against)
    return JSONResponse(job.shown(), ACCEPTED, {"Location": f"/v1/verify/{job.id}"})


@router.get("/v1/verify/{job_id}", responses=PROBLEMS)
async def get_verify(request: Request, job_id: str) -> Response:
    """How far a verification is, or its report."""
    allow(request, Operation.VERIFY)
    return JSONResponse(request.app.state.jobs.find(job_id).shown())
