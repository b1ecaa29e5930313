"""Credentials and agents' keys. Administrators only; each grant and each revocation is an entry of the log, and counts from it on.

A token's text never comes here: whoever makes one sends its SHA-256.
"""

import asyncio
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from ledger.api.access_documented import POST_ACCESS, POST_KEYS, POST_ROTATE
from ledger.api.documented import PROBLEMS
from ledger.api.queries import read_body
from ledger.api.service import allow
from ledger.core.entry import format_time
from ledger.core.errors import Code, LedgerError
from ledger.log.access import LOCAL_NAME, Bearer, Credential, Grant, May, Quota
from ledger.trust import granting
from ledger.trust.roles import Operation, Role

CREATED = 201

router = APIRouter(tags=["access"])


class GrantBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/access`."""

    name: str
    roles: tuple[Role, ...]
    credential: Credential
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    quota: Quota | None = None
    may: May | None = None
    outside: Literal["refuse", "flag"] = "refuse"


class RotateBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/access/{name}/rotate`: the next token, and how long the one before holds beside it."""

    credential: Bearer
    overlap_s: int


class KeyBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/agent-keys`: an agent's Ed25519 key, 32 bytes in base64."""

    key_id: str
    public_key: str
    subject: str = ""


@router.get("/v1/access", responses=PROBLEMS)
async def get_access(request: Request) -> Response:
    """The credentials in force, with what they permit."""
    serving, _ = allow(request, Operation.ACCESS)
    return JSONResponse(
        {"credentials": [*serving.admission.outside_the_log(), *granting.credentials(serving.log)]}
    )


@router.post("/v1/access", status_code=CREATED, **POST_ACCESS)
async def post_access(request: Request) -> Response:
    """Grant a credential: a bearer token by its SHA-256, what must stand in a JWT, or a SPIFFE ID."""
    serving, principal = allow(request, Operation.ACCESS)
    body = await read_body(request, GrantBody)
    given = Grant(
        name=body.name,
        roles=tuple(dict.fromkeys(role.value for role in body.roles)),
        credential=body.credential,
        by=principal.submitter,
        expires_at=None if body.expires_at is None else _time(body.expires_at),
        quota=body.quota,
        may=body.may,
        outside=body.outside,
    )
    return JSONResponse(await asyncio.to_thread(granting.grant, serving.log, given), CREATED)


@router.post("/v1/access/{name}/rotate", **POST_ROTATE)
async def post_rotate(request: Request, name: str) -> Response:
    """Give a name its next token. The one before holds for the overlap, so that nobody is locked out while it is handed over."""
    serving, principal = allow(request, Operation.ACCESS)
    body = await read_body(request, RotateBody)

    def rotate() -> dict[str, Any]:
        return granting.rotate(serving.log, name, body.credential, body.overlap_s, by=principal.submitter)

    return JSONResponse(await asyncio.to_thread(rotate))


@router.delete("/v1/access/{name}", responses=PROBLEMS)
async def delete_access(request: Request, name: str) -> Response:
    """Revoke all credentials of a name. What they wrote stays in the log under it."""
    serving, principal = allow(request, Operation.ACCESS)
    if name == LOCAL_NAME:
        serving.admission.withdraw_local()
        return JSONResponse({"name": name})
    seq = await asyncio.to_thread(granting.revoke, serving.log, name, by=principal.submitter)
    return JSONResponse({"name": name, "seq": seq})


@router.get("/v1/agent-keys", responses=PROBLEMS)
async def get_keys(request: Request) -> Response:
    """The agents' keys in force."""
    serving, _ = allow(request, Operation.ACCESS)
    return JSONResponse({"keys": granting.keys(serving.log)})


@router.post("/v1/agent-keys", status_code=CREATED, **POST_KEYS)
async def post_key(request: Request) -> Response:
    """Accept records that an agent signs with this key, from now on."""
    serving, principal = allow(request, Operation.ACCESS)
    body = await read_body(request, KeyBody)

    def grant() -> int:
        return granting.grant_key(
            serving.log, body.key_id, body.public_key, subject=body.subject, by=principal.submitter
        )

    return JSONResponse({"key_id": body.key_id, "seq": await asyncio.to_thread(grant)}, CREATED)


@router.delete("/v1/agent-keys/{key_id:path}", responses=PROBLEMS)
async def delete_key(request: Request, key_id: str) -> Response:
    """Accept nothing more that is signed with this key. What it signed before stays good."""
    serving, principal = allow(request, Operation.ACCESS)
    seq = await asyncio.to_thread(granting.revoke_key, serving.log, key_id, by=principal.submitter)
    return JSONResponse({"key_id": key_id, "seq": seq})


def _time(given: datetime) -> str:
    try:
        return format_time(round(given.timestamp() * 1_000_000))
    except (OverflowError, ValueError):
        raise LedgerError(
            Code.INVALID_PARAMETER, "expires_at is no time of this calendar in UTC", path="expires_at"
        ) from None
