"""`/v1/erasure`: erase contents and persons, by subject, by record, by query (docs/erasure.md). Administrators only."""

import asyncio
from typing import Final

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from ledger.api.choosing import Body, chosen_by, chosen_of, confirmed, counts, previewed
from ledger.api.compaction import shown
from ledger.api.documented import PROBLEMS
from ledger.api.entries import Seq
from ledger.api.erasure_documented import POST_CONFIRM, POST_ERASURE
from ledger.api.queries import read_body
from ledger.api.service import allow
from ledger.log.removal import Erasure
from ledger.trust.roles import Operation
from ledger.upkeep.erasing import Selection, erase_selected, refuse_held, told
from ledger.upkeep.foureyes import ask, asked, confirm
from ledger.upkeep.routine import Routine

ACCEPTED: Final = 202

router = APIRouter(tags=["retention"])


class Confirming(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/erasure/{seq}/confirm`."""

    dry_run: bool = False


@router.post("/v1/erasure", status_code=ACCEPTED, **POST_ERASURE)
async def post_erasure(request: Request) -> Response:
    """Say what would go (`dry_run`), or have exactly that go: with its `as_of`, its `selection`, and the `ground` on which it may be done.

    From the answer on nobody reads it; `GET` of the answer's Location tells when its bytes are off the disk.
    """
    serving, principal = allow(request, Operation.UPKEEP)
    body = await read_body(request, Body)
    if body.dry_run:
        return JSONResponse(await previewed(serving, body))
    selection = (await confirmed(serving, body)).selection
    by, ground = principal.submitter, body.ground

    def go() -> tuple[int, ...]:
        return erase_selected(serving.log, selection, by=by, ground=ground).seqs

    def wait_for_another() -> int:
        refuse_held(serving.log, selection)
        return ask(serving.log, selection, msgspec.json.encode(body), by=by, ground=ground)

    if not serving.four_eyes:
        return _erased(request, await asyncio.to_thread(go), selection)
    seq = await asyncio.to_thread(wait_for_another)
    answer = {"asked_in": seq, **counts(selection)}
    return JSONResponse(answer, ACCEPTED, {"Location": f"/v1/erasure/{seq}/confirm"})


@router.post("/v1/erasure/{seq}/confirm", status_code=ACCEPTED, **POST_CONFIRM)
async def post_confirm(request: Request, seq: Seq) -> Response:
    """Have go what another administrator asked for in this entry (`serve --four-eyes`), or with `dry_run` say what that is, and in which words they chose it."""
    serving, principal = allow(request, Operation.UPKEEP)
    confirming = await read_body(request, Confirming)
    waiting = await asyncio.to_thread(asked, serving.log, seq)
    body = msgspec.json.decode(waiting.words, type=Body)
    if confirming.dry_run:
        said = {"requested_by": waiting.by, "ground": waiting.ground, "chosen_by": chosen_by(body)}
        return JSONResponse({**await previewed(serving, body), **said})
    selection = (await chosen_of(serving, body, body.as_of or 0)).selection

    def go() -> Erasure:
        return confirm(
            serving.log, waiting, selection, by=principal.submitter, granted_by=principal.granted_by
        )

    return _erased(request, (await asyncio.to_thread(go)).seqs, selection)


@router.get("/v1/erasure/{seq}", responses=PROBLEMS)
async def get_erasure(request: Request, seq: Seq) -> Response:
    """What the log says of an erasure, by one of its own entries: `done_in` is the entry that says that its bytes are off the disk."""
    serving, _ = allow(request, Operation.UPKEEP)
    found = await asyncio.to_thread(told, serving.log, seq)
    routine: Routine = request.app.state.routine
    return JSONResponse({**found._asdict(), "compaction": shown(routine.status())})


def _erased(request: Request, seqs: tuple[int, ...], selection: Selection) -> Response:
    """The answer once the log says so, and the bytes begin to go."""
    routine: Routine = request.app.state.routine
    compaction = shown(routine.ask_compact()) if seqs else shown(routine.status())
    answer = {"told_in": list(seqs), **counts(selection), "compaction": compaction}
    headers = {"Location": f"/v1/erasure/{seqs[0]}"} if seqs else {}
    return JSONResponse(answer, ACCEPTED if seqs else 200, headers)
