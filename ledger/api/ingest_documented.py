"""What OpenAPI says of the dialects."""

from typing import Any, Final

from ledger.api.documented import PROBLEMS
from ledger.ingest import cloudevents

EXAMPLE_TAKEN: Final = {
    "size": 18,
    "appended": 1,
    "existing": 0,
    "refused": 0,
    "dropped": {},
    "problems": [],
}
_TAKEN: Final = {"application/json": {"example": EXAMPLE_TAKEN}}
EXAMPLE_EVENT: Final = {
    "specversion": "1.0",
    "id": "A234-1234-1234",
    "source": "/mycontext",
    "type": "com.example.someevent",
    "time": "2026-11-21T09:30:00Z",
    "data": {"any": "JSON"},
}
EXAMPLE_AUDIT: Final = {
    "kind": "EventList",
    "apiVersion": "audit.k8s.io/v1",
    "items": [
        {
            "level": "Metadata",
            "auditID": "5f6c1b1e-0000-4000-8000-000000000001",
            "stage": "ResponseComplete",
            "requestURI": "/api/v1/namespaces/finance/secrets/db",
            "verb": "get",
            "user": {"username": "system:serviceaccount:agents:finance-agent"},
            "objectRef": {"resource": "secrets", "namespace": "finance", "name": "db"},
            "responseStatus": {"code": 200},
            "stageTimestamp": "2026-11-21T01:00:00.004000Z",
        }
    ],
}
POST_INGEST: Final[dict[str, Any]] = {
    "status_code": 201,
    "responses": {
        201: {"description": "Durable, and under a signed checkpoint.", "content": _TAKEN},
        200: {"description": "All of it was here before, or there was nothing in it.", "content": _TAKEN},
        207: {"description": "Some of it was refused.", "content": _TAKEN},
        **PROBLEMS,
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": ["object", "array"]},
                    "examples": {"kubernetes": {"value": EXAMPLE_AUDIT}},
                },
                "application/x-ndjson": {"schema": {"type": "string"}},
                cloudevents.STRUCTURED: {"schema": {"type": "object"}, "example": EXAMPLE_EVENT},
                cloudevents.BATCHED: {"schema": {"type": "array"}, "example": [EXAMPLE_EVENT]},
            },
        }
    },
}
