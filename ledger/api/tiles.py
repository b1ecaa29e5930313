"""`/checkpoint` and `/tile/…`, also below `/witnessed`, exactly as C2SP tlog-tiles says, behind a token: the log is private by default."""

import asyncio
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from ledger.api.documented import PROBLEMS
from ledger.api.service import allow
from ledger.core.errors import Code, FormatError, LedgerError
from ledger.core.tiles import parse_tile_path
from ledger.trust.roles import Operation

BUNDLE: Final = "entries"
BINARY: Final = "application/octet-stream"
_IMMUTABLE: Final = {"Cache-Control": "private, max-age=31536000, immutable"}

router = APIRouter(tags=["tiles"])


@router.get("/checkpoint", responses=PROBLEMS)
async def get_checkpoint(request: Request) -> Response:
    """The newest checkpoint: a signed note. Witnesses' lines follow the log's own once their quorum has cosigned it."""
    serving, _ = allow(request, Operation.LOG_PROOFS)
    head = serving.log.head()
    return _note(serving.log.head_covering(head.size).note)


@router.get("/witnessed/checkpoint", responses=PROBLEMS)
async def get_witnessed_checkpoint(request: Request) -> Response:
    """The newest checkpoint that the quorum of witnesses has cosigned: a signed note. `/witnessed` is a log of its own to C2SP tlog-tiles."""
    serving, _ = allow(request, Operation.LOG_PROOFS)
    cosigned = serving.log.cosigned()
    if cosigned is None:
        raise LedgerError(Code.NOT_FOUND, "no quorum of witnesses has cosigned a checkpoint of this log")
    return _note(cosigned.note)


def _note(note: bytes) -> Response:
    return Response(note, media_type="text/plain; charset=utf-8")


@router.get("/witnessed/tile/{path:path}", responses=PROBLEMS)
@router.get("/tile/{path:path}", responses=PROBLEMS)
async def get_tile(request: Request, path: str) -> Response:
    """256 hashes or entries, or as many as a partial tile (`.p/<width>`) has. Never changes once it is there."""
    serving, _ = allow(request, Operation.READ)
    try:
        level, index, width = parse_tile_path(f"tile/{path}")
    except FormatError as error:
        raise LedgerError(Code.NOT_FOUND, error.detail) from None
    log = serving.log
    data = await (
        asyncio.to_thread(log.bundle, index, width)
        if level == BUNDLE
        else asyncio.to_thread(log.tile, int(level), index, width)
    )
    return Response(data, media_type=BINARY, headers=_IMMUTABLE)
