"""Signing in to the console at an issuer (docs/access.md): what it answers with is an ID token, which is admitted as an access token is, by a grant of the log."""

import asyncio
import ipaddress
import logging
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from ledger.api.queries import read_body
from ledger.api.service import header, own_page, service, session_cookie, session_shown
from ledger.console.files import PATH
from ledger.console.oidc import (
    AT_ONCE,
    CALLBACK,
    Provider,
    SignInError,
    SignIns,
    Why,
    browser_cookie,
    format_browser_cookie,
    person,
    redeem,
)
from ledger.console.sessions import format_cookie, parse_cookie
from ledger.core.errors import Code, LedgerError
from ledger.trust.roles import Principal

SEE_OTHER: Final = 303
MAX_PARAMETERS: Final = 20
logger = logging.getLogger(__name__)
router = APIRouter(include_in_schema=False)


class Begin(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /console/oidc`: which of the issuers."""

    issuer: int


@router.get("/console/oidc")
async def get_issuers(request: Request) -> Response:
    """Where one may sign in: labels, in the order by which `POST` names them."""
    return JSONResponse({"issuers": [each.label for each in service(request).sign_ins.providers]})


@router.post("/console/oidc")
async def post_issuer(request: Request) -> Response:
    """Begin: where the browser is to go, and a cookie by which it is known when it comes back."""
    if not own_page(request):
        raise LedgerError(
            Code.FORBIDDEN, "only the console's own page signs in: over TLS, or on this machine"
        )
    body = await read_body(request, Begin)
    ins = service(request).sign_ins
    if not 0 <= body.issuer < len(ins.providers):
        raise LedgerError(Code.NOT_FOUND, "there is no such issuer to sign in at", path="issuer")
    begun = ins.begin(body.issuer, _redirect_uri(request, ins.providers[body.issuer]))
    name, secure = session_cookie(request)
    answer = JSONResponse({"to": begun.to})
    answer.headers["Set-Cookie"] = format_browser_cookie(name, begun.browser, secure=secure)
    return answer


@router.get(CALLBACK)
@router.get(f"{CALLBACK}/{{issuer}}")
async def get_callback(request: Request) -> Response:
    """Where an issuer sends the browser back, each to an address of its own. Leads to the console, signed in or with why not, and nowhere else whatever was said."""
    name, secure = session_cookie(request)
    try:
        admitted, token = await _signed_in(request, name)
    except SignInError as error:
        if error.why is not Why.EXPIRED:  # which anybody can have: the server's log is not theirs to fill
            logger.warning("nobody was signed in: %s", error)
        return _to_page(f"#/sign-in/{error.why}", format_browser_cookie(name, "", secure=secure))
    sessions = service(request).sessions
    if (before := session_shown(request)) is not None:
        sessions.end(before)
    session = sessions.open(
        f"{admitted.name}\0{person(token)}", token
    )  # many share a grant: nobody pushes out others
    return _to_page(
        "",
        format_cookie(name, session, secure=secure),
        format_browser_cookie(name, "", secure=secure),
    )


async def _signed_in(request: Request, name: str) -> tuple[Principal, str]:
    if header(request, b"sec-fetch-mode") != "navigate" or header(request, b"sec-fetch-dest") != "document":
        raise SignInError(Why.EXPIRED, "no browser was sent here")
    try:
        given = parse_qsl(request.url.query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise SignInError(Why.EXPIRED, f"it came back with more than {MAX_PARAMETERS} parameters") from None
    serving = service(request)
    ins = serving.sign_ins
    browser = parse_cookie(header(request, b"cookie"), browser_cookie(name))
    returned = ins.take_back(given, browser, request.url.path)
    redirect_uri = _redirect_uri(request, returned.provider)
    token = await _redeemed(ins, lambda: redeem(returned, redirect_uri))
    try:
        admitted = serving.admission.bearer(token)
    except LedgerError as error:
        if error.code != Code.UNAUTHENTICATED:
            raise
        raise SignInError(Why.NOT_GRANTED, error.detail) from None
    if admitted is None:
        raise SignInError(Why.NOT_GRANTED, "its token is not in force")
    ins.use(returned)
    return admitted, token


async def _redeemed(ins: SignIns, work: Callable[[], str]) -> str:
    if ins.redeeming >= AT_ONCE:
        raise SignInError(Why.BUSY, f"{AT_ONCE} issuers' answers are waited for")
    ins.redeeming += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(ins.threads, work)
    finally:
        ins.redeeming -= 1


def _to_page(fragment: str, *cookies: str) -> Response:
    answer = Response(status_code=SEE_OTHER, headers={"Location": f"{PATH}{fragment}"})
    for each in cookies:
        answer.headers.append("Set-Cookie", each)
    return answer


def _redirect_uri(request: Request, provider: Provider) -> str:
    """Where the browser comes back to: what the file says, else the very address of this machine that it asked; never what a header says.

    Raises:
        LedgerError: `forbidden`: it came to another machine's address, or to a proxy's, and the file says nothing.
    """
    if provider.redirect_uri is not None:
        return provider.redirect_uri
    host, port = request.scope["server"]
    proxied = request.client is not None and service(request).admission.trusts(request.client.host)
    if proxied or not ipaddress.ip_address(host).is_loopback:
        raise LedgerError(
            Code.FORBIDDEN, "say in the file of issuers where browsers come back to: redirect_uri of console"
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{request.scope['scheme']}://{shown}:{port}{provider.path}"
