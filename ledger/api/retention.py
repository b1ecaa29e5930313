"""Retention policies and legal holds. Administrators only; what is decided stands in the log itself."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from ledger.api.documented import PROBLEMS
from ledger.api.queries import read_body
from ledger.api.service import Service, allow
from ledger.core.canonical import MAX_INTEGER
from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges, parse_ranges
from ledger.forensics.seqs import select_seqs
from ledger.forensics.service import MAX_SQL_CHARACTERS, QueryService
from ledger.log.keeping import Hold, Policy, Removes
from ledger.log.removal import place_hold, release_hold, remove_policy, set_policy
from ledger.trust.roles import Operation, Principal
from ledger.upkeep.retention import Plan, run_policies

MAX_SELECT: Final = 20_000  # characters: a policy stands in one entry of the log
MAX_DAYS: Final = 36_525
SHOWN_RANGES: Final = 100

router = APIRouter(tags=["retention"])


class PolicyBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT /v1/retention/policies/{name}`."""

    removes: Removes
    after_days: Annotated[int, msgspec.Meta(ge=0, le=MAX_DAYS)] | None = None
    select: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SELECT)] | None = None


class RunBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/retention/run`: which policies (all where none is named), and whether only to say what they would do."""

    policies: list[str] = []
    dry_run: bool = False


class HoldBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT /v1/holds/{name}`: one of `ranges`, `select` (what it gives now) and `everything` (also what is still to come)."""

    reason: str
    ranges: list[list[int]] | None = None
    select: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SQL_CHARACTERS)] | None = None
    everything: bool = False


class ReleaseBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/holds/{name}/release`."""

    reason: str


@router.get("/v1/retention/policies", responses=PROBLEMS)
async def get_policies(request: Request) -> Response:
    """The retention policies in force."""
    serving, _ = allow(request, Operation.UPKEEP)
    return JSONResponse({"policies": [_policy(each) for each in serving.log.keeping.policies.values()]})


@router.put("/v1/retention/policies/{name}", responses=PROBLEMS)
async def put_policy(request: Request, name: str) -> Response:
    """Set a retention policy: by age, by a SELECT that gives a column `seq`, or by both. It works from the next run on.

    With `serve --four-eyes` it `waits` until another administrator sets the same.
    """
    serving, principal = allow(request, Operation.UPKEEP)
    body = await read_body(request, PolicyBody)
    if body.select is not None:
        await select_seqs(serving.queries, body.select)  # one that cannot run is refused now, not at night
    policy = Policy(name, body.removes, body.after_days, body.select, principal.submitter)
    before = serving.log.keeping.policies.get(name)
    if serving.four_eyes and before is not None and policy.is_of_the_terms_of(before):
        policy = _confirmed(serving, principal, before)
    seq = await asyncio.to_thread(set_policy, serving.log, policy)
    waits = {"waits": policy.confirmed_by is None} if serving.four_eyes else {}
    return JSONResponse({**_policy(policy), "seq": seq, **waits})


def _confirmed(serving: Service, principal: Principal, asked: Policy) -> Policy:
    """A policy that somebody set, with who else did; who set it may say it again, and is still alone.

    Raises:
        LedgerError: `forbidden`: the other one may be the same.
    """
    if principal.submitter in {asked.by, asked.confirmed_by}:
        return asked
    serving.log.standing.access.refuse_as_second(
        principal.submitter, principal.granted_by, asked_by=asked.by, asked_in=asked.seq
    )
    return asked._replace(confirmed_by=principal.submitter)


@router.delete("/v1/retention/policies/{name}", responses=PROBLEMS)
async def delete_policy(request: Request, name: str) -> Response:
    """End a policy; what it has taken away stays away."""
    serving, principal = allow(request, Operation.UPKEEP)
    seq = await asyncio.to_thread(remove_policy, serving.log, name, by=principal.submitter)
    return JSONResponse({"policy": name, "seq": seq})


@router.post("/v1/retention/run", responses=PROBLEMS)
async def post_run(request: Request) -> Response:
    """Run policies, or say what they would do. What they take is read no more from then on; `POST /v1/compact` takes it off the disk."""
    serving, _ = allow(request, Operation.UPKEEP)
    body = await read_body(request, RunBody)
    plans = await asyncio.to_thread(
        run_policies,
        serving.log,
        selecting(serving.queries),
        names=body.policies,
        dry_run=body.dry_run,
        confirmed=serving.four_eyes,
    )
    return JSONResponse({"dry_run": body.dry_run, "plans": [_plan(plan) for plan in plans]})


@router.get("/v1/holds", responses=PROBLEMS)
async def get_holds(request: Request) -> Response:
    """The legal holds in force."""
    serving, _ = allow(request, Operation.UPKEEP)
    size = serving.log.head().size
    return JSONResponse({"holds": [_hold(each, size) for each in serving.log.keeping.holds.values()]})


@router.put("/v1/holds/{name}", responses=PROBLEMS)
async def put_hold(request: Request, name: str) -> Response:
    """Place a legal hold. It wins over every policy and erasure until it is released."""
    serving, principal = allow(request, Operation.UPKEEP)
    body = await read_body(request, HoldBody)
    held = await _scope(serving, body)

    def place() -> list[int]:
        return place_hold(serving.log, name, held, reason=body.reason, by=principal.submitter)

    seqs = await asyncio.to_thread(place)
    hold = Hold(name, held, body.reason, principal.submitter)
    return JSONResponse({**_hold(hold, serving.log.head().size), "seqs": seqs})


@router.post("/v1/holds/{name}/release", responses=PROBLEMS)
async def post_release(request: Request, name: str) -> Response:
    """Release a legal hold."""
    serving, principal = allow(request, Operation.UPKEEP)
    body = await read_body(request, ReleaseBody)

    def release() -> int:
        return release_hold(serving.log, name, reason=body.reason, by=principal.submitter)

    return JSONResponse({"hold": name, "seq": await asyncio.to_thread(release)})


def selecting(queries: QueryService) -> Callable[[str], Ranges]:
    """`ledger.upkeep.retention.Select` for a thread beside the event loop this is called on."""
    loop = asyncio.get_running_loop()

    def select(sql: str) -> Ranges:
        return asyncio.run_coroutine_threadsafe(select_seqs(queries, sql), loop).result()

    return select


async def _scope(serving: Service, body: HoldBody) -> Ranges:
    if (body.ranges is not None) + (body.select is not None) + body.everything != 1:
        raise LedgerError(
            Code.INVALID_PARAMETER,
            "a hold is of one of: ranges, what a select gives now, everything",
            path="ranges",
        )
    if body.select is not None:
        return await select_seqs(serving.queries, body.select)
    return parse_ranges(body.ranges) if body.ranges is not None else Ranges([(0, MAX_INTEGER)])


def _policy(policy: Policy) -> dict[str, Any]:
    return {
        "policy": policy.name,
        "removes": policy.removes,
        "after_days": policy.after_days,
        "select": policy.select,
        "by": policy.by,
        **({} if policy.confirmed_by is None else {"confirmed_by": policy.confirmed_by}),
    }


def _hold(hold: Hold, size: int) -> dict[str, Any]:
    return {
        "hold": hold.name,
        "reason": hold.reason,
        "by": hold.by,
        "entries": hold.held.clip(0, size).count,
        "ranges": hold.held.pairs()[:SHOWN_RANGES],
        "ranges_in_all": len(hold.held),
    }


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "policy": plan.policy.name,
        "removes": plan.policy.removes,
        "entries": plan.entries.count,
        "held": plan.held.count,
        "ranges": plan.entries.pairs()[:SHOWN_RANGES],
        "ranges_in_all": len(plan.entries),
        "later": plan.later,
        "segments": [share._asdict() for share in plan.shares],
        "bytes": sum(share.bytes for share in plan.shares),
        "told_in": list(plan.told_in),
    }
