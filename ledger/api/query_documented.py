"""What OpenAPI cannot read off `ledger.api.queries` and `ledger.api.evidence`."""

from typing import Any, Final

from ledger.api.documented import PROBLEMS, json_body
from ledger.forensics.parameters import READERS
from ledger.forensics.render import ARROW, CSV, CSV_RAW, JSON, NDJSON, PARQUET

EXAMPLE_SQL: Final = {
    "sql": "SELECT tool_name, count(*) AS calls FROM actions WHERE policy_effect = $effect AND time >= $since GROUP BY ALL ORDER BY calls DESC",
    "parameters": {
        "effect": "deny",
        "since": {"type": "timestamp", "value": "2026-11-21T00:00:00Z"},
    },
    "limit": 100,
}
EXAMPLE_ROWS: Final = {
    "columns": [{"name": "tool_name", "type": "VARCHAR"}, {"name": "calls", "type": "BIGINT"}],
    "rows": [["send_money", 3]],
    "row_count": 1,
    "truncated": False,
    "size": 18,
    "root": "4a" * 32,
    "seconds": 0.004,
}
_TEXT: Final = {"schema": {"type": "string"}}
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_RESULT: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Rows, in the form that Accept weighs most.",
        "headers": {
            "Ledger-Size": {"description": "The log's size that was asked.", "schema": {"type": "integer"}},
            "Ledger-Behind": {
                "description": "Entries that the log had more, where they came too fast to be within the answer: in JSON, Arrow and Parquet `behind`. Left out where there are none.",
                "schema": {"type": "integer"},
            },
            "Ledger-Root": {"description": "Its Merkle root, hex.", "schema": {"type": "string"}},
            "Ledger-Row-Count": {"description": "Rows in the body.", "schema": {"type": "integer"}},
            "Ledger-Truncated": {"description": "`true`: there are more rows.", "schema": {"type": "string"}},
            "Ledger-Next": {"description": "The cursor of the next rows.", "schema": {"type": "string"}},
            "Ledger-Query-Id": {"description": "By which it may be cancelled.", "schema": {"type": "string"}},
        },
        "content": {
            JSON: {"example": EXAMPLE_ROWS},
            NDJSON: _TEXT,
            CSV: _TEXT,
            CSV_RAW: _TEXT,
            ARROW: _BINARY,
            PARQUET: _BINARY,
        },
    },
    **PROBLEMS,
}
_KINDS: Final = [name for kind in READERS for name in (kind, f"{kind}[]")]
_PARAMETERS: Final = {
    "type": "object",
    "additionalProperties": {
        "anyOf": [
            {"type": ["string", "number", "boolean", "null"]},
            {"type": "array", "items": {"type": ["string", "number", "boolean", "null"]}},
            {
                "type": "object",
                "required": ["type", "value"],
                "additionalProperties": False,
                "properties": {"type": {"enum": _KINDS}, "value": {}},
            },
        ]
    },
}
_ASKED: Final = {
    "parameters": _PARAMETERS,
    "limit": {"type": "integer", "minimum": 0, "description": "Most rows."},
    "as_of": {"type": "integer", "minimum": 1, "description": "Answer as at this size of the log."},
    "cursor": {"type": "string", "description": "The `next` of a truncated answer to the same question."},
}


_ID: Final = {
    "name": "Ledger-Query-Id",
    "in": "header",
    "schema": {"type": "string", "maxLength": 64},
    "description": "By which the query may be cancelled while it runs: DELETE /v1/query/running/{id}.",
}


_PROOFS: Final = {
    "name": "proofs",
    "in": "query",
    "schema": {"enum": ["true", "false"]},
    "description": "`true`: with a JSON answer, what proves the entries that its columns `seq` and `seqs` name.",
}


def _asking(*required: str, example: dict[str, Any], **properties: Any) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": list(required),
        "additionalProperties": False,
        "properties": {**properties, **_ASKED},
    }
    body = json_body(schema, example=example)
    return {"responses": _RESULT, "openapi_extra": {"parameters": [_ID, _PROOFS], "requestBody": body}}


POST_QUERY: Final[dict[str, Any]] = _asking("sql", example=EXAMPLE_SQL, sql={"type": "string"})
POST_NAMED_QUERY: Final[dict[str, Any]] = _asking(example={"parameters": {}})
_TEXTS: Final = {"type": "array", "items": {"type": "string"}}
POST_EVIDENCE: Final[dict[str, Any]] = {
    "responses": {
        200: {
            "description": "A zip; docs/evidence.md says what is in it.",
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        },
        **PROBLEMS,
    },
    "openapi_extra": {
        "requestBody": json_body(
            {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "about": {"type": "string", "description": "What it is for.", "maxLength": 1000},
                    "seqs": {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 10000},
                    "ids": {**_TEXTS, "maxItems": 10000, "description": "Ids of records."},
                    "sql": {"type": "string", "description": "A SELECT whose rows name entries."},
                    "query": {"type": "string", "description": "A named query, in its place."},
                    "subject": {
                        "type": "string",
                        "description": "A person, in its place: all entries that name them.",
                    },
                    "start": {
                        "type": "integer",
                        "minimum": 0,
                        "description": "Of a subject: from this entry on.",
                    },
                    "parameters": _PARAMETERS,
                    "limit": _ASKED["limit"],
                    "columns": {
                        **_TEXTS,
                        "description": "Which columns name entries: seq and seqs where absent.",
                    },
                    "disclose": {
                        **_TEXTS,
                        "description": "Contents and persons to disclose: all where absent.",
                    },
                },
            },
            denied={
                "about": "case 12",
                "sql": "SELECT seq, tool_name FROM actions WHERE policy_effect = 'deny'",
            },
        ),
    },
}
