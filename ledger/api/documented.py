"""What OpenAPI cannot read off the code: bodies that are read by hand, examples, problems, the token."""

from typing import Any, Final

from ledger.api.permits import needed
from ledger.api.problems import MEDIA_TYPE, URN
from ledger.records.resources import schema_json

EXAMPLE_RECORD: Final = {
    "id": "0193-invoice-1041",
    "type": "action",
    "time": "2026-11-21T09:30:00Z",
    "request": {"user": "alice@example.com", "origin": "human", "text": "Please pay invoice 1041."},
    "decision": {"provider": "openai", "request_model": "gpt-5", "finish_reason": "tool_calls"},
    "tool": {"name": "send_money", "call_id": "call_1", "effect": "pay", "arguments": {"amount": "98.70"}},
    "identity": {"agent_id": "payer", "principal": "alice@example.com"},
    "resource": {"type": "account", "id": "vendor-7"},
    "policy": {"effect": "allow", "engine": "opa", "rule": "payments.small"},
    "outcome": {"status": "success", "result": "paid"},
}
EXAMPLE_ANSWER: Final = {
    "id": "0193-invoice-1041",
    "seq": 17,
    "leaf_hash": "9f" * 32,
    "recorded_at": "2026-11-21T09:30:00.412345Z",
    "existing": False,
    "size": 18,
}
EXAMPLE_LOG: Final = {
    "origin": "ledger.example.com/prod",
    "verifier_key": "ledger.example.com/prod+7b8488d1+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
    "current_key": "ledger.example.com/prod+7b8488d1+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
    "format": 1,
    "size": 18,
    "root": "4a" * 32,
    "recorded_at": "2026-11-21T09:30:00.412345Z",
    "checkpoint": "ledger.example.com/prod\n18\n…",
    "anchored_to": {"head_anchor": "/var/lib/agent-ledger.head", "size": 18},
}
_PROBLEM: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": [f"{URN}unknown-member"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "path": {"type": "string", "description": "The member it is about."},
        "record": {"type": "integer", "description": "The record's index within the batch."},
    },
}

PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"description": "A problem with the request.", "content": {MEDIA_TYPE: {"schema": _PROBLEM}}},
    "5XX": {"description": "A problem of the ledger.", "content": {MEDIA_TYPE: {"schema": _PROBLEM}}},
}


def json_body(schema: dict[str, Any], **examples: Any) -> dict[str, Any]:
    """What a route takes: JSON of this schema, with examples by name."""
    shown = {name: {"value": value} for name, value in examples.items()}
    return {"content": {"application/json": {"schema": schema, "examples": shown}}, "required": True}


_SUBMISSION: Final = {"$ref": "#/components/schemas/Submission"}
_ANSWERS: Final = {"application/json": {"example": EXAMPLE_ANSWER}}
_BATCH_ANSWER: Final = {
    "application/json": {
        "example": {"size": 18, "appended": 1, "existing": 0, "refused": 0, "results": [EXAMPLE_ANSWER]}
    }
}

POST_RECORDS: Final[dict[str, Any]] = {
    "responses": {
        201: {"description": "Durable, and under a signed checkpoint.", "content": _ANSWERS},
        200: {"description": "It was here before: the first answer again.", "content": _ANSWERS},
        202: {
            "description": "Durable, and under a signed checkpoint, which the quorum of witnesses has not cosigned in time: `witnessed` is false.",
            "content": _ANSWERS,
        },
        207: {"description": "Of a batch, some were refused.", "content": _BATCH_ANSWER},
        **PROBLEMS,
    },
    "openapi_extra": {
        "parameters": [
            {
                "name": "Prefer",
                "in": "header",
                "schema": {"type": "string"},
                "description": "`handling=strict`: all records of the batch, or none.",
            },
            {
                "name": "witnessed",
                "in": "query",
                "schema": {"type": "boolean"},
                "description": "Answer once the quorum of witnesses has cosigned a checkpoint that covers them.",
            },
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"anyOf": [_SUBMISSION, {"type": "array", "items": _SUBMISSION}]},
                    "examples": {"one": {"value": EXAMPLE_RECORD}, "several": {"value": [EXAMPLE_RECORD]}},
                },
                "application/x-ndjson": {"schema": {"type": "string"}},
                "application/vnd.apache.arrow.stream": {"schema": {"type": "string", "format": "binary"}},
            },
        },
    },
}
POST_VERIFY: Final[dict[str, Any]] = {
    "responses": {202: {"description": "Under way."}, **PROBLEMS},
    "openapi_extra": {
        "requestBody": json_body(
            {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "checkpoint": {"type": "string", "description": "A signed checkpoint kept elsewhere."},
                    "receipts": {"type": "array", "items": {"type": "string"}, "maxItems": 100},
                    "since": {"type": "string", "description": "A verification record to begin from."},
                    "verifier_key": {"type": "string", "description": "Whose record it is."},
                },
            },
            alone={},
        )
    },
}


def with_submission_schema(document: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI document with the record's JSON Schema among its components, the bearer token, and what each route needs."""
    schema = schema_json("record.schema.json")
    definitions = _moved(schema.pop("$defs"))
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas |= definitions
    schemas["Submission"] = {
        "anyOf": [{"$ref": "#/components/schemas/Record"}, {"$ref": "#/components/schemas/Sealed"}]
    }
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    for path, operations in document["paths"].items():
        for method, described in operations.items():
            permission = needed(method, path)
            if permission is None:
                described["security"] = []
            else:
                described["x-permission"] = permission.value
    return document


def _moved(value: Any) -> Any:
    """References from `#/$defs/` to where OpenAPI keeps schemas."""
    if isinstance(value, dict):
        return {
            key: inner.replace("#/$defs/", "#/components/schemas/") if key == "$ref" else _moved(inner)
            for key, inner in value.items()
        }
    return [_moved(item) for item in value] if isinstance(value, list) else value
