"""Entries, receipts, proofs, and the log itself."""

import asyncio
import json
from dataclasses import replace
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
from ledger.core.note import format_vkey
from ledger.core.receipt import format_receipt, parse_receipt
from ledger.core.text import format_base64, parse_decimal
from ledger.log.absent import absent, committed, told_in
from ledger.log.log import Log
from ledger.records.members import CONTENTS, PERSONS
from ledger.storage.schema import StoredEntry
from ledger.trust.roles import Operation, Principal

JSON = "application/json"
Decimal = BeforeValidator(parse_decimal)  # int() takes " 12 ", "1_2" and the digits of every script
Seq = Annotated[
    int, Decimal, Path(ge=0, le=MAX_INTEGER, examples=[0], description="The entry's index in the log.")
]
Size = Annotated[int, Decimal, Query(ge=1, le=MAX_INTEGER, examples=[1])]

router = APIRouter(tags=["log"])
_encode = msgspec.json.Encoder().encode


async def entry_response(serving: Service, principal: Principal, seq: int) -> Response:
    """An entry with what was disclosed with it, to who may see it."""
    body = await asyncio.to_thread(_told, serving.log, seq, seen=principal.may(Operation.CONTENTS))
    return Response(_encode(body), media_type=JSON)


def _told(log: Log, seq: int, *, seen: bool) -> dict[str, Any]:
    """An entry, and which of the log's own say why something of it is not there."""
    stored = log.stored(seq)
    entry = parse_entry(stored.entry)
    return {**entry_body(log, stored, seen=seen), "told_in": told_in(log, entry, absent(log, entry, stored))}


def entry_body(log: Log, stored: StoredEntry, *, seen: bool) -> dict[str, Any]:
    """An entry with what was disclosed with it, where that may be `seen`. Contents are JSON texts, byte for byte: that is what commitments are over."""
    entry = parse_entry(stored.entry)
    gone = absent(log, entry, stored)
    there = [path for path in committed(entry, CONTENTS + PERSONS) if path not in gone.withheld + gone.erased]
    return {
        "seq": stored.seq,
        "leaf_hash": stored.hash.hex(),
        "id": stored.id,
        "recorded_at": entry.recorded_at,
        "submitter": entry.submitter,
        "entry": msgspec.Raw(stored.entry),
        "contents": [
            {"member": c.member, "salt": c.salt.hex(), "value": c.value.decode()}
            for c in stored.contents
            if seen
        ],
        "persons": [
            {"commitment": p.commitment, "salt": p.salt.hex(), "value": p.value.decode(), "source": p.source}
            for p in stored.persons
            if seen
        ],
        "hidden": [] if seen else there,
        "withheld": gone.withheld,
        "erased": gone.erased,
    }


@router.get("/v1/entries/{seq}", responses=PROBLEMS)
async def get_entry(request: Request, seq: Seq) -> Response:
    """One entry: its signed bytes, and the contents and persons that were disclosed with it, which need the permission `contents`.

    Of each member that is `withheld` or `erased`, `told_in` names the log's own entry that says so; one that nothing in the log explains is not in it.
    """
    serving, principal = allow(request, Operation.READ)
    return await entry_response(serving, principal, seq)


@router.get("/v1/records/{record_id:path}", responses=PROBLEMS)
async def get_record(request: Request, record_id: str) -> Response:
    """The entry of the record with this id."""
    serving, principal = allow(request, Operation.READ)
    seq = serving.log.find(record_id)
    if seq is None:
        raise LedgerError(Code.NOT_FOUND, f"no record has the id {json.dumps(record_id)}")
    return await entry_response(serving, principal, seq)


@router.get("/v1/entries/{seq}/receipt", responses=PROBLEMS, response_class=PlainTextResponse)
async def get_receipt(request: Request, seq: Seq, *, entry: bool = False) -> Response:
    """Proof that the entry is in the tree of the newest checkpoint: C2SP tlog-proof, verifiable offline.

    With `entry=true` the entry's bytes are in its extra line, for who may read entries, and for who wrote this one.
    """
    serving, principal = allow(request, Operation.LOG_PROOFS)
    receipt = await asyncio.to_thread(serving.log.receipt, seq)
    if entry:
        data = await asyncio.to_thread(serving.log.entry, seq)
        if parse_entry(data).submitter != principal.submitter or seq < principal.since:
            allow(request, Operation.READ)
        receipt = format_receipt(replace(parse_receipt(receipt), extra=data))
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
        "current_key": format_vkey(log.keys.current),
        "format": FORMAT_VERSION,
        "size": head.size,
        "root": head.root.hex(),
        "recorded_at": head.recorded_at,
        "checkpoint": head.note.decode(),
        "anchored_to": {"head_anchor": log.anchored(), "size": log.anchored_size()},
    }
    return Response(_encode(body), media_type=JSON)
