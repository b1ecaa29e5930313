"""What can go wrong, as stable codes: part of the interface.

`detail` says what is wrong, where, and what to do; `path` names the member of a record it is about. The HTTP
status of each code stands in one table, `ledger.api.problems`.
"""

from enum import StrEnum
from typing import Self


class Code(StrEnum):
    """Stable names of problems: clients may rely on them, so they are added to, never renamed."""

    # JSON that does not parse, or does not fit the narrowed canonical form
    MALFORMED_JSON = "malformed-json"
    DUPLICATE_KEY = "duplicate-key"
    INVALID_KEY = "invalid-key"
    INVALID_NUMBER = "invalid-number"
    INVALID_TEXT = "invalid-text"
    TOO_DEEP = "too-deep"
    NOT_CANONICAL = "not-canonical"
    INVALID_MEMBER = "invalid-member"

    # the log's own formats
    MALFORMED_ENTRY = "malformed-entry"
    ENTRY_TOO_LARGE = "entry-too-large"
    MALFORMED_NOTE = "malformed-note"
    MALFORMED_VERIFIER_KEY = "malformed-verifier-key"
    MALFORMED_CHECKPOINT = "malformed-checkpoint"
    MALFORMED_RECEIPT = "malformed-receipt"
    MALFORMED_TILE = "malformed-tile"
    MALFORMED_EVIDENCE = "malformed-evidence"
    UNSUPPORTED_ALGORITHM = "unsupported-algorithm"

    # things that parse and do not hold
    INVALID_PUBLIC_KEY = "invalid-public-key"
    INVALID_SIGNATURE = "invalid-signature"
    INVALID_PROOF = "invalid-proof"
    UNKNOWN_SIGNER = "unknown-signer"
    AMBIGUOUS_KEY = "ambiguous-key"
    ORIGIN_MISMATCH = "origin-mismatch"
    OUT_OF_RANGE = "out-of-range"

    # records: what the vocabulary refuses
    UNKNOWN_MEMBER = "unknown-member"
    MISSING_MEMBER = "missing-member"
    RESERVED_NAME = "reserved-name"
    SECRET_IN_FACT = "secret-in-fact"  # noqa: S105 - the name of a problem
    CONTENT_TOO_LARGE = "content-too-large"
    RECORD_TOO_LARGE = "record-too-large"
    COMMITMENT_MISMATCH = "commitment-mismatch"
    FACET_MISSING = "facet-missing"

    # requests
    MALFORMED_PROTOBUF = "malformed-protobuf"
    MALFORMED_ARROW = "malformed-arrow"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    UNSUPPORTED_ENCODING = "unsupported-encoding"
    BODY_TOO_LARGE = "body-too-large"
    TOO_MANY_RECORDS = "too-many-records"
    TOO_SLOW = "too-slow"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    NOT_ACCEPTABLE = "not-acceptable"
    INTERNAL = "internal-error"

    # the log: what it refuses to write, and when it refuses to start
    NOT_FOUND = "not-found"
    INVALID_PARAMETER = "invalid-parameter"
    ID_CONFLICT = "id-conflict"
    RETIRED = "retired"
    NOT_WRITTEN = "not-written"
    HELD = "held"
    HOLD_EXISTS = "hold-exists"
    SELECTION_CHANGED = "selection-changed"
    OBJECTS_UNAVAILABLE = "objects-unavailable"
    OBJECT_DIFFERS = "object-differs"
    UNKNOWN_KEY = "unknown-key"
    QUEUE_FULL = "queue-full"
    QUOTA_EXCEEDED = "quota-exceeded"
    NOT_WITNESSED = "not-witnessed"
    STORAGE_FAILED = "storage-failed"
    STORAGE_VERSION = "storage-version"
    LOG_STOPPED = "log-stopped"
    LOG_EXISTS = "log-exists"
    LOCKED = "locked"
    KEY_EXISTS = "key-exists"
    KEY_FILE = "key-file"
    SIGNER_FAILED = "signer-failed"
    ORIGIN_CHANGED = "origin-changed"
    ANCHOR_MISSING = "anchor-missing"
    ROLLED_BACK = "rolled-back"
    FORKED = "forked"

    # who may do what
    TOKEN_FILE = "token-file"  # noqa: S105 - the name of a problem
    TOKEN_EXISTS = "token-exists"  # noqa: S105 - the name of a problem
    CLAIM_OUTSIDE = "claim-outside"
    OIDC_FILE = "oidc-file"
    TLS_FILES = "tls-files"

    # queries: what the worker refuses, and what became of it
    QUERY_REFUSED = "query-refused"
    QUERY_FAILED = "query-failed"
    QUERY_TIMEOUT = "query-timeout"
    QUERY_KILLED = "query-killed"
    QUERIES_BUSY = "queries-busy"
    ALERTS_FILE = "alerts-file"
    STREAMS_BUSY = "streams-busy"
    EVIDENCE_ALTERED = "evidence-altered"
    INVALID_QUERY_FILE = "invalid-query-file"
    EVIDENCE_TOO_LARGE = "evidence-too-large"


class LedgerError(Exception):
    """A refusal with a stable code.

    Attributes:
        code: what kind of problem it is.
        detail: a sentence for people: what, where, what to do.
        path: the member it is about, dotted (`tool.arguments`), or None.
        members: further facts for programs (sizes, limits, positions).
    """

    def __init__(self, code: Code, detail: str, *, path: str | None = None, **members: str | int) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.path = path
        self.members = members

    def without_frames(self) -> Self:
        """Itself, without the frames it came through: they hold what was being read, and thousands of refusals may be kept at a time."""
        self.__traceback__ = self.__context__ = self.__cause__ = None
        return self


class FormatError(LedgerError):
    """Bytes from outside that do not parse."""


class VerificationError(LedgerError):
    """A proof, signature or hash that does not hold."""
