"""The witness over HTTP, exactly as c2sp.org/tlog-witness v1.0.0 says; `sign-subtree`, which is optional, is not served. And one route of our own, by
which a log that has rotated its key hands the proof (docs/keys.md).

It needs no token: whoever submits a checkpoint proves by its signature that it is the log's. What it cosigned last of each log may be read by anyone.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ledger.core.errors import Code, FormatError, LedgerError
from ledger.core.note import format_vkey
from ledger.core.peerkeys import MAX_PROOF_BYTES
from ledger.core.witnessing import KEYS_PATH, MAX_BODY_BYTES, PATH, SIZE_TYPE
from ledger.witness.cosigning import ConflictError, Cosigning

_INPUT: Final = (400, "invalid input")


class _Refusals(NamedTuple):
    """How what cannot be done is answered: what it was, by code, and any other code."""

    what: str
    known: Mapping[Code, tuple[int, str]]
    other: tuple[int, str]


_COSIGNING: Final = _Refusals(
    "not cosigned",
    MappingProxyType(
        {
            Code.NOT_FOUND: (404, "unknown log"),
            Code.UNKNOWN_SIGNER: (403, "invalid signature"),
            Code.INVALID_SIGNATURE: (403, "invalid signature"),
            Code.INVALID_PROOF: (422, "bad consistency proof"),
            Code.MALFORMED_CHECKPOINT: (400, "invalid checkpoint"),
            Code.STORAGE_FAILED: (500, "not cosigned"),
        }
    ),
    _INPUT,
)
_FOLLOWING: Final = _Refusals(
    "not followed",
    MappingProxyType(
        {
            Code.NOT_FOUND: (404, "unknown log"),
            Code.ROLLED_BACK: (409, "older keys"),
            Code.FORKED: (409, "other keys"),
            Code.STORAGE_FAILED: (500, "not followed"),
        }
    ),
    (403, "the proof does not hold"),
)
_CONFLICT, _TOO_LARGE, _BROKEN = 409, 413, 500
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)

logger = logging.getLogger(__name__)


def create_witness(cosigning: Cosigning) -> Starlette:
    """The ASGI application over a witness."""

    async def add_checkpoint(request: Request) -> Response:
        try:
            return await _done(request, MAX_BODY_BYTES, cosigning.add, _COSIGNING)
        except ConflictError as conflict:
            return Response(f"{conflict.size}\n", _CONFLICT, {"Content-Type": SIZE_TYPE})

    async def add_keys(request: Request) -> Response:
        def follow(body: bytes) -> str:
            return f"{format_vkey(cosigning.follow(body).current)}\n"

        return await _done(request, MAX_PROOF_BYTES, follow, _FOLLOWING)

    async def checkpoint(request: Request) -> Response:
        hashed = request.path_params["origin_hash"]
        note = (
            await asyncio.to_thread(cosigning.seen_by_hash, hashed)
            if _HASH.fullmatch(hashed) is not None
            else None
        )
        if note is None:
            return PlainTextResponse("no checkpoint of this log was cosigned here\n", 404)
        return PlainTextResponse(note, headers={"Cache-Control": "no-store"})

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    return Starlette(
        routes=[
            Route(PATH, add_checkpoint, methods=["POST"]),
            Route(KEYS_PATH, add_keys, methods=["POST"]),
            Route("/{origin_hash}/checkpoint", checkpoint, methods=["GET"]),
            Route("/healthz", healthz, methods=["GET"]),
        ]
    )


async def _done(request: Request, most: int, do: Callable[[bytes], str], refusals: _Refusals) -> Response:
    """What comes of a body: the text that `do` makes of it, or why there is none. How long a body may take is the protocol's affair (`ledger.api.serving`)."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            words = f"invalid input: more than {most} bytes\n"
            return PlainTextResponse(words, _TOO_LARGE, {"Connection": "close"})
    try:
        return PlainTextResponse(await asyncio.to_thread(do, bytes(body)))
    except LedgerError as error:
        return _refused(error, refusals)
    except OSError as error:
        logger.error("%s: %s", refusals.what, error)  # noqa: TRY400 - no bug: a disk
        return PlainTextResponse(f"{refusals.what}: it cannot be kept\n", _BROKEN)


def _refused(error: LedgerError, refusals: _Refusals) -> Response:
    other = _INPUT if isinstance(error, FormatError) else refusals.other
    status, words = refusals.known.get(error.code, other)
    if status == _BROKEN:
        logger.error("%s: %s", words, error.detail)
        return PlainTextResponse(f"{words}: the witness cannot use what it kept\n", status)
    if error.code is Code.FORKED:
        logger.warning("%s: %s", refusals.what, error.detail)
    return PlainTextResponse(f"{words}: {error.detail}\n", status)
