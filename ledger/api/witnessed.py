"""Who waits for witnesses, and how far they are. Which they are is the server's own configuration, and no request changes it."""

import asyncio
import heapq
from collections.abc import Sequence
from itertools import count
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from ledger.api.documented import PROBLEMS
from ledger.api.service import allow
from ledger.core.errors import Code, LedgerError
from ledger.core.note import format_vkey
from ledger.core.peerkeys import Peer
from ledger.log.plan import Appended
from ledger.trust.roles import Operation
from ledger.witness.rounds import Witnesses

PARAMETER: Final = "witnessed"
RETRY_AFTER_S: Final = 5
_SAID: Final = {"true": True, "false": False}
_NONE: Final[dict[str, Any]] = {"quorum": None, "witnesses": []}

router = APIRouter(tags=["witnesses"])


@router.get("/v1/witnesses", responses=PROBLEMS)
async def get_witnesses(request: Request) -> Response:
    """The witnesses that this log asks, the size up to which their quorum has cosigned it, and what is wrong. No addresses."""
    serving, _ = allow(request, Operation.LOG_PROOFS)
    return JSONResponse(_NONE if serving.witnesses is None else serving.witnesses.status())


@router.get("/v1/peers", responses=PROBLEMS)
async def get_peers(request: Request) -> Response:
    """Those whose logs this log accepts (docs/federation.md): the key of the handshake, the one that signs now, and the proof by which it follows from that."""
    serving, _ = allow(request, Operation.LOG_PROOFS)
    return JSONResponse({"peers": [_peer(each) for each in serving.log.standing.peers.peers.values()]})


def _peer(peer: Peer) -> dict[str, Any]:
    proof = peer.proof
    return {
        "name": peer.name,
        "origin": peer.pinned.name,
        "verifier_key": format_vkey(peer.pinned),
        "current_key": format_vkey(peer.keys.current),
        "proof": None if proof is None else proof.decode(),
    }


class Witnessing:
    """Waits for the quorum. Lives on one event loop; `published` may be called from any thread."""

    def __init__(self, witnesses: Witnesses | None, loop: asyncio.AbstractEventLoop) -> None:
        self._witnesses, self._loop = witnesses, loop
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()

    @property
    def required(self) -> bool:
        """Whether nothing is acknowledged before the quorum has cosigned a checkpoint that covers it."""
        return self._witnesses is not None and self._witnesses.settings.required

    def published(self, size: int) -> None:
        """The quorum has cosigned a checkpoint of this size."""
        self._loop.call_soon_threadsafe(self._settle, size)

    def wanted(self, request: Request) -> bool:
        """Whether a request asks to wait.

        Raises:
            LedgerError: `invalid-parameter`: it asks for something else, or there is nobody to wait for.
        """
        if not request.scope["query_string"] or (text := request.query_params.get(PARAMETER)) is None:
            return False
        if text not in _SAID:
            raise LedgerError(Code.INVALID_PARAMETER, "witnessed is true or false", path=PARAMETER)
        if _SAID[text] and self._witnesses is None:
            detail = "this ledger asks no witnesses (serve --witness-policy): nothing was written"
            raise LedgerError(Code.INVALID_PARAMETER, detail, path=PARAMETER)
        return _SAID[text]

    async def covers(self, results: Sequence[Appended | LedgerError]) -> bool:
        """Wait until the quorum has cosigned a checkpoint that covers what was appended, for as long as the settings say; whether it has."""
        size = max((each.seq + 1 for each in results if isinstance(each, Appended)), default=0)
        return await self._reached(size)

    async def after(
        self, waiting: asyncio.Future[list[Appended | LedgerError]]
    ) -> list[Appended | LedgerError]:
        """The outcomes, once they may be told where witnesses are required."""
        results = await waiting
        if await self.covers(results):
            return results
        return [_unwitnessed(each) if isinstance(each, Appended) else each for each in results]

    async def _reached(self, size: int) -> bool:
        if self._witnesses is None:
            return False
        if self._size() >= size:
            return True
        future: asyncio.Future[None] = self._loop.create_future()
        heapq.heappush(self._waiting, (size, next(self._numbers), future))
        self._witnesses.want(size)
        try:
            await asyncio.wait_for(future, self._witnesses.settings.wait_s)
        except TimeoutError:
            return self._size() >= size
        return True

    def _size(self) -> int:
        cosigned = self._witnesses.newest() if self._witnesses is not None else None
        return cosigned.size if cosigned is not None else 0

    def _settle(self, size: int) -> None:
        while self._waiting and (self._waiting[0][0] <= size or self._waiting[0][2].done()):
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)


def _unwitnessed(appended: Appended) -> LedgerError:
    return LedgerError(
        Code.NOT_WITNESSED,
        f"it is durable as entry {appended.seq}, and the quorum of witnesses has not cosigned a checkpoint that covers it in time, which this "
        "ledger requires: send it again under the same id; it is not written twice",
        seq=appended.seq,
        retry_after=RETRY_AFTER_S,
    )
