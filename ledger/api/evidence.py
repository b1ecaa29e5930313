"""`POST /v1/evidence`: chosen entries with what proves them, as one file (docs/evidence.md)."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from ledger.api.asking import Page, Statement, ask
from ledger.api.queries import Limit, Parameters, bound, read_body
from ledger.api.query_documented import POST_EVIDENCE
from ledger.api.service import Service, allow
from ledger.core.canonical import MAX_INTEGER
from ledger.core.entry import format_time
from ledger.core.errors import Code, LedgerError
from ledger.core.evidence import MAX_ENTRIES
from ledger.evidence import gather
from ledger.evidence.bundle import Made, make, record
from ledger.evidence.gather import Answer, named_seqs
from ledger.forensics.mentions import SUBJECT_SQL
from ledger.forensics.parameters import Value, parse_parameters
from ledger.records.members import CONTENTS, PERSONS
from ledger.trust.roles import Operation, Principal

ZIP: Final = "application/zip"
MAX_ABOUT_CHARS: Final = 1_000
_CHUNK_BYTES: Final = 256 * 1024
_BYTES_EACH: Final = 4_096  # about what an entry becomes: whose turn it is, is decided by it

Seqs = Annotated[list[Annotated[int, msgspec.Meta(ge=0)]], msgspec.Meta(max_length=MAX_ENTRIES)]
Ids = Annotated[list[str], msgspec.Meta(max_length=MAX_ENTRIES)]

router = APIRouter(tags=["evidence"])


class Choice(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/evidence`: entries by their places, by their records' ids, by a SELECT or a named query.

    Or all that name a person, from the entry `start` on: where they are more than one file holds, the answer says where the next one starts.
    """

    about: Annotated[str, msgspec.Meta(max_length=MAX_ABOUT_CHARS)] = ""
    seqs: Seqs = []
    ids: Ids = []
    sql: str | None = None
    query: str | None = None
    subject: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    start: Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)] = 0
    parameters: Parameters = {}
    limit: Limit | None = None
    columns: list[str] = []
    disclose: list[str] | None = None


@router.post("/v1/evidence", **POST_EVIDENCE)
async def post_evidence(request: Request) -> Response:
    """Entries, their receipts, and contents where the asker has the permission `contents`, in a zip that verifies without a ledger. The log records that it was made."""
    serving, principal = allow(request, Operation.READ)
    choice = await read_body(request, Choice)
    sql, parameters = (
        _subjects(request, choice) if choice.subject is not None else _sql(request, serving, choice)
    )
    asked = gather.Request(
        by=principal.name,
        about=choice.about,
        seqs=choice.seqs,
        ids=choice.ids,
        sql=sql,
        query=choice.query or "",
        parameters=parameters if choice.subject is not None else choice.parameters,
        columns=choice.columns,
        members=_members(request, principal, choice),
    )
    answer = None
    if sql:
        statement = Statement(principal, sql, parameters, choice.query)
        result = await ask(request, statement, Page(choice.limit))
        if choice.subject is not None and not result.row_count:
            detail = f"no entry from {choice.start} on names a person with this identifier: give it exactly as it was recorded"
            raise LedgerError(Code.NOT_FOUND, detail, path="subject")
        answer = Answer(result.body, result.size, result.root)
    cost = _BYTES_EACH * (len(choice.seqs) + len(choice.ids) + (result.row_count if sql else 0))
    async with request.app.state.evidence.of(principal.name, cost):
        made, seq = await asyncio.to_thread(_make, serving, asked, answer)
    more = {}
    if sql and result.truncated:
        following = choice.subject is not None
        more = (
            {"Ledger-Evidence-Next": str(max(named_seqs(result.body)) + 1)}
            if following
            else {"Ledger-Evidence-Truncated": "true"}
        )
    return _response(made, seq, more)


def _subjects(request: Request, choice: Choice) -> tuple[str, dict[str, Value]]:
    """The SELECT of all entries that name a person, and its parameters. Who may not see persons cannot ask for one."""
    allow(request, Operation.QUERY)
    allow(request, Operation.CONTENTS)
    if choice.sql is not None or choice.query is not None or choice.parameters or choice.columns:
        raise LedgerError(
            Code.INVALID_PARAMETER,
            "a subject goes without sql, query, parameters and columns",
            path="subject",
        )
    return SUBJECT_SQL, {"subject": choice.subject, "start": choice.start}


def _sql(request: Request, serving: Service, choice: Choice) -> tuple[str, dict[str, Value]]:
    """The SELECT to ask, "" for none, and its parameters."""
    if choice.sql is None and choice.query is None:
        if choice.parameters or choice.columns or choice.limit is not None:
            raise LedgerError(
                Code.INVALID_PARAMETER, "parameters, columns and limit belong to sql or query", path="sql"
            )
        return "", {}
    allow(request, Operation.QUERY)
    if choice.query is None:
        return choice.sql or "", parse_parameters(choice.parameters)
    if choice.sql is not None:
        raise LedgerError(Code.INVALID_PARAMETER, "give sql or query, not both", path="query")
    query = serving.catalog.get(choice.query)
    if query is None:
        raise LedgerError(Code.NOT_FOUND, f"there is no query {choice.query!a}; GET /v1/queries lists them")
    return query.sql, bound(query, choice.parameters)


def _members(request: Request, principal: Principal, choice: Choice) -> frozenset[str] | None:
    """What to disclose, None for everything. Who may not see contents discloses none, and is refused where they ask for some."""
    if choice.disclose is None:
        return None if principal.may(Operation.CONTENTS) else frozenset()
    for member in choice.disclose:
        allow(request, Operation.CONTENTS)
        if member not in CONTENTS + PERSONS:
            known = ", ".join(CONTENTS + PERSONS)
            raise LedgerError(
                Code.INVALID_PARAMETER,
                f"{member!a} is neither a content nor a person; there are: {known}",
                path="disclose",
            )
    return frozenset(choice.disclose)


def _make(serving: Service, asked: gather.Request, answer: Answer | None) -> tuple[Made, int]:
    gathered = gather.gather(serving.log, asked, answer)
    made = make(gathered, format_time(time.time_ns() // 1_000))
    try:
        return made, record(serving.log, made, gathered)
    except BaseException:
        made.file.close()
        raise


def _response(made: Made, seq: int, more: dict[str, str]) -> Response:
    name = f"evidence-{made.manifest.size}-{made.digest[:8]}.zip"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Length": str(made.size_bytes),
        "Ledger-Size": str(made.manifest.size),
        "Ledger-Root": made.manifest.root.hex(),
        "Ledger-Evidence": made.digest,
        "Ledger-Evidence-Entries": str(made.manifest.entries),
        "Ledger-Evidence-Entry": str(seq),
        **more,
    }
    return StreamingResponse(_chunks(made), media_type=ZIP, headers=headers)


async def _chunks(made: Made) -> AsyncIterator[bytes]:
    with made.file as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
