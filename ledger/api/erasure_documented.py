"""What OpenAPI says of erasures."""

from typing import Any, Final

from ledger.api.documented import PROBLEMS, json_body

_TEXTS: Final = {"type": "array", "items": {"type": "string"}}
_ACCEPTED: Final = {
    200: {"description": "What would go; or there was nothing left to erase."},
    202: {"description": "The log says so; the bytes are going. `Location` tells how it goes."},
    **PROBLEMS,
}
_WHAT: Final[dict[str, Any]] = {
    "subject": {"type": "string", "description": "A person's identifier, as it was recorded."},
    "seqs": {
        "type": "array",
        "items": {"type": "integer", "minimum": 0},
        "description": "Entries, by their places.",
    },
    "ids": {**_TEXTS, "description": "Records, by their ids."},
    "sql": {"type": "string", "description": "A SELECT that names entries in its column seq."},
    "take": {
        "type": "array",
        "items": {"enum": ["contents", "persons"]},
        "description": "Both of a subject, else contents, where absent.",
    },
    "members": {**_TEXTS, "description": "These members alone."},
    "dry_run": {"type": "boolean", "description": "Only say what would go."},
    "as_of": {"type": "integer", "minimum": 1, "description": "The size of the log that a dry run was of."},
    "selection": {"type": "string", "description": "What a dry run found, by its digest."},
    "ground": {"type": "string", "description": "Why it may be erased: stands in the log."},
}

POST_ERASURE: Final[dict[str, Any]] = {
    "responses": _ACCEPTED,
    "openapi_extra": {
        "requestBody": json_body(
            {"type": "object", "additionalProperties": False, "properties": _WHAT},
            shown={"subject": "alice@example.com", "dry_run": True},
            erased={
                "subject": "alice@example.com",
                "as_of": 18,
                "selection": "4a" * 32,
                "ground": "request 4711, GDPR Art. 17",
            },
        )
    },
}
POST_CONFIRM: Final[dict[str, Any]] = {
    "responses": _ACCEPTED,
    "openapi_extra": {
        "requestBody": json_body(
            {"type": "object", "additionalProperties": False, "properties": {"dry_run": _WHAT["dry_run"]}},
            shown={"dry_run": True},
        )
    },
}
