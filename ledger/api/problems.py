"""One table from stable codes to HTTP: `application/problem+json` (RFC 9457)."""

from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ledger.api.service import count_refusal
from ledger.core.errors import Code, LedgerError

MEDIA_TYPE: Final = "application/problem+json"
URN: Final = "urn:agent-ledger:problem:"
RETRY_AFTER: Final = "retry_after"

_BAD, _UNPROCESSABLE, _TOO_LARGE = 400, 422, 413
_CONFLICT, _TOO_MANY, _UNAVAILABLE = 409, 429, 503

STATUS: Final = MappingProxyType(
    {
        Code.MALFORMED_JSON: _BAD,
        Code.DUPLICATE_KEY: _BAD,
        Code.INVALID_KEY: _BAD,
        Code.INVALID_NUMBER: _BAD,
        Code.INVALID_TEXT: _BAD,
        Code.TOO_DEEP: _BAD,
        Code.NOT_CANONICAL: _BAD,
        Code.INVALID_MEMBER: _UNPROCESSABLE,
        Code.MALFORMED_ENTRY: _BAD,
        Code.ENTRY_TOO_LARGE: _TOO_LARGE,
        Code.MALFORMED_NOTE: _BAD,
        Code.MALFORMED_VERIFIER_KEY: _BAD,
        Code.MALFORMED_CHECKPOINT: _BAD,
        Code.MALFORMED_RECEIPT: _BAD,
        Code.MALFORMED_TILE: _BAD,
        Code.MALFORMED_EVIDENCE: _BAD,
        Code.UNSUPPORTED_ALGORITHM: _BAD,
        Code.INVALID_PUBLIC_KEY: _UNPROCESSABLE,
        Code.INVALID_SIGNATURE: _UNPROCESSABLE,
        Code.INVALID_PROOF: _UNPROCESSABLE,
        Code.UNKNOWN_SIGNER: _UNPROCESSABLE,
        Code.AMBIGUOUS_KEY: _UNPROCESSABLE,
        Code.ORIGIN_MISMATCH: _UNPROCESSABLE,
        Code.OUT_OF_RANGE: _UNPROCESSABLE,
        Code.UNKNOWN_MEMBER: _UNPROCESSABLE,
        Code.MISSING_MEMBER: _UNPROCESSABLE,
        Code.RESERVED_NAME: _UNPROCESSABLE,
        Code.SECRET_IN_FACT: _UNPROCESSABLE,
        Code.CONTENT_TOO_LARGE: _TOO_LARGE,
        Code.RECORD_TOO_LARGE: _TOO_LARGE,
        Code.COMMITMENT_MISMATCH: _UNPROCESSABLE,
        Code.FACET_MISSING: _UNPROCESSABLE,
        Code.MALFORMED_PROTOBUF: _BAD,
        Code.MALFORMED_ARROW: _BAD,
        Code.UNSUPPORTED_MEDIA_TYPE: 415,
        Code.UNSUPPORTED_ENCODING: 415,
        Code.BODY_TOO_LARGE: _TOO_LARGE,
        Code.TOO_MANY_RECORDS: _TOO_LARGE,
        Code.TOO_SLOW: 408,
        Code.UNAUTHENTICATED: 401,
        Code.FORBIDDEN: 403,
        Code.METHOD_NOT_ALLOWED: 405,
        Code.NOT_ACCEPTABLE: 406,
        Code.INTERNAL: 500,
        Code.NOT_FOUND: 404,
        Code.INVALID_PARAMETER: _UNPROCESSABLE,
        Code.ID_CONFLICT: _CONFLICT,
        Code.RETIRED: 410,
        Code.NOT_WRITTEN: 424,
        Code.HELD: _CONFLICT,
        Code.HOLD_EXISTS: _CONFLICT,
        Code.SELECTION_CHANGED: _CONFLICT,
        Code.OBJECTS_UNAVAILABLE: _UNAVAILABLE,
        Code.OBJECT_DIFFERS: 500,
        Code.UNKNOWN_KEY: _UNPROCESSABLE,
        Code.QUEUE_FULL: _TOO_MANY,
        Code.QUOTA_EXCEEDED: _TOO_MANY,
        Code.NOT_WITNESSED: _UNAVAILABLE,
        Code.STORAGE_FAILED: _UNAVAILABLE,
        Code.STORAGE_VERSION: _UNAVAILABLE,
        Code.LOG_STOPPED: _UNAVAILABLE,
        Code.LOG_EXISTS: _CONFLICT,
        Code.LOCKED: _CONFLICT,
        Code.KEY_EXISTS: _CONFLICT,
        Code.KEY_FILE: _UNAVAILABLE,
        Code.SIGNER_FAILED: _UNAVAILABLE,
        Code.TOKEN_EXISTS: _CONFLICT,
        Code.TOKEN_FILE: _UNAVAILABLE,
        Code.CLAIM_OUTSIDE: 403,
        Code.OIDC_FILE: _UNPROCESSABLE,
        Code.ORIGIN_CHANGED: _CONFLICT,
        Code.ANCHOR_MISSING: _UNAVAILABLE,
        Code.ROLLED_BACK: _UNAVAILABLE,
        Code.FORKED: _UNAVAILABLE,
        Code.QUERY_REFUSED: _UNPROCESSABLE,
        Code.QUERY_FAILED: _UNPROCESSABLE,
        Code.QUERY_TIMEOUT: _UNPROCESSABLE,
        Code.QUERY_KILLED: _UNPROCESSABLE,
        Code.QUERIES_BUSY: _TOO_MANY,
        Code.ALERTS_FILE: _UNPROCESSABLE,
        Code.TLS_FILES: _UNPROCESSABLE,
        Code.STREAMS_BUSY: _TOO_MANY,
        Code.EVIDENCE_ALTERED: 500,
        Code.INVALID_QUERY_FILE: 500,
        Code.EVIDENCE_TOO_LARGE: _TOO_LARGE,
    }
)

_encode = msgspec.json.Encoder().encode


def title(code: Code) -> str:
    """A code in words: `unknown-member` → `Unknown member`."""
    return code.value.replace("-", " ").capitalize()


def problem(error: LedgerError, *, record: int | None = None) -> dict[str, Any]:
    """A problem as RFC 9457 has it; `record` is the index within a batch."""
    members: dict[str, Any] = {
        "type": f"{URN}{error.code}",
        "title": title(error.code),
        "status": STATUS[error.code],
        "detail": error.detail if record is None else f"record {record}: {error.detail}",
    }
    if record is not None:
        members["record"] = record
    if error.path is not None:
        members["path"] = error.path
    return members | {name: value for name, value in error.members.items() if name not in members}


def problem_response(members: dict[str, Any]) -> Response:
    """The answer that carries a problem."""
    headers = {}
    if RETRY_AFTER in members:
        headers["Retry-After"] = str(members[RETRY_AFTER])
    if members["status"] == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(_encode(members), members["status"], headers, MEDIA_TYPE)


def refused(request: Request, error: LedgerError) -> Response:
    """The answer to a request that was refused, counted."""
    count_refusal(request, error.code)
    return problem_response(problem(error.without_frames()))


def refused_unexpectedly(request: Request, error: Exception) -> Response:
    """The answer where the ledger met an error of its own: nothing of it is shown."""
    what = f"the ledger met an error of its own ({type(error).__name__}); its log says more"
    return refused(request, LedgerError(Code.INTERNAL, what))
