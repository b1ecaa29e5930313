"""Entries, receipts, proofs, and the log itself."""

import asyncio
import json
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Request
from pydantic import BeforeValidator
from starlette.responses import PlainTextResponse, Response

from ledger.api.documented import EXAMPLE_LOG, PROBLEMS
from ledger.api.service import Service, allow
from ledger.core.canonical import MAX_INTEGER
from ledger.core.entry import FORMAT_VERSION, parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.text import format_base64, parse_decimal
from ledger.records.members import CONTENTS, PERSONS
from ledger.trust.tokens import Operation

JSON = "application/json"
Decimal = BeforeValidator(parse_decimal)  # int() takes " 12 ", "1_2" and the digits of every script
Seq = Annotated[
    int, Decimal, Path(ge=0, le=MAX_INTEGER, examples=[0], description="The entry's index in the log.")
]
Size = Annotated[int, Decimal, Query(ge=1, le=MAX_INTEGER, examples=[1])]

router = APIRouter(tags=["log"])
_encode = msgspec.json.Encoder().encode


async def entry_response(serving: Service, seq: int) -> Response:
    """An entry with what was disclosed with it. Contents are JSON texts, byte for byte: that is what commitments are over."""
    stored = await asyncio.to_thread(serving.log.stored, seq)
    entry = parse_entry(stored.entry)
    held = {content.member for content in stored.contents}
    known = {person.commitment for person in stored.persons}
    named = {path: _at(entry.members, path) for path in CONTENTS + PERSONS}
    missing = [
        path
        for path, commitment in named.items()
        if commitment is not None and path not in held and commitment not in known
    ]
    erased = bool(missing) and serving.log.erased(seq)
    body = {
        "seq": seq,
        "leaf_hash": stored.hash.hex(),
        "id": stored.id,
        "recorded_at": entry.recorded_at,
        "submitter": entry.submitter,
        "entry": msgspec.Raw(stored.entry),
        "contents": [
            {"member": c.member, "salt": c.salt.hex(), "value": c.value.decode()} for c in stored.contents
        ],
        "persons": [
            {"commitment": p.commitment, "salt": p.salt.hex(), "value": p.value.decode(), "source": p.source}
            for p in stored.persons
        ],
        "withheld": [] if erased else missing,
        "erased": missing if erased else [],
    }
    return Response(_encode(body), media_type=JSON)


def _at(members: dict[str, Any], path: str) -> Any:
    facet, _, name = path.partition(".")
    inner = members.get(facet)
    return inner.get(name) if isinstance(inner, dict) else None


@router.get("/v1/entries/{seq}", responses=PROBLEMS)
async def get_entry(request: Request, seq: Seq) -> Response:
    """One entry: its signed bytes, and the contents and persons that were disclosed with it."""
    serving, _ = allow(request, Operation.READ)
    return await entry_response(serving, seq)


@router.get("/v1/records/{record_id:path}", responses=PROBLEMS)
async def get_record(request: Request, record_id: str) -> Response:
    """The entry of the record with this id."""
    serving, _ = allow(request, Operation.READ)
    seq = serving.log.find(record_id)
    if seq is None:
        raise LedgerError(Code.NOT_FOUND, f"no record has the id {json.dumps(record_id)}")
    return await entry_response(serving, seq)


@router.get("/v1/entries/{seq}/receipt", responses=PROBLEMS, response_class=PlainTextResponse)
async def get_receipt(request: Request, seq: Seq) -> Response:
    """Proof that the entry is in the tree of the newest checkpoint: C2SP tlog-proof, verifiable offline."""
    serving, _ = allow(request, Operation.LOG_PROOFS)
    receipt = await asyncio.to_thread(serving.log.receipt, seq)
    return PlainTextResponse(receipt)


@router.get("/v1/proofs/consistency", responses=PROBLEMS)
async def get_consistency(request: Request, old: Size, new: Size) -> Response:
    """Proof that the tree of size `new` extends the one of size `old` (RFC 9162)."""
    serving, _ = allow(request, Operation.LOG_PROOFS)
    hashes = await asyncio.to_thread(serving.log.consistency, old, new)
    body = {"old": old, "new": new, "hashes": [format_base64(h) for h in hashes]}
    return Response(_encode(body), media_type=JSON)


@router.get("/v1/log", responses={200: {"content": {JSON: {"example": EXAMPLE_LOG}}}, **PROBLEMS})
async def get_log(request: Request) -> Response:
    """What this log is, how long, and where it is anchored."""
    serving, _ = allow(request, Operation.LOG_PROOFS)
    log, head = serving.log, serving.log.head()
    body = {
        "origin": log.origin,
        "verifier_key": log.vkey,
        "format": FORMAT_VERSION,
        "size": head.size,
        "root": head.root.hex(),
        "recorded_at": head.recorded_at,
        "checkpoint": head.note.decode(),
        "anchored_to": {"head_anchor": log.anchored(), "size": log.anchored_size()},
    }
    return Response(_encode(body), media_type=JSON)
