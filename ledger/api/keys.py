"""`/v1/keys`: the log's own keys (docs/keys.md). Anyone who may see the log's checkpoints may see them; administrators change them."""

import asyncio
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from ledger.api.entries import Seq
from ledger.api.keys_documented import GET_KEYS, POST_CONFIRM, POST_NEXT, POST_REVOKE, POST_ROTATE
from ledger.api.queries import read_body
from ledger.api.service import Service, allow
from ledger.core.canonical import MAX_INTEGER
from ledger.core.note import format_vkey, parse_vkey
from ledger.trust import logkeys
from ledger.trust.logkeys import Change
from ledger.trust.roles import Operation

ACCEPTED: Final = 202

router = APIRouter(tags=["keys"])


class RotateBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/keys/rotate`."""

    reason: str = ""


class RevokeBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/keys/revoke`: from which entry on the key's signatures count for nothing."""

    verifier_key: str
    start: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)] = msgspec.field(name="from")
    reason: str = ""


class NoBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of what needs nothing said."""


@router.get("/v1/keys", **GET_KEYS)
async def get_keys(request: Request) -> Response:
    """The log's keys, each with the entries it signs for, and the proof by which whoever knows one of them knows all."""
    serving, _ = allow(request, Operation.LOG_PROOFS)
    log = serving.log
    proof = await asyncio.to_thread(log.key_proof)
    return JSONResponse({"keys": logkeys.shown(log), "proof": proof.decode()})


@router.post("/v1/keys/next", **POST_NEXT)
async def post_next(request: Request) -> Response:
    """The key that the next rotation puts in force, made where there is none: to tell witnesses of it before."""
    serving, _ = allow(request, Operation.ACCESS)
    await read_body(request, NoBody)
    signer = await asyncio.to_thread(serving.log.next_key)
    return JSONResponse({"verifier_key": format_vkey(signer.key)})


@router.post("/v1/keys/rotate", **POST_ROTATE)
async def post_rotate(request: Request) -> Response:
    """Sign with the next key from now on. Nothing stops, and nothing that was signed before loses its worth."""
    serving, principal = allow(request, Operation.ACCESS)
    body = await read_body(request, RotateBody)
    return await _change(serving, Change(body.reason), principal.submitter)


@router.post("/v1/keys/revoke", **POST_REVOKE)
async def post_revoke(request: Request) -> Response:
    """Say that what a key which was rotated away signs from an entry on counts for nothing."""
    serving, principal = allow(request, Operation.ACCESS)
    body = await read_body(request, RevokeBody)
    return await _change(
        serving, Change(body.reason, parse_vkey(body.verifier_key), body.start), principal.submitter
    )


@router.post("/v1/keys/{seq}/confirm", **POST_CONFIRM)
async def post_confirm(request: Request, seq: Seq) -> Response:
    """Do what another administrator asked for in this entry (`serve --four-eyes`)."""
    serving, principal = allow(request, Operation.ACCESS)
    await read_body(request, NoBody)

    def go() -> logkeys.Done:
        waiting = logkeys.asked(serving.log, seq)
        return logkeys.confirm(serving.log, waiting, by=principal.submitter, granted_by=principal.granted_by)

    return _done(await asyncio.to_thread(go))


async def _change(serving: Service, wanted: Change, by: str) -> Response:
    if not serving.four_eyes:
        return _done(await asyncio.to_thread(logkeys.change, serving.log, wanted, by=by))
    waiting = await asyncio.to_thread(logkeys.ask, serving.log, wanted, by=by)
    answer = {"asked_in": waiting.seq, "verifier_key": format_vkey(waiting.key)}
    return JSONResponse(answer, ACCEPTED, {"Location": f"/v1/keys/{waiting.seq}/confirm"})


def _done(done: logkeys.Done) -> Response:
    return JSONResponse({"seq": done.seq, "current_key": format_vkey(done.key)})
