"""`POST /v1/verify`: the whole log read again as an outsider would, with progress. One at a time."""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from ledger.api.documented import POST_VERIFY, PROBLEMS
from ledger.api.problems import problem
from ledger.api.queries import read_body
from ledger.api.service import Service, allow
from ledger.audit.fsck import verify_live
from ledger.core.errors import Code, LedgerError
from ledger.core.note import parse_vkey
from ledger.core.verification import Verification, open_verification
from ledger.records.prepare import uuid7
from ledger.trust.roles import Operation

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
    since: str | None = None
    verifier_key: str | None = None


@dataclass
class Job:
    """One verification and how far it is, in entries; `first` is the one it began with."""

    id: str
    total: int
    done: int = 0
    state: str = "running"
    outcome: dict[str, Any] | None = None
    first: int = 0
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None

    def advance(self, done: int, total: int) -> None:
        """Take in how far it is."""
        self.done, self.total = done, total

    def shown(self) -> dict[str, Any]:
        """As the API answers."""
        members = {"id": self.id, "state": self.state, "done": self.done, "total": self.total}
        if self.done > self.first:
            rate = (self.done - self.first) / max((self.ended or time.monotonic()) - self.began, 1e-6)
            members["entries_per_s"] = round(rate)
            if self.state == "running":
                members["eta_s"] = round((self.total - self.done) / rate, 1)
        return members | (self.outcome or {})


class Jobs:
    """The newest verifications."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._running: asyncio.Task[None] | None = None

    def start(self, serving: Service, against: Against) -> Job:
        """Begin one.

        Raises:
            LedgerError: `queue-full` while another runs; what is wrong with the record to begin from.
        """
        since = _since(against)
        if self._running is not None and not self._running.done():
            raise LedgerError(
                Code.QUEUE_FULL,
                "a verification is running; ask for its progress, or again later",
                retry_after=RETRY_AFTER_S,
            )
        first = since.joined().size if since else 0
        job = Job(uuid7(), serving.log.head().size, done=first, first=first)
        self._jobs[job.id] = job
        while len(self._jobs) > KEPT_JOBS:
            del self._jobs[next(iter(self._jobs))]
        self._running = asyncio.get_running_loop().create_task(_run(job, serving, against, since))
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


def _since(against: Against) -> Verification | None:
    """The record to begin from. Who asks says whose it is, and is told in the report that all before it rests on that.

    Raises:
        LedgerError: it is none, or not signed by that key.
    """
    if against.since is None:
        return None
    if against.verifier_key is None:
        detail = "whose record it is has to be said: `verifier_key` is missing"
        raise LedgerError(Code.INVALID_PARAMETER, detail, path="verifier_key")
    record = open_verification(against.since.encode(), [parse_vkey(against.verifier_key)])
    record.joined()
    return record


async def _run(job: Job, serving: Service, against: Against, since: Verification | None) -> None:
    pins = [against.checkpoint.encode()] if against.checkpoint else []
    receipts = [receipt.encode() for receipt in against.receipts]
    try:
        report = await asyncio.to_thread(
            verify_live, serving.log, pins=pins, receipts=receipts, progress=job.advance, since=since
        )
        job.outcome, job.state = {"report": report.to_dict()}, "finished"
    except LedgerError as error:
        job.outcome, job.state = {"problem": problem(error)}, "failed"
    except Exception:
        logger.exception("verification failed")
        unexpected = LedgerError(Code.INTERNAL, "the verification broke off; the log says more")
        job.outcome, job.state = {"problem": problem(unexpected)}, "failed"
    job.ended = time.monotonic()


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


@router.get("/v1/scrub", responses=PROBLEMS)
async def get_scrub(request: Request) -> Response:
    """What the scrub found in what is sealed, and how far its round is; null where it is off."""
    serving, _ = allow(request, Operation.VERIFY)
    return JSONResponse(serving.scrub.state().shown() if serving.scrub is not None else None)
