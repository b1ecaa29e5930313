"""The console: its page, and signing in and out. What the page shows it asks of the same routes as everybody.

A cookie counts in the place of a token, and only for the console's own page (`ledger.api.service`).
"""

from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from ledger.api.queries import read_body
from ledger.api.service import Service, allow, header, own_page, session_cookie, session_shown
from ledger.console import files
from ledger.console.sessions import format_cookie
from ledger.core.errors import Code, LedgerError
from ledger.trust.roles import Operation, Principal

_GZIP: Final = "gzip"
_PAGE_HEADERS: Final = {"Cross-Origin-Opener-Policy": "same-origin", "Vary": "Accept-Encoding"}
# One answer to all who are not let in: why is nobody's business but the log's.
_NOT_ADMITTED: Final = "this token is not known here, was revoked, or has expired"

router = APIRouter(include_in_schema=False)  # a page and what it needs to be one: no programs' interface


class SignIn(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /console/session`."""

    token: str = ""


@router.get("/console")
async def get_page(request: Request) -> Response:
    """The page."""
    return _sent(request, files.PAGE)


@router.post("/console/session")
async def post_session(request: Request) -> Response:
    """Sign in with a token: a new session in a cookie. Whatever session was shown with it ends."""
    _refuse_others(request)
    body = await read_body(request, SignIn)
    token = body.token.strip()
    serving, admitted = _admitted(request, token)
    name, secure = session_cookie(request)
    if (before := session_shown(request)) is not None:
        serving.sessions.end(before)
    answer = JSONResponse(_who(serving, admitted))
    answer.headers["Set-Cookie"] = format_cookie(
        name, serving.sessions.open(admitted.name, token), secure=secure
    )
    return answer


@router.get("/console/session")
async def get_session(request: Request) -> Response:
    """Who is signed in, and what they may do."""
    return JSONResponse(_who(*allow(request, Operation.LOG_PROOFS)))


@router.delete("/console/session", status_code=204)
async def delete_session(request: Request) -> Response:
    """Sign out."""
    answer = Response(status_code=204)
    serving: Service = request.app.state.service
    if (session := session_shown(request)) is not None:
        _refuse_others(request)
        serving.sessions.end(session)
        name, secure = session_cookie(request)
        answer.headers["Set-Cookie"] = format_cookie(name, "", secure=secure)
    return answer


@router.get("/console/{name}")
async def get_file(request: Request, name: str) -> Response:
    """A file of the page, by the one name it has."""
    return _sent(request, name)


def _sent(request: Request, name: str) -> Response:
    found = files.files().get(name)
    if found is None:
        raise LedgerError(Code.NOT_FOUND, f"the console has no file {name!a:.80}")
    headers = {**_PAGE_HEADERS, "Cache-Control": found.cached}
    if _GZIP in header(request, b"accept-encoding"):
        return Response(
            found.zipped, headers={**headers, "Content-Encoding": _GZIP}, media_type=found.media_type
        )
    return Response(found.body, headers=headers, media_type=found.media_type)


def _refuse_others(request: Request) -> None:
    if not own_page(request):
        raise LedgerError(
            Code.FORBIDDEN,
            "only the console's own page signs in and out: over TLS, or on this machine; programs send their token with each request",
        )


def _admitted(request: Request, token: str) -> tuple[Service, Principal]:
    serving: Service = request.app.state.service
    try:
        found = serving.admission.bearer(token)
    except LedgerError as error:
        if error.code != Code.UNAUTHENTICATED:
            raise
        found = None
    if found is None:
        raise LedgerError(Code.UNAUTHENTICATED, _NOT_ADMITTED)
    return serving, found


def _who(serving: Service, principal: Principal) -> dict[str, Any]:
    return {
        "name": principal.name,
        "roles": list(principal.roles),
        "permits": sorted(principal.operations),
        "origin": serving.log.origin,
    }
