"""`?proofs=true`: the answer to SQL with what proves the entries that its rows name."""

import asyncio
import json
from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request

from ledger.api.service import allow
from ledger.core.errors import Code, LedgerError
from ledger.core.receipt import format_receipt, parse_receipt
from ledger.core.text import format_base64
from ledger.evidence.gather import Receipts, named_seqs
from ledger.forensics.render import JSON
from ledger.forensics.service import QueryResult
from ledger.log.log import Log
from ledger.trust.roles import Operation

MAX_PROOFS: Final = 1_000
PARAMETER: Final = "proofs"


async def with_proofs(request: Request, result: QueryResult) -> bytes:
    """The answer's body, with a member `proofs` where that was asked for: see `proofs_of`.

    Raises:
        LedgerError: `forbidden` (who may not read entries), `invalid-parameter` (not JSON, no column `seq`, more than MAX_PROOFS entries),
            `not-found`, `retired` (a row names an entry that is not there, or not any more), `evidence-altered`.
    """
    wanted = request.query_params.get(PARAMETER, "false")
    if wanted not in {"true", "false"}:
        raise LedgerError(
            Code.INVALID_PARAMETER, f"proofs is true or false, not {wanted!a:.40}", path=PARAMETER
        )
    if wanted == "false":
        return result.body
    serving, _ = allow(request, Operation.READ)
    if result.media_type != JSON:
        raise LedgerError(Code.INVALID_PARAMETER, f"proofs come with {JSON} alone", path=PARAMETER)
    proofs = await asyncio.to_thread(proofs_of, serving.log, result)
    return result.body[:-1] + b', "proofs": ' + json.dumps(proofs).encode() + b"}"


def proofs_of(log: Log, result: QueryResult) -> dict[str, Any]:
    """What proves the entries that an answer's rows name.

    Returns:
        `checkpoint`: the signed checkpoint that all of it leads to. `consistency`: the proof that it extends the log that was asked, the answer's
        `size` and `root`. `receipts`: by seq, each a tlog-proof with the entry's bytes in its extra line.

    Raises:
        LedgerError: as `with_proofs`.
    """
    seqs = sorted(set(named_seqs(result.body)))
    if len(seqs) > MAX_PROOFS:
        detail = f"the rows name {len(seqs)} entries, and proofs are given for {MAX_PROOFS}: ask for fewer rows, or for evidence"
        raise LedgerError(Code.INVALID_PARAMETER, detail, path=PARAMETER, limit=MAX_PROOFS)
    head = log.head()
    receipts = Receipts(log, head)
    return {
        "checkpoint": head.note.decode(),
        "consistency": [format_base64(each) for each in log.consistency(result.size, head.size)],
        "receipts": {str(seq): _with_entry(receipts, seq, log.entry(seq)).decode() for seq in seqs},
    }


def _with_entry(receipts: Receipts, seq: int, entry: bytes) -> bytes:
    return format_receipt(replace(parse_receipt(receipts.of(seq, entry)), extra=entry))
